"""`{% trans %}` in templates, translated when a template is compiled: rendering looks nothing up and formats nothing.

What stands between `{% trans %}` and `{% endtrans %}` is plain text, in HTML too, so that both parts of a mail share
their sentences; marks come in by variables: `{% trans ref=ticket.ref|strong %}`.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.ext import InternationalizationExtension
from markupsafe import escape

if TYPE_CHECKING:
    from postroom.outbound.catalogue import Catalogue

LINE = 72  # characters of a line of text
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
PLURAL_FORM = "plural_form"  # the filter that says which form a number takes


class Translating(InternationalizationExtension):
    """Puts a catalogue's sentences in the place of ours. `environment.catalogue` is set after the environment is made."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The source, in which the end of a sentence does not swallow the end of its line."""
        return source.replace("{% endtrans %}", "{% endtrans +%}")

    def _make_node(
        self, singular: str, plural: str | None, context: str | None, variables: dict[str, nodes.Expr],
        plural_expr: nodes.Expr | None, vars_referenced: bool, num_called_num: bool,
    ) -> Any:  # fmt: skip
        catalogue: Catalogue = self.environment.catalogue  # type: ignore[attr-defined]
        forms = [self._output(form, variables) for form in catalogue.forms(singular, plural)]
        if plural_expr is None:
            return forms[0]
        node: nodes.Node = forms[-1]
        for number in range(len(forms) - 2, -1, -1):
            which = nodes.Filter(plural_expr, PLURAL_FORM, [], [], None, None)
            test = nodes.Compare(which, [nodes.Operand("eq", nodes.Const(number))])
            node = nodes.If(test, [forms[number]], [], [node])
        return node

    def _output(self, sentence: str, variables: dict[str, nodes.Expr]) -> nodes.Output:
        """The sentence with its variables: as HTML escaped, as text in lines of a readable length."""
        is_html = bool(self.environment.autoescape)
        if not is_html and len(sentence) > LINE:
            sentence = textwrap.fill(sentence, LINE, break_long_words=False, break_on_hyphens=False)
        output: list[nodes.Expr] = []
        for number, piece in enumerate(PLACEHOLDER.split(sentence)):
            if number % 2:
                output.append(variables[piece])
            elif piece:
                text = piece.replace("%%", "%")
                output.append(nodes.TemplateData(str(escape(text)) if is_html else text))
        return nodes.Output(output)

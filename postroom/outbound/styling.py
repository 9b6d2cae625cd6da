"""Styles of HTML mail, written into the elements: many mail programs know no other.

It is done once for each template, when it is compiled, and not for each mail: `style.css` into the source, with
css-inline, which sees the marks of Jinja2 as comments.
"""

from __future__ import annotations

import re

import css_inline
from jinja2.ext import Extension

MARK = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
PLACE = re.compile(r'<!--jinja(\d+)-->|&lt;!--jinja(\d+)--&gt;|\bjinja(\d+)\b(?:="")?')


class Styling(Extension):
    """Styles the source of a template. `environment.css` is set after the environment is made; "" leaves it alone."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The source with the styles in its elements; as it is where that would harm a mark of Jinja2."""
        css: str = self.environment.css  # type: ignore[attr-defined]
        return styled(source, css) if css else source


def styled(source: str, css: str) -> str:
    """A template's source with `css` written into its elements. Its own `<style>` stays, for what cannot be inlined."""
    marks: list[str] = []
    html = _hidden(source, marks)
    if "<html" in html.lower():
        html = css_inline.inline(
            html, extra_css=css, keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False
        )  # fmt: skip
    else:
        html = css_inline.inline_fragment(html, css=css, load_remote_stylesheets=False)
    seen: list[int] = []

    def back(found: re.Match[str]) -> str:
        number = int(found[1] or found[2] or found[3])
        seen.append(number)
        return marks[number] if number < len(marks) else ""

    html = PLACE.sub(back, html)
    return html if seen == list(range(len(marks))) else source


def _hidden(source: str, marks: list[str]) -> str:
    """The source with a comment in place of each mark, or a word where it stands within a tag."""
    pieces, end, in_tag = [], 0, False
    for found in MARK.finditer(source):
        before = source[end : found.start()]
        opens, closes = before.rfind("<"), before.rfind(">")
        in_tag = opens > closes if opens != closes else in_tag
        pieces += [before, f"jinja{len(marks)}" if in_tag else f"<!--jinja{len(marks)}-->"]
        marks.append(found[0])
        end = found.end()
    return "".join([*pieces, source[end:]])

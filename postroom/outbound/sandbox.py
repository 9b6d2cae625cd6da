"""Jinja2's sandbox, drawn closer: what an operator's template may do, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from postroom.outbound.flattening import flattened

MAX_RENDERED = 1 << 20  # characters of one part
MAX_REPEATED = 10_000  # characters that "*" may make
FILTERS = (
    "capitalize", "default", "escape", "e", "first", "items", "join", "last", "length", "lower", "replace", "title", "trim",
    "truncate", "upper",
)  # fmt: skip


class Sandbox(ImmutableSandboxedEnvironment):
    """Plain data, no attributes, no large repeats, and of Jinja2's filters those that neither blow up nor mark text as HTML."""

    is_flat = True  # templates are put together when they are compiled
    intercepted_binops = frozenset(["*", "**", "%"])

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:  # fmt: skip
        """Jinja2's hook before it compiles."""
        return super()._generate(flattened(self, source) if self.is_flat else source, name, filename, defer_init)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only a loop's own attributes; a dict's items are found as items."""
        return isinstance(obj, LoopContext) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers may be multiplied, text repeated a little; the rest can fill the memory."""
        if operator == "*":
            texts = [value for value in (left, right) if isinstance(value, str | list | tuple)]
            size = max((len(text) for text in texts), default=0) * max(
                (value for value in (left, right) if isinstance(value, int)), default=1
            )
            if size <= MAX_REPEATED:
                return super().call_binop(context, operator, left, right)
        elif operator == "%" and not isinstance(left, str):
            return super().call_binop(context, operator, left, right)
        raise SecurityError(f"{operator!r} is not allowed here")


def bounded(template: Template, data: Mapping[str, Any]) -> str:
    """What the template makes of the data; SecurityError where it is too much, found before all of it is made."""
    pieces, size = [], 0
    for piece in template.generate(data):
        size += len(piece)
        if size > MAX_RENDERED:
            raise SecurityError(f"more than {MAX_RENDERED} characters")
        pieces.append(piece)
    return "".join(pieces)

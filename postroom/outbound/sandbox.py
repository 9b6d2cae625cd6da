"""Jinja2's sandbox, drawn closer: what an operator's template may do, and how much of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import Template, Undefined, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import LoopContext, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from postroom.outbound.flattening import flattened

MAX_RENDERED = 1 << 20  # characters of one part
MAX_VALUE = MAX_RENDERED  # characters of one text on the way to it
MAX_REPEATED = 10_000  # characters that "*" may make
MAX_BITS = 256  # of a product of whole numbers
OF_MANY = frozenset({"default", "first", "items", "join", "last", "length"})  # filters that take more than a text
TOGETHER = "together"  # the filter that "~" becomes
FILTERS = (
    "capitalize", "default", "escape", "e", "first", "items", "join", "last", "length", "lower", "replace", "title", "trim",
    "truncate", "upper",
)  # fmt: skip


class Sandbox(ImmutableSandboxedEnvironment):
    """Plain data, no attributes, no large repeats, and of Jinja2's filters those that neither blow up nor mark text as HTML."""

    is_flat = True  # templates are put together when they are compiled
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=written, **options)
        kept = {name: self.filters[name] for name in FILTERS}
        self.filters = {name: one if name in OF_MANY else of_text(one) for name, one in kept.items()}
        self.filters |= {"join": _of_pieces(kept["join"]), "replace": _replacing(kept["replace"]), TOGETHER: together}

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:  # fmt: skip
        """Jinja2's hook before it compiles."""
        whole = _Bounding().visit(flattened(self, source) if self.is_flat else source)
        whole.set_environment(self)
        return super()._generate(whole, name, filename, defer_init)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only a loop's own attributes; a dict's items are found as items."""
        return isinstance(obj, LoopContext) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Jinja2's hook that lets `str.format` through: "{:999999999}" would fill the memory."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers may be multiplied, text repeated a little; the rest can fill the memory."""
        if operator == "+":
            if isinstance(left, str) and isinstance(right, str):
                _check(len(left) + len(right))
            elif not isinstance(left, int | float) or not isinstance(right, int | float):
                raise SecurityError("only numbers and texts can be added")
            return super().call_binop(context, operator, left, right)
        if operator == "*":
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
                raise SecurityError("a number is too large")
            texts = [value for value in (left, right) if isinstance(value, str | list | tuple)]
            size = max((len(text) for text in texts), default=0) * max(
                (value for value in (left, right) if isinstance(value, int)), default=1
            )
            if size <= MAX_REPEATED:
                return super().call_binop(context, operator, left, right)
        elif operator == "%" and not isinstance(left, str):
            return super().call_binop(context, operator, left, right)
        raise SecurityError(f"{operator!r} is not allowed here")


class _Bounding(NodeTransformer):
    """What Jinja2 does by itself, and without asking anybody, becomes a filter of ours."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        pieces = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(pieces, TOGETHER, [], [], None, None, lineno=node.lineno)


def written(value: Any) -> Any:
    """A value that may stand in a text; SecurityError for a list, which could hold itself a million times."""
    if value is None or isinstance(value, str | int | float | Undefined) or not isinstance(value, Iterable):
        return value
    raise SecurityError("a list is no text: join what is in it")


def _check(size: int) -> None:
    if size > MAX_VALUE:
        raise SecurityError(f"a text of more than {MAX_VALUE} characters")


def _size(value: Any) -> int:
    return len(value if isinstance(value, str) else str(written(value)))


@pass_eval_context
def together(context: EvalContext, pieces: list[Any]) -> str:
    """`a ~ b`."""
    _check(sum(map(_size, pieces)))
    return (markup_join if context.autoescape else str_join)(pieces)


def of_text(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, for single values alone: what it makes of a list could be a million times as long."""

    @functools.wraps(filter_)
    def careful(*arguments: Any, **more: Any) -> Any:
        for value in (*arguments, *more.values()):
            if not isinstance(value, EvalContext | Sandbox):
                written(value)
        return filter_(*arguments, **more)

    return careful


def _of_pieces(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """`join`, of plain texts."""

    @functools.wraps(filter_)
    def careful(context: Any, pieces: Any, between: Any = "", attribute: Any = None) -> Any:
        pieces = list(pieces)
        chosen = (
            [one.get(attribute, "") if isinstance(one, Mapping) else one for one in pieces] if attribute else pieces
        )
        _check(sum(map(_size, chosen)) + len(pieces) * _size(between))
        return filter_(context, chosen, between)

    return careful


def _replacing(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """`replace`, as long as not too much comes of it."""

    @functools.wraps(filter_)
    def careful(context: Any, text: Any, old: Any, new: Any, count: Any = None) -> Any:
        whole = str(written(text))
        _check(len(whole) + whole.count(str(written(old))) * _size(new))
        return filter_(context, text, old, new, count)

    return careful


def bounded(template: Template, data: Mapping[str, Any]) -> str:
    """What the template makes of the data; SecurityError where it is too much, found before all of it is made."""
    pieces, size = [], 0
    for piece in template.generate(data):
        size += len(piece)
        if size > MAX_RENDERED:
            raise SecurityError(f"more than {MAX_RENDERED} characters")
        pieces.append(piece)
    return "".join(pieces)

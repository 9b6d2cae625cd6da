"""A template with what it extends and includes, as one: put together when it is compiled, not again for each mail.

Rendering a mail takes a third of the time so. What cannot be put together beforehand (a name that is not written out,
`super()`) raises NotFlat, and is compiled as Jinja2 has it, by an environment that does not come here.
"""

from __future__ import annotations

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer

DEPTH_MAX = 10  # templates within templates; beyond that it is a circle
# what would be seen outside of a block
SETS: tuple[type[nodes.Node], ...] = (nodes.Assign, nodes.AssignBlock, nodes.Import, nodes.FromImport, nodes.Macro)


class NotFlat(Exception):
    """The template cannot be put together before there is data."""


def flattened(environment: Environment, template: nodes.Template) -> nodes.Template:
    """The template as one; raises NotFlat, and TemplateNotFound for one that it names and that is not there."""
    whole = _resolved(environment, template, DEPTH_MAX)
    flat = _Splice(environment).visit(whole)
    assert isinstance(flat, nodes.Template)
    for node in (flat, *flat.find_all(nodes.Node)):
        for name in node.fields:
            value = getattr(node, name)
            if isinstance(value, list) and any(isinstance(one, nodes.Output) for one in value):
                setattr(node, name, _joined(value))
    flat.set_environment(environment)
    return flat


def _resolved(environment: Environment, template: nodes.Template, depth: int) -> nodes.Template:
    """The template with its blocks in the place of those of what it extends."""
    if depth == 0 or any(name.name in ("super", "self") for name in template.find_all(nodes.Name)):
        raise NotFlat
    extends = template.find(nodes.Extends)
    if extends is None:
        return template
    if not isinstance(extends.template, nodes.Const) or not all(map(_is_silent, template.body)):
        raise NotFlat
    parent = _resolved(environment, _parsed(environment, extends.template.value), depth - 1)
    own = {block.name: block for block in template.find_all(nodes.Block)}
    for block in list(parent.find_all(nodes.Block)):
        if block.name in own:
            block.body = own[block.name].body
    return parent


def _is_silent(node: nodes.Node) -> bool:
    """Whether it says nothing outside its blocks."""
    if isinstance(node, nodes.Output):
        return all(isinstance(one, nodes.TemplateData) for one in node.nodes)
    return isinstance(node, nodes.Extends | nodes.Block)


def _parsed(environment: Environment, name: str) -> nodes.Template:
    assert environment.loader is not None
    source, filename, _ = environment.loader.get_source(environment, name)
    return environment.parse(source, name, filename)


class _Splice(NodeTransformer):
    """Puts the contents of blocks and includes where they stand."""

    def __init__(self, environment: Environment, depth: int = DEPTH_MAX) -> None:
        self._environment, self._depth = environment, depth

    def visit_Block(self, node: nodes.Block) -> list[nodes.Node]:
        self.generic_visit(node)
        return _scoped(node)

    def visit_Include(self, node: nodes.Include) -> list[nodes.Node]:
        if (
            not isinstance(node.template, nodes.Const)
            or not isinstance(node.template.value, str)
            or node.ignore_missing
        ):
            raise NotFlat
        whole = _resolved(self._environment, _parsed(self._environment, node.template.value), self._depth - 1)
        return _scoped(_Splice(self._environment, self._depth - 1).visit(whole))


def _scoped(node: nodes.Block | nodes.Template) -> list[nodes.Node]:
    """The body, with a scope of its own where it sets anything."""
    if not any(True for _ in node.find_all(SETS)):
        return node.body
    return [nodes.Scope(node.body, lineno=node.lineno)]


def _joined(body: list[nodes.Node]) -> list[nodes.Node]:
    """Neighbouring pieces of text as one."""
    joined: list[nodes.Node] = []
    for node in body:
        last = joined[-1] if joined else None
        if not isinstance(node, nodes.Output) or not isinstance(last, nodes.Output):
            if isinstance(node, nodes.Output):
                node.nodes = _merged(node.nodes)
            joined.append(node)
        else:
            last.nodes = _merged([*last.nodes, *node.nodes])
    return joined


def _merged(pieces: list[nodes.Expr]) -> list[nodes.Expr]:
    merged: list[nodes.Expr] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, nodes.TemplateData) and isinstance(last, nodes.TemplateData):
            last.data += piece.data
        elif isinstance(piece, nodes.TemplateData):
            merged.append(nodes.TemplateData(piece.data, lineno=piece.lineno))
        else:
            merged.append(piece)
    return merged

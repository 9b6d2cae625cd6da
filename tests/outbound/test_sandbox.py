"""Whatever an operator writes into a template, it reaches nothing but its data, and comes to an end within bounds."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, StrictUndefined
from jinja2.exceptions import SecurityError

from postroom.outbound.flattening import NotFlat
from postroom.outbound.sandbox import MAX_RENDERED, Sandbox, bounded
from postroom.outbound.tongues import FAULTS

DATA = {
    "name": "Ann <ann@example.org>", "number": 7, "people": ["ann", "bob"], "none": None,
    "ticket": {"ref": "T-1", "tags": ["a", "b"], "files": [{"filename": "a.txt", "size": 3}]},
}  # fmt: skip
PEAK_MAX = 64 << 20  # octets that rendering may take
BETRAYING = ("<class", "<function", "<bound", "<built-in", "<module", " object at 0x")


def render(source: str, is_html: bool = False, is_flat: bool = True) -> str:
    sandbox = Sandbox(loader=DictLoader({"t": source}), undefined=StrictUndefined, autoescape=is_html)
    sandbox.is_flat = is_flat
    sandbox.globals = {"language": "en"}
    return bounded(sandbox.get_template("t"), DATA)


def grow(step: str, start: str = '"x" * 10000') -> str:
    """A template that takes the step forty times."""
    return "{% set a = " + start + " %}" + f"{{% set a = {step} %}}" * 40 + "{{ a }}"


@pytest.mark.parametrize("is_html", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        grow("a ~ a"), grow("a + a"), grow("[a, a]|join"), grow("[1, 2, 3]|join(a)"), grow('a|replace("x", a)'), grow('a|replace("", a)'),
        grow("a * a", "99999999999"), grow("[a, a, a, a]", "[1]") , grow("[a, a]|join", "[1] * 1000"), grow("(a, a)", "'x'"),
        grow('{"a": a, "b": a}', "1"), grow("[a, a, a, a]", "[1]").replace("{{ a }}", "{{ a|upper }}"),
        grow("[a, a, a, a]", "[1]").replace("{{ a }}", '{{ "x"|replace("x", a) }}'), grow("[a, a, a, a]", "[1]").replace("{{ a }}", "{{ a ~ 1 }}"),
        grow("[a, a, a, a]", "[1]").replace("{{ a }}", "{{ [a]|join }}"), '{{ "x" * 10000 * 10000 }}', "{{ 10 ** 100000000 }}",
        '{{ "%0999999999d" % 1 }}', '{{ "{:999999999}".format(1) }}', "{{ '{0[__class__]}'.format_map(ticket) }}", '{{ "x"|center(999999999) }}', "{% for i in range(999999999) %}x{% endfor %}",
        '{% set a = "x" * 10000 %}{% for b in a %}{{ a }}{% endfor %}', "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)  # fmt: skip
def test_nothing_fills_the_memory(source: str, is_html: bool) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FAULTS):
            render(source, is_html)
        assert tracemalloc.get_traced_memory()[1] < PEAK_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "source",
    [
        "{{ name.__class__ }}", '{{ name["__class__"] }}', '{{ name|attr("__class__") }}', "{{ people.append(1) }}", "{{ name.format(1) }}",
        "{{ ticket.items() }}", "{{ self.__init__ }}", "{{ language.upper() }}", "{{ [].__class__ }}", "{{ ().__class__.__bases__ }}",
        "{{ lipsum.__globals__ }}", "{{ cycler }}", "{{ loop }}", '{{ people|map(attribute="__class__")|join }}', '{{ people|join(attribute="__class__") }}',
        "{% for p in people %}{{ loop.__class__ }}{% endfor %}", "{% for p in people %}{{ loop._iterator }}{% endfor %}",
        '{% include "/etc/passwd" %}', '{% import "os" as os %}', '{% extends "../x" %}', "{{ joiner() }}", "{{ namespace() }}", "{{ dict() }}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_flat", [True, False])
def test_nothing_but_its_data_can_be_reached(source: str, is_flat: bool) -> None:
    try:
        assert render(source, is_flat=is_flat).strip("anbo") == ""
    except (*FAULTS, NotFlat):
        pass


def test_what_templates_do_all_the_time_is_as_in_jinja() -> None:
    assert render('{{ people|join(", ") }}; {{ ticket.files|join(", ", attribute="filename") }}') == "ann, bob; a.txt"
    assert render("{{ name ~ 1 ~ none }} {{ 1 + 2 * 3 }} {{ 'a' + 'b' }}") == "Ann <ann@example.org>1None 7 ab"
    assert render("{{ name ~ '<' }}{{ people|join('<') }}", is_html=True) == "Ann &lt;ann@example.org&gt;&lt;ann&lt;bob"
    assert render("{{ ('<b>'|escape) ~ '<' }}", is_html=True) == "&lt;b&gt;&lt;"
    assert (
        render("{{ name|replace('Ann', 'Eve') }} {{ name|upper|length }} {{ people|length }}")
        == "Eve <ann@example.org> 21 2"
    )
    with pytest.raises(SecurityError):
        render("{{ people }}")


NAMES = st.sampled_from([
    "name", "number", "people", "ticket", "ticket.ref", "ticket.tags", "ticket.files", "none", "a", "b", "loop", "language", "self", "1", "999999999",
    "'x'", "'x' * 9999", "[name, people]", "{'k': ticket}", "(1, 2)", "caller", "range", "__builtins__",
])  # fmt: skip
FILTERS = st.sampled_from([
    "capitalize", "default('x')", "escape", "e", "first", "items", "join", "join(a)", "last", "length", "lower", "replace('x', name)",
    "replace('', a)", "title", "trim", "truncate(9)", "upper", "attr('__class__')", "list", "string", "safe", "tojson", "map('upper')",
])  # fmt: skip


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["~", "+", "*", "-", "/", "//", "%", "**", "==", "and", "or", "in", "if name else"])
    attributes = st.sampled_from([".__class__", ".ref", "[0]", "['__class__']", ".format", "()", ".items()", "[::-1]"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner), st.builds("({})|{}".format, inner, FILTERS),
        st.builds("({}){}".format, inner, attributes), st.builds("[{}, {}]".format, inner, inner),
    )  # fmt: skip


EXPRESSIONS = st.recursive(NAMES, larger, max_leaves=8)
STATEMENTS = st.one_of(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS), st.builds("{{% set a = {} %}}".format, EXPRESSIONS), st.text(max_size=10),
    st.builds("{{% for b in ticket.tags %}}{{{{ {} }}}}{{% endfor %}}".format, EXPRESSIONS),
    st.builds("{{% if {} %}}x{{% else %}}{{{{ {} }}}}{{% endif %}}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("{{% macro m(a) %}}{{{{ {} }}}}{{% endmacro %}}{{{{ m({}) }}}}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("{{% filter {} %}}x{{{{ {} }}}}{{% endfilter %}}".format, FILTERS, EXPRESSIONS),
)  # fmt: skip


@given(st.lists(STATEMENTS, max_size=12), st.booleans(), st.booleans())
def test_any_template_gives_a_text_within_bounds_or_a_fault_that_is_expected(
    statements: list[str], is_html: bool, is_flat: bool
) -> None:
    try:
        text = render("".join(statements), is_html, is_flat)
    except (*FAULTS, NotFlat):
        return
    assert len(text) <= MAX_RENDERED
    assert not any(word in text for word in BETRAYING), text

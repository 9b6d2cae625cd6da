"""HTML as text, and HTML that may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.html import to_text
from postroom.parsers.html_tokens import Tag, tokens
from postroom.parsers.sanitise import sanitise


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
        ("a\n   b <b> c</b>", "a b c"),
        ("x&nbsp;&amp;&lt;&#8364;&#x20AC;&notareference", "x &<€€¬areference"),
        ("<ul><li>one<li>two<ol><li>x</li><li>y</li></ol></ul>end", "* one\n* two\n  1. x\n  2. y\n\nend"),
        (
            'see <a href="https://example.org/a?b=1&amp;c=2">our page</a>',
            "see our page <https://example.org/a?b=1&c=2>",
        ),
        (
            '<a href="http://example.org/">http://example.org</a> <a href="mailto:a@example.org">a@example.org</a>',
            "http://example.org a@example.org",
        ),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        (
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Printer</td><td>10</td></tr></table>",
            "Item     Price\nPrinter  10",
        ),
        (
            "<table><tr><td><div>one<br>two</div></td><td><table><tr><td>in</td></tr></table></td></tr></table>",
            "one\ntwo\nin",
        ),
        ("<pre>a  b\n  c</pre>", "a  b\n  c"),
        ("<style>p{}</style><script>x</script><title>t</title>shown<!-- not --><!DOCTYPE x>", "shown"),
        ("<div style='display: none'>hidden<div>too</div></div>shown", "shown"),
        ("<p style=display:none>hidden<p>shown", "shown"),
        ('<img src="cid:x" alt="logo">', "[logo]"),
        ("1 < 2 > 0 <3 <", "1 < 2 > 0 <3 <"),
        ('<p title="a > b">x</p>', "x"),
        ('<p alt="5" wide">x</p>', "x"),
        ('never <b title="closed', "never"),
        ("<div>-- </div><div>Ann</div>", "-- \nAnn"),
    ],
)
def test_html_reads_as_text(source: str, text: str) -> None:
    assert to_text(source) == text


def test_a_reference_to_no_character_is_a_replacement_however_long_it_is() -> None:
    assert to_text(f"a&#{'9' * 5000};b &#x{'f' * 5000};c") == "a\ufffdb \ufffdc"


def test_quotes_carry_marks_where_they_are_asked_for() -> None:
    source = "<div>new</div><blockquote>old<br>lines<blockquote>older</blockquote></blockquote><div>end</div>"
    assert to_text(source, quote_marks=True) == "new\n\n> old\n> lines\n>\n> > older\n\nend"


FLOODS = [
    "<", "&", "&#", "&a;", "<!--", "<!", "</", "<a", "<a ", "<a href='", '<a b="> x', "<div>", "<b><i>", "<table>", "<table><tr><td>", "<td>x", "<ul><li>",
    "<blockquote>", "<script>", "<style>", "<a href=x>y", "</a>", "<pre>", "<p style='", "<div style=display:none>", "\0", "<a =\"", "' ", "=",
]  # fmt: skip


@pytest.mark.parametrize("piece", FLOODS)
def test_a_flood_of_anything_ends(piece: str) -> None:
    """A quarter of a megabyte each: where the work grew with the square, this would take hours."""
    source = piece * (250_000 // len(piece))
    to_text(source, quote_marks=True)
    sanitise(source)


def test_twice_the_html_is_twice_the_tokens() -> None:
    source = "<p class=x>one <a href='y'>two</a> &amp; <!-- c --> three</p>"
    assert sum(1 for _ in tokens(source * 2000)) == 2 * sum(1 for _ in tokens(source * 1000))


@given(st.text(st.sampled_from("<>/!-='\"& ;#apdivtblrsx\n") | st.characters(), max_size=200))
def test_any_text_has_tags_and_text_that_are_in_it(source: str) -> None:
    for token in tokens(source):
        if isinstance(token, Tag):
            assert source[token.start] == "<"
            token.attributes()
        else:
            assert token in source
    to_text(source, quote_marks=True)
    sanitise(source)


def test_what_could_act_or_fetch_is_taken_away() -> None:
    source = """<p onclick="x()" style="color:red;position:fixed;background:url(http://t.example/)">a<script>x</script>
        <a href="javascript:x">b</a><a href="data:text/html,x">c</a><iframe src="http://t.example"></iframe><form action="http://t.example"><input></form>
        <img src="//t.example/x.gif"><svg onload=x></svg><link rel=stylesheet href="http://t.example"><meta http-equiv=refresh content="0;http://t.example"></p>"""
    shown, defect = sanitise(source)
    assert defect is None
    assert shown is not None
    for trace in (
        "script",
        "t.example",
        "javascript",
        "data:",
        "onclick",
        "onload",
        "position",
        "url(",
        "<form",
        "<svg",
        "<meta",
    ):
        assert trace not in shown
    assert '<p style="color:red">a' in shown


def test_remote_pictures_are_held_back_and_those_of_the_mail_are_kept() -> None:
    source = """<img src="cid:logo@example.org"><img alt='x src="http://y"' src="https://t.example/p.gif" width="1"><img src="data:image/png;base64,AAAA">"""
    assert sanitise(source)[0] == (
        '<img src="cid:logo@example.org"><img alt="x src=&quot;http://y&quot;" data-remote-src="https://t.example/p.gif" width="1">'
        '<img src="data:image/png;base64,AAAA">'
    )


@pytest.mark.parametrize(
    "source",
    ["<p>x</p>" * 300_000, "<div>" * 2_000, "<a " + "x" * 70_000 + ">", "&" * 60_000, "<i>x</i>" * 110_000],
    ids=["large", "deep", "tag", "references", "tags"],
)
def test_html_that_would_cost_too_much_is_shown_as_text(source: str) -> None:
    shown, defect = sanitise(source)
    assert shown is None
    assert defect is not None
    assert defect.endswith("shown as text")

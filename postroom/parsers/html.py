"""HTML as text that a person can read: paragraphs, lists, tables, links, quotes. One pass, linear in its size.

Data tables are set in columns; tables that only lay out a page, which most mail is made of, become lines. A link is
followed by where it leads, unless it says so itself. What is not shown (styles, scripts, `display:none`) is left out.
"""

from __future__ import annotations

import re

from postroom.parsers.html_lines import Lines, Table, collapse_blank_lines, set_table
from postroom.parsers.html_tokens import Tag, tokens, unescape

MAX_HTML = 2 * 1024 * 1024  # characters; of more only the tags are taken away
MAX_TAGS = 200_000  # the same
MAX_TABLES = 20  # tables within each other; those further in are read as lines
MAX_QUOTES = 10  # marks before a line
LINK_LENGTH = 2_000  # characters; a longer address helps nobody

_LINE_BREAKING_TAG = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6]|/?table)\b[^<>]*+>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*+>")
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "fieldset"})
_BLOCKS = _PARAGRAPHS | frozenset({
    "address", "article", "aside", "body", "center", "dd", "details", "dir", "div", "dt", "figcaption", "figure", "footer",
    "form", "header", "html", "legend", "li", "main", "menu", "nav", "option", "section", "summary", "table", "tbody", "tfoot",
    "thead", "tr", "td", "th", "caption",
})  # fmt: skip
_UNSEEN = frozenset({"select", "noembed", "noframes", "audio", "video", "svg", "math", "datalist"})
_SELF_CLOSING = frozenset({"p", "li", "td", "th", "tr", "dd", "dt"})  # the next of its kind ends it
_RAW = frozenset({"script", "style", "title", "template"})


def to_text(source: str, *, quote_marks: bool = False) -> str:
    """The text of an HTML document or fragment; `quote_marks` puts `> ` before the lines of a blockquote."""
    if len(source) > MAX_HTML or source.count("<") > MAX_TAGS:
        return _without_tags(source)
    writer = _Writer(quote_marks=quote_marks)
    for token in tokens(source):
        if isinstance(token, Tag):
            writer.tag(token)
        else:
            writer.text(token)
    return writer.finish()


def _without_tags(source: str) -> str:
    """What is left of HTML that is too large to be set in lines."""
    text = _ANY_TAG.sub("", _LINE_BREAKING_TAG.sub("\n", source))
    return collapse_blank_lines([_BLANKS.sub(" ", line).strip() for line in unescape(text).split("\n")])


class _Writer:
    def __init__(self, *, quote_marks: bool) -> None:
        self._out = Lines()
        self._quote_marks = quote_marks
        self._quotes = 0
        self._lists: list[int | None] = []
        self._tables: list[Table] = []
        self._tables_inside = 0
        self._pre = 0
        self._links: list[tuple[str, int]] = []
        self._hidden: tuple[str, int] | None = None  # the element that is not shown, and how many of its name are open
        self._pending_marker = ""
        self._recent: list[str] = []
        self._prefix = ""

    def _indent(self) -> None:
        """Set what each line begins with from here on."""
        marks = "> " * min(self._quotes, MAX_QUOTES) if self._quote_marks and not self._tables else ""
        self._prefix = marks + "  " * min(max(len(self._lists) - 1, 0), MAX_QUOTES)

    def text(self, written: str) -> None:
        if self._hidden is not None:
            return
        text = unescape(written)
        if self._pre:
            self._out.add(text.replace("\r", ""), self._prefix, raw=True)
            return
        if self._pending_marker and text.strip(" \t\r\n\f"):
            text = self._pending_marker + text.lstrip(" \t\r\n\f")
            self._pending_marker = ""
        self._out.add(text, self._prefix)
        if self._links:
            self._recent.append(text)

    def tag(self, tag: Tag) -> None:
        name = tag.name
        if self._hidden is not None:
            hidden, depth = self._hidden
            if name == hidden:
                closes = tag.is_end or name in _SELF_CLOSING
                depth += -1 if closes else 1
                self._hidden = (hidden, depth) if depth else None
            if self._hidden is not None or tag.is_end:
                return
        if tag.is_end:
            self._end(name)
        elif name in _UNSEEN or name in _RAW or (name not in _VOID and self._is_hidden(tag)):
            if name not in _RAW:
                self._hidden = (name, 1)
        else:
            self._start(tag)

    def _is_hidden(self, tag: Tag) -> bool:
        start, end = tag.attributes_at, min(tag.end, tag.attributes_at + 4_000)
        return end - start > 12 and _HIDDEN.search(tag.source, start, end) is not None

    def _start(self, tag: Tag) -> None:
        name = tag.name
        if name == "br":
            self._out.break_line(self._prefix, force=True)
        elif name == "a":
            self._end_link()
            self._links.append((tag.attributes().get("href", "").strip(), len(self._recent)))
        elif name == "img":
            alt = tag.attributes().get("alt", "").strip()
            if alt and self._pending_marker == "":
                self._out.add(f"[{alt}]", self._prefix)
        elif name == "hr":
            self._out.break_line(self._prefix)
            self._out.add("_" * 32, self._prefix)
            self._out.break_line(self._prefix)
        elif name in _BLOCKS:
            self._start_block(tag)

    def _start_block(self, tag: Tag) -> None:
        name = tag.name
        if name == "table":
            self._start_table()
            return
        if name in ("tr", "td", "th"):
            self._start_cell(name)
            return
        (
            self._out.paragraph
            if name in _PARAGRAPHS and not (name in ("ul", "ol") and self._lists)
            else self._out.break_line
        )(self._prefix)
        if name == "blockquote":
            self._quotes += 1
        elif name == "pre":
            self._pre += 1
        elif name in ("ul", "ol", "menu", "dir"):
            self._lists.append(1 if name == "ol" else None)
        elif name == "li":
            self._start_item()
        self._indent()

    def _start_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        self._pending_marker = "* " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _end(self, name: str) -> None:
        if name == "a":
            self._end_link()
        elif name == "table":
            self._end_table()
        elif name in ("td", "th", "tr"):
            pass
        elif name in _BLOCKS:
            self._end_block(name)

    def _end_block(self, name: str) -> None:
        (
            self._out.paragraph
            if name in _PARAGRAPHS and not (name in ("ul", "ol") and len(self._lists) > 1)
            else self._out.break_line
        )(self._prefix)
        if name == "blockquote":
            self._quotes = max(self._quotes - 1, 0)
        elif name == "pre":
            self._pre = max(self._pre - 1, 0)
        elif name in ("ul", "ol", "menu", "dir") and self._lists:
            self._lists.pop()
            self._pending_marker = ""
        elif name == "li":
            self._pending_marker = ""
        self._indent()

    def _end_link(self) -> None:
        if not self._links:
            return
        target, since = self._links.pop()
        text = "".join(self._recent[since:]).strip()
        if not self._links:
            self._recent.clear()
        shown = _shown_target(target, text)
        if shown:
            self._out.add(f" <{shown}>" if text else f"<{shown}>", self._prefix)

    def _start_table(self) -> None:
        self._out.break_line(self._prefix)
        if self._tables:
            self._tables[-1].is_simple = False
        if len(self._tables) >= MAX_TABLES:
            self._tables_inside += 1
            return
        first = Lines()
        self._tables.append(Table(self._out, first))
        self._out = first
        self._indent()

    def _start_cell(self, name: str) -> None:
        self._out.break_line(self._prefix)
        if not self._tables or self._tables_inside:
            return
        rows = self._tables[-1].rows
        if name == "tr":
            rows.append([])
        self._out = Lines()
        rows[-1].append(self._out.lines)

    def _end_table(self) -> None:
        self._out.break_line(self._prefix)
        if self._tables_inside:
            self._tables_inside -= 1
            return
        if not self._tables:
            return
        table = self._tables.pop()
        self._out = table.outer
        self._indent()
        for line in set_table(table):
            self._out.add(line, self._prefix, raw=True)
            self._out.break_line(self._prefix, force=True)

    def finish(self) -> str:
        while self._tables:
            self._tables_inside = 0
            self._end_table()
        self._out.break_line("")
        lines = self._out.lines
        while lines and not lines[-1].strip():
            lines.pop()
        return collapse_blank_lines(lines).replace("\u00ad", "").replace("\u00a0", " ")


def _shown_target(target: str, text: str) -> str | None:
    """Where a link leads, if that says more than its text; addresses of no use to a reader are left out."""
    lowered = target[:10].lower()
    if not lowered.startswith(("http:", "https:", "mailto:", "tel:", "ftp:")) or len(target) > LINK_LENGTH:
        return None
    plain = target.removeprefix("mailto:").removeprefix("tel:")
    bare = re.sub(r"^https?://(?:www\.)?|/$", "", plain)
    if text and bare.casefold() == re.sub(r"^https?://(?:www\.)?|/$", "", text).casefold():
        return None
    return _BLANKS.sub("%20", plain)

"""An agent's words as he set them: bold, lists, links and pictures, for the HTML of the mail that goes to the customer.

What goes out is decided as text: without commands, quotes and history. His HTML is used only where it says exactly that
text, word for word, after everything else was cut off it and everything that could hide a word (styles, attributes,
elements that are not shown) was taken away. In every other case the HTML is made of the text. Pictures come along
only from within those words; what is loaded from elsewhere never does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from postroom.outbound.compose import File
from postroom.parsers.attachments import body_html, read_part
from postroom.parsers.html_tokens import Tag, tokens, unescape
from postroom.parsers.reply_html import new_html
from postroom.parsers.sanitise import sanitise_words
from postroom.parsers.wordless import pasted_pictures

MAX_HTML = 512 << 10  # characters of an agent's HTML that are looked at; the rest goes as text
MAX_SHOWN = 200_000  # characters of what is left of it
MAX_COMMAND_LINES = 40  # lines above his words that may be cut off
PICTURES = frozenset({"image/png", "image/gif", "image/jpeg", "image/webp", "image/bmp"})
WORD = re.compile(r"[^\W_]+")
# what the text of a mail says of its links and pictures, and its HTML does not, or in another way
BESIDE = re.compile(
    r"<(?:(?:https?|mailto|tel):[^<>\s]{0,2000}|[^<>\s@]{1,100}@[^<>\s@]{1,250})>|\[(?:image|cid|inline image)\s?:[^\[\]\n]{0,300}\]|^[ \t]{0,20}\d{1,3}[.)](?=\s)",
    re.IGNORECASE | re.MULTILINE,
)
COMMAND_LINE = re.compile(r"\s*#\w")
SIGNED_ADDRESS = re.compile(
    r"(?:\+|%2b)[a-z2-7]{40,}(?:@|%40)", re.IGNORECASE
)  # an agent's own address would let its holder speak as he
PICTURE = re.compile(r'<img\b[^<>]*?src="cid:([^"<>]*)"[^<>]*>')
NO_PICTURE = re.compile(r"<img\b(?![^<>]*?\ssrc=)[^<>]*>")
LINK = re.compile(r'<a href="([^"]*)"[^<>]*>')
BREAKS = frozenset({
    "br", "p", "div", "li", "ul", "ol", "tr", "td", "th", "table", "blockquote", "pre", "hr", "h1", "h2", "h3", "h4", "h5", "h6",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What the customer sees of an agent's mail besides its text."""

    html: str = ""  # safe to be put into a page; "" where the text is all
    files: tuple[File, ...] = field(default=(), repr=False)  # pictures of the HTML have a Content-ID


def shown_to_customer(raw: bytes, text: str, files: Sequence[Any], domain: str) -> Shown:
    """The HTML that says `text` as the agent's mail `raw` sets it, where that is certain, and the files that go with it.

    `files`: rows with filename, content_type, part, inline and content_id. A picture that only the mail's history or
    signature shows does not go. `domain`: of the Content-IDs that are made.
    """
    whole = body_html(raw) or ""
    kept = new_html(whole) if whole and len(whole) <= MAX_HTML else None
    html = _words_of(kept, text) if kept is not None else ""
    visible = html if html else kept if kept is not None else whole
    theirs = _named_pictures(visible) if text.strip() else pasted_pictures(whole)
    elsewhere = _named_pictures(whole) - theirs
    used: dict[str, str] = {}
    gone_out: list[File] = []
    for number, row in enumerate(files, 1):
        content_id = (row.content_id or "").strip("<> ").lower()
        if row.inline and content_id in elsewhere:
            continue
        content = read_part(raw, row.part)
        fresh = None
        if html and content_id and row.content_type.lower() in PICTURES and content_id in _named_pictures(html):
            fresh = used[content_id] = f"{hashlib.sha256(content).hexdigest()[:24]}.{number}@{domain}"
        gone_out.append(File(row.filename, row.content_type, content, fresh))
    html = PICTURE.sub(lambda found: _picture(found, used), html)
    return Shown(NO_PICTURE.sub("", html), tuple(gone_out))


def _words_of(kept: str, text: str) -> str:
    """The HTML of those words; "" where it does not say exactly them."""
    wanted = _words(text)
    clean = sanitise_words(kept) if wanted else None
    if clean is None:
        return ""
    cut = _cut(clean, wanted)
    html = sanitise_words(cut) if cut is not None else None  # closes what was cut open
    if html is None or len(html) > MAX_SHOWN or [one for line in _lines(html) for one in _words(line.text)] != wanted:
        return ""
    return LINK.sub(lambda found: "<a>" if SIGNED_ADDRESS.search(unescape(found[1])) else found[0], html).strip()


def _words(text: str) -> list[str]:
    return WORD.findall(BESIDE.sub(" ", text))


def _named_pictures(html: str) -> set[str]:
    return {
        unescape(name).strip("<> ").lower() for name in re.findall(r"cid:([^\s\"'<>)]{1,998}+)", html, re.IGNORECASE)
    }


def _picture(found: re.Match[str], used: dict[str, str]) -> str:
    """The picture under its new name; nothing where it does not come along."""
    fresh = used.get(unescape(found[1]).strip("<> ").lower())
    return found[0].replace(f"cid:{found[1]}", f"cid:{fresh}") if fresh else ""


@dataclass(slots=True)
class _Line:
    """A line of the HTML: where its texts and pictures stand, and its words."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    text: str = ""


def _cut(html: str, wanted: list[str]) -> str | None:
    """The HTML from the line where the wanted words begin to the one where they end; None where they are not all there.

    Above them only lines of commands are cut off: what else stands there belongs to words that are not to go.
    """
    lines = _lines(html)
    for first in range(min(len(lines), MAX_COMMAND_LINES) + 1):
        last = _end(lines, first, wanted)
        if last is not None:
            start = lines[first].spans[0][0]
            end = lines[last].spans[-1][1]
            return _without_texts(html[:start], lines[:first]) + html[start:end]
        if first < len(lines) and not COMMAND_LINE.match(lines[first].text):
            return None
    return None


def _end(lines: Sequence[_Line], first: int, wanted: list[str]) -> int | None:
    """The line with which the wanted words end, that begin on the line `first`."""
    at = 0
    for number in range(first, len(lines)):
        words = _words(lines[number].text)
        if wanted[at : at + len(words)] != words:
            return None
        at += len(words)
        if at == len(wanted):
            return number
    return None


def _lines(html: str) -> list[_Line]:
    """The lines that hold a word; a picture belongs to the line that it stands on, or to the one before it."""
    lines: list[_Line] = []
    line = _Line()
    position = 0
    for token in tokens(html):
        if isinstance(token, Tag):
            start, end = token.start, token.end + 1
            if token.name == "img":
                line.spans.append((start, end))
            elif token.name in BREAKS:
                line = _next(lines, line)
        else:
            start = html.index(token, position)
            end = start + len(token)
            if token.strip():
                line.spans.append((start, end))
                line.text += unescape(token)
        position = end
    _next(lines, line)
    return lines


def _next(lines: list[_Line], line: _Line) -> _Line:
    if not line.spans:
        return line
    if _words(line.text) or not lines:
        lines.append(line)
    else:
        lines[-1].spans += line.spans
    return _Line()


def _without_texts(html: str, lines: Sequence[_Line]) -> str:
    """The HTML without what these lines, all of it, hold."""
    for line in reversed(lines):
        for start, end in reversed(line.spans):
            html = html[:start] + html[end:]
    return html

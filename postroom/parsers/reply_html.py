"""What did the author of an HTML mail write now, by the marks of the program that wrote it?"""

from __future__ import annotations

from postroom.parsers.html import to_text
from postroom.parsers.html_marks import Mark, find_marks
from postroom.parsers.lines import split_lines
from postroom.parsers.parting import Part
from postroom.parsers.reply import Reply, read_lines

MAX_LENGTH = 2 * 1024 * 1024  # characters; larger HTML is shown as text (POLICIES, limits)


def read_html_reply(html: str) -> Reply | None:
    """The reply in a raw HTML body, or None where no mail program marked a quote or a signature in it.

    Marked ranges become quote, history or signature; the text between them is read as plain text is, for intro lines,
    header blocks and signatures without a mark. Quotes that are kept because they are answered carry `> `.
    """
    if len(html) > MAX_LENGTH:
        return None
    marks = find_marks(html)
    if not marks:
        return None
    lines: list[str] = []
    known: list[Part | None] = []
    for part, fragment in _pieces(html, marks):
        text = to_text(fragment).strip("\n")
        piece = split_lines(text) if text.strip() else [""]
        if part is Part.QUOTE:
            piece = [f"> {line}".rstrip() for line in piece]
        elif part is Part.INTRO:
            piece = [line for line in piece if line.strip()] or [""]
        if lines and lines[-1].strip():
            piece = ["", *piece]  # apart, so that an answer is not taken for the rest of a wrapped quote
        lines.extend(piece)
        known.extend([part] * len(piece))
    return read_lines(lines, known)


def new_html(html: str) -> str | None:
    """The raw HTML without the ranges that mail programs mark as quote, history or signature; not sanitised, nor whole.

    None where it cannot be read.
    """
    try:
        return "".join(fragment for part, fragment in _pieces(html, find_marks(html)) if part is None)
    except Exception:  # as in `email.parse`: reading degrades, it does not fail
        return None


def _pieces(html: str, marks: list[Mark]) -> list[tuple[Part | None, str]]:
    pieces: list[tuple[Part | None, str]] = []
    position = 0
    for mark in marks:
        if mark.start > position:
            pieces.append((None, html[position : mark.start]))
        pieces.append((mark.part, html[mark.start : mark.end]))
        position = mark.end
    if position < len(html):
        pieces.append((None, html[position:]))
    return pieces

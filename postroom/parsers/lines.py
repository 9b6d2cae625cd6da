"""How does a line of a mail's text look to the patterns that judge it?

Readers of replies split a text into lines and put whole lines into one pile or another, so that no word can get
lost. They look at a *view* of each line: capped, in one normal form, without marks that only serve the layout.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

VIEW_LENGTH = 600  # characters; no intro line or header is longer, and patterns must not see what is
_MAX_DEPTH = 40  # quote marks taken off a line; deeper is a torture test

# Bidirectional controls, zero-width marks and soft hyphens: mail programs put them around names and dates.
_INVISIBLE = dict.fromkeys(
    [
        0xAD,
        0x61C,
        0x200B,
        0x200C,
        0x200D,
        0x200E,
        0x200F,
        *range(0x202A, 0x202F),
        0x2060,
        *range(0x2066, 0x206A),
        0xFEFF,
    ]
)
_PLAIN = {
    **_INVISIBLE,
    **dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000, 0x09], " "),
    **{0x660 + digit: str(digit) for digit in range(10)},  # Arabic-Indic
    **{0x6F0 + digit: str(digit) for digit in range(10)},  # Persian
    **{0x966 + digit: str(digit) for digit in range(10)},  # Devanagari
    **{0xE50 + digit: str(digit) for digit in range(10)},  # Thai
    **{0xFF10 + digit: str(digit) for digit in range(10)},  # full width
    0xFF1A: ":", 0xFE55: ":", 0xFF1C: "<", 0xFF1E: ">", 0x060C: ",", 0xFF0C: ",", 0x2019: "'", 0x02BC: "'",
    0xFF08: "(", 0xFF09: ")",
}  # fmt: skip
# All but letters and signs that are in NFC whatever stands beside them: western, Cyrillic, kana, Han and Hangul, quotes and dashes.
_COMPOSABLE = re.compile(
    "[^\x00-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u3001-\u3029\u3041-\u3096\u309b-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]"
)
_UNPLAIN = re.compile(f"[{''.join(map(chr, _PLAIN))}]")
# What is one of both: a look for it spares most texts one for each.
_UNSETTLED = re.compile(
    "[^\x00-\x08\x0a-\x9f\xa1-\xac\xae-\u02bb\u02bd-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2018\u201a-\u2027\u2030-\u205e\u20a0-\u20bf\u3001-\u3029\u3041-\u3096\u309b-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff07\uff0a\uff0b\uff0d-\uff0f\uff1b\uff1d\uff1f-\uff60]"
)
BLANKS = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"  # all that a viewed line may have of them
EDGES = " *_|•"  # what `plain` takes off a line
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&nbsp;", " "), ("&amp;", "&"))
_LINK = re.compile(
    r"\[([^\[\]]{0,200})\]\((?:mailto:|https?:)[^()\s]{0,400}\)|<mailto:[^<>\s]{0,200}>|\[mailto:([^\[\]\s]{0,200})\]"
)
QUOTE_WITHIN = 4  # characters at the beginning of a line, of which one is `>` where it is quoted
_QUOTE = re.compile(r" {0,3}>")


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends; CRLF, LF and a bare CR end a line."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def view(line: str) -> str:
    """A line as patterns see it: at most `VIEW_LENGTH` characters, NFC, ASCII digits and colons, plain blanks.

    It has none at its end, so that a line of blanks alone is "".
    """
    seen = _in_plain_characters(line[:VIEW_LENGTH])
    if _may_hold_link(seen):
        seen = _LINK.sub(_unlink, seen)
    return seen.rstrip()


def view_all(lines: Sequence[str]) -> list[str]:
    """`view` of each line of a text, at the cost of a few looks at the text as a whole.

    Characters are made plain in all lines at once: nothing of that takes a line break for something else, or makes one.
    """
    if max(map(len, lines), default=0) > VIEW_LENGTH:
        lines = [line[:VIEW_LENGTH] for line in lines]
    text = _in_plain_characters("\n".join(lines))
    views = text.split("\n") if lines else []
    if _may_hold_link(text):  # which a link goes on over, so it is taken out of each line by itself
        views = [_LINK.sub(_unlink, seen) if _may_hold_link(seen) else seen for seen in views]
    return [seen.rstrip() for seen in views]


def _in_plain_characters(text: str) -> str:
    if not text.isascii():
        if _UNSETTLED.search(text):
            text = text.replace("\u2019", "'").replace("\xa0", " ")  # all that western mail has of them
        if _UNSETTLED.search(text):
            if _COMPOSABLE.search(text):
                text = unicodedata.normalize("NFC", text)
            text = _UNPLAIN.sub(_make_plain, text)
    elif "\t" in text:
        text = text.replace("\t", " ")
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text


def _may_hold_link(text: str) -> bool:
    return "mailto:" in text or "](" in text


def glance_at(views: Sequence[str]) -> str:
    """Views as one text to be looked through at once: folded, without `*`, a line break before each of them.

    A pattern that begins with the line break costs as many looks as there are lines, and no call for each.
    """
    return fold("\n".join(["", *views])).replace("*", "")


def fold(text: str) -> str:
    """A text for looking up, case-folded; a Turkish capital `İ` becomes `i`, not two characters."""
    return text.casefold().replace("i\u0307", "i")


def _make_plain(match: re.Match[str]) -> str:
    return _PLAIN[ord(match[0])] or ""


def _unlink(match: re.Match[str]) -> str:
    if match[2] is not None:
        return f"<{match[2]}>"
    return match[1] or ""


def unquote(seen: str) -> tuple[int, str]:
    """The quote depth of a viewed line, and the line without its marks and the blank after them."""
    if ">" not in seen[:QUOTE_WITHIN]:
        return 0, seen
    if seen[0] == ">" and ">" not in seen[1 : QUOTE_WITHIN + 1]:
        return 1, seen[1:].removeprefix(" ")  # most of them
    depth = position = 0
    while depth < _MAX_DEPTH and (mark := _QUOTE.match(seen, position)):
        depth, position = depth + 1, mark.end()
    if not depth:
        return 0, seen
    return depth, seen[position:].removeprefix(" ")


def plain(seen: str) -> str:
    """A viewed line without emphasis (`*From:*`, `**Von:**`, `_`), blanks and table bars around it."""
    return seen.strip(EDGES).replace("*", "")

"""Which mails does an mbox hold? Read as a stream, so that a file of any size costs one mail's memory.

A mail begins at a `From ` line that has a blank line before it, or nothing, and that ends like a date: text that
begins a paragraph with "From here on" does not (RFC 4155, appendix A, and what programs really write).

It is searched in large blocks, not line by line: reading a mail's lines took half as long as parsing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

BLOCK = 1 << 20  # octets read at once; a longer line comes in pieces
SEPARATOR_MAX = 500  # octets of a `From ` line
BEFORE = 3  # octets that show whether they end with a blank line

WEEKDAYS = frozenset(b"Mon Tue Wed Thu Fri Sat Sun".split())
MONTHS = frozenset(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
TIME = re.compile(rb"\d{1,2}:\d\d(:\d\d)?")
YEAR = re.compile(rb"(19|20)\d\d")
BLANK_ENDS = (b"\n\n", b"\n\r\n")

# mboxrd puts a ">" before every `From ` line, quoted or not, and takes one away again; mboxo only before bare ones.
QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
QUOTED_MIN = len(b">From \n")  # octets of a line that loses one


def read_mbox(stream: BinaryIO, max_size: int) -> Iterator[bytes | None]:
    """The mails of an mbox, in order, as the exact bytes before they were put into it; None for one over `max_size` octets."""
    mail = _Mail(max_size)
    before, is_first = b"\n\n", True  # what was read last: nothing is like a blank line
    for block in _blocks(stream):
        text, at = before + block, len(before)
        for line_at, line_end in _separators(text, is_first):
            if mail.begun or line_at > at:
                mail.add(text[at:line_at])
                yield mail.end()
            mail, at = _Mail(max_size), line_end
            mail.begun = True
        mail.add(text[at:])
        before, is_first = text[-BEFORE:], False
    if mail.begun:
        yield mail.end()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in blocks that end where a line does, but for a line longer than a block."""
    rest = b""
    while chunk := stream.read(BLOCK):
        end = chunk.rfind(b"\n") + 1
        if end or len(rest) + len(chunk) >= BLOCK:
            block, rest = rest + (chunk[:end] if end else chunk), chunk[end:] if end else b""
            yield block
        else:
            rest += chunk
    if rest:
        yield rest


def _separators(text: bytes, is_first: bool) -> Iterator[tuple[int, int]]:
    """Where each separating line begins and ends; `text` begins with what stood before."""
    found = text.find(b"\nFrom ")
    while found >= 0:
        if text[found - 1 : found + 1] == b"\n\n" or text[found - 2 : found + 1] == b"\n\r\n":
            start = found + 1
            end = text.find(b"\n", start) + 1 or len(text)
            if is_separator(text[start : min(end, start + SEPARATOR_MAX + 1)], first=is_first and found == 1):
                yield start, end
        found = text.find(b"\nFrom ", found + 1)


def is_separator(line: bytes, first: bool = False) -> bool:
    """Whether a line separates mails: `From SOMETHING DATE`; the first of a file may lack the date."""
    if not line.startswith(b"From ") or len(line) > SEPARATOR_MAX:
        return False
    words = [word.strip(b",") for word in line.split()]
    return first or bool(
        WEEKDAYS.intersection(words)
        and MONTHS.intersection(words)
        and any(TIME.fullmatch(word) for word in words)
        and any(YEAR.fullmatch(word) for word in words)
    )


class _Mail:
    """The mail that is being read."""

    def __init__(self, max_size: int) -> None:
        self.begun = False
        self._max_size = max_size
        self._held_max = max_size + max_size // (QUOTED_MIN - 1) + QUOTED_MIN  # before quotation marks are taken away
        self._held = 0
        self._blocks: list[bytes] = []

    def add(self, block: bytes) -> None:
        """Add what was read of it."""
        if block:
            self.begun = True
            self._held += len(block)
            if self._held <= self._held_max:
                self._blocks.append(block)
            else:
                self._blocks.clear()

    def end(self) -> bytes | None:
        """The mail without the blank line that mbox puts after it; None where it is too large."""
        if self._held > self._held_max:
            return None
        raw = b"".join(self._blocks)
        if b">From " in raw:
            body = _body(raw)
            raw = raw[:body] + QUOTED_FROM.sub(rb"\1", raw[body:])
        if len(raw) > self._max_size:
            return None
        end = next((blank for blank in BLANK_ENDS if raw.endswith(blank)), b"\n")
        return raw[: 1 - len(end)] if len(end) > 1 else raw


def _body(raw: bytes) -> int:
    """Where the lines after the first blank line begin."""
    if raw.startswith((b"\n", b"\r\n")):
        return raw.index(b"\n") + 1
    ends = [at + len(blank) for blank in BLANK_ENDS if (at := raw.find(blank)) >= 0]
    return min(ends, default=len(raw))

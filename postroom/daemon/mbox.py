"""Which mails does an mbox hold? Read as a stream, so that a file of any size costs one mail's memory.

A mail begins at a `From ` line that has a blank line before it, or nothing, and that ends like a date: text that
begins a paragraph with "From here on" does not (RFC 4155, appendix A, and what programs really write).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

LINE_MAX = 1 << 20  # octets read at once; a longer line comes in pieces
SEPARATOR_MAX = 500  # octets of a `From ` line

WEEKDAYS = frozenset(b"Mon Tue Wed Thu Fri Sat Sun".split())
MONTHS = frozenset(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
TIME = re.compile(rb"\d{1,2}:\d\d(:\d\d)?")
YEAR = re.compile(rb"(19|20)\d\d")
BLANK = (b"\n", b"\r\n")

# mboxrd puts a ">" before every `From ` line, quoted or not, and takes one away again; mboxo only before bare ones.
QUOTED_FROM = re.compile(rb">+From ")


def read_mbox(stream: BinaryIO, max_size: int) -> Iterator[bytes | None]:
    """The mails of an mbox, in order, as the exact bytes before they were put into it; None for one over `max_size` octets."""
    mail = _Mail(max_size)
    after_blank, starts = (
        True,
        True,
    )  # a blank line is before what is read; it starts a line, rather than going on with one
    while line := stream.readline(LINE_MAX):
        if after_blank and starts and is_separator(line, first=not mail.begun):
            if mail.begun:
                yield mail.end()
            mail = _Mail(max_size)
            mail.begun = True
        else:
            mail.add(line, starts)
        after_blank, starts = starts and line in BLANK, line.endswith(b"\n")
    if mail.begun:
        yield mail.end()


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
        self._size = 0
        self._in_body = self._ends_blank = False
        self._lines: list[bytes] = []

    def add(self, line: bytes, starts: bool) -> None:
        """Add a line, or a further piece of one (`starts` is False)."""
        self.begun = True
        self._ends_blank = starts and line in BLANK
        if self._ends_blank:
            self._in_body = True
        elif self._in_body and starts and QUOTED_FROM.match(line):
            line = line[1:]
        self._size += len(line)
        if self._size <= self._max_size:
            self._lines.append(line)
        else:
            self._lines.clear()

    def end(self) -> bytes | None:
        """The mail without the blank line that mbox puts after it; None where it is too large."""
        if self._size > self._max_size:
            return None
        if len(self._lines) > 1 and self._ends_blank:
            self._lines.pop()
        return b"".join(self._lines)

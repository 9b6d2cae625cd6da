"""Where are the delimiter lines of a multipart (RFC 2046 §5.1.1), also where its boundary was lost?"""

from __future__ import annotations

import re

MAX_DELIMITERS = 2_000  # of one container
FALSE_DELIMITERS = 10_000  # lines that begin as a delimiter does and go on otherwise, until no more are looked at
UNMISTAKABLE = 6  # octets of a boundary that nobody writes by chance
GUESS_OCTETS = 64 * 1024  # of a body, in which a lost boundary is looked for

_TAIL = re.compile(rb"(--)?[ \t]*+(?:\r*+\n|\r*+$)")
_TAIL_WITH_JUNK = re.compile(rb"(--)?(?:[ \t][^\n]*+|[ \t\r]*+)(?:\n|$)")
_GUESSED = re.compile(rb"(?:^|(?<=\n))--([!-~][^\r\n]{0,199}+)\r?\n(?=content-[a-z-]{1,40}:)", re.IGNORECASE)


def find_delimiters(octets: bytes, boundary: bytes, start: int, end: int) -> list[tuple[int, int, bool]]:
    """RFC 2046 §5.1.1: `--`, the boundary, and blanks; so no prefix of another counts. Behind a blank anything may follow."""
    mark = b"--" + boundary
    tail_of_delimiter = _TAIL_WITH_JUNK if len(boundary) >= UNMISTAKABLE else _TAIL
    found: list[tuple[int, int, bool]] = []
    false = 0
    position = start
    while (at := octets.find(mark, position, end)) >= 0 and len(found) <= MAX_DELIMITERS and false < FALSE_DELIMITERS:
        position = at + len(mark)
        tail = tail_of_delimiter.match(octets, position, end) if at == start or octets[at - 1] == 0x0A else None
        if tail is None:
            false += 1
            continue
        before = at
        if before > start:
            before -= 1
            if before > start and octets[before - 1] == 0x0D:
                before -= 1
        found.append((before, tail.end(), tail[1] is not None))
        position = tail.end()
    return found


def guess_boundary(octets: bytes, start: int, end: int) -> bytes | None:
    """The boundary that the body itself shows: what stands behind `--` on the first line above a Content- field."""
    guessed = _GUESSED.search(octets, start, min(end, start + GUESS_OCTETS))
    return guessed[1].rstrip() if guessed else None


class Delimiters:
    """The delimiter lines of a container: (where the line break before it begins, where the next line does, closes)."""

    __slots__ = ("_found", "_next", "was_closed")

    def __init__(self, found: list[tuple[int, int, bool]]) -> None:
        self._found, self._next = found, 0
        self.was_closed = False

    def has_more(self) -> bool:
        return any(not closes for _, _, closes in self._found[self._next : self._next + 2])

    def peek_closes(self) -> bool:
        return self._next < len(self._found) and self._found[self._next][2]

    def pop(self) -> None:
        self.was_closed = self._found[self._next][2]
        self._next += 1

    def pop_open(self) -> int | None:
        while self.peek_closes():
            self.pop()
        if self._next >= len(self._found):
            return None
        self.was_closed = False
        self._next += 1
        return self._found[self._next - 1][1]

    def end_of_part(self, end: int) -> int:
        return max(self._found[self._next][0], self._found[self._next - 1][1]) if self._next < len(self._found) else end

"""The MIME tree of a message, as offsets into its octets (RFC 2045, 2046, 5322), however broken it is.

Nothing is copied or decoded before it is asked for, and nothing raises. Where the structure is damaged the tree says how
it was read, in `defects`. Each container is searched for its own delimiter once, so that the work is at most the size of
the message times the depth of its nesting, in the speed of `bytes.find`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from postroom.parsers.delimiters import Delimiters, find_delimiters, guess_boundary
from postroom.parsers.header_fields import HeaderFields, begins_field, find_fields
from postroom.parsers.part import DEFECTS_KEPT, Part, note

__all__ = ["DEFECTS_KEPT", "Part", "Tree", "read_tree", "unread_part"]

MAX_DEPTH = 50  # containers within each other; what lies deeper stays in one piece
MAX_PARTS = 1_000  # of a message; what comes after stays in one piece
HEADER_OCTETS = 256 * 1024  # of one header block; fields after that are not read
ALL_PART_HEADER_OCTETS = 1024 * 1024  # of all the parts together

_EMBEDDED = frozenset({"message/rfc822", "message/global", "message/news"})
_LINE_ENDS = re.compile(rb"[\r\n]*+")
_OPAQUE = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


@dataclass(frozen=True, slots=True)
class Tree:
    """A message: its root part, and in words what was damaged."""

    root: Part
    defects: list[str] = field(default_factory=list)

    def note(self, defect: str) -> None:
        """Name one more defect, once, and no more than DEFECTS_KEPT."""
        note(self.defects, defect)


def read_tree(raw: bytes) -> Tree:
    """The tree of any octets at all."""
    reading = _Reading()
    octets = raw
    if b"\r" in raw and b"\n" not in raw:
        octets = raw.replace(b"\r", b"\n")  # of the same length: offsets hold
        reading.note("lines ended in bare CR")
    start = reading.begin_of_message(octets)
    root = reading.entity(octets, start, len(octets), path="", depth=0, default="text/plain")
    return Tree(root, reading.defects)


def unread_part(raw: bytes) -> Part:
    """All of the octets as one text, without any header."""
    return Part(raw, 0, len(raw), "", HeaderFields(0), [])


class _Reading:
    """What is counted while one message is read."""

    def __init__(self) -> None:
        self.defects: list[str] = []
        self._parts = 0
        self._part_header_octets = 0

    def note(self, defect: str) -> None:
        note(self.defects, defect)

    def begin_of_message(self, octets: bytes) -> int:
        """Past a byte order mark, blank lines, and the `From ` line of an mbox."""
        start = 3 if octets.startswith(b"\xef\xbb\xbf") else 0
        first = _LINE_ENDS.match(octets, start)
        begin = first.end() if first else start
        if begin > start and not begins_field(octets, begin):
            begin = start
        while octets.startswith((b"From ", b">From "), begin):
            begin = _next_line(octets, begin, len(octets))
        return begin

    def entity(self, octets: bytes, start: int, end: int, *, path: str, depth: int, default: str) -> Part:
        self._parts += 1
        allowance = HEADER_OCTETS
        if depth:
            allowance = min(HEADER_OCTETS, ALL_PART_HEADER_OCTETS - self._part_header_octets)
        part = Part(octets, start, end, path, find_fields(octets, start, end, allowance), self.defects)
        if depth:
            self._part_header_octets += min(part.header_size, allowance)
        part.read_type(default)
        if part.is_multipart:
            self._read_multipart(part, depth)
        elif part.content_type in _EMBEDDED:
            self._read_embedded(part, depth)
        elif part.content_type in _OPAQUE:
            self._read_opaque(part, depth)
        elif part.declared_type is None and depth == 0:
            self._guess_multipart(part, depth)
        return part

    def _has_room(self, depth: int) -> bool:
        if depth >= MAX_DEPTH:
            self.note(f"nested deeper than {MAX_DEPTH} parts; the rest was kept in one piece")
            return False
        if self._parts >= MAX_PARTS:
            self.note(f"more than {MAX_PARTS} parts; the rest was kept in one piece")
            return False
        return True

    def _read_multipart(self, part: Part, depth: int) -> None:
        if not self._has_room(depth):
            part.content_type = "application/octet-stream"
            return
        boundary = part.params.get("boundary", "").encode("latin-1", "replace").rstrip()
        delimiters = find_delimiters(part.octets, boundary, part.body_at, part.end) if boundary else []
        if not delimiters:
            guessed = guess_boundary(part.octets, part.body_at, part.end)
            if guessed is None:
                self._read_without_parts(part)
                return
            self.note(f"{part.place}: the boundary was {'wrong' if boundary else 'missing'} and was guessed")
            delimiters = find_delimiters(part.octets, guessed, part.body_at, part.end)
        self._read_children(part, Delimiters(delimiters), depth)

    def _read_without_parts(self, part: Part) -> None:
        """RFC 2045 §5.2's default is all that is left to assume."""
        if part.octets[part.body_at : part.end].strip():
            self.note(f"{part.place}: a multipart without parts was read as text")
        part.content_type = "text/plain"

    def _read_children(self, part: Part, delimiters: Delimiters, depth: int) -> None:
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        children: list[Part] = []
        if delimiters.peek_closes():
            delimiters.pop()
        while (begin := delimiters.pop_open()) is not None:
            if not self._has_room(depth) and children:
                children[-1].end = part.end  # the rest in one piece
                break
            end = delimiters.end_of_part(part.end)
            child = self.entity(
                part.octets,
                begin,
                end,
                path=f"{part.path}.{len(children) + 1}".lstrip("."),
                depth=depth + 1,
                default=default,
            )
            if end < begin + 1 and not child.header_size and not delimiters.has_more():
                break
            children.append(child)
            if delimiters.peek_closes():
                delimiters.pop()
                if delimiters.has_more():
                    self.note(f"{part.place}: parts came after the closing delimiter")
        if not delimiters.was_closed:
            self.note(f"{part.place}: the closing delimiter is missing")
        part.children = tuple(children)

    def _read_embedded(self, part: Part, depth: int) -> None:
        if not self._has_room(depth):
            return
        octets, start, end = part.octets, part.body_at, part.end
        if part.encoding != "identity":  # RFC 2046 §5.2.1 forbids it
            octets = part.decoded()
            start, end = 0, len(octets)
        while start < end and octets[start] in b"\r\n":
            start += 1
        if octets.startswith((b"From ", b">From "), start):
            start = _next_line(octets, start, end)
        child = self.entity(
            octets, start, end, path=f"{part.path}.1".lstrip("."), depth=depth + 1, default="text/plain"
        )
        part.children = (child,)

    def _read_opaque(self, part: Part, depth: int) -> None:
        """What an opaque signature wraps (RFC 8551 §3.5.2): read like an attached message."""
        from postroom.parsers import smime  # noqa: PLC0415 - one mail in thousands

        content = smime.signed_content(part.decoded())
        if content is None or not self._has_room(depth):
            return
        child = self.entity(
            content, 0, len(content), path=f"{part.path}.1".lstrip("."), depth=depth + 1, default="text/plain"
        )
        part.children = (child,)

    def _guess_multipart(self, part: Part, depth: int) -> None:
        """A message that lost its Content-Type, but has parts: `--x`, and right below it a Content- field, twice."""
        head = part.octets[part.body_at : part.body_at + 2]
        if not head.strip(b"\r\n").startswith(b"-"):
            return
        guessed = guess_boundary(part.octets, part.body_at, part.end)
        if guessed is None:
            return
        delimiters = find_delimiters(part.octets, guessed, part.body_at, part.end)
        if len(delimiters) > 1:
            self.note("the Content-Type was missing; parts were found")
            part.content_type = "multipart/mixed"
            self._read_children(part, Delimiters(delimiters), depth)


def _next_line(octets: bytes, position: int, end: int) -> int:
    found = octets.find(b"\n", position, end)
    return end if found < 0 else found + 1

"""The MIME tree of a message, as offsets into its octets (RFC 2045, 2046, 5322), however broken it is.

Nothing is copied or decoded before it is asked for, and nothing raises. Where the structure is damaged the tree says how
it was read, in `defects`. Each container is searched for its own delimiter once, so that the work is at most the size of
the message times the depth of its nesting, in the speed of `bytes.find`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from postroom.parsers import charsets, headers, transfer
from postroom.parsers.parameters import read_parameters

MAX_DEPTH = 50  # containers within each other; what lies deeper stays in one piece
MAX_PARTS = 1_000  # of a message; what comes after stays in one piece
HEADER_OCTETS = 256 * 1024  # of one header block; fields after that are not read
ALL_PART_HEADER_OCTETS = 1024 * 1024  # of all the parts together
DEFECTS_KEPT = 100
FALSE_DELIMITERS = 10_000  # lines that begin as a delimiter does and go on otherwise, until no more are looked at
UNMISTAKABLE = 6  # octets of a boundary that nobody writes by chance
STRAY_LINES = 60  # in a row within a header: lines that lost the blank before them
LONG_LINE = 50  # octets, from which on a header may have been wrapped
GUESS_OCTETS = 64 * 1024  # of a body, in which a lost boundary is looked for

_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_BLOCK_END = re.compile(rb"\n\r*+\n")
_DELIMITER_TAIL = re.compile(rb"(--)?[ \t]*+(?:\r*+\n|\r*+$)")
_DELIMITER_TAIL_WITH_JUNK = re.compile(rb"(--)?(?:[ \t][^\n]*+|[ \t\r]*+)(?:\n|$)")
_GUESSED = re.compile(rb"(?:^|(?<=\n))--([!-~][^\r\n]{0,199}?)[ \t]*\r?\n(?=content-[a-z-]{1,40}:)", re.IGNORECASE)
_TYPE = re.compile(r"[a-z0-9!#$&^_.+%-]{1,127}/[a-z0-9!#$&^_.+%*-]{1,127}")
_KNOWN_FIELDS = frozenset({
    b"received", b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version", b"return-path", b"delivered-to",
    b"reply-to", b"references", b"in-reply-to", b"dkim-signature", b"sender", b"authentication-results", b"received-spf",
    b"user-agent", b"envelope-to", b"auto-submitted", b"precedence", b"thread-topic", b"thread-index", b"importance",
})  # fmt: skip
_EMBEDDED = frozenset({"message/rfc822", "message/global", "message/news"})
_OPAQUE = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


@dataclass(frozen=True, slots=True)
class Tree:
    """A message: its root part, and in words what was damaged."""

    root: Part
    defects: list[str] = field(default_factory=list)

    def note(self, defect: str) -> None:
        """Name one more defect, once, and no more than DEFECTS_KEPT."""
        _note(self.defects, defect)


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


class Part:
    """One entity: header fields, body, and the entities within it. A `message/rfc822` has one child, the message."""

    __slots__ = (
        "_body", "_defects", "_end", "_fields", "_hint", "_octets", "_start", "children", "content_type", "declared_type",
        "disposition", "disposition_params", "params", "path",
    )  # fmt: skip

    def __init__(self, octets: bytes, start: int, end: int, path: str, defects: list[str]) -> None:
        self._octets, self._start, self._body, self._end = octets, start, start, end
        self._defects = defects
        self._fields: dict[str, list[tuple[int, int]]] = {}
        self.path = path  # "" for the root, "1.2" for the second child of its first child
        self.content_type = "text/plain"  # in effect: by RFC 2045 §5.2 where none is given, or none that can be true
        self.declared_type: str | None = None  # as it was given
        self.params: dict[str, str] = {}
        self.disposition: str | None = None
        self.disposition_params: dict[str, str] = {}
        self.children: tuple[Part, ...] = ()
        self._hint: str | None = None

    def raw_header(self, name: str) -> bytes | None:
        """The octets of the first field of that name, folds and all, or None."""
        spans = self._fields.get(name.lower())
        return self._octets[spans[0][0] : spans[0][1]] if spans else None

    def all_raw_headers(self, name: str) -> list[bytes]:
        return [self._octets[start:end] for start, end in self._fields.get(name.lower(), ())]

    def header(self, name: str) -> str | None:
        """The first field of that name, unfolded and decoded, or None."""
        value = self.raw_header(name)
        return None if value is None else headers.decode(value, hint=self.hint)

    def all_headers(self, name: str) -> list[str]:
        """Every field of that name, from the top, unfolded and decoded."""
        return [headers.decode(value, hint=self.hint) for value in self.all_raw_headers(name)]

    @property
    def hint(self) -> str | None:
        """The charset that raw 8-bit text here is likely to be in: the declared one, or what all of it together suggests."""
        if self._hint is None:
            self._hint = self._guess_charset()
        return self._hint or None

    def _guess_charset(self) -> str:
        declared = self.params.get("charset")
        if declared and charsets.lookup(declared) not in (None, "ascii", "utf-8"):
            return declared
        written = [value for _, value in self.fields() if not value.isascii()]
        if not written:
            return ""
        body = self._octets[self._body : min(self._end, self._body + charsets.DETECTED_OCTETS)]
        return charsets.detect(b"\n".join([*written, b"" if body.isascii() else body])) or ""

    def fields(self) -> Iterator[tuple[str, bytes]]:
        """Lower-case name and octets of each field, in their order."""
        spans = [(start, end, name) for name, found in self._fields.items() for start, end in found]
        for start, end, name in sorted(spans):
            yield name, self._octets[start:end]

    def raw(self) -> bytes:
        """The whole entity, header and body, as it stands in the message."""
        return self._octets[self._start : self._end]

    def body(self) -> bytes:
        """The body as it stands in the message, transfer encoding and all."""
        return self._octets[self._body : self._end]

    @property
    def header_size(self) -> int:
        return self._body - self._start

    @property
    def body_size(self) -> int:
        return self._end - self._body

    @property
    def encoding(self) -> str:
        """`base64`, `quoted-printable`, `uuencode` or `identity`."""
        return transfer.encoding_of(self.raw_header("content-transfer-encoding"))

    def decoded(self) -> bytes:
        """The body with its transfer encoding undone."""
        octets, defect = transfer.decode(self.body(), self.encoding)
        if defect is not None:
            _note(self._defects, f"{self.place}: {defect}")
        return octets

    def text(self) -> str:
        """The body as text, by its charset or the one that it is really in; line ends are `\\n`."""
        return self.text_of(self.decoded())

    def text_of(self, octets: bytes) -> str:
        """Octets of this part's body as text, by its charset or the one that they are really in; line ends are `\\n`."""
        text = charsets.decode(octets, self.params.get("charset"), hint=None if octets.isascii() else self.hint)
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def walk(self) -> Iterator[Part]:
        """This part and all below it, depth first."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.children))

    @property
    def place(self) -> str:
        """How defects name it."""
        return f"part {self.path}" if self.path else "message"

    @property
    def is_multipart(self) -> bool:
        return self.content_type.startswith("multipart/")

    @property
    def filename(self) -> str | None:
        """The name that the sender gave it, as written: never to be trusted as a path."""
        names = [
            self.disposition_params.get("filename"),
            self.params.get("name"),
            self.disposition_params.get("name"),
            self.params.get("filename"),
        ]
        written = [name for name in names if name and name.strip()]
        # Programs that cannot write a character in one of the two put a question mark there.
        return next(
            (name for name in written if "?" not in name and "\ufffd" not in name), written[0] if written else None
        )


class _Reading:
    """What is counted while one message is read."""

    def __init__(self) -> None:
        self.defects: list[str] = []
        self._parts = 0
        self._part_header_octets = 0

    def note(self, defect: str) -> None:
        _note(self.defects, defect)

    def begin_of_message(self, octets: bytes) -> int:
        """Past a byte order mark, blank lines, and the `From ` line of an mbox."""
        start = 3 if octets.startswith(b"\xef\xbb\xbf") else 0
        first = re.compile(rb"[\r\n]*+").match(octets, start)
        begin = first.end() if first else start
        if begin > start and not _FIELD.match(octets, begin):
            begin = start
        while octets.startswith((b"From ", b">From "), begin):
            begin = _next_line(octets, begin, len(octets))
        return begin

    def entity(self, octets: bytes, start: int, end: int, *, path: str, depth: int, default: str) -> Part:
        self._parts += 1
        part = Part(octets, start, end, path, self.defects)
        _read_fields(part, self, self.header_allowance(is_root=depth == 0))
        self.spend_header(0 if depth == 0 else min(part.header_size, HEADER_OCTETS))
        _read_type(part, default)
        if part.is_multipart:
            self._read_multipart(part, depth)
        elif part.content_type in _EMBEDDED:
            self._read_embedded(part, depth)
        elif part.content_type in _OPAQUE:
            self._read_opaque(part, depth)
        elif part.declared_type is None and depth == 0:
            self._guess_multipart(part, depth)
        return part

    def header_allowance(self, *, is_root: bool) -> int:
        """How many octets of the next header block may be read."""
        return HEADER_OCTETS if is_root else min(HEADER_OCTETS, ALL_PART_HEADER_OCTETS - self._part_header_octets)

    def spend_header(self, octets: int) -> None:
        self._part_header_octets += octets

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
        delimiters = _delimiters(part._octets, boundary, part._body, part._end) if boundary else []
        if not delimiters:
            guessed = _guess_boundary(part._octets, part._body, part._end)
            where = part.place
            if guessed is None:
                self._read_without_parts(part, where)
                return
            self.note(f"{where}: the boundary was {'wrong' if boundary else 'missing'} and was guessed")
            delimiters = _delimiters(part._octets, guessed, part._body, part._end)
        self._read_children(part, _Delimiters(delimiters), depth)

    def _read_without_parts(self, part: Part, where: str) -> None:
        """RFC 2045 §5.2's default is all that is left to assume."""
        if part._octets[part._body : part._end].strip():
            self.note(f"{where}: a multipart without parts was read as text")
        part.content_type = "text/plain"

    def _read_children(self, part: Part, delimiters: _Delimiters, depth: int) -> None:
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        where = part.place
        children: list[Part] = []
        if delimiters.peek_closes():
            delimiters.pop()
        while (begin := delimiters.pop_open()) is not None:
            if not self._has_room(depth) and children:
                self._swallow_rest(part, children[-1])
                break
            end = delimiters.end_of_part(part._end)
            child = self.entity(
                part._octets,
                begin,
                end,
                path=f"{part.path}.{len(children) + 1}".lstrip("."),
                depth=depth + 1,
                default=default,
            )
            if end < begin + 1 and not child._fields and not delimiters.has_more():
                break
            children.append(child)
            if delimiters.peek_closes():
                delimiters.pop()
                if delimiters.has_more():
                    self.note(f"{where}: parts came after the closing delimiter")
        if not delimiters.was_closed:
            self.note(f"{where}: the closing delimiter is missing")
        part.children = tuple(children)

    def _swallow_rest(self, part: Part, last: Part) -> None:
        last._end = part._end

    def _read_embedded(self, part: Part, depth: int) -> None:
        if not self._has_room(depth):
            return
        octets, start, end = part._octets, part._body, part._end
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
        head = part._octets[part._body : part._body + 2]
        if not head.strip(b"\r\n").startswith(b"-"):
            return
        guessed = _guess_boundary(part._octets, part._body, part._end)
        if guessed is None:
            return
        delimiters = _delimiters(part._octets, guessed, part._body, part._end)
        if len(delimiters) > 1:
            self.note("the Content-Type was missing; parts were found")
            part.content_type = "multipart/mixed"
            self._read_children(part, _Delimiters(delimiters), depth)


class _Delimiters:
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


def _delimiters(octets: bytes, boundary: bytes, start: int, end: int) -> list[tuple[int, int, bool]]:
    """RFC 2046 §5.1.1: `--`, the boundary, and blanks; so no prefix of another counts. Behind a blank anything may follow."""
    mark = b"--" + boundary
    tail_of_delimiter = _DELIMITER_TAIL_WITH_JUNK if len(boundary) >= UNMISTAKABLE else _DELIMITER_TAIL
    found: list[tuple[int, int, bool]] = []
    false = 0
    position = start
    while (at := octets.find(mark, position, end)) >= 0 and len(found) <= MAX_PARTS * 2 and false < FALSE_DELIMITERS:
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


def _guess_boundary(octets: bytes, start: int, end: int) -> bytes | None:
    guessed = _GUESSED.search(octets, start, min(end, start + GUESS_OCTETS))
    return guessed[1].rstrip() if guessed else None


def _read_fields(part: Part, reading: _Reading, allowance: int) -> None:
    """Note where each field of the header block is, and where the body begins."""
    octets, end = part._octets, part._end
    limit = part._start + allowance
    position = part._start
    last: list[tuple[int, int]] | None = None
    while position < end:
        if position >= limit:
            reading.note(f"{part.place}: the header is too long; its end was not read")
            block_end = _BLOCK_END.search(octets, position, end)
            part._body = block_end.end() if block_end else end
            return
        line_end = octets.find(b"\n", position, end)
        next_line = end if line_end < 0 else line_end + 1
        first = octets[position]
        if first in b" \t" and last is not None and not _ends_block(octets, position, next_line, end):
            last[-1] = (last[-1][0], next_line)
        elif matched := _FIELD.match(octets, position, next_line):
            last = part._fields.setdefault(matched[1].decode("ascii").lower(), [])
            last.append((matched.end(), next_line))
        elif not octets[position:next_line].strip():
            part._body = next_line
            break
        elif octets.startswith((b"From ", b">From "), position):
            pass
        elif last is not None and (after := _after_stray_lines(octets, next_line, end)) is not None:
            reading.note(f"{part.place}: a line of the header is no field")
            if last[-1][1] == position and position - last[-1][0] >= LONG_LINE:
                last[-1] = (last[-1][0], after)  # wrapped without a blank
            next_line = after
        else:
            reading.note(f"{part.place}: no blank line between header and body")
            part._body = position
            return
        position = next_line
    else:
        part._body = end


def _ends_block(octets: bytes, position: int, next_line: int, end: int) -> bool:
    """A line of blanks alone is a fold (RFC 5322 §4.2), unless what follows can be neither field nor fold."""
    if octets[position:next_line].strip():
        return False
    return not (_FIELD.match(octets, next_line, end) or octets[next_line : next_line + 1] in (b" ", b"\t"))


def _after_stray_lines(octets: bytes, position: int, end: int) -> int | None:
    """Where the header goes on behind lines that are no fields, or None where it does not: there the body has begun."""
    for _ in range(STRAY_LINES):
        following = octets.find(b"\n", position, end)
        line = octets[position : end if following < 0 else following]
        field_name = _FIELD.match(line)
        if field_name is not None and _is_known(field_name[1].lower()):
            return position
        if following < 0 or not line.strip():
            return None
        position = following + 1
    return None


def _is_known(name: bytes) -> bool:
    """Whether it is surely a header field's name: prose has colons, too."""
    return name in _KNOWN_FIELDS or name.startswith((b"x-", b"content-", b"list-", b"arc-", b"resent-"))


def _read_type(part: Part, default: str) -> None:
    part.content_type = default
    written = part.raw_header("content-type")
    if written is not None:
        value, part.params = read_parameters(_structured(written), headers.decode_words)
        value = "".join(value.lower().split())
        part.declared_type = value
        if _TYPE.fullmatch(value):
            part.content_type = value
        else:
            part.content_type = _type_of_damaged(value, default)
    written = part.raw_header("content-disposition")
    if written is not None:
        disposition, part.disposition_params = read_parameters(_structured(written), headers.decode_words)
        part.disposition = disposition.lower().strip("\"' ") or None


def _type_of_damaged(value: str, default: str) -> str:
    known = {"text": "text/plain", "html": "text/html", "text/": "text/plain", "multipart": "multipart/mixed"}
    if value in known:
        return known[value]
    for kind in ("multipart/", "text/html", "text/plain"):
        if value.startswith(kind):
            return "multipart/mixed" if kind == "multipart/" else kind
    return "application/octet-stream" if "/" in value else default


def _structured(value: bytes) -> str:
    return headers.one_line(headers.read_raw(headers.unfold(value[: headers.STRUCTURED_OCTETS])))


def _next_line(octets: bytes, position: int, end: int) -> int:
    found = octets.find(b"\n", position, end)
    return end if found < 0 else found + 1


def _note(defects: list[str], defect: str) -> None:
    if len(defects) < DEFECTS_KEPT and defect not in defects:
        defects.append(defect)

"""One entity of a message: what its header says, and what its body holds, decoded when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from postroom.parsers import charsets, headers, transfer
from postroom.parsers.header_fields import HeaderFields
from postroom.parsers.parameters import read_parameters

DEFECTS_KEPT = 100  # of a message
KEPT_OCTETS = 64  # of a type or disposition that is kept for the next part that has it; a boundary makes it longer
FIRST_LINE = 76  # octets that a line of base64 has (RFC 2045 §6.8)

_TYPE = re.compile(r"[a-z0-9!#$&^_.+%-]{1,127}/[a-z0-9!#$&^_.+%*-]{1,127}")


class Part:
    """One entity: header fields, body, and the entities within it. A `message/rfc822` has one child, the message."""

    __slots__ = (
        "_defects", "_encoding", "_hint", "_spans", "_texts", "body_at", "children", "content_type", "declared_type", "disposition",
        "disposition_params", "end", "octets", "params", "path", "start",
    )  # fmt: skip

    def __init__(self, octets: bytes, start: int, end: int, path: str, found: HeaderFields, defects: list[str]) -> None:
        self.octets = (
            octets  # what it is a stretch of, from `start` to `end`: the message, or what was decoded from one
        )
        self.start, self.body_at, self.end = start, found.body_at, end
        self.path = path  # "" for the root, "1.2" for the second child of its first child
        self.children: tuple[Part, ...] = ()
        self.declared_type: str | None = None  # as it was given
        self.content_type = "text/plain"  # in effect: by RFC 2045 §5.2 where none is given, or none that can be true
        self.params: dict[str, str] = {}
        self.disposition: str | None = None
        self.disposition_params: dict[str, str] = {}
        self._spans = found.spans
        self._hint: str | None = None
        self._encoding: str | None = None
        self._texts: dict[tuple[int, int], str] = {}  # fields that were decoded, by where they stand
        self._defects = defects
        for defect in found.defects:
            note(defects, f"{self.place}: {defect}")

    def read_type(self, default: str) -> None:
        """Take type, disposition and their parameters from the header; `default` is the type where none is given."""
        self.content_type = default
        written = self.raw_header("content-type")
        if written is not None:
            value, self.params = _read_structured(written)
            self.declared_type = "".join(value.lower().split())
            is_type = _TYPE.fullmatch(self.declared_type)
            self.content_type = self.declared_type if is_type else _type_of_damaged(self.declared_type, default)
        written = self.raw_header("content-disposition")
        if written is not None:
            disposition, self.disposition_params = _read_structured(written)
            self.disposition = disposition.lower().strip("\"' ") or None

    def has_any(self, names: Iterable[str]) -> bool:
        """Whether there is a field of any of these lower-case names."""
        return not self._spans.keys().isdisjoint(names)

    def raw_header(self, name: str) -> bytes | None:
        """The octets of the first field of that name, folds and all, or None."""
        spans = self._spans.get(name.lower())
        return self.octets[spans[0][0] : spans[0][1]] if spans else None

    def all_raw_headers(self, name: str) -> list[bytes]:
        """The octets of every field of that name, from the top."""
        return [self.octets[start:end] for start, end in self._spans.get(name.lower(), ())]

    def header(self, name: str) -> str | None:
        """The first field of that name, unfolded and decoded, or None."""
        spans = self._spans.get(name.lower())
        return self._text(spans[0]) if spans else None

    def all_headers(self, name: str) -> list[str]:
        """Every field of that name, from the top, unfolded and decoded."""
        return [self._text(span) for span in self._spans.get(name.lower(), ())]

    def texts(self, *, but: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
        """Lower-case name and text of each field, in their order, unfolded and decoded; `but`: how those begin that are left out."""
        for start, end, name in self._fields_in_order():
            if not name.startswith(but):
                yield name, self._text((start, end))

    def _text(self, span: tuple[int, int]) -> str:
        """Decoded once: Subject and From are asked for a dozen times."""
        text = self._texts.get(span)
        if text is None:
            octets = self.octets[span[0] : span[1]]
            text = self._texts[span] = headers.decode(octets, hint=None if octets.isascii() else self.hint)
        return text

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
        if self.octets[self.start : self.body_at].isascii():
            return ""  # nearly every header
        written = [value for _, value in self.fields() if not value.isascii()]
        if not written:
            return ""
        body = self.octets[self.body_at : min(self.end, self.body_at + charsets.DETECTED_OCTETS)]
        return charsets.detect(b"\n".join([*written, b"" if body.isascii() else body])) or ""

    def fields(self) -> Iterator[tuple[str, bytes]]:
        """Lower-case name and octets of each field, in their order."""
        for start, end, name in self._fields_in_order():
            yield name, self.octets[start:end]

    def _fields_in_order(self) -> list[tuple[int, int, str]]:
        return sorted((start, end, name) for name, found in self._spans.items() for start, end in found)

    def raw(self) -> bytes:
        """The whole entity, header and body, as it stands in the message."""
        return self.octets[self.start : self.end]

    def body(self) -> bytes:
        """The body as it stands in the message, transfer encoding and all."""
        return self.octets[self.body_at : self.end]

    @property
    def header_size(self) -> int:
        return self.body_at - self.start

    @property
    def body_size(self) -> int:
        return self.end - self.body_at

    @property
    def encoding(self) -> str:
        """`base64`, `quoted-printable`, `uuencode` or `identity`."""
        if self._encoding is None:
            self._encoding = transfer.encoding_of(self.raw_header("content-transfer-encoding"))
        return self._encoding

    def decoded(self) -> bytes:
        """The body with its transfer encoding undone."""
        octets, defect = transfer.decode(self.body(), self.encoding)
        if defect is not None:
            note(self._defects, f"{self.place}: {defect}")
        return octets

    def decoded_size(self) -> int:
        """How many octets `decoded` has; sound base64 is not decoded for it."""
        encoding = self.encoding
        if encoding == "identity":
            return self.body_size
        size = transfer.size_of_base64(self.body()) if encoding == "base64" else None
        return len(self.decoded()) if size is None else size

    def has_content(self) -> bool:
        """Whether `decoded` has any octet; for that its beginning is looked at."""
        if self.encoding == "base64" and transfer.size_of_base64(self.body()[:FIRST_LINE]):
            return True
        return self.decoded_size() > 0

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


def note(defects: list[str], defect: str) -> None:
    """Name one more defect, once, and no more than DEFECTS_KEPT."""
    if len(defects) < DEFECTS_KEPT and defect not in defects:
        defects.append(defect)


def _type_of_damaged(value: str, default: str) -> str:
    known = {"text": "text/plain", "html": "text/html", "text/": "text/plain", "multipart": "multipart/mixed"}
    if value in known:
        return known[value]
    for kind in ("multipart/", "text/html", "text/plain"):
        if value.startswith(kind):
            return "multipart/mixed" if kind == "multipart/" else kind
    return "application/octet-stream" if "/" in value else default


def _read_structured(value: bytes) -> tuple[str, dict[str, str]]:
    if len(value) > KEPT_OCTETS:
        return _read_parameters(value)
    kept, parameters = _read_again(value)
    return kept, dict(parameters)


@lru_cache(maxsize=256)  # nearly every text is of one of a few types and charsets
def _read_again(value: bytes) -> tuple[str, dict[str, str]]:
    return _read_parameters(value)


def _read_parameters(value: bytes) -> tuple[str, dict[str, str]]:
    structured = headers.one_line(headers.read_raw(headers.unfold(value[: headers.STRUCTURED_OCTETS])))
    return read_parameters(structured, headers.decode_words)

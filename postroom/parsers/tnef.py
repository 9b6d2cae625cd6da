"""What is in a `winmail.dat`: files and, where the mail has no other, the text (Microsoft's [MS-OXTNEF]).

A walk over its attributes, in one pass, each length checked against what is there. tnefparse was not used: a fuzzed file
of 20 KB kept it busy for twelve minutes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from postroom.parsers import charsets, rtf

MAX_FILES = 500
MAX_ATTRIBUTES = 20_000
MAX_PROPERTIES = 5_000  # of one list

_SIGNATURE = 0x223E9F78
_ATT_BODY, _ATT_MAPI_PROPS, _ATT_OEM_CODEPAGE = 0x0002800C, 0x00069003, 0x00069007
_ATT_REND_DATA, _ATT_TITLE, _ATT_DATA, _ATT_ATTACHMENT = 0x00069002, 0x00018010, 0x0006800F, 0x00069005
_PR_BODY, _PR_HTML, _PR_RTF = 0x1000, 0x1013, 0x1009
_PR_LONG_FILENAME, _PR_FILENAME, _PR_MIME_TAG, _PR_DATA, _PR_CONTENT_ID, _PR_DISPLAY_NAME = (
    0x3707,
    0x3704,
    0x370E,
    0x3701,
    0x3712,
    0x3001,
)
_FIXED = {
    0x0002: 4,
    0x0003: 4,
    0x0004: 4,
    0x0005: 8,
    0x0006: 8,
    0x0007: 8,
    0x000A: 4,
    0x000B: 4,
    0x0014: 8,
    0x0040: 8,
    0x0048: 16,
    0x0001: 0,
}
_STRING8, _UNICODE, _BINARY, _OBJECT = 0x001E, 0x001F, 0x0102, 0x000D
_MULTIPLE = 0x1000


@dataclass(slots=True)
class TnefFile:
    filename: str = ""
    content_type: str = "application/octet-stream"
    octets: bytes = b""
    content_id: str | None = None


@dataclass(slots=True)
class Tnef:
    """The contents; what could not be read is missing."""

    text: str = ""
    html: str | None = None
    files: list[TnefFile] = field(default_factory=list)
    has_rtf: bool = False


def open_tnef(data: bytes) -> Tnef:
    """The contents of a TNEF stream, as far as it goes; an empty one for anything else."""
    opened = Tnef()
    if len(data) < 6 or struct.unpack_from("<I", data)[0] != _SIGNATURE:
        return opened
    codepage = "cp1252"
    position = 6
    for _ in range(MAX_ATTRIBUTES):
        if position + 9 > len(data):
            break
        _, attribute, length = struct.unpack_from("<BII", data, position)
        begin = position + 9
        value = data[begin : begin + length]
        position = begin + length + 2
        if attribute == _ATT_OEM_CODEPAGE and len(value) >= 4:
            codepage = f"cp{struct.unpack_from('<I', value)[0]}"
        _take(opened, attribute, value, codepage)
    opened.files = [file for file in opened.files if file.octets or file.filename]
    return opened


def _take(opened: Tnef, attribute: int, value: bytes, codepage: str) -> None:
    if attribute == _ATT_REND_DATA:
        if len(opened.files) < MAX_FILES:
            opened.files.append(TnefFile())
    elif attribute == _ATT_BODY:
        opened.text = opened.text or _string(value, codepage)
    elif attribute == _ATT_MAPI_PROPS:
        properties = _properties(value, codepage)
        opened.text = opened.text or _as_text(properties.get(_PR_BODY), codepage)
        opened.html = _as_text(properties.get(_PR_HTML), codepage) or opened.html
        packed = properties.get(_PR_RTF)
        if not opened.text and not opened.html and isinstance(packed, bytes) and not opened.has_rtf:
            opened.has_rtf = True  # one is enough, and unpacking is the costly part
            opened.text = rtf.text_of_compressed(packed)
    elif opened.files:
        _take_of_file(opened.files[-1], attribute, value, codepage)


def _take_of_file(file: TnefFile, attribute: int, value: bytes, codepage: str) -> None:
    if attribute == _ATT_TITLE:
        file.filename = file.filename or _string(value, codepage)
    elif attribute == _ATT_DATA:
        file.octets = value
    elif attribute == _ATT_ATTACHMENT:
        properties = _properties(value, codepage)
        name = _as_text(properties.get(_PR_LONG_FILENAME) or properties.get(_PR_FILENAME), codepage)
        file.filename = name or file.filename or _as_text(properties.get(_PR_DISPLAY_NAME), codepage)
        kind = _as_text(properties.get(_PR_MIME_TAG), codepage).lower()
        file.content_type = kind if "/" in kind and " " not in kind else file.content_type
        file.content_id = _as_text(properties.get(_PR_CONTENT_ID), codepage).strip("<> ") or None
        embedded = properties.get(_PR_DATA)
        if isinstance(embedded, bytes) and not file.octets:
            file.octets = embedded[16:] if embedded[:4] == b"\x07\x03\x02\x00" else embedded


def _properties(value: bytes, codepage: str) -> dict[int, bytes | str]:
    """The string and binary properties of a MAPI list ([MS-OXTNEF] §2.1.3.4), the first value of each."""
    found: dict[int, bytes | str] = {}
    try:
        (count,) = struct.unpack_from("<I", value)
        position = 4
        for _ in range(min(count, MAX_PROPERTIES)):
            kind, name = struct.unpack_from("<HH", value, position)
            position += 4
            if name >= 0x8000:
                position = _skip_name(value, position)
            content, position = _property(value, position, kind, codepage)
            if content is not None:
                found.setdefault(name, content)
    except struct.error:
        pass  # cut short: what came before it holds
    return found


def _skip_name(value: bytes, position: int) -> int:
    """A named property: a GUID, and a number or a name."""
    (kind,) = struct.unpack_from("<I", value, position + 16)
    if kind == 0:
        return position + 24
    (length,) = struct.unpack_from("<I", value, position + 20)
    return position + 24 + _padded(length)


def _property(value: bytes, position: int, kind: int, codepage: str) -> tuple[bytes | str | None, int]:
    base = kind & ~_MULTIPLE
    many = bool(kind & _MULTIPLE)
    if base in _FIXED:
        count = 1
        if many:
            (count,) = struct.unpack_from("<I", value, position)
            position += 4
        return None, position + _padded(_FIXED[base]) * count
    if base not in (_STRING8, _UNICODE, _BINARY, _OBJECT):
        raise struct.error(kind)
    (count,) = struct.unpack_from("<I", value, position)
    position += 4
    first: bytes | str | None = None
    for index in range(min(count, MAX_PROPERTIES)):
        (length,) = struct.unpack_from("<I", value, position)
        content = value[position + 4 : position + 4 + length]
        position += 4 + _padded(length)
        if index == 0:
            first = (
                content
                if base in (_BINARY, _OBJECT)
                else _string(content, "utf-16-le" if base == _UNICODE else codepage)
            )
    return first, position


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _string(value: bytes, codepage: str) -> str:
    return charsets.decode(value, codepage).rstrip("\0").replace("\0", "").strip("\r\n")


def _as_text(value: bytes | str | None, codepage: str) -> str:
    if isinstance(value, bytes):
        return _string(value, codepage)
    return value or ""

"""Transfer encodings undone, right or wrong: base64, quoted-printable, uuencode (RFC 2045 §6). Linear, never raises."""

from __future__ import annotations

import binascii
import re

UU_BLOCKS = 200  # of one text
_END_OCTETS = 64  # in which the end of base64 nearly always is
STRAY_TOLERATED = 0.06  # of the octets of base64 may be something else (blanks at line ends, marks of a gateway)

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PADDING = re.compile(rb"=[=\s]*")
_UU_BEGIN = re.compile(rb"(?:^|(?<=\n))begin(?:-base64)? [0-7]{3,4}(?: ++([^\r\n]{0,255}+))?\r?\n")
_UU_END = re.compile(rb"(?:^|(?<=\n))(?:end|====)[ \t]*(?:\r?\n|$)")

_NAMES = {
    b"base64": "base64", b"base-64": "base64", b"x-base64": "base64", b"b": "base64", b"quoted-printable": "quoted-printable",
    b"quoted/printable": "quoted-printable", b"quotedprintable": "quoted-printable", b"qp": "quoted-printable",
    b"x-uuencode": "uuencode", b"uuencode": "uuencode", b"x-uue": "uuencode", b"uue": "uuencode",
}  # fmt: skip


def encoding_of(header: bytes | None) -> str:
    """`base64`, `quoted-printable`, `uuencode`, or `identity` for all that leaves octets as they are."""
    if header is None:
        return "identity"
    words = header.replace(b"\0", b"").split(b";", 1)[0].split()
    if not words:
        return "identity"
    return _NAMES.get(words[0].lower().strip(b"\"'<>,."), "identity")


def decode(data: bytes, encoding: str) -> tuple[bytes, str | None]:
    """The octets behind a transfer encoding, and what was wrong with it, or None."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return decode_quoted_printable(data), None
    if encoding == "uuencode":
        blocks = find_uuencoded(data)
        if not blocks:
            return data, "no uuencoded data where it was announced"
        return blocks[0].decoded(data), None
    return data, None


def decode_base64(data: bytes) -> tuple[bytes, str | None]:
    """Base64 that may be cut short, wrongly padded, padded in the middle, or no base64 at all; and what was wrong."""
    body = data.strip()
    stray = len(body.translate(None, _BASE64 + b"=\r\n"))
    if stray > max(2, len(body) * STRAY_TOLERATED) and not _begins_well(body):
        return data, "what was called base64 is none"
    first_pad = body.find(b"=")
    if first_pad < 0 or len(body) - first_pad <= 2:
        if not stray:
            try:
                return binascii.a2b_base64(body), None
            except binascii.Error:
                return _decode_cut(body), "base64 was cut short"
        return _decode_cut(body), "base64 had stray characters"
    return _decode_pieces(body, stray)


def size_of_base64(data: bytes) -> int | None:
    """How many octets sound base64 stands for, without decoding it; None where it is not sound."""
    others = data.translate(None, _BASE64)
    if others.translate(None, b"=\r\n"):
        body = data.strip()  # a copy, so not before it is needed
        return size_of_base64(body) if len(body) < len(data) else None
    padded = others.count(b"=")
    count = len(data) - len(others) + padded
    if count % 4 or padded > 2:
        return None
    if padded and not any(end.rstrip().endswith(b"=" * padded) for end in (data[-_END_OCTETS:], data)):
        return None
    return count // 4 * 3 - padded


def _begins_well(body: bytes) -> bool:
    """Whether the first line is base64: what follows may then be a footer that a mailing list put there."""
    line = body[: body.find(b"\n") if b"\n" in body else len(body)].strip()
    return not line.translate(_URL_SAFE).translate(None, _BASE64 + b"=")


def _decode_pieces(body: bytes, stray: int) -> tuple[bytes, str]:
    """Base64 with something after its padding: more of it, or the footer of a mailing list, which is none."""
    padding = _PADDING.search(body)
    end = padding.end() if padding else len(body)
    if stray and body[end:].translate(None, _BASE64 + b"=\r\n"):
        return _decode_cut(body[:end]), "something that is no base64 followed base64"
    return b"".join(_decode_cut(piece) for piece in _PADDING.split(body) if piece), "base64 was padded in the middle"


def _decode_cut(piece: bytes) -> bytes:
    kept = piece.translate(_URL_SAFE).translate(None, _NOT_BASE64)
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def decode_quoted_printable(data: bytes) -> bytes:
    """Quoted-printable; what is not hexadecimal after a `=` is left as it stands."""
    return binascii.a2b_qp(data)


class UuBlock:
    """A uuencoded file within a text: octets `start` to `end` of it."""

    __slots__ = ("base64", "body", "end", "filename", "start", "stop")

    def __init__(self, start: int, body: int, stop: int, end: int, filename: bytes, *, base64: bool) -> None:
        self.start, self.body, self.stop, self.end = start, body, stop, end
        self.filename, self.base64 = filename, base64

    def decoded(self, text: bytes) -> bytes:
        """The file's octets. `text` is what the block was found in."""
        body = text[self.body : self.stop]
        if self.base64:
            return decode_base64(body)[0]
        return b"".join(map(_decode_uu_line, body.splitlines()))


def find_uuencoded(text: bytes) -> list[UuBlock]:
    """The uuencoded files in a text (POSIX `uuencode`), in their order; a file without its `end` goes on to the end."""
    blocks: list[UuBlock] = []
    position = 0
    while len(blocks) < UU_BLOCKS and (begin := _UU_BEGIN.search(text, position)):
        base64 = begin[0].startswith(b"begin-")
        position = begin.end()
        if not base64 and not _is_uuencoded(text, begin.end()):
            continue
        end = _UU_END.search(text, begin.end())
        stop, position = (end.start(), end.end()) if end else (len(text), len(text))
        blocks.append(UuBlock(begin.start(), begin.end(), stop, position, (begin[1] or b"").strip(), base64=base64))
    return blocks


def _is_uuencoded(text: bytes, start: int) -> bool:
    """Whether the first lines are as long as their first octet says; prose after the word `begin` is not."""
    for _ in range(3):
        end = text.find(b"\n", start, start + 200)
        line = text[start : end if end >= 0 else start + 200].rstrip(b"\r")
        if line.rstrip() in (b"end", b"", b"`"):
            return True
        expected = (((line[0] - 0x20) & 0x3F) + 2) // 3 * 4 + 1
        if not 0x20 <= line[0] <= 0x60 or not expected - 4 <= len(line.rstrip()) <= expected + 4:
            return False
        if end < 0:
            return True
        start = end + 1
    return True


def _decode_uu_line(line: bytes) -> bytes:
    if not line:
        return b""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        octets = (((line[0] - 0x20) & 0x3F) * 4 + 5) // 3
        try:
            return binascii.a2b_uu(line[:octets].rstrip(b"\r\n"))
        except binascii.Error:
            return b""

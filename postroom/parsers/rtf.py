"""The text in the RTF of a `winmail.dat`: unpacked ([MS-OXRTFCP]) and without its formatting ([MS-OXRTFEX] for what was HTML).

Linear, and bounded: a few octets of compressed RTF may stand for seventeen each, and no more than RTF_OCTETS are made.
"""

from __future__ import annotations

import re
import struct

from postroom.parsers import charsets

RTF_OCTETS = 4 * 1024 * 1024  # unpacked
MAX_GROUPS = 1_000  # within each other

_COMPRESSED, _UNCOMPRESSED = b"LZFu", b"MELA"
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArial"
    rb"Times New RomanCourier{\colortbl\red0\green0\blue0" + b"\r\n" + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_WINDOW = 4096
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]++)"
)
_UNSEEN = frozenset({
    b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"header", b"footer", b"generator", b"filetbl", b"listtable",
    b"listoverridetable", b"rsidtbl", b"themedata", b"colorschememapping", b"datastore", b"latentstyles", b"fldinst", b"htmltag",
})  # fmt: skip
_CHARACTERS = {
    b"par": "\n", b"line": "\n", b"row": "\n", b"sect": "\n", b"page": "\n", b"tab": "\t", b"cell": "\t", b"emdash": "—", b"endash": "–",
    b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•",
}  # fmt: skip
_SYMBOLS = {b"~": " ", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}


def text_of_compressed(data: bytes) -> str:
    """The text of compressed RTF as TNEF holds it, or "" where there is none."""
    return text_of_rtf(unpack(data))


def unpack(data: bytes) -> bytes:
    """The RTF that was packed, as far as it goes."""
    if len(data) < 16:
        return b""
    _, size, magic = struct.unpack_from("<II4s", data)
    packed, size = data[16:], min(size, RTF_OCTETS)
    if magic == _UNCOMPRESSED:
        return packed[:size]
    return _unpack(packed, size) if magic == _COMPRESSED else b""


def _unpack(packed: bytes, size: int) -> bytes:
    window = bytearray(_DICTIONARY.ljust(_WINDOW, b" "))
    write = len(_DICTIONARY)
    out = bytearray()
    position = 0
    while position < len(packed) and len(out) < size:
        control = packed[position]
        position += 1
        for bit in range(8):
            if control >> bit & 1:
                if position + 2 > len(packed):
                    return bytes(out)
                reference = packed[position] << 8 | packed[position + 1]
                position += 2
                offset, length = reference >> 4, (reference & 0xF) + 2
                if offset == write:  # the end
                    return bytes(out)
                octets = [window[(offset + step) % _WINDOW] for step in range(length)]
                if (write - offset) % _WINDOW < length:  # it reads what it writes
                    distance = (write - offset) % _WINDOW
                    octets = [octets[step % distance] for step in range(length)]
            elif position < len(packed):
                octets = [packed[position]]
                position += 1
            else:
                return bytes(out)
            for octet in octets:
                window[write] = octet
                write = (write + 1) % _WINDOW
            out += bytes(octets)
    return bytes(out[:size])


def text_of_rtf(rtf: bytes) -> str:
    """The words of a document in Rich Text Format, its lines kept."""
    if not rtf.startswith(b"{\\rtf"):
        return ""
    reader = _Reader()
    for token in _TOKEN.finditer(rtf):
        reader.take(token)
    return charsets.scrub("".join(reader.finish())).strip()


class _Reader:
    def __init__(self) -> None:
        self._text: list[str] = []
        self._octets = bytearray()  # of the document's code page, not yet decoded
        self._codepage = "cp1252"
        self._hidden = False
        self._groups: list[bool] = []
        self._fallback = 1  # characters that stand in for one by number (\uc)
        self._skip = 0
        self._is_starred = False

    def take(self, token: re.Match[bytes]) -> None:
        word, number, octet, symbol, brace, plain = token.groups()
        if brace:
            self._brace(brace)
        elif word:
            self._word(word, number)
        elif symbol == b"*":
            self._is_starred = True
        elif octet:
            self._put_octets(bytes([int(octet, 16)]))
        elif symbol in _SYMBOLS:
            self._put(_SYMBOLS[symbol])
        elif plain:
            self._put_octets(plain)

    def _brace(self, brace: bytes) -> None:
        self._skip = 0
        if brace == b"{":
            if len(self._groups) < MAX_GROUPS:
                self._groups.append(self._hidden)
        elif self._groups:
            self._hidden = self._groups.pop()

    def _word(self, word: bytes, number: bytes | None) -> None:
        starred, self._is_starred = self._is_starred, False
        if starred or word in _UNSEEN:
            self._hidden = True
        elif word == b"htmlrtf":
            self._hidden = number != b"0"
        elif word == b"ansicpg" and number:
            self._codepage = f"cp{number.decode()}"
        elif word == b"uc" and number:
            self._fallback = min(abs(int(number)), 10)
        elif word == b"u" and number:
            self._put(chr(int(number) & 0xFFFF))
            self._skip = self._fallback
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])

    def _put(self, text: str) -> None:
        if not self._hidden:
            self._flush()
            self._text.append(text)

    def _put_octets(self, octets: bytes) -> None:
        skipped = min(self._skip, len(octets))
        self._skip -= skipped
        if not self._hidden:
            self._octets += octets[skipped:]

    def _flush(self) -> None:
        if self._octets:
            self._text.append(charsets.decode(bytes(self._octets), self._codepage))
            self._octets.clear()

    def finish(self) -> list[str]:
        self._flush()
        return self._text

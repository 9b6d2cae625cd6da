"""What a header says: unfolded, encoded words undone, raw 8-bit text read (RFC 5322 §2.2, RFC 2047, RFC 6532).

One pass over the value. Words next to each other are joined as octets before they are decoded, since many programs cut
them in the middle of a character; what is no encoded word stays as it was written.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache

from postroom.parsers import charsets, transfer

STRUCTURED_OCTETS = 16 * 1024  # of one header; more is read as if it were not there
KEPT_OCTETS = 256  # of a header whose text is kept for the next mail that has it
WORDS_READ = 2_000  # encoded words of one header

_FOLD = re.compile(rb"[ \t]*+(?:\r\n|\n|\r)[ \t\r\n]*+")
_WORD_HEAD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?")
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
_BLANKS = " \t\r\n"


def unfold(value: bytes) -> bytes:
    """The value on one line: a fold becomes one blank, blanks at both ends go."""
    value = value.strip(b" \t\r\n")
    if b"\n" in value or b"\r" in value:
        value = _FOLD.sub(b" ", value)
    return value


def decode(value: bytes, *, hint: str | None = None) -> str:
    """An unstructured header as one line of text (RFC 2047 §5 (1)). `hint`: the charset of the rest of the mail."""
    value = unfold(value[:STRUCTURED_OCTETS])
    if (
        value.isascii()
        and b"=?" not in value
        and b"\x1b" not in value
        and (text := value.decode("ascii")).isprintable()
    ):
        return text  # nearly every header
    return _decode_again(value, hint) if len(value) <= KEPT_OCTETS else _decode(value, hint)


@lru_cache(maxsize=1024)  # the same people write again and again, and with the same subject
def _decode_again(value: bytes, hint: str | None) -> str:
    return _decode(value, hint)


def _decode(value: bytes, hint: str | None) -> str:
    return one_line(decode_words(read_raw(value, hint=hint)))


def read_raw(value: bytes, *, hint: str | None = None) -> str:
    """The octets of a header as text, encoded words still in it: ASCII, UTF-8 (RFC 6532), or 8-bit text of any charset."""
    return charsets.decode(value, hint=hint)


def one_line(text: str) -> str:
    """Without line breaks and control characters: an encoded word must not bring back what unfolding took away."""
    if _CONTROLS.search(text):
        text = _CONTROLS.sub(" ", text)
    return text.strip()


def decode_words(text: str) -> str:
    """The text with its encoded words undone, wherever they stand: also within quotes and without blanks around them."""
    if "=?" not in text:
        return text
    pieces: list[str] = []
    run = _Run()
    position = 0
    for _ in range(WORDS_READ):
        found = _next_word(text, position)
        if found is None:
            break
        start, charset, encoding, payload, end = found
        between = text[position:start]
        if between.strip(_BLANKS) or not run.is_open:
            pieces += (run.close(), between)
        run.add(pieces, charset, encoding, payload)
        position = end
    pieces += (run.close(), text[position:])
    return charsets.scrub("".join(pieces))


def _next_word(text: str, position: int) -> tuple[int, str, str, str, int] | None:
    while (start := text.find("=?", position)) >= 0:
        head = _WORD_HEAD.match(text, start)
        if head is None:
            position = start + 2
            continue
        end = text.find("?=", head.end())
        if end < 0:
            return _cut_word(text, start, head)
        return start, head[1], head[2].lower(), text[head.end() : end], end + 2
    return None


def _cut_word(text: str, start: int, head: re.Match[str]) -> tuple[int, str, str, str, int] | None:
    """The last word of a header that was cut off before its `?=`."""
    payload = text[head.end() :].rstrip("?")
    if " " in payload:
        return None
    return start, head[1], head[2].lower(), payload, len(text)


class _Run:
    """Encoded words that follow each other, of one charset: decoded together."""

    __slots__ = ("_base64", "_charset", "_octets", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._charset = ""
        self._octets = bytearray()
        self._base64 = ""  # of a word that ended in the middle of four characters

    def add(self, pieces: list[str], charset: str, encoding: str, payload: str) -> None:
        charset = charset.partition("*")[0].lower()
        if self.is_open and charset != self._charset:
            pieces.append(self.close())
        self.is_open = True
        self._charset = charset
        if encoding == "b":
            self._add_base64(payload)
        else:
            self._flush_base64()
            self._octets += _decode_q(payload)

    def _add_base64(self, payload: str) -> None:
        payload = "".join(payload.split())
        self._base64 += payload
        if payload.endswith("=") or len(self._base64) % 4 == 0:
            self._flush_base64()

    def _flush_base64(self) -> None:
        if self._base64:
            written = self._base64.encode("ascii", "ignore")
            self._base64 = ""
            self._octets += transfer.decode_base64(written)[0]

    def close(self) -> str:
        if not self.is_open:
            return ""
        self._flush_base64()
        text = charsets.decode(bytes(self._octets), self._charset)
        self.is_open = False
        self._octets.clear()
        return text


def _decode_q(payload: str) -> bytes:
    """RFC 2047 §4.2; raw 8-bit text within a word is kept as UTF-8."""
    try:
        octets = payload.encode("latin-1")
    except UnicodeEncodeError:
        octets = payload.encode("utf-8", "replace")
    return binascii.a2b_qp(octets.replace(b"\n", b""), header=True)

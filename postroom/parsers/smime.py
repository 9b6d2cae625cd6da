"""What an opaque S/MIME signature wraps, without checking the signature (RFC 8551 §3.5.2, RFC 5652 §5).

A walk over the DER (or BER) of a CMS `ContentInfo` down to the `eContent` of its `SignedData`; nothing else is read.
Encrypted mail has no such content, and stays an attachment.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_DEPTH = 12  # of nested values of indefinite length; a SignedData needs six
MAX_ELEMENTS = 100_000  # in all; content is streamed in pieces of about a kilobyte

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")
_SEQUENCE, _OCTET_STRING, _CONSTRUCTED_OCTET_STRING = 0x30, 0x04, 0x24


def signed_content(data: bytes) -> bytes | None:
    """The MIME entity within signed-data, or None where there is none to be read."""
    try:
        return _Der(data).econtent()
    except (IndexError, ValueError, StopIteration):
        return None


class _Der:
    """Values of BER (X.690): (tag, begin of the content, its end). Too many, or nested too deeply, are a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._elements = 0

    def econtent(self) -> bytes | None:
        info = self._within(0, len(self._data), _SEQUENCE)
        if self._oid(next(info)) != _SIGNED_DATA:
            return None
        _, begin, end = next(info)  # [0] EXPLICIT
        signed = self._within(begin, end, _SEQUENCE)  # version, digestAlgorithms, encapContentInfo, …
        _, begin, end = next(element for element in signed if element[0] == _SEQUENCE)
        content = self._children(begin, end)
        if self._oid(next(content)) != _DATA:
            return None
        _, begin, end = next(content)  # [0] EXPLICIT
        return b"".join(self._octets(begin, end, 0))

    def _oid(self, element: tuple[int, int, int]) -> bytes:
        return self._data[element[1] : element[2]]

    def _within(self, position: int, end: int, tag: int) -> Iterator[tuple[int, int, int]]:
        found, begin, stop, _ = self._element(position, end, 0)
        if found != tag:
            raise ValueError(tag)
        return self._children(begin, stop)

    def _octets(self, position: int, end: int, depth: int) -> Iterator[bytes]:
        for tag, begin, stop in self._children(position, end):
            if tag == _OCTET_STRING:
                yield self._data[begin:stop]
            elif tag == _CONSTRUCTED_OCTET_STRING and depth < MAX_DEPTH:
                yield from self._octets(begin, stop, depth + 1)

    def _children(self, position: int, end: int) -> Iterator[tuple[int, int, int]]:
        while position < end and self._data[position : position + 2] != b"\0\0":
            tag, begin, stop, position = self._element(position, end, 0)
            yield tag, begin, stop

    def _element(self, position: int, end: int, depth: int) -> tuple[int, int, int, int]:
        """Tag, begin and end of the content, and where the next value begins."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise ValueError("too many values")
        tag, length = self._data[position], self._data[position + 1]
        begin = position + 2
        if length == 0x80:  # indefinite: up to two zero octets
            stop = begin
            while self._data[stop : stop + 2] != b"\0\0" and stop < end:
                *_, stop = self._element(stop, end, depth + 1)
            return tag, begin, stop, stop + 2
        if length > 0x80:
            begin += length & 0x7F
            length = int.from_bytes(self._data[position + 2 : begin][:8], "big")
        stop = min(begin + length, end)  # cut short: as far as it goes
        return tag, begin, stop, stop

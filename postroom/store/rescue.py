"""Raw mail out of a damaged SQLite file: read page by page, without its header, its schema, its indexes or SQLite.

Every table leaf is looked through for rows of `raw_mail`; a row is what has a digest, a size and content, and it is whole where
the content has that digest. So a page that is broken costs the mails on it, and none elsewhere. What the write-ahead log holds
is looked through too. Mail that was deleted may still lie in free pages, and is then found as well.
Source: the database file format, https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

PAGE_SIZE = 4096  # octets; what SQLite makes by default, and what is tried first where the header does not say
PAGE_SIZES = (PAGE_SIZE, *(1 << n for n in (9, 10, 11, 13, 14, 15, 16)))
FILE_HEADER = 100  # octets, before the first page's own
WAL_HEADER, FRAME_HEADER = 32, 24  # octets
TABLE_LEAF = 0x0D
LEAF_HEADER = 8  # octets
DIGEST_OCTETS = 64
COLUMNS = 4
DIGEST = re.compile(rb"[0-9a-f]{64}")
Octets = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class Rescued:
    """A mail; `is_whole` where its bytes have its digest."""

    digest: str  # SHA-256, hex
    content: bytes = field(repr=False)
    is_whole: bool


def rescue(path: Path) -> Iterator[Rescued]:
    """Every mail that can be found in the file and its write-ahead log; a whole one once, a damaged one after those.

    Raises OSError where the file cannot be read.
    """
    log = path.with_name(path.name + "-wal")
    with _mapped(path) as main, _mapped(log) if log.exists() else nullcontext(b"") as wal:
        yield from _find(main, wal)


@contextmanager
def _mapped(path: Path) -> Iterator[Octets]:
    """A file's octets, without reading them all into memory."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            yield octets


def _find(main: Octets, wal: Octets) -> Iterator[Rescued]:
    damaged: dict[str, bytes] = {}
    whole: set[str] = set()
    for size in dict.fromkeys((_page_size(main), *PAGE_SIZES)):
        for digest, content in _Pages(main, wal, size).mails():
            if hashlib.sha256(content).hexdigest() != digest:
                damaged[digest] = max(damaged.get(digest, b""), content, key=len)
            elif digest not in whole:
                whole.add(digest)
                yield Rescued(digest, content, True)
        if whole:
            break
    for digest, content in damaged.items():
        if digest not in whole:
            yield Rescued(digest, content, False)


def _page_size(main: Octets) -> int:
    size = int.from_bytes(main[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size in PAGE_SIZES else PAGE_SIZE


class _Pages:
    """The pages of a file, and the newer ones of its write-ahead log."""

    def __init__(self, main: Octets, wal: Octets, size: int) -> None:
        self._main, self._logged, self._size = main, len(wal), size
        self._newer: dict[int, list[bytes]] = {}  # by number, the newest last
        for at in range(WAL_HEADER, len(wal) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
            page = wal[at + FRAME_HEADER : at + FRAME_HEADER + size]
            self._newer.setdefault(int.from_bytes(wal[at : at + 4], "big"), []).append(page)

    def mails(self) -> Iterator[tuple[str, bytes]]:
        """The digest and the content of each row of `raw_mail`, in every way that its pages can be put together."""
        for number in range(1, len(self._main) // self._size + 1):
            yield from self._leaf(self._old(number), FILE_HEADER if number == 1 else 0)
        for number, pages in self._newer.items():
            for page in pages:
                yield from self._leaf(page, FILE_HEADER if number == 1 else 0)

    def _old(self, number: int) -> bytes:
        return self._main[(number - 1) * self._size : number * self._size]

    def _leaf(self, page: bytes, start: int) -> Iterator[tuple[str, bytes]]:
        if len(page) < self._size or page[start] != TABLE_LEAF:
            return
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + LEAF_HEADER
        for at in range(first, min(first + 2 * count, self._size - 1), 2):
            yield from self._cell(page, int.from_bytes(page[at : at + 2], "big"))

    def _cell(self, page: bytes, at: int) -> Iterator[tuple[str, bytes]]:
        payload, at = _varint(page, at)
        _row, at = _varint(page, at)
        local = self._local(payload)
        record = page[at : at + local]
        where = _content(record, payload)
        if where is None:
            return
        digest, begin = where
        if local == payload:
            yield digest, record[begin:]
            return
        overflow = int.from_bytes(page[at + local : at + local + 4], "big")
        for is_newest in (True, False) if self._newer else (False,):
            rest = self._overflow(overflow, payload - local, is_newest)
            yield digest, record[begin:] + rest

    def _local(self, payload: int) -> int:
        """How much of a payload lies on the leaf (file format, section 1.6)."""
        usable = self._size
        most = usable - 35
        if payload <= most:
            return payload
        least = (usable - 12) * 32 // 255 - 23
        fits = least + (payload - least) % (usable - 4)
        return fits if fits <= most else least

    def _overflow(self, number: int, wanted: int, is_newest: bool) -> bytes:
        """The rest of a payload, as far as its chain of pages leads."""
        found = bytearray()
        if wanted > len(self._main) + self._logged:  # a damaged length, whose chain may lead in a circle
            return b""
        while number and len(found) < wanted:
            page = self._newer[number][-1] if is_newest and number in self._newer else self._old(number)
            if len(page) < self._size:
                break
            found += page[4 : 4 + wanted - len(found)]
            number = int.from_bytes(page[:4], "big")
        return bytes(found)


def _content(record: bytes, payload: int) -> tuple[str, int] | None:
    """The digest in a record of `raw_mail`, and where its content begins; None for a record of another table."""
    head, at = _varint(record, 0)
    types = []
    while at < head <= len(record):
        kind, at = _varint(record, at)
        types.append(kind)
    # no place: what has one has no content
    if len(types) != COLUMNS or types[0] != 13 + 2 * DIGEST_OCTETS or types[2] or types[3] < 12 or types[3] % 2:
        return None
    digest = record[head : head + DIGEST_OCTETS]
    begin = head + DIGEST_OCTETS + _integer_octets(types[1])
    if not DIGEST.fullmatch(digest) or begin + (types[3] - 12) // 2 != payload:
        return None
    return digest.decode("ascii"), begin


def _integer_octets(kind: int) -> int:
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer, and where it ends; 0 beyond the end of the data."""
    value = 0
    for count in range(9):
        octet = data[at + count] if at + count < len(data) else 0
        if count == 8:
            return value << 8 | octet, at + 9
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + count + 1
    return value, at + 9

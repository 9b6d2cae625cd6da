"""A picture of two rows of numbers, as PNG, with nothing but the standard library.

What is drawn are bars, lines and the numbers of the scale: some 60 lines, where an imaging library would be 20 MB for one
picture a month. Words stand in the mail beside it, where they can be read aloud and translated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 220  # pixels
LEFT, BOTTOM, TOP = 90, 20, 10  # margins
COLOURS = ((0x2F, 0x6F, 0xB5), (0xE0, 0x8A, 0x1E))  # blue and orange: told apart by everybody, on white and on black
PAPER, GRID, INK = (0xFF, 0xFF, 0xFF), (0xDD, 0xDD, 0xDD), (0x55, 0x55, 0x55)
DIGITS = {  # 3 by 5 pixels, a row an octal digit
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71111",
    "8": "75757", "9": "75717",
}  # fmt: skip
SCALE = 2  # of the digits
STEPS = (1, 2, 5)


def bars(first: Sequence[int], second: Sequence[int]) -> bytes:
    """A PNG with two bars for each place of the rows, which are of one length; places are numbered from 1."""
    canvas = _Canvas()
    top = max(*first, *second, 1, 1)
    step = _step(top)
    top = -(-top // step) * step
    floor, height = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    for value in range(0, top + 1, step):
        y = floor - value * height // top
        canvas.fill(LEFT, y, WIDTH - LEFT - 8, 1, GRID)
        canvas.number(LEFT - 6, y - 5, value)
    room = (WIDTH - LEFT - 8) / max(len(first), 1)
    for place, pair in enumerate(zip(first, second, strict=True)):
        x = LEFT + int(place * room)
        for n, (value, colour) in enumerate(zip(pair, COLOURS, strict=True)):
            tall = value * height // top
            canvas.fill(x + 1 + n * int(room * 0.45), floor - tall, max(int(room * 0.45), 1), tall, colour)
        if place % 5 == 4 or place == 0:
            canvas.number(x + int(room), floor + 6, place + 1)
    return canvas.png()


def _step(top: int) -> int:
    """How far apart the lines of the scale are, so that there are five at most."""
    power = 1
    while True:
        for factor in STEPS:
            if top <= 5 * factor * power:
                return factor * power
        power *= 10


class _Canvas:
    """Pixels, three octets each."""

    def __init__(self) -> None:
        self._rows = [bytearray(bytes(PAPER) * WIDTH) for _ in range(HEIGHT)]

    def fill(self, x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        for row in self._rows[max(y, 0) : max(y + height, 0)]:
            row[3 * x : 3 * (x + width)] = bytes(colour) * width

    def number(self, right: int, y: int, value: int) -> None:
        """A number that ends there."""
        text = str(value)
        for n, digit in enumerate(text):
            x = right - (len(text) - n) * 4 * SCALE
            for line, bits in enumerate(DIGITS[digit]):
                for column in range(3):
                    if x >= 0 and int(bits, 8) & (4 >> column):
                        self.fill(x + column * SCALE, y + line * SCALE, SCALE, SCALE, INK)

    def png(self) -> bytes:
        """The picture (ISO/IEC 15948): 8 bits, RGB, no filter."""
        pixels = b"".join(b"\0" + row for row in self._rows)
        head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

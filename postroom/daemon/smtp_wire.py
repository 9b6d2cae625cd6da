"""What did the client send? Octets, cut into command lines and message contents by the letter of RFC 5321.

Only CRLF ends a line and only CRLF.CRLF ends a content (§2.3.8, §4.1.1.4): whoever reads any other ending as
one can be made to take the rest of a message for commands (SMTP smuggling, CVE-2023-51764).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

MAX_LINE = 2048  # octets of a command with its CRLF; 512 and what extensions add (RFC 5321 §4.5.3.1.4)
MAX_WAITING = 128 << 10  # octets that are kept unread before the client is made to wait
END_OF_CONTENT = b"\r\n.\r\n"
HEADER_SCANNED = 256 << 10  # octets

RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


Hold = Callable[[int], bool]


class HungUp(Exception):
    """The client is gone, or sends no more."""


class LineTooLong(Exception):
    """A command line of more than MAX_LINE octets; it has been read to its end."""


class Wire:
    """The octets of one connection that nobody has read yet. Lives on the event loop."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._news: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._paused = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Octets come from here now."""
        self._transport = transport
        self._paused = False

    def feed(self, data: bytes) -> None:
        """The client sent this."""
        if self._ended:
            return
        self._buffer += data
        if len(self._buffer) > MAX_WAITING and self._transport and not self._paused:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def end(self) -> None:
        """Nothing more will come: the client has ended, or we have ended with it and throw the rest away."""
        self._ended = True
        self._resume()
        self._wake()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been read."""
        return not self._buffer

    async def line(self) -> bytes:
        """The next line as sent, up to and with its LF. Raises HungUp, LineTooLong."""
        too_long = False
        while (at := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                too_long = True
                self._buffer.clear()
            await self._more()
        line = bytes(self._buffer[: at + 1])
        del self._buffer[: at + 1]
        if too_long or len(line) > MAX_LINE:
            raise LineTooLong
        return line

    async def content(self, limit: int, hold: Hold = lambda octets: True) -> bytes | None:
        """A content up to its CRLF.CRLF, dots unstuffed (RFC 5321 §4.5.2); None for one of more than `limit` octets.

        It is unstuffed piece by piece as it comes, so that a large one holds nobody up at its end. `hold` is asked before
        so many octets more are kept (or, below 0, given back). What is too long, or may not be kept, is read to its end and thrown away on the way.
        Raises HungUp.
        """
        content = bytearray()
        undecided = b"\r\n"  # what may be the beginning of an end; a content begins at the beginning of a line
        is_kept = True
        while True:
            data = undecided + self._buffer
            self._buffer.clear()
            at = data.find(END_OF_CONTENT)
            split = at + 2 if at >= 0 else len(data) - _beginning_of_end(data)
            piece = data[:split].replace(b"\r\n.", b"\r\n")
            fits = len(content) + len(piece) - 2 <= limit
            if is_kept and fits and hold(len(piece)):
                content += piece
            elif is_kept:
                is_kept = False
                if not fits:
                    hold(-len(content))
                content.clear()
            if at >= 0:
                self._buffer += data[at + len(END_OF_CONTENT) :]  # what was pipelined behind it
                return bytes(memoryview(content)[2:]) if is_kept else None
            undecided = bytes(data[split:])
            await self._more()

    async def _more(self) -> None:
        """Wait for something new."""
        if self._ended:
            raise HungUp
        self._resume()
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _resume(self) -> None:
        if self._paused and self._transport:
            self._transport.resume_reading()
            self._paused = False

    def _wake(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)


def _beginning_of_end(data: bytes) -> int:
    """How many octets at the end of `data` may be the beginning of CRLF.CRLF."""
    return next((n for n in range(len(END_OF_CONTENT) - 1, 0, -1) if data.endswith(END_OF_CONTENT[:n])), 0)


def has_bare_line_end(data: bytes) -> bool:
    """Whether a CR or an LF stands alone (RFC 5321 §2.3.8 forbids both)."""
    pairs = data.count(b"\r\n")
    return data.count(b"\n") != pairs or data.count(b"\r") != pairs


def count_received(raw: bytes) -> int:
    """How many hosts say that they handed this message on: its Received lines (RFC 5321 §6.3)."""
    end = raw.find(b"\r\n\r\n")
    return len(RECEIVED.findall(raw, 0, min(len(raw) if end < 0 else end, HEADER_SCANNED)))

"""What did the client send? Octets, cut into command lines and message contents by the letter of RFC 5321.

Only CRLF ends a line and only CRLF.CRLF ends a content (§2.3.8, §4.1.1.4): whoever reads any other ending as
one can be made to take the rest of a message for commands (SMTP smuggling, CVE-2023-51764).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_LINE = 2048  # octets of a command with its CRLF; 512 and what extensions add (RFC 5321 §4.5.3.1.4)
MAX_WAITING = 128 << 10  # octets that are kept unread before the client is made to wait
END_OF_CONTENT = b"\r\n.\r\n"
HEADER_SCANNED = 256 << 10  # octets

RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


Hold = Callable[[int], bool]


class LineTooLong(Exception):
    """A command line of more than MAX_LINE octets; it has been read to its end."""


class Wire:
    """The octets of one connection that nobody has read yet."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._searched = 0  # octets without an LF
        self._is_too_long = False  # the line at hand
        self.has_ended = False  # nothing more will come

    def feed(self, data: bytes) -> None:
        """The client sent this."""
        if not self.has_ended:
            self._waiting += data

    def end(self) -> None:
        """Nothing more will come: the client has ended, or we have ended with it and throw the rest away."""
        self.has_ended = True

    def forget(self) -> None:
        """Throw away what nobody has read."""
        self._waiting.clear()
        self._searched, self._is_too_long = 0, False

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been read."""
        return not self._waiting

    @property
    def has_line(self) -> bool:
        """Whether a command can be read."""
        return self._waiting.find(b"\n", self._searched) >= 0

    @property
    def is_full(self) -> bool:
        """Whether so much waits that the client should wait, too."""
        return len(self._waiting) > MAX_WAITING

    def line(self) -> bytes | None:
        """The next line as sent, up to and with its LF; None where it has not come yet. Raises LineTooLong."""
        at = self._waiting.find(b"\n", self._searched)
        if at < 0:
            self._searched = len(self._waiting)
            if self._searched > MAX_LINE:
                self.forget()
                self._is_too_long = True
            return None
        line = bytes(self._waiting[: at + 1])
        del self._waiting[: at + 1]
        was_too_long, self._is_too_long, self._searched = self._is_too_long, False, 0
        if was_too_long or len(line) > MAX_LINE:
            raise LineTooLong
        return line

    def read_into(self, content: Content) -> bool:
        """Move what belongs to the content there; whether it has come to its end. What is pipelined behind it stays."""
        rest = content.take(bytes(self._waiting))
        self.forget()
        if rest is None:
            return False
        self._waiting += rest
        return True


@dataclass(frozen=True, slots=True)
class Mail:
    """A content that has come, and what was seen of it on the way."""

    raw: bytes = field(repr=False)
    digest: str  # SHA-256 of `raw`, hex
    has_bare_line_end: bool


class Content:
    """A content up to its CRLF.CRLF, dots unstuffed (RFC 5321 §4.5.2), of at most `limit` octets.

    It is unstuffed, hashed and looked through piece by piece as it comes, so that a large one holds nobody up at its end.
    `hold` is asked before so many octets more are kept (or, below 0, given back). What is too long, or may not be kept,
    is read to its end and thrown away on the way.
    """

    def __init__(self, limit: int, hold: Hold = lambda octets: True) -> None:
        self._limit = limit
        self._hold = hold
        self._kept: bytes | bytearray = b""
        self._size = -2  # the CRLF that we have put before it
        self._undecided = b"\r\n"  # what may be the beginning of an end; a content begins at the beginning of a line
        self._digest = hashlib.sha256()
        self._is_kept = True
        self._has_bare_line_end = False

    def take(self, data: bytes) -> bytes | None:
        """More of it; where that was the end, what came behind it, else None."""
        data = self._undecided + data
        at = data.find(END_OF_CONTENT)
        split = at + 2 if at >= 0 else len(data) - _beginning_of_end(data)
        self._keep(data[:split].replace(b"\r\n.", b"\r\n"))
        if at >= 0:
            return data[at + len(END_OF_CONTENT) :]
        self._undecided = data[split:]
        return None

    def _keep(self, piece: bytes) -> None:
        """It never ends between a CR and its LF: those may be the beginning of an end."""
        if not self._is_kept or not piece:
            return
        fits = self._size + len(piece) <= self._limit
        if not (fits and self._hold(len(piece))):
            self._is_kept = False
            if not fits:
                self._hold(-(self._size + 2))
            self._kept = b""
            return
        self._has_bare_line_end = self._has_bare_line_end or has_bare_line_end(piece)
        self._size += len(piece)
        if self._size == len(piece) - 2:  # the first; mostly it is the whole mail, and is not copied again
            piece = self._kept = piece[2:]
        else:
            if isinstance(self._kept, bytes):
                self._kept = bytearray(self._kept)
            self._kept += piece
        self._digest.update(piece)

    def mail(self) -> Mail | None:
        """What has come, once its end has; None where it was too long or could not be held."""
        if not self._is_kept:
            return None
        return Mail(bytes(self._kept), self._digest.hexdigest(), self._has_bare_line_end)


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

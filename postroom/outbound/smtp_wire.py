"""One connection to a server that speaks in replies (RFC 5321 §4.2): what it says, in order, however it is cut up.

Several commands may be on their way at once (RFC 2920): each reply is kept until it is asked for. What a server can make
us hold is bounded.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from postroom.saying import Saying

LINE_MAX = 8192  # octets; RFC 5321 §4.5.3.1.5 has 512, and servers are talkative
REPLY_MAX = 64 << 10  # octets of all lines of one reply
REPLIES_MAX = 100  # that nobody asked for
CLOSED = Saying("the connection was closed")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)

Narrator = Callable[[str, str], None]  # who ("client", "server", "note"), and a line of the dialogue without secrets


class WireLost(Exception):
    """The connection is over: it ended, fell silent, or says what is no SMTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answers."""

    code: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.code} {one_line(' '.join(self.lines))}".rstrip()


class Wire(asyncio.Protocol):
    """A connection; every method but `abort` raises WireLost."""

    def __init__(self, narrate: Narrator = lambda who, line: None) -> None:
        self._narrate = narrate
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._lines: list[str] = []  # of the reply that is coming in
        self._octets = 0  # of these
        self._replies: deque[Reply] = deque()
        self._lost: str | None = "not connected"
        self._changed = asyncio.Event()  # a reply came, the connection ended, or there is room to write again
        self._is_full = False

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there; also when TLS has begun."""
        self._transport, self._lost = cast("asyncio.Transport", transport), None

    def data_received(self, data: bytes) -> None:
        """Some octets: none, one or several lines."""
        if self._lost is not None:
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if not self._take(line):
                return
        if len(self._buffer) > LINE_MAX:
            self._lose("an endless line")

    def connection_lost(self, error: Exception | None) -> None:
        """It ended."""
        self._lose(one_line(str(error)) if error and str(error) else "the connection was closed")

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_full = False
        self._changed.set()

    def _take(self, line: bytes) -> bool:
        found = REPLY_LINE.fullmatch(line)
        self._octets += len(line)
        if found is None or self._octets > REPLY_MAX or len(self._replies) >= REPLIES_MAX:
            what = "says too much" if found else f"says what is no reply: {line[:80].decode('ascii', 'replace')!r}"
            self._lose(f"the server {what}")
            return False
        self._lines.append((found[3] or b"").decode("utf-8", "replace").strip())
        self._narrate("server", line.decode("utf-8", "replace"))
        if found[2] != b"-":
            self._replies.append(Reply(int(found[1]), tuple(self._lines)))
            self._lines, self._octets = [], 0
            self._changed.set()
        return True

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            self.abort()
        self._changed.set()

    # -- what we call

    @property
    def is_quiet(self) -> bool:
        """Whether it is there, and has said nothing that nobody asked for."""
        return self._lost is None and not self._replies and not self._buffer and not self._lines

    @property
    def has_answered(self) -> bool:
        """Whether there is a reply to read, or will never be one."""
        return bool(self._replies) or self._lost is not None

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    @property
    def certificate_ends(self) -> datetime | None:
        """Until when the server's certificate is valid; None in the clear."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return certificate_end(tls.getpeercert()) if tls else None

    @property
    def tls_version(self) -> str:
        """The version of TLS that is spoken."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return f"{tls.version()} {tls.cipher()[0]}" if tls else ""

    def write(self, data: bytes) -> None:
        """Hand octets to the network; `drain` before much more."""
        if self._lost is not None or self._transport is None:
            raise WireLost(self._lost)
        self._transport.write(data)

    async def drain(self, seconds: float) -> None:
        """Until the network takes more, or the server says something."""
        await asyncio.sleep(0)  # hear it, also where the network takes everything
        while self._is_full and not self.has_answered:
            await self._wait(seconds)

    async def reply(self, seconds: float) -> Reply:
        """The next reply."""
        while not self._replies:
            if self._lost is not None:
                raise WireLost(self._lost)
            await self._wait(seconds)
        return self._replies.popleft()

    async def _wait(self, seconds: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            self.abort()
            raise WireLost(Saying("the server fell silent for %(seconds)s s", seconds=f"{seconds:g}")) from None

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Encrypt from here on. What came in the clear behind the server's word to begin is an attack (RFC 3207 §4.2)."""
        if self._transport is None or not self.is_quiet:
            self._lose("the server, or somebody on the way, spoke in the clear after STARTTLS")
            raise WireLost(self._lost)
        transport = await asyncio.get_running_loop().start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=seconds
        )
        if transport is None:
            raise WireLost(CLOSED)
        self._transport = transport

    def abort(self) -> None:
        """Let go of the connection, at once."""
        if self._lost is None:
            self._lost = CLOSED
        if self._transport is not None:
            self._transport.abort()


def certificate_end(certificate: Mapping[str, Any] | None) -> datetime | None:
    """Until when a certificate, as `getpeercert()` gives it, is valid."""
    end = (certificate or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(end)), UTC) if end else None


def one_line(text: str) -> str:
    """A peer's words in one printable line: they are data, and may end in a log or a database."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())

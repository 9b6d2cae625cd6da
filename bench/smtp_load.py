"""SMTP clients to measure with: many at once on one event loop, so cheap that the server is what is measured.

Each waits for every answer before it says the next thing, as clients do that do not pipeline.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

SECONDS_MAX = 600.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail to be sent: its envelope, and its content with dots stuffed and the final dot."""

    sender: str
    recipient: str
    content: bytes


@dataclass(slots=True)
class Load:
    """What the clients saw."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)  # seconds from the final dot to its 250
    refused: list[str] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """So large a share of the waits was no longer than this."""
        waits = sorted(self.waits)
        return 1000 * waits[min(len(waits) - 1, int(len(waits) * share))] if waits else 0.0


class Sender(asyncio.Protocol):
    """One client: takes parcels from a queue until none is left."""

    def __init__(self, parcels: deque[Parcel], keep: bool, load: Load, on_done: Callable[[], None]) -> None:
        self._parcels, self._keep, self._load, self._on_done = parcels, keep, load, on_done
        self._buffer = b""
        self._step = "greeting"
        self._parcel: Parcel | None = None
        self._dot = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            if line[3:4] != b"-":
                self._answered(line)

    def connection_lost(self, error: Exception | None) -> None:
        if self._step != "quit":
            self._load.refused.append(f"cut off at {self._step}: {error}")
        self._on_done()

    def _answered(self, line: bytes) -> None:
        write = self._transport.write
        expected = {"greeting": b"220", "data": b"354", "quit": b"221"}.get(self._step, b"250")
        if not line.startswith(expected):
            self._load.refused.append(f"{self._step}: {line.decode('utf-8', 'replace')}")
            self._step = "quit"
            self._transport.close()
        elif self._step == "greeting":
            self._step = "ehlo"
            write(b"EHLO client.example\r\n")
        elif self._step in {"ehlo", "dot"}:
            if self._step == "dot":
                self._load.waits.append(time.perf_counter() - self._dot)
            self._begin(self._step == "ehlo")
        elif self._step == "mail":
            assert self._parcel
            self._step = "rcpt"
            write(b"RCPT TO:<%s>\r\n" % self._parcel.recipient.encode())
        elif self._step == "rcpt":
            self._step = "data"
            write(b"DATA\r\n")
        elif self._step == "data":
            assert self._parcel
            self._step = "dot"
            self._dot = time.perf_counter()
            write(self._parcel.content)

    def _begin(self, is_first: bool) -> None:
        if not self._parcels or not (self._keep or is_first):
            self._step = "quit"
            self._transport.write(b"QUIT\r\n")
            return
        self._parcel = self._parcels.popleft()
        self._step = "mail"
        self._transport.write(b"MAIL FROM:<%s>\r\n" % self._parcel.sender.encode())


def send(port: int, lanes: Sequence[Sequence[Parcel]], keep: bool = True) -> Load:
    """Send each lane's parcels in their order by a client of its own; `keep` False: each on a new connection."""
    return asyncio.run(_send(port, lanes, keep))


async def _send(port: int, lanes: Sequence[Sequence[Parcel]], keep: bool) -> Load:
    load = Load()
    loop = asyncio.get_running_loop()

    async def client(parcels: deque[Parcel]) -> None:
        while parcels and not load.refused:
            gone = asyncio.Event()
            await loop.create_connection(lambda: Sender(parcels, keep, load, gone.set), "127.0.0.1", port)  # noqa: B023
            await asyncio.wait_for(gone.wait(), SECONDS_MAX)

    began = time.perf_counter()
    await asyncio.gather(*(client(deque(lane)) for lane in lanes))
    load.seconds = time.perf_counter() - began
    return load


def dealt(parcels: Sequence[Parcel], clients: int) -> list[list[Parcel]]:
    """Deal them out to so many clients."""
    return [list(parcels[number::clients]) for number in range(clients)]

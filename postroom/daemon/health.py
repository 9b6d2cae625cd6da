"""`[health]`: is it alive, is it ready, how does it fare? A page each, over HTTP on a port of its own.

Only GET of three paths, one answer a connection. Whoever is slow, says too much or comes in crowds is cut off: mail goes on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from postroom.errors import UserError
from postroom.logger import structlog

REQUEST_SECONDS = 5.0  # to say what is wanted, and to take the answer
REQUEST_OCTETS = 8 << 10
CLIENTS_MAX = 20
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"


Pages = dict[str, Callable[[], Awaitable[Page]]]


def as_json(is_well: bool, **facts: object) -> Page:
    """200 where all is well, else 503; with the facts."""
    body = json.dumps({"ok": is_well, **facts}, default=str, sort_keys=True) + "\n"
    return Page(200 if is_well else 503, body.encode(), "application/json")


class HealthServer:
    """The port."""

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        self._host, self._port, self._pages = host, port, pages
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> int:
        """Listen; the port. Raises UserError where that cannot be."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=REQUEST_OCTETS)
        except OSError as error:
            raise UserError(f"health.listen: cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS_MAX:
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._clients -= 1
            if self._clients >= CLIENTS_MAX:
                writer.transport.abort()
            else:
                writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), REQUEST_SECONDS)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        page = await self._page(words)
        began = f"HTTP/1.1 {page.status} {REASONS[page.status]}\r\nContent-Type: {page.kind}\r\nContent-Length: {len(page.body)}\r\n"
        writer.write(f"{began}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode())
        if words[0] != "HEAD":
            writer.write(page.body)
        await writer.drain()

    async def _page(self, words: list[str]) -> Page:
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return Page(400, b"bad request\n")
        if words[0] not in ("GET", "HEAD"):
            return Page(405, b"only GET\n")
        page = self._pages.get(words[1].partition("?")[0])
        if page is None:
            return Page(404, b"there are /healthz, /readyz and /metrics\n")
        try:
            return await page()
        except Exception:  # a page that breaks says so, and hurts nobody else
            log.exception("failed", job="health page")
            return Page(503, b"it failed; see the log\n")


class Cached:
    """What is worked out at most once in so many seconds, in a thread, however many ask."""

    def __init__(self, seconds: float, work: Callable[[], bytes]) -> None:
        self._seconds, self._work = seconds, work
        self._lock = asyncio.Lock()
        self._made = -seconds
        self._value = b""

    async def get(self) -> bytes:
        """The value, fresh enough."""
        async with self._lock:
            if time.monotonic() - self._made > self._seconds:
                self._value = await asyncio.to_thread(self._work)
                self._made = time.monotonic()
            return self._value

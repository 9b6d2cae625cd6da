"""Our own SMTP door in this process: server, intake and store on an event loop of its own, and a client that speaks raw.

with Door(tmp_path, max_size=1000) as door, door.client() as client:
    client.say("EHLO client.example")
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import Row

from postroom.config import Config, parse
from postroom.daemon.intake import Intake
from postroom.daemon.smtp import SmtpServer
from postroom.store import inbound, migrate
from postroom.store.engine import Store

T = TypeVar("T")

SECONDS = 20.0  # for anything that a test waits for
MAILBOXES: dict[str, Any] = {
    "support": {"address": "support@example.com", "queue": "support"},
    "sales": {"address": "sales@example.com", "queue": "support", "aliases": ["shop@example.net"]},
}


class Door:
    """Runs while the `with` block does. `smtp` holds keys of `[smtp]`."""

    def __init__(self, folder: Path, *, busy_seconds: float = 0.3, mailbox: Any = None, **smtp: Any) -> None:
        smtp = {"listen": ["127.0.0.1:0"], "hostname": "desk.example", "min_free_disk": 0} | smtp
        allow_zero = {key: smtp.pop(key) for key in ("min_free_disk",)}
        config = parse({"smtp": smtp, "mailbox": MAILBOXES if mailbox is None else mailbox}, folder)
        self.config: Config = msgspec.structs.replace(config, smtp=msgspec.structs.replace(config.smtp, **allow_zero))
        self.store = Store(f"sqlite:///{folder}/postroom.db", busy_seconds)
        self.intake = Intake(self.store, lambda: None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door")

    def __enter__(self) -> Self:
        migrate.upgrade(self.store)
        self.intake.start()
        self._thread.start()
        self.server = self.run(self._open())
        self.port = int(self.server.addresses[0].rpartition(":")[2])
        return self

    async def _open(self) -> SmtpServer:
        server = SmtpServer(self.config, self.store, self.intake)
        await server.start()
        return server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.server.stop(5))
        self.intake.stop()
        self.run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.store.dispose()

    async def _finish(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports that were closed tell their protocols in the next turn

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it on the door's event loop."""
        return self.begin(coroutine).result(SECONDS)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin it on the door's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def client(self, greet: bool = True, host: str = "127.0.0.1") -> Client:
        """A connection; `greet` reads the greeting."""
        client = Client(socket.create_connection((host, self.port), SECONDS))
        if greet:
            assert client.reply().startswith("220 "), "no greeting"
        return client

    def kept(self) -> list[Row[Any]]:
        """What was taken, oldest first."""
        with self.store.read() as connection:
            return list(reversed(inbound.find(connection)))

    def raw(self, inbound_id: int) -> bytes | None:
        """The bytes of a delivery."""
        with self.store.read() as connection:
            return inbound.raw(connection, inbound_id)


class Client:
    """A client that says exactly what it is told."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Send these octets."""
        self.socket.sendall(octets)

    def say(self, line: str) -> str:
        """Send a line, and return the reply to it."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def reply(self) -> str:
        """The next reply, its lines joined by a newline; "" where the connection ended."""
        lines: list[str] = []
        while True:
            line = self._line()
            if not line:
                return "\n".join(lines)
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            try:
                octets = self.socket.recv(65536)
            except ConnectionResetError:
                octets = b""
            if not octets:
                return ""
            self._buffer += octets
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode()

    def begin(self, *recipients: str, sender: str = "ann@example.org", hello: str = "EHLO client.example") -> None:
        """Everything up to DATA, which is answered 354."""
        assert self.say(hello).startswith("250")
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250")
        for recipient in recipients or ("support@example.com",):
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")

    def start_tls(self, ca_file: Path) -> None:
        """Speak TLS from here."""
        context = ssl.create_default_context(cafile=str(ca_file))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

"""An IMAP server that follows a script: ordinary by itself, and wrong exactly where a test says so.

def cut(talk: Talk) -> None:
    talk.until("UID FETCH", "BODY")  # everything before is answered as usual
    talk.say("* 1 FETCH (UID 1 BODY[] {1000}", end="")
    # returning closes the connection

with ScriptedImap({1: raw}, cut) as server:  # the first connection; the following ones are ordinary
    ...
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from peers.certificates import Certificate

CAPABILITIES = "IMAP4rev1 IDLE UIDPLUS MOVE"
SILENCE_SECONDS = 30.0  # a client that says nothing for so long has been forgotten by its test


class Gone(Exception):
    """The client has closed the connection, or the test is over."""


@dataclass(slots=True)
class Command:
    """What the client said."""

    tag: str
    name: str  # upper case; with "UID " before it where it was one
    rest: str


@dataclass(slots=True)
class Talk:
    """One connection."""

    server: ScriptedImap
    connection: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    greeted: bool = False

    def say(self, *lines: str | bytes, end: str = "\r\n") -> None:
        """Send lines; the last with `end`."""
        data = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + end.encode()
        try:
            self.connection.sendall(data)
        except OSError:
            raise Gone from None

    def hear(self) -> str:
        """The next line, without its end."""
        while b"\r\n" not in self.buffer:
            try:
                received = self.connection.recv(65536)
            except OSError:
                raise Gone from None
            if not received:
                raise Gone
            self.buffer += received
        line, _, rest = bytes(self.buffer).partition(b"\r\n")
        self.buffer[:] = rest
        self.server.heard.append(line.decode())
        return line.decode()

    def command(self) -> Command:
        """The next command."""
        tag, name, *rest = self.hear().split(" ", 2)
        words = rest[0] if rest else ""
        if name.upper() == "UID":
            verb, _, words = words.partition(" ")
            name = f"UID {verb}"
        return Command(tag, name.upper(), words)

    def until(self, name: str, containing: str = "", greeting: str = "* OK ready") -> Command:
        """Be an ordinary server until this command comes; the command, unanswered."""
        if not self.greeted:
            self.greeted = True
            self.say(greeting)
        while True:
            command = self.command()
            if command.name == name and containing in command.rest:
                return command
            self.answer(command)

    def serve(self, greeting: str = "* OK ready") -> None:
        """Be an ordinary server to the end."""
        self.until("no such command", greeting=greeting)

    def ok(self, command: Command) -> None:
        """Say that a command is done."""
        self.say(f"{command.tag} OK done")

    def answer(self, command: Command) -> None:
        """Do as an ordinary server does."""
        server = self.server
        match command.name:
            case "CAPABILITY":
                self.say(f"* CAPABILITY {server.capabilities}")
            case "SELECT" | "EXAMINE":
                self.say(
                    f"* {len(server.messages)} EXISTS", "* 0 RECENT", "* FLAGS (\\Seen \\Deleted)",
                    f"* OK [PERMANENTFLAGS ({server.permanent_flags})] ok", f"* OK [UIDVALIDITY {server.uidvalidity}] ok",
                )  # fmt: skip
            case "UID SEARCH":
                self.say(" ".join(["* SEARCH", *map(str, server.messages)]))
            case "UID FETCH":
                numbers = {uid: number for number, uid in enumerate(server.messages, 1)}
                for uid in map(int, command.rest.split()[0].split(",")):
                    if uid in server.messages:
                        self.say(server.fetched(numbers[uid], uid, command.rest))
            case "UID STORE":
                uids, _, flags = command.rest.split(" ", 2)
                for uid in map(int, uids.split(",")):
                    server.flags.setdefault(uid, set()).update(flags.strip("()").split())
            case "UID EXPUNGE":
                for uid in map(int, command.rest.split(",")):
                    server.messages.pop(uid, None)
            case "UID COPY" | "UID MOVE":
                for uid in map(int, command.rest.split()[0].split(",")):
                    server.copied.append(uid)
                    if command.name == "UID MOVE":
                        server.messages.pop(uid, None)
            case "IDLE":
                self.say("+ idling")
                self.hear()
        self.ok(command)


class ScriptedImap:
    """Runs while the `with` block does. Each connection follows the next script; when they are used up, it serves."""

    host = "127.0.0.1"

    def __init__(
        self, messages: dict[int, bytes], *scripts: Callable[[Talk], None], capabilities: str = CAPABILITIES,
        tls: Certificate | None = None,
    ) -> None:  # fmt: skip
        """`messages`: by UID, oldest first. `tls`: for `wrap()`."""
        self.messages = dict(messages)
        self.sizes: dict[int, int] = {}  # by UID, where RFC822.SIZE is to lie
        self.flags: dict[int, set[str]] = {}
        self.copied: list[int] = []
        self.heard: list[str] = []  # every line of every client
        self.capabilities = capabilities
        self.permanent_flags = "\\Seen \\Deleted \\*"
        self.uidvalidity = 1
        self.connections = 0
        self.over = threading.Event()  # the test is
        self._scripts = list(scripts)
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SILENCE_SECONDS)
        self._listener.close()

    def mend(self) -> None:
        """Be ordinary from the next connection on."""
        self._scripts.clear()

    def names(self) -> list[str]:
        """The commands of all clients, in order, without their arguments."""
        words = [line.upper().split() for line in list(self.heard)]
        return [" ".join(w[1:3]) if w[1] == "UID" else w[1] for w in words if len(w) > 1]

    def fetched(self, number: int, uid: int, wanted: str) -> bytes:
        """An ordinary FETCH response, without its end."""
        raw = self.messages[uid]
        if "RFC822.SIZE" in wanted:
            return f"* {number} FETCH (UID {uid} RFC822.SIZE {self.sizes.get(uid, len(raw))})".encode()
        date = '"23-Nov-2026 20:05:00 +0100"'
        return f"* {number} FETCH (UID {uid} INTERNALDATE {date} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")"

    def wrap(self, talk: Talk) -> None:
        """Go on in TLS."""
        assert self._tls is not None
        try:
            talk.connection = self._tls.server_context().wrap_socket(talk.connection, server_side=True)
        except OSError:
            raise Gone from None

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(IndexError):  # mended meanwhile, perhaps
                script: Callable[[Talk], None] = Talk.serve
                script = self._scripts.pop(0)
            self._start(functools.partial(self._follow, connection, script))

    def _follow(self, connection: socket.socket, script: Callable[[Talk], None]) -> None:
        connection.settimeout(SILENCE_SECONDS)
        talk = Talk(self, connection)
        self._open.add(connection)
        try:
            with contextlib.suppress(Gone):
                script(talk)
        finally:
            self._open.discard(connection)
            talk.connection.close()
            connection.close()

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()


def uid_list(command: Command) -> Iterable[int]:
    """The UIDs that a command names."""
    first = command.rest.split()[0]
    assert re.fullmatch(r"\d+(,\d+)*", first), f"not a plain list: {first}"
    return map(int, first.split(","))

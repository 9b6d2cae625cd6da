"""A recording SMTP server whose answers are scripted, verb by verb.

    with Smarthost() as smarthost:
        smarthost.on("RCPT", "450 4.2.1 busy", match="bob@", times=1)
        smarthost.on("DOT", CUT)  # the content arrived, the answer never does
        ...
        smarthost.wait_for(1).content

Verbs are those of SMTP, and CONNECT (the greeting), CONTENT (in the middle of the message's content) and DOT
(after the final dot). Without a script it takes everything. It speaks LMTP where it is greeted with LHLO.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.message
import enum
import hmac
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from peers.certificates import Certificate
from peers.processes import free_port, wait_until

LINE_MAX = 1 << 20  # octets; a server for tests takes what comes
OFFERS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
MIDDLE = 64  # octets of the content that are read before CONTENT's script is looked at


class Fault(enum.Enum):
    """What it does instead of answering."""

    CUT = "cut"  # close the connection; at DOT the message is not taken
    TAKE_AND_CUT = "take and cut"  # at DOT: the message is taken, but the 250 is lost
    STALL = "stall"  # say nothing, keep the connection, until `release()` or the client goes


CUT, TAKE_AND_CUT, STALL = Fault.CUT, Fault.TAKE_AND_CUT, Fault.STALL


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that it took."""

    sender: str  # MAIL FROM, without its brackets
    recipients: tuple[str, ...]
    content: bytes
    at: datetime
    user: str | None  # who logged in
    connection: int  # the number of the connection, from 1
    parameters: tuple[str, ...] = ()  # of MAIL and RCPT: "SIZE=12", "NOTIFY=FAILURE,DELAY"
    encrypted: bool = False

    @property
    def message(self) -> email.message.Message:
        """The content, parsed."""
        return email.message_from_bytes(self.content)


@dataclass(slots=True)
class _Rule:
    verb: str
    action: str | Fault | None  # None: answer as usual, after `call`
    match: str
    times: int  # how often it still applies; -1 for ever
    after: int  # how many to let pass before
    call: Callable[[], object] | None


@dataclass(slots=True)
class _Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    user: str | None = None
    encrypted: bool = False


class _Gone(Exception):
    """This connection is over."""


class Smarthost:
    """Runs in a thread of its own while the `with` block does."""

    def __init__(
        self,
        certificate: Certificate | None = None,
        logins: Mapping[str, str] | None = None,
        *,
        mechanisms: str = "PLAIN LOGIN",
        offers: Sequence[str] = OFFERS,
        implicit_tls: bool = False,
        socket: str = "",
    ) -> None:
        """`certificate`: offers STARTTLS. `logins`: user → password or token; AUTH is then required before MAIL.

        `offers` are the lines of its EHLO. `implicit_tls`: TLS from the first octet. `socket`: a Unix socket to listen on.
        """
        self.mechanisms, self.offers, self.implicit_tls, self.socket = mechanisms, tuple(offers), implicit_tls, socket
        self.host = "127.0.0.1"
        self.port = 0
        self.certificate = certificate
        self.logins = dict(logins or {})
        self.commands: Counter[str] = Counter()  # how often each verb came
        self.connections = 0
        self._messages: list[Taken] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()

    # -- what a test says and asks

    def on(
        self,
        verb: str,
        action: str | Fault | None = None,
        *,
        match: str = "",
        times: int = -1,
        after: int = 0,
        call: Callable[[], object] | None = None,
    ) -> None:
        """Answer `verb` with `action` (a reply such as "450 4.2.1 busy", or a Fault) where its line holds `match`.

        It applies `times` often (-1: for ever), the first `after` not counted; the newest rule that applies wins.
        `call` runs first, in the server's thread: to kill the client at this very moment, say.
        """
        with self._lock:
            self._rules.insert(0, _Rule(verb.upper(), action, match.lower(), times, after, call))

    def reset(self) -> None:
        """Forget every rule, and let go of what stalls: from now on it takes everything."""
        with self._lock:
            self._rules.clear()
        self.release()

    def release(self) -> None:
        """Let every stalled answer go out as if it had only been slow."""

        def release() -> None:
            self._released.set()
            self._released = asyncio.Event()

        self._loop.call_soon_threadsafe(release)

    @property
    def messages(self) -> list[Taken]:
        """What it took so far, in order."""
        with self._lock:
            return list(self._messages)

    def wait_for(self, count: int, seconds: float = 20.0) -> Taken:
        """Wait until it took `count` messages in all; the last of these. Raises TimeoutError."""
        wait_until(lambda: len(self.messages) >= count, f"{count} messages; came: {len(self.messages)}", seconds)
        return self.messages[count - 1]

    def to(self, recipient: str) -> list[Taken]:
        """The messages taken for a recipient."""
        return [taken for taken in self.messages if recipient in taken.recipients]

    # -- up and down

    def __enter__(self) -> Self:
        self.port = free_port()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smarthost", daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        """Listen (again), on the same port."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def stop(self) -> None:
        """Stop listening, and cut every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    async def _listen(self) -> None:
        if self._server is None:
            if self.socket:
                self._server = await asyncio.start_unix_server(self._serve, self.socket, limit=LINE_MAX)
                return
            tls = self.certificate.server_context() if self.certificate and self.implicit_tls else None
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=LINE_MAX, ssl=tls)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    # -- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        self.connections += 1
        try:
            await self._talk(_Session(reader, writer, self.connections, encrypted=self.implicit_tls))
        except (_Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(task)
            writer.transport.abort()

    async def _talk(self, session: _Session) -> None:
        await self._answer(session, "CONNECT", "", "220 smarthost.test ESMTP")
        while line := await session.reader.readline():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text.partition(" ")[0].upper()
            self.commands[verb] += 1
            match verb:
                case "EHLO" | "LHLO":
                    await self._answer(session, verb, text, self._greeting(session))
                case "STARTTLS" if self.certificate and not session.encrypted:
                    if await self._answer(session, verb, text, "220 2.0.0 go ahead"):
                        await session.writer.start_tls(self.certificate.server_context())
                        session.sender, session.user, session.encrypted = None, None, True
                case "AUTH":
                    await self._authenticate(session, text)
                case "MAIL" if self.logins and session.user is None:
                    await self._send(session, "530 5.7.0 log in first")
                case "MAIL":
                    if await self._answer(session, verb, text, "250 2.1.0 ok"):
                        session.sender, session.recipients = _path(text), []
                        session.parameters = text.partition(">")[2].split()
                case "RCPT":
                    if await self._answer(session, verb, text, "250 2.1.5 ok"):
                        session.recipients.append(_path(text))
                        session.parameters += text.partition(">")[2].split()
                case "DATA":
                    await self._take(session, text)
                case "RSET":
                    session.sender, session.recipients = None, []
                    await self._answer(session, verb, text, "250 2.0.0 ok")
                case "QUIT":
                    await self._answer(session, verb, text, "221 2.0.0 bye")
                    return
                case "NOOP" | "HELO":
                    await self._answer(session, verb, text, "250 ok")
                case _:
                    await self._answer(session, verb, text, "502 5.5.2 unknown")

    def _greeting(self, session: _Session) -> str:
        offers = list(self.offers)
        if self.certificate and not session.encrypted:
            offers.append("STARTTLS")
        if self.logins:
            offers.append(f"AUTH {self.mechanisms}")
        lines = ["smarthost.test", *offers]
        return "\r\n".join(f"250{' ' if at == len(lines) - 1 else '-'}{line}" for at, line in enumerate(lines))

    async def _authenticate(self, session: _Session, text: str) -> None:
        _verb, mechanism, *initial = text.split()
        self.commands[f"AUTH {mechanism}"] += 1
        if mechanism == "PLAIN":
            answer = initial[0] if initial else await self._ask(session, "")
            _, user, password = base64.b64decode(answer).decode().split("\0")
        elif mechanism == "CRAM-MD5":
            challenge = f"<{session.number}.1@smarthost.test>"
            user, digest = base64.b64decode(await self._ask(session, challenge)).decode().split(" ")
            wanted = hmac.new(self.logins.get(user, "").encode(), challenge.encode(), "md5").hexdigest()
            password = self.logins.get(user, "") if hmac.compare_digest(digest, wanted) else "wrong"
        elif mechanism in ("XOAUTH2", "OAUTHBEARER"):
            said = base64.b64decode(initial[0]).decode()
            found = re.search(r"(?:user=|a=)([^,\x01]+).*\x01auth=Bearer ([^\x01]+)\x01\x01$", said, re.DOTALL)
            user, password = (found[1], found[2]) if found else ("", "")
            if self.logins.get(user) != password:
                await self._ask(session, '{"status":"401"}')
        else:
            first = initial[0] if initial else await self._ask(session, "Username:")
            user = base64.b64decode(first).decode()
            password = base64.b64decode(await self._ask(session, "Password:")).decode()
        good = self.logins.get(user) == password
        if await self._answer(session, "AUTH", text, "235 2.7.0 ok" if good else "535 5.7.8 wrong user or password"):
            session.user = user

    async def _ask(self, session: _Session, prompt: str) -> str:
        await self._send(session, f"334 {base64.b64encode(prompt.encode()).decode()}")
        return (await session.reader.readline()).decode().strip()

    async def _take(self, session: _Session, text: str) -> None:
        if session.sender is None or not session.recipients:
            await self._send(session, "503 5.5.1 no valid recipients")
            return
        if not await self._answer(session, "DATA", text, "354 go ahead"):
            return
        content = bytearray()
        middle_seen = False
        while (line := await session.reader.readline()) != b".\r\n":
            if not line:
                raise _Gone
            content += line[1:] if line.startswith(b".") else line
            if len(content) > MIDDLE and not middle_seen:
                middle_seen = True
                await self._answer(session, "CONTENT", "", None)
        self.commands["DOT"] += 1
        taken = Taken(
            session.sender, tuple(session.recipients), bytes(content), datetime.now(UTC), session.user, session.number,
            tuple(session.parameters), session.encrypted,
        )  # fmt: skip
        subject = "\n".join((session.sender, *session.recipients))
        await self._answer(session, "DOT", subject, "250 2.0.0 taken", lambda: self._keep(taken))
        session.sender, session.recipients = None, []

    def _keep(self, taken: Taken) -> None:
        with self._lock:
            self._messages.append(taken)

    async def _answer(
        self, session: _Session, verb: str, line: str, usual: str | None, keep: Callable[[], None] | None = None
    ) -> bool:
        """Answer as the script says, else as usual; whether that was a good answer. `keep` runs just before a good one."""
        rule = self._rule(verb, line)
        if rule and rule.call:
            rule.call()
        action = rule.action if rule else None
        if action is STALL:
            await self._stall(session)
        elif isinstance(action, Fault):
            if action is TAKE_AND_CUT and keep:
                keep()
            raise _Gone
        reply = action if isinstance(action, str) else usual
        good = reply is None or reply[0] in "23"
        if good and keep:
            keep()
        if reply is not None:
            await self._send(session, reply)
            if reply.startswith("421"):
                raise _Gone
        return good

    async def _stall(self, session: _Session) -> None:
        released = asyncio.ensure_future(self._released.wait())
        try:
            while not released.done():
                if session.reader.at_eof():
                    raise _Gone
                await asyncio.wait([released], timeout=0.05)
        finally:
            released.cancel()

    async def _send(self, session: _Session, reply: str) -> None:
        session.writer.write(reply.encode() + b"\r\n")
        await session.writer.drain()

    def _rule(self, verb: str, line: str) -> _Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.verb != verb or rule.match not in line.lower() or rule.times == 0:
                    continue
                if rule.after > 0:
                    rule.after -= 1
                    continue
                rule.times -= rule.times > 0
                return rule
        return None


def _path(text: str) -> str:
    """What stands between the angle brackets of MAIL FROM or RCPT TO."""
    return text.partition("<")[2].partition(">")[0]

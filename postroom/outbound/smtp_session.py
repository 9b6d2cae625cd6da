"""A dialogue with a smarthost: greeting, TLS, login, and mail after mail (RFC 5321; LMTP is RFC 2033).

STARTTLS (RFC 3207) is never left out because a server does not offer it, or is not able to: nothing goes out in the clear
that should not. What a server says to our connection, greeting or login is about us and not about a mail: `NotOpen`.
Of what it offers, PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531) and DSN (3461) are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from postroom.config import SmartHost
from postroom.errors import PermanentFailure, TemporaryFailure
from postroom.outbound.addresses import as_written
from postroom.outbound.carriers import Broken, InDoubt, NotOpen
from postroom.outbound.smtp_auth import Credential, log_in
from postroom.outbound.smtp_wire import Narrator, Reply, Wire, WireLost
from postroom.saying import Saying
from postroom.store.outbox import Claimed

BLOCK_OCTETS = 64 << 10  # of content that are handed to the network at a time
BLOCK_SECONDS = 180.0  # for each of these (RFC 5321 §4.5.3.2.5)
QUIT_SECONDS = 5.0  # nobody's mail depends on it
GO_AHEAD = 354
GOING_DOWN = 421
DOT = re.compile(rb"^\.", re.MULTILINE)
OF_OUR_LOGIN = frozenset({530, 534, 535, 538, 454, 432})  # RFC 4954 §6: about who we are, whatever the mail
NEEDS_XTEXT = re.compile(r"[^!-*,-<>-~]")  # RFC 3461 §4: what stands as +XX


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to talk to, and how."""

    peer: SmartHost
    name: str  # what we call ourselves
    tls: ssl.SSLContext | None  # None: in the clear
    credential: Credential | None

    def __str__(self) -> str:
        return self.peer.host if self.peer.socket else f"{self.peer.host}:{self.peer.port}"


async def open_session(server: Server, narrate: Narrator = lambda who, line: None) -> Session:
    """Connect, greet, encrypt and log in. Raises NotOpen."""
    wire = Wire(narrate)
    session = Session(server, wire, narrate)
    try:
        await _connect(server, wire, narrate)
        await session.begin()
    except (WireLost, OSError, ssl.SSLError, TemporaryFailure) as error:
        wire.abort()
        raise NotOpen(f"{server}: {_words(error)}") from error
    except BaseException:
        wire.abort()
        raise
    return session


async def _connect(server: Server, wire: Wire, narrate: Narrator) -> None:
    peer, loop = server.peer, asyncio.get_running_loop()
    narrate("note", f"connecting to {server}")
    try:
        async with asyncio.timeout(peer.connect_seconds):
            if peer.socket:
                await loop.create_unix_connection(lambda: wire, peer.socket)
                return
            implicit = server.tls if peer.transport == "tls" else None
            await loop.create_connection(
                lambda: wire, peer.host, peer.port, ssl=implicit, happy_eyeballs_delay=0.25,
                ssl_handshake_timeout=peer.connect_seconds if implicit else None,
            )  # fmt: skip
    except TimeoutError:
        raise WireLost(f"no connection within {peer.connect_seconds:g} s") from None


class Session:
    """An open connection."""

    def __init__(self, server: Server, wire: Wire, narrate: Narrator) -> None:
        self._server, self._wire, self._narrate = server, wire, narrate
        self._offers: dict[str, str] = {}
        self._needs_reset = False
        self.sent = 0  # mails that it was used for

    @property
    def is_usable(self) -> bool:
        """Whether the next mail can go over it, as far as can be seen from here."""
        return self._wire.is_quiet

    @property
    def certificate_ends(self) -> datetime | None:
        """Until when the server's certificate is valid; None in the clear."""
        return self._wire.certificate_ends

    async def begin(self) -> None:
        """From the greeting to the login."""
        peer = self._server.peer
        if peer.transport == "tls":
            self._note_tls()
        _expect(await self._wire.reply(peer.timeout_seconds), "the greeting")
        await self._hello()
        if peer.transport == "starttls":
            if "STARTTLS" not in self._offers:
                raise TemporaryFailure("the server offers no STARTTLS, and nothing is sent in the clear")
            _expect(await self._ask(b"STARTTLS"), "STARTTLS")
            if self._server.tls is None:
                raise TemporaryFailure("no TLS context")
            await self._wire.start_tls(self._server.tls, peer.host, peer.timeout_seconds)
            self._note_tls()
            await self._hello()  # what it said before may be anybody's (RFC 3207 §4.2)
        if self._server.credential:
            offered = self._offers.get("AUTH", "").upper().split()
            await log_in(self._ask, offered, self._server.credential, self._wire.is_encrypted, peer.host)

    async def _hello(self) -> None:
        """EHLO, or LHLO; HELO for a server that knows no better, where nothing has to be asked of it."""
        peer, name = self._server.peer, self._server.name.encode("ascii", "replace")
        reply = await self._ask((b"LHLO " if peer.protocol == "lmtp" else b"EHLO ") + name)
        if reply.code in (500, 502, 504) and peer.protocol == "smtp":
            reply, self._offers = await self._ask(b"HELO " + name), {}
            _expect(reply, "HELO")
            return
        _expect(reply, "EHLO")
        words = [line.replace("AUTH=", "AUTH ", 1).split(" ", 1) for line in reply.lines[1:] if line]
        self._offers = {word[0].upper(): word[1] if len(word) > 1 else "" for word in words}

    async def send(self, mail: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        """One mail, from MAIL to the answer to its final dot.

        Raises PermanentFailure, TemporaryFailure, `Broken` where it was not taken and this connection is of no more
        use, and InDoubt where nobody knows whether it was.
        """
        try:
            await self._envelope(self._commands(mail))
        except WireLost as error:
            raise Broken(_words(error)) from error
        return await self._content(mail.raw, before_dot)

    def _commands(self, mail: Claimed) -> list[bytes]:
        sender = as_written(mail.envelope_sender) if mail.envelope_sender else ""
        recipient = as_written(mail.recipient)
        options, wishes = self._options(mail.raw, sender, recipient), ""
        if "DSN" in self._offers and sender:
            options += ["RET=HDRS", f"ENVID={mail.key:x}"]
            wishes = " NOTIFY=FAILURE,DELAY"
            if recipient.isascii():
                wishes += f" ORCPT=rfc822;{NEEDS_XTEXT.sub(lambda found: f'+{ord(found[0]):02X}', recipient)}"
        commands = [
            f"MAIL FROM:<{sender}>{''.join(f' {option}' for option in options)}",
            f"RCPT TO:<{recipient}>{wishes}",
        ]
        if any(re.search(r"[\x00-\x1f\x7f]", command) for command in commands):
            raise PermanentFailure(Saying("an address with control characters cannot be written to"))
        return [command.encode() for command in commands]

    def _options(self, raw: bytes, *paths: str) -> list[str]:
        options, size = [], self._offers.get("SIZE")
        if size is not None:
            limit = int(size) if size.isdigit() else 0  # 0: none that it can name (RFC 1870 §4)
            if 0 < limit < len(raw):
                raise PermanentFailure(Saying(
                    "the mail has %(octets)s octets, and %(server)s takes at most %(most)s",
                    octets=len(raw), server=str(self._server), most=limit,
                ))  # fmt: skip
            options.append(f"SIZE={len(raw)}")
        end = raw.find(b"\r\n\r\n")
        head = raw if end < 0 else raw[:end]
        if not (head.isascii() and all(path.isascii() for path in paths)):  # RFC 6531 §3.1
            if "SMTPUTF8" not in self._offers:
                raise PermanentFailure(
                    Saying("the smarthost cannot write to %(address)s (it has no SMTPUTF8)", address=paths[-1])
                )
            options.append("SMTPUTF8")
        if "8BITMIME" in self._offers and not raw.isascii():
            options.append("BODY=8BITMIME")
        return options

    async def _envelope(self, commands: Sequence[bytes]) -> None:
        """Up to the server's word to go ahead; at once where it offers that, else word by word."""
        lines = [*([b"RSET"] if self._needs_reset else []), *commands, b"DATA"]
        self._needs_reset, refused = True, None
        if "PIPELINING" in self._offers:
            for line in lines:
                self._narrate("client", line.decode("utf-8", "replace"))
            self._wire.write(b"\r\n".join(lines) + b"\r\n")
        for line in lines:
            if "PIPELINING" in self._offers:
                reply = await self._wire.reply(self._seconds(line))
            elif refused:
                break
            else:
                reply = await self._ask(line)
            if refused is None and not (reply.code == GO_AHEAD if line == b"DATA" else 200 <= reply.code < 300):
                refused = reply
            elif refused and reply.code == GO_AHEAD:  # RFC 2920 §3.1: nobody is there to get what it waits for
                self._wire.abort()
            if reply.code == GOING_DOWN:
                self._wire.abort()
                raise Broken(str(reply))
        if refused:
            raise _classified(refused)

    def _seconds(self, line: bytes) -> float:
        return self._server.peer.data_seconds if line == b"DATA" else self._server.peer.timeout_seconds

    async def _content(self, raw: bytes, before_dot: Callable[[], Awaitable[None]]) -> str:
        """The content and its final dot. Until the dot is written, nobody can have taken the mail."""
        content = DOT.sub(b"..", raw) if b"\n." in raw or raw.startswith(b".") else raw
        self._narrate("client", f"... {len(raw)} octets, and a dot")
        last = max(len(content) - BLOCK_OCTETS, 0)
        try:
            for start in range(0, last, BLOCK_OCTETS):
                self._wire.write(content[start : min(start + BLOCK_OCTETS, last)])
                await self._wire.drain(BLOCK_SECONDS)
                if self._wire.has_answered:  # before the end: it takes no more of this
                    reply = await self._wire.reply(0)
                    self._wire.abort()
                    raise _classified(reply)
        except WireLost as error:
            raise Broken(Saying("in the middle of the content: %(why)s", why=_words(error))) from error
        await before_dot()
        try:
            self._wire.write(content[last:] + (b".\r\n" if raw.endswith(b"\r\n") else b"\r\n.\r\n"))
        except WireLost as error:
            raise Broken(Saying("before the end of the content: %(why)s", why=_words(error))) from error
        try:
            reply = await self._wire.reply(self._server.peer.dot_seconds)
        except WireLost as error:
            raise InDoubt(Saying("no answer after the content: %(why)s", why=_words(error))) from error
        self._needs_reset = False
        if not 200 <= reply.code < 300:
            if reply.code == GOING_DOWN:
                self._wire.abort()
            raise _classified(reply)
        return str(reply)

    async def quit(self) -> None:
        """Say goodbye; whether the server hears it or not."""
        with contextlib.suppress(WireLost):
            self._narrate("client", "QUIT")
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(QUIT_SECONDS)
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.abort()

    async def _ask(self, line: bytes, shown: str | None = None) -> Reply:
        self._narrate("client", line.decode("utf-8", "replace") if shown is None else shown)
        self._wire.write(line + b"\r\n")
        return await self._wire.reply(self._seconds(line))

    def _note_tls(self) -> None:
        self._narrate("note", f"encrypted with {self._wire.tls_version}; the certificate is good")


def _expect(reply: Reply, what: str) -> None:
    if not 200 <= reply.code < 300:
        raise TemporaryFailure(f"{what}: {reply}")


def _classified(reply: Reply) -> Exception:
    """A refusal as the courier understands it: class 5 is final, anything else may pass (RFC 5321 §4.2.1)."""
    if 500 <= reply.code < 600 and reply.code not in OF_OUR_LOGIN:
        return PermanentFailure(str(reply))
    return TemporaryFailure(str(reply))


def _words(error: Exception) -> str:
    if error.args and isinstance(error.args[0], Saying):
        return error.args[0]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__

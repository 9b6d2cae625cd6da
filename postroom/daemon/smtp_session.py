"""The dialogue with one SMTP or LMTP client (RFC 5321, RFC 2033), on aiosmtpd's command syntax.

Replies carry enhanced status codes (RFC 2034). Who may write to whom, and the taking of a message, is the `Door`'s.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Protocol

import structlog
from aiosmtpd.smtp import Envelope, Session

from postroom.config import Smtp
from postroom.daemon.failpoint import failpoint
from postroom.daemon.smtp_connection import SmtpConnection, code_of
from postroom.daemon.smtp_gate import Gate, Share
from postroom.daemon.smtp_wire import HungUp, LineTooLong, has_bare_line_end

BEFORE_TLS = {"NOOP", "EHLO", "LHLO", "STARTTLS", "QUIT"}  # RFC 3207 §4
TOO_MUCH = "452 4.3.1 too much mail at once, try again later"
MAX_ADDRESS = 320  # octets: 64, @, 255 (RFC 5321 §4.5.3.1)
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # the last are what is not UTF-8

# For the replies that aiosmtpd words.
ENHANCED = {
    "250": "2.0.0", "451": "4.3.0", "500": "5.5.2", "501": "5.5.4", "503": "5.5.1", "552": "5.3.4", "553": "5.1.3",
    "555": "5.5.4",
}  # fmt: skip
WITHOUT_CODE = re.compile(r"([245]\d\d) (?!\d\.\d)(?:Error: )?")

# A path and the parameters behind it (RFC 5321 §4.1.2); a source route is read over (appendix C).
PATH = re.compile(
    r"""(?: < (?:@[^\s:<>]+:)? (?P<path> "(?:[^"\\]|\\.)*"@[^\s<>@"]+ | [^\s<>"]* ) > | (?P<bare> [^\s<>"]+ ) )
        (?: [ ]+ (?P<parameters> [\x20-\x7e]* ) )?""",
    re.VERBOSE,
)

log = structlog.get_logger()


class Door(Protocol):
    """Who decides about mail. aiosmtpd finds the hooks by their names; each answers with a reply."""

    async def handle_MAIL(
        self, client: SmtpSession, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """May this sender begin?"""

    async def handle_RCPT(
        self, client: SmtpSession, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Do we serve this recipient?"""

    async def take(self, client: SmtpSession, session: Session, envelope: Envelope, raw: bytes | None) -> list[str]:
        """The replies to a content, one for each recipient; `raw` None is one over the size limit."""


class SmtpSession(SmtpConnection):
    """What is said, from the greeting to the end."""

    def __init__(
        self, door: Door, config: Smtp, hostname: str, gate: Gate, tls: ssl.SSLContext | None, share: Share
    ) -> None:
        super().__init__(door, config, hostname, gate, tls)
        self._share = share
        self._door = door
        self._errors = 0

    async def converse(self) -> None:
        await self._send(f"220 {self.hostname} {self.__ident__}")
        while not self._is_over:
            await self._answer_one_command()
            if self._is_retiring:
                self._dismiss("421 4.3.2 shutting down, try again later")
            await asyncio.sleep(0)  # a flood of pipelined commands does not starve the others

    async def _answer_one_command(self) -> None:
        try:
            line = await self._wire.line()
        except LineTooLong:
            await self.push("500 5.5.2 line too long")
            return
        self._reset_timeout()
        if not line.endswith(b"\r\n") or has_bare_line_end(line):
            await self.push("550 5.5.2 bare CR or LF: lines end in CRLF")
            return
        text = line[:-2].decode("utf-8", "surrogateescape")
        name, _, argument = text.partition(" ")
        name = name.upper()
        method = self._smtp_methods.get(name)
        if CONTROLS.search(text):
            await self.push("500 5.5.2 control characters, or not UTF-8")
        elif method is None:
            await self.push("500 5.5.1 command not recognized")
        elif self._config.tls == "required" and not self._is_secure and name not in BEFORE_TLS:
            await self.push("530 5.7.0 must issue a STARTTLS command first")
        else:
            try:
                await method(argument.strip() or None)
            except (HungUp, OSError):
                raise
            except Exception as error:  # what nobody classified is temporary
                await self.push(await self.handle_exception(error))

    async def push(self, status: str | bytes) -> None:
        """Send a reply, with its enhanced code, and count it where it refuses."""
        text = status.decode() if isinstance(status, bytes) else status
        if bare := WITHOUT_CODE.match(text):
            text = f"{bare[1]} {ENHANCED.get(bare[1], f'{bare[1][0]}.0.0')} {text[bare.end() :]}"
        if text[:1] in ("4", "5"):
            self.count("smtp_refusals", code_of(text))
        if text.startswith("5"):
            self._errors += 1
            log.info("refused", client=self.address, reply=text)
            if self._errors > self._config.errors:
                self._dismiss("421 4.7.0 too many errors")
                return
        await self._send(text)

    async def _send(self, *lines: str) -> None:
        if not self._is_over:
            self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
            await self._writer.drain()

    def has_room(self, octets: int) -> bool:
        """Whether a mail of that size could be held now."""
        return self._share.has_room(octets)

    async def handle_exception(self, error: Exception) -> str:
        log.error("session failed", client=self.address, exc_info=error)
        return "451 4.3.0 local error, try again later"

    # Who is there

    async def smtp_EHLO(self, hostname: str | None) -> None:
        await self._greet(hostname, "EHLO", "smtp")

    async def smtp_LHLO(self, hostname: str | None) -> None:
        await self._greet(hostname, "LHLO", "lmtp")

    async def smtp_HELO(self, hostname: str | None) -> None:
        await self._greet(hostname, "HELO", "smtp")

    async def _greet(self, hostname: str | None, verb: str, protocol: str) -> None:
        if protocol != self._config.protocol:
            await self.push(f"500 5.5.1 {verb} is not a command of {self._config.protocol.upper()}")
            return
        if not hostname:
            await self.push(f"501 5.5.4 Syntax: {verb} hostname")
            return
        assert self.session
        self.envelope = Envelope()
        self.session.host_name, self.session.extended_smtp = hostname, verb != "HELO"
        if verb == "HELO":
            await self._send(f"250 {self.hostname}")
            return
        offers = ["PIPELINING", f"SIZE {self._config.max_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._tls and not self._is_secure:
            offers.append("STARTTLS")
        await self._send(f"250-{self.hostname}", *(f"250-{offer}" for offer in offers), "250 HELP")

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        if self._is_secure:
            await self.push("503 5.5.1 TLS is active")
        elif self._tls is None:
            await self.push("502 5.5.1 TLS is not available")
        elif arg:
            await self.push("501 5.5.4 Syntax: STARTTLS")
        else:
            if self._wire.is_empty:
                await self._send("220 2.0.0 ready to start TLS")
            if not self._wire.is_empty:  # plaintext that would be taken for what is said in TLS
                self._dismiss("421 4.7.0 plaintext after STARTTLS")
                raise HungUp
            await self._start_tls()

    # The message

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        assert self.envelope
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self._send("354 end data with <CR><LF>.<CR><LF>")
        self._is_receiving = True
        try:
            raw = await self._wire.content(self._config.max_size, self._share.hold)
            self._is_receiving = False
            if self._share.was_refused:
                self.envelope = Envelope()
                log.warning("not accepted", client=self.address, reply=TOO_MUCH)
                await self.push(TOO_MUCH)
            else:
                await self._take(raw)
        finally:
            self._is_receiving = False
            self._share.free()

    async def _take(self, raw: bytes | None) -> None:
        """Have the message taken: no clock runs against the client, and nobody interrupts, until that is done."""
        assert self.envelope
        assert self.session
        envelope, self.envelope = self.envelope, Envelope()
        self._is_busy = True
        self._stop_clocks()
        try:
            replies = await self._door.take(self, self.session, envelope, raw)
        except Exception as error:  # each recipient of LMTP gets its answer all the same
            replies = [await self.handle_exception(error)] * len(envelope.rcpt_tos)
        finally:
            self._is_busy = False
        if self.transport is None:
            raise HungUp
        self._reset_timeout()
        self._start_cap()
        for reply in replies if self._config.protocol == "lmtp" else replies[:1]:
            await self.push(reply)
        failpoint("smtp-answered")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A path and its parameters; aiosmtpd's own reads a header's grammar, where it breaks on hostile input."""
        match = PATH.fullmatch(arg)
        if match is None:
            return None, None
        address = match["path"] if match["bare"] is None else match["bare"]
        if len(address.encode()) > MAX_ADDRESS:
            return None, None
        return address or "<>", match["parameters"] or ""

    # The rest

    async def smtp_VRFY(self, arg: str | None) -> None:
        await self.push("252 2.5.0 send some mail, I will try" if arg else "501 5.5.4 Syntax: VRFY address")

    async def smtp_EXPN(self, arg: str | None) -> None:
        await self.push("502 5.5.1 EXPN is not implemented")

    async def smtp_AUTH(self, arg: str | None) -> None:
        await self.push("502 5.5.1 AUTH is not implemented: nobody relays here")

    async def smtp_HELP(self, arg: str | None) -> None:
        await self.push("214 2.0.0 see RFC 5321")

    async def smtp_QUIT(self, arg: str | None) -> None:
        await self._send("221 2.0.0 bye")
        raise HungUp

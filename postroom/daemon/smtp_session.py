"""The dialogue with one SMTP or LMTP client (RFC 5321, RFC 2033).

Replies carry enhanced status codes (RFC 2034). Who may write to whom, and the taking of a message, is the `Door`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from aiosmtpd.smtp import Envelope

from postroom.daemon.failpoint import failpoint
from postroom.daemon.smtp_connection import SmtpConnection, code_of
from postroom.daemon.smtp_syntax import Refused, Sender, read_recipient, read_sender
from postroom.daemon.smtp_wire import Content, LineTooLong, Mail
from postroom.logger import structlog

BEFORE_TLS = {"NOOP", "EHLO", "LHLO", "STARTTLS", "QUIT"}  # RFC 3207 §4
NOT_SMTP = {"CONNECT", "GET", "HEAD", "OPTIONS", "POST", "PUT"}  # a browser's, whom some page has speak to us
TOO_MUCH = "452 4.3.1 too much mail at once, try again later"
OUR_TROUBLE = "451 4.3.0 local error, try again later"
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # the last are what is not UTF-8

log = structlog.get_logger()


class Door(Protocol):
    """Who decides about mail. Each answers with a reply."""

    def begin(self, client: SmtpSession, sender: Sender) -> str:
        """May this sender begin?"""

    def admit(self, client: SmtpSession, envelope: Envelope, recipient: str) -> str:
        """Do we serve this recipient?"""

    async def take(self, client: SmtpSession, envelope: Envelope, mail: Mail | None) -> list[str]:
        """The replies to a content, one for each recipient; `mail` None is one over the size limit."""


class SmtpSession(SmtpConnection):
    """What is said, from the greeting to the end."""

    door: Door
    _errors = 0

    def greet(self) -> None:
        kind = "ESMTP" if self._config.protocol == "smtp" else "LMTP"
        self._send(f"220 {self.hostname} {kind} Postroom")

    def take_turn(self) -> None:
        if self._content is not None:
            if self._wire.read_into(self._content):
                self._received(self._content)
            return
        try:
            line = self._wire.line()
        except LineTooLong:
            self.push("500 5.5.2 line too long")
            return
        if line is not None:
            self._renew()
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or line.count(b"\r") != 1:
            self.push("550 5.5.2 bare CR or LF: lines end in CRLF")
            return
        text = line[:-2].decode("utf-8", "surrogateescape")
        name, _, argument = text.partition(" ")
        name = name.upper()
        command = COMMANDS.get(name)
        if CONTROLS.search(text):
            self.push("500 5.5.2 control characters, or not UTF-8")
        elif name in NOT_SMTP:
            self._dismiss("421 4.7.0 this is SMTP")
        elif command is None:
            self.push("500 5.5.1 command not recognized")
        elif self._config.tls == "required" and not self._is_secure and name not in BEFORE_TLS:
            self.push("530 5.7.0 must issue a STARTTLS command first")
        else:
            try:
                command(self, argument.strip() or None)
            except Refused as refused:
                self.push(refused.reply)
            except Exception as error:  # what nobody classified is temporary
                self.push(self._our_trouble(error))

    def push(self, reply: str) -> None:
        """Send a reply, and count it where it refuses."""
        if reply[0] in "45":
            self.count("smtp_refusals", code_of(reply))
        if reply[0] == "5":
            self._errors += 1
            log.info("refused", client=self.address, reply=reply)
            if self._errors > self._config.errors:
                self._dismiss("421 4.7.0 too many errors")
                return
        self._send(reply)

    def _send(self, *lines: str) -> None:
        if not self._is_over and self.transport is not None:
            self.transport.write("".join([f"{line}\r\n" for line in lines]).encode())

    def has_room(self, octets: int) -> bool:
        """Whether a mail of that size could be held now."""
        return self._share.has_room(octets)

    def _our_trouble(self, error: Exception) -> str:
        log.error("session failed", client=self.address, exc_info=error)
        return OUR_TROUBLE

    # Who is there

    def _ehlo(self, hostname: str | None) -> None:
        self._hello(hostname, "EHLO", "smtp")

    def _lhlo(self, hostname: str | None) -> None:
        self._hello(hostname, "LHLO", "lmtp")

    def _helo(self, hostname: str | None) -> None:
        self._hello(hostname, "HELO", "smtp")

    def _hello(self, hostname: str | None, verb: str, protocol: str) -> None:
        if protocol != self._config.protocol:
            self.push(f"500 5.5.1 {verb} is not a command of {self._config.protocol.upper()}")
            return
        if not hostname:
            self.push(f"501 5.5.4 Syntax: {verb} hostname")
            return
        self.envelope = Envelope()
        self.session.host_name, self.session.extended_smtp = hostname, verb != "HELO"
        if verb == "HELO":
            self._send(f"250 {self.hostname}")
            return
        offers = ["PIPELINING", f"SIZE {self._config.max_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._tls and not self._is_secure:
            offers.append("STARTTLS")
        self._send(f"250-{self.hostname}", *(f"250-{offer}" for offer in offers), "250 HELP")

    def _starttls(self, argument: str | None) -> None:
        if self._is_secure:
            self.push("503 5.5.1 TLS is active")
        elif self._tls is None:
            self.push("502 5.5.1 TLS is not available")
        elif argument:
            self.push("501 5.5.4 Syntax: STARTTLS")
        elif not self._wire.is_empty:  # plaintext that would be taken for what is said in TLS
            self._dismiss("421 4.7.0 plaintext after STARTTLS")
        else:
            self._send("220 2.0.0 ready to start TLS")
            self._begin_tls()

    # The message

    def _mail(self, argument: str | None) -> None:
        if self._is_stranger():
            return
        sender = read_sender(argument, self.session.extended_smtp, int(self._config.max_size))
        if self.envelope.mail_from:
            self.push("503 5.5.1 nested MAIL command")
            return
        reply = self.door.begin(self, sender)
        if reply[0] == "2":
            self.envelope.mail_from = sender.address
            self.envelope.mail_options = sender.options
        self.push(reply)

    def _rcpt(self, argument: str | None) -> None:
        if self._is_stranger():
            return
        if not self.envelope.mail_from:
            self.push("503 5.5.1 need MAIL command")
            return
        recipient = read_recipient(argument, self.session.extended_smtp)
        reply = self.door.admit(self, self.envelope, recipient)
        if reply[0] == "2":
            self.envelope.rcpt_tos.append(recipient)
        self.push(reply)

    def _data(self, argument: str | None) -> None:
        if self._is_stranger():
            return
        if not self.envelope.rcpt_tos:
            self.push("503 5.5.1 need RCPT command")
        elif argument:
            self.push("501 5.5.4 Syntax: DATA")
        else:
            self._send("354 end data with <CR><LF>.<CR><LF>")
            self._content = Content(int(self._config.max_size), self._share.hold)

    def _is_stranger(self) -> bool:
        if self.session.host_name:
            return False
        self.push("503 5.5.1 send HELO first")
        return True

    def _received(self, content: Content) -> None:
        """The final dot has come."""
        self._content = None
        envelope, self.envelope = self.envelope, Envelope()
        if self._share.was_refused:
            self._share.free()
            log.warning("not accepted", client=self.address, reply=TOO_MUCH)
            self.push(TOO_MUCH)
            return
        self._is_busy = True
        self._stop_clocks()
        self._task = self.loop.create_task(self._take(envelope, content.mail()))

    async def _take(self, envelope: Envelope, mail: Mail | None) -> None:
        """Have the message taken: no clock runs against the client, and nobody interrupts, until that is done."""
        try:
            replies = await self.door.take(self, envelope, mail)
        except Exception as error:  # each recipient of LMTP gets its answer all the same
            replies = [self._our_trouble(error)] * len(envelope.rcpt_tos)
        finally:
            self._is_busy = False
            self._share.free()
        if self.transport is None:
            return
        self._renew()
        self._start_cap()
        for reply in replies if self._config.protocol == "lmtp" else replies[:1]:
            self.push(reply)
        failpoint("smtp-answered")
        if self._is_retiring:
            self._dismiss("421 4.3.2 shutting down, try again later")
        elif self._wire.has_ended or not self._wire.is_empty:
            self._go_on_later()

    # The rest

    def _rset(self, argument: str | None) -> None:
        if argument:
            self.push("501 5.5.4 Syntax: RSET")
            return
        self.envelope = Envelope()
        self.push("250 2.0.0 ok")

    def _noop(self, _argument: str | None) -> None:
        self.push("250 2.0.0 ok")

    def _vrfy(self, argument: str | None) -> None:
        self.push("252 2.5.0 send some mail, I will try" if argument else "501 5.5.4 Syntax: VRFY address")

    def _expn(self, _argument: str | None) -> None:
        self.push("502 5.5.1 EXPN is not implemented")

    def _auth(self, _argument: str | None) -> None:
        self.push("502 5.5.1 AUTH is not implemented: nobody relays here")

    def _help(self, _argument: str | None) -> None:
        self.push("214 2.0.0 see RFC 5321")

    def _quit(self, _argument: str | None) -> None:
        self._send("221 2.0.0 bye")
        self._end()


COMMANDS: dict[str, Callable[[SmtpSession, str | None], None]] = {
    "EHLO": SmtpSession._ehlo, "LHLO": SmtpSession._lhlo, "HELO": SmtpSession._helo, "STARTTLS": SmtpSession._starttls,
    "MAIL": SmtpSession._mail, "RCPT": SmtpSession._rcpt, "DATA": SmtpSession._data, "RSET": SmtpSession._rset,
    "NOOP": SmtpSession._noop, "VRFY": SmtpSession._vrfy, "EXPN": SmtpSession._expn, "AUTH": SmtpSession._auth,
    "HELP": SmtpSession._help, "QUIT": SmtpSession._quit,
}  # fmt: skip

"""A smarthost as courier: SMTP (RFC 5321) over a few connections that are kept and used again.

STARTTLS (RFC 3207) is used where it is configured, always verified, and never left out because the server does
not offer it. What a server says to our connection, our greeting or our login is about us, not about the mail:
it is a temporary failure whatever its class, and no mail is lost to a wrong password.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from postroom.config import Config, SmartHost
from postroom.errors import PermanentFailure, TemporaryFailure
from postroom.outbound.addresses import as_written
from postroom.outbound.carriers import InDoubt
from postroom.store.outbox import Claimed

IDLE_MAX = 30.0  # seconds that a connection may have been idle; servers drop theirs after a while
MAILS_PER_CONNECTION = 100  # servers count
SECONDS_PER_MIB = 30.0  # added to the timeout of the final dot: slow lines, content filters
DOT = re.compile(rb"^\.", re.MULTILINE)
OF_OUR_LOGIN = frozenset({530, 534, 535, 538, 454, 432})  # RFC 4954 §6: about who we are, whatever the mail
GO_AHEAD = 354


class SmarthostCarrier:
    """Hands mail to one smarthost."""

    def __init__(self, config: Config, password: str) -> None:
        """`password`: "" for none. A CA file that cannot be read is an OSError."""
        self._peer = config.outgoing.smtp
        self._name = config.smtp.hostname or socket.gethostname() or "localhost"
        self._password = password
        self._tls = _context(config, self._peer) if self._peer.security != "none" else None
        self._idle: list[_Connection] = []
        self.connections = self._peer.connections

    async def carry(self, delivery: Claimed, before_content: Callable[[], Awaitable[None]]) -> str:
        """Hand over one mail; the server's answer to its final dot."""
        connection = await self._connect()
        try:
            answer = await connection.send(delivery, before_content)
        except BaseException:
            connection.close()
            raise
        connection.sent += 1
        connection.used = time.monotonic()
        if connection.sent >= MAILS_PER_CONNECTION:
            await connection.quit()
        else:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Say goodbye on every connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def check(self) -> str:
        """Connect, greet, log in; the server's name for itself. Raises TemporaryFailure."""
        connection = await self._connect()
        await connection.quit()
        return f"{self._peer.host}:{self._peer.port}"

    async def _connect(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive and time.monotonic() - connection.used < IDLE_MAX:
                return connection
            connection.close()
        peer = self._peer
        client = SMTP(
            hostname=peer.host, port=peer.port, local_hostname=self._name, timeout=peer.timeout_seconds,
            use_tls=peer.security == "tls", start_tls=peer.security == "starttls", tls_context=self._tls,
        )  # fmt: skip
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            if peer.user:
                await client.login(peer.user, self._password)
        except (SMTPException, OSError, ssl.SSLError, ValueError) as error:
            client.close()
            raise TemporaryFailure(f"{peer.host}:{peer.port}: {_words(error)}") from error
        except BaseException:
            client.close()
            raise
        return _Connection(client, peer)


class _Connection:
    """An open connection, greeted and logged in."""

    def __init__(self, client: SMTP, peer: SmartHost) -> None:
        self._client, self._peer = client, peer
        self.sent = 0
        self.used = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self._client.is_connected

    async def send(self, delivery: Claimed, before_content: Callable[[], Awaitable[None]]) -> str:
        """One mail from MAIL to its final dot."""
        client = self._client
        sender, recipient = as_written(delivery.envelope_sender), as_written(delivery.recipient)
        options = self._options(delivery, sender, recipient)
        try:
            await client.mail(sender, options=options, encoding="utf-8")
            await client.rcpt(recipient, encoding="utf-8")
            response = await client.execute_command(b"DATA")
        except (SMTPException, OSError) as error:
            raise _classified(error) from error
        if response.code != GO_AHEAD:
            raise _classified(SMTPResponseException(response.code, response.message))
        await before_content()
        return await self._content(delivery.raw)

    def _options(self, delivery: Claimed, *paths: str) -> list[str]:
        client = self._client
        options = []
        if client.supports_extension("size"):
            options.append(f"size={len(delivery.raw)}")
        head = delivery.raw.partition(b"\r\n\r\n")[0]
        if not (head.isascii() and all(path.isascii() for path in paths)):  # RFC 6531 §3.1
            if not client.supports_extension("smtputf8"):
                raise PermanentFailure(f"the smarthost cannot write to {delivery.recipient} (it has no SMTPUTF8)")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        return options

    async def _content(self, raw: bytes) -> str:
        """The content and its final dot. Until the answer is here, nobody knows whether the mail was taken."""
        protocol = self._client.protocol
        if protocol is None:
            raise TemporaryFailure("the connection was lost before the content")
        timeout = self._peer.timeout_seconds + SECONDS_PER_MIB * len(raw) / (1 << 20)
        try:
            protocol.write(DOT.sub(b"..", raw) + (b"" if raw.endswith(b"\r\n") else b"\r\n") + b".\r\n")
            response = await protocol.read_response(timeout=timeout)
        except SMTPResponseException as error:
            raise InDoubt(f"an answer that is none: {_words(error)}") from error
        except (SMTPException, OSError) as error:
            raise InDoubt(f"no answer after the content: {_words(error)}") from error
        if not 200 <= response.code < 300:
            raise _classified(SMTPResponseException(response.code, response.message))
        return f"{response.code} {_one_line(response.message)}"

    async def quit(self) -> None:
        """Say goodbye; whether the server hears it or not."""
        with contextlib.suppress(SMTPException, OSError):
            await self._client.quit(timeout=5)
        self.close()

    def close(self) -> None:
        self._client.close()


def _classified(error: Exception) -> Exception:
    """An error as the courier understands it: class 5 is final, anything else may pass (RFC 5321 §4.2.1)."""
    if isinstance(error, SMTPResponseException) and 500 <= error.code < 600 and error.code not in OF_OUR_LOGIN:
        return PermanentFailure(_words(error))
    return TemporaryFailure(_words(error))


def _words(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {_one_line(error.message)}"
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "the server fell silent"
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    """A peer's words in one printable line: they are data, and may end in a log or a database."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", text).split())


def _context(config: Config, peer: SmartHost) -> ssl.SSLContext:
    """Verifies the server's certificate and name."""
    return ssl.create_default_context(cafile=str(config.resolve(peer.ca_file)) if peer.ca_file else None)

"""One SMTP connection: its gate, its clocks, its TLS, and how it ends. What is said on it is in smtp_session.

aiosmtpd cancels the dialogue when the client goes, in the middle of a commit too; here the dialogue always comes to
its own end. Its timeout is per command and runs on while data flows or we are busy; here data renews it, nothing
runs while a message is taken, and a cap holds from one message to the next.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from postroom.config import Smtp
from postroom.daemon.smtp_gate import Gate
from postroom.daemon.smtp_wire import HungUp, Wire

HANDSHAKE_SECONDS = 30.0
ENHANCED_CODE = re.compile(r"\d{3} [245]\.\d{1,3}\.\d{1,3}(?= |\Z)")  # RFC 2034 §4
LINGER_SECONDS = 3.0  # after the last word: time to read it, before a reset could throw it away

log = structlog.get_logger()


class SmtpConnection(SMTP):
    """The transport's side of a session."""

    transport: asyncio.Transport | None

    def __init__(self, handler: Any, config: Smtp, hostname: str, gate: Gate, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            handler, data_size_limit=config.max_size, enable_SMTPUTF8=True, hostname=hostname, tls_context=tls,
            ident=f"{'ESMTP' if config.protocol == 'smtp' else 'LMTP'} Postroom", timeout=config.command_seconds,
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self.address = ""
        self.on_gone: Callable[[], None] = lambda: None
        self.count: Callable[[str, str], None] = lambda name, label: None  # Metrics.count
        self._config = config
        self._gate = gate
        self._tls = tls
        self._wire = Wire()
        self._is_inside = False  # the gate
        self._is_secure = False
        self._is_handshaking = False
        self._is_receiving = False  # a content
        self._is_busy = False  # a message is being taken
        self._is_over = False  # the last word has been said
        self._is_retiring = False
        self._cap: asyncio.TimerHandle | None = None

    async def converse(self) -> None:
        """The dialogue: smtp_session's."""
        raise NotImplementedError

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        self._wire.attach(transport)
        if reason := self._gate.enter(self.address):
            log.info("connection refused", client=self.address, reason=reason)
            self.count("smtp_connections", reason)
            self._wire.end()
            if self._config.tls != "implicit":
                transport.write(f"421 4.7.0 {self.hostname} {reason}, try again later\r\n".encode())
            transport.close()
            return
        self._is_inside = True
        self.count("smtp_connections", "let in")
        super().connection_made(transport)  # starts _handle_client

    def data_received(self, data: bytes) -> None:
        self._wire.feed(data)
        if self._is_receiving:
            self._reset_timeout()

    def eof_received(self) -> bool:
        self._wire.end()
        return not self._is_secure and not self._is_over  # our side stays open for an answer; TLS cannot

    def connection_lost(self, error: Exception | None) -> None:
        self._wire.end()
        self._stop_clocks()
        if self._is_inside:
            asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None
        self._leave()

    async def _handle_client(self) -> None:
        try:
            if self._config.tls == "implicit":
                await self._start_tls()
            self._start_cap()
            await self.converse()
        except (HungUp, ConnectionError) as error:
            log.debug("hung up", client=self.address, error=str(error))
        except OSError as error:  # an ssl.SSLError is one
            log.info("TLS failed", client=self.address, error=str(error))
            self.count("smtp_connections", "TLS failed")
        finally:
            self._stop_clocks()
            if not self._is_over and self.transport:
                self._close(self.transport)

    # How it ends

    def retire(self) -> None:
        """Say 421 and end; a message that is being taken is finished and answered first."""
        self._is_retiring = True
        if not self._is_busy:
            self._dismiss("421 4.3.2 shutting down, try again later")

    def abort(self) -> None:
        """End at once."""
        self._is_over = True
        if self.transport:
            self.transport.abort()

    def _dismiss(self, reply: str) -> None:
        """The last word. What the client still sends is read and thrown away for a while, so that it sees the reply."""
        if self._is_over or self.transport is None:
            return
        if self._is_handshaking:
            assert self._handler_coroutine
            self._handler_coroutine.cancel()  # there is nothing that we could say
            return
        log.info("dismissed", client=self.address, reply=reply)
        self.count("smtp_refusals", code_of(reply))
        self._is_over = True
        self._stop_clocks()
        self.transport.write(f"{reply}\r\n".encode())
        if self._wire.has_ended:
            self._close(self.transport)
            return
        self._wire.end()
        if not self._is_secure:
            with suppress(OSError):  # the client was faster
                self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self._close, self.transport)

    def _close(self, transport: asyncio.Transport) -> None:
        transport.close()  # waits for what is unsent, and for a client that does not read it for ever
        self.loop.call_later(LINGER_SECONDS, transport.abort)

    def _leave(self) -> None:
        if self._is_inside:
            self._is_inside = False
            self._gate.leave(self.address)
        self.on_gone()

    # Its clocks

    def _timeout_cb(self) -> None:
        self._dismiss("421 4.4.2 timeout")

    def _start_cap(self) -> None:
        """The most that a client may take from one message to the next, however busily it trickles."""
        if self._cap:
            self._cap.cancel()
        self._cap = self.loop.call_later(self._config.transaction_seconds, self._dismiss, "421 4.4.2 too slow")

    def _stop_clocks(self) -> None:
        for timer in (self._timeout_handle, self._cap):
            if timer:
                timer.cancel()

    # Its TLS

    async def _start_tls(self) -> None:
        """Speak TLS from here; what was said in the clear is forgotten (RFC 3207 §4.2)."""
        assert self._tls
        assert self.session
        self._stop_clocks()
        self._is_handshaking = True
        try:
            await self._writer.start_tls(self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS)
        except BaseException:
            self._leave()  # asyncio tells nobody of a connection that is lost in the handshake
            raise
        self._is_handshaking = False
        transport = self._writer.transport
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._wire.attach(transport)
        self._is_secure = True
        peer, self.session, self.envelope = self.session.peer, Session(self.loop), Envelope()
        self.session.peer = peer
        self._reset_timeout()
        self._start_cap()

    @property
    def tls_version(self) -> str:
        """`TLSv1.3`, or "" in the clear."""
        return str(self._writer.get_extra_info("ssl_object").version()) if self._is_secure else ""


def code_of(reply: str) -> str:
    """A reply's codes, `550 5.1.1`, without its words: these may quote a client."""
    return " ".join(reply.split()[:2]) if ENHANCED_CODE.match(reply) else reply[:3]

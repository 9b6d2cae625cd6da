"""One SMTP connection: its gate, its clocks, its TLS, and how it ends. What is said on it is in smtp_session.

It answers where the octets come in, without a task of its own: only TLS and the taking of a message are waited for. A
client that goes in the middle of a commit interrupts nothing. Clocks are numbers, and one timer looks at them when
the earliest may have run out: data renews one, nothing runs while a message is taken, and a cap holds from one message to
the next.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from math import inf

from aiosmtpd.smtp import Envelope, Session

from postroom.config import Smtp
from postroom.daemon.smtp_gate import Gate, Share
from postroom.daemon.smtp_wire import Content, Wire
from postroom.logger import structlog

HANDSHAKE_SECONDS = 30.0
ENHANCED_CODE = re.compile(r"\d{3} [245]\.\d{1,3}\.\d{1,3}(?= |\Z)")  # RFC 2034 §4
LINGER_SECONDS = 3.0  # after the last word: time to read it, before a reset could throw it away

log = structlog.get_logger()


class SmtpConnection(asyncio.Protocol):
    """The transport's side of a session."""

    def __init__(self, config: Smtp, hostname: str, gate: Gate, tls: ssl.SSLContext | None, share: Share) -> None:
        self.address = ""
        self.hostname = hostname
        self.on_gone: Callable[[], None] = lambda: None
        self.count: Callable[[str, str], None] = lambda name, label: None  # Metrics.count
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.session = Session(self.loop)
        self.envelope = Envelope()
        self._config = config
        self._gate = gate
        self._tls = tls
        self._share = share
        self._wire = Wire()
        self._content: Content | None = None  # while one comes
        self._task: asyncio.Task[None] | None = None  # what is waited for
        self._is_inside = False  # the gate
        self._is_secure = False
        self._is_handshaking = False
        self._is_busy = False  # a message is being taken
        self._is_deaf = False  # the client does not read our replies
        self._is_turn_coming = False
        self._is_over = False  # the last word has been said
        self._is_retiring = False
        self._is_paused = False  # the client is made to wait
        self._due = self._cap_due = inf  # when the clocks run out, by the loop's time
        self._timer: asyncio.TimerHandle | None = None

    def greet(self) -> None:
        """The first word: smtp_session's."""
        raise NotImplementedError

    def take_turn(self) -> None:
        """Read and answer one thing of what has come: smtp_session's."""
        raise NotImplementedError

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        if reason := self._gate.enter(self.address):
            log.info("connection refused", client=self.address, reason=reason)
            self.count("smtp_connections", reason)
            self._wire.end()
            self._is_over = True
            if self._config.tls != "implicit":
                transport.write(f"421 4.7.0 {self.hostname} {reason}, try again later\r\n".encode())
            transport.close()
            return
        self._is_inside = True
        self.count("smtp_connections", "let in")
        self.session.peer = peer
        if self._config.tls == "implicit":
            self._begin_tls()
        else:
            self._begin()

    def data_received(self, data: bytes) -> None:
        self._wire.feed(data)
        if self._content is not None:
            self._renew()
        self._go_on()
        if self._wire.is_full and not self._is_paused and self.transport:
            self.transport.pause_reading()
            self._is_paused = True

    def eof_received(self) -> bool:
        self._wire.end()
        self._go_on()
        return not self._is_secure and not self._is_over  # our side stays open for an answer; TLS cannot

    def pause_writing(self) -> None:
        self._is_deaf = True

    def resume_writing(self) -> None:
        self._is_deaf = False
        self._go_on_later()

    def connection_lost(self, error: Exception | None) -> None:
        log.debug("hung up", client=self.address, error=str(error or ""))
        self._wire.end()
        self._stop_clocks()
        self.transport = None
        if not self._is_busy:
            self._forget_content()
        self._leave()

    # Its turns

    def _go_on(self) -> None:
        """One thing now, and what else has come in later turns: a flood of commands does not starve the others."""
        if self._is_over or self._is_busy or self._is_handshaking or self._is_deaf or self._is_turn_coming:
            return
        self.take_turn()
        if self._is_busy or self._is_handshaking or self._is_over:
            return
        if self._wire.has_line if self._content is None else not self._wire.is_empty:
            self._go_on_later()
        elif self._wire.has_ended:
            self._end()
        elif self._is_paused and self.transport:
            self.transport.resume_reading()
            self._is_paused = False

    def _go_on_later(self) -> None:
        if not self._is_turn_coming:
            self._is_turn_coming = True
            self.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_turn_coming = False
        self._go_on()

    def _begin(self) -> None:
        self._renew()
        self._start_cap()
        self.greet()

    def _forget_content(self) -> None:
        self._content = None
        self._share.free()

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

    def _end(self) -> None:
        """There is nothing more to say."""
        self._is_over = True
        self._stop_clocks()
        self._forget_content()
        if self.transport:
            self._close(self.transport)

    def _dismiss(self, reply: str) -> None:
        """The last word. What the client still sends is read and thrown away for a while, so that it sees the reply."""
        if self._is_over or self.transport is None:
            return
        if self._is_handshaking:
            assert self._task
            self._task.cancel()  # there is nothing that we could say
            return
        log.info("dismissed", client=self.address, reply=reply)
        self.count("smtp_refusals", code_of(reply))
        self._is_over = True
        self._stop_clocks()
        self._forget_content()
        self.transport.write(f"{reply}\r\n".encode())
        if self._wire.has_ended:
            self._close(self.transport)
            return
        self._wire.end()
        self._wire.forget()
        if self._is_paused:
            self.transport.resume_reading()
            self._is_paused = False
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

    def _renew(self) -> None:
        """The client has done something: it has all the time of a command again."""
        self._due = self.loop.time() + self._config.command_seconds
        if self._timer is None:
            self._wind()

    def _start_cap(self) -> None:
        """The most that a client may take from one message to the next, however busily it trickles."""
        self._cap_due = self.loop.time() + self._config.transaction_seconds
        self._wind()

    def _stop_clocks(self) -> None:
        """A timer that is left looks once more, and finds nothing."""
        self._due = self._cap_due = inf
        if self._is_over or self.transport is None:
            self._unwind()

    def _wind(self) -> None:
        """Look at the clocks when the first of them may have run out; most often it has been renewed until then."""
        due = min(self._due, self._cap_due)
        if due == inf or (self._timer is not None and self._timer.when() <= due):
            return
        self._unwind()
        self._timer = self.loop.call_at(due, self._look_at_clocks)

    def _unwind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_clocks(self) -> None:
        self._timer = None
        now = self.loop.time()
        if now >= self._due:
            self._dismiss("421 4.4.2 timeout")
        elif now >= self._cap_due:
            self._dismiss("421 4.4.2 too slow")
        else:
            self._wind()

    # Its TLS

    def _begin_tls(self) -> None:
        """Read nothing more until the handshake reads it."""
        assert self.transport
        self.transport.pause_reading()
        self._is_handshaking = True
        self._task = self.loop.create_task(self._start_tls(self.transport))

    async def _start_tls(self, plain: asyncio.Transport) -> None:
        """Speak TLS from here; what was said in the clear is forgotten (RFC 3207 §4.2)."""
        assert self._tls
        self._stop_clocks()
        try:
            secure = await self.loop.start_tls(
                plain, self, self._tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, asyncio.CancelledError) as error:  # an ssl.SSLError is one
            log.info("TLS failed", client=self.address, error=str(error))
            self.count("smtp_connections", "TLS failed")
            plain.abort()
            self._is_over, self._is_handshaking, self.transport = True, False, None
            self._leave()  # asyncio tells nobody of a connection that is lost in the handshake
            return
        self._is_handshaking, self._is_paused = False, False
        if self.transport is None:  # it was lost right behind the handshake
            return
        assert isinstance(secure, asyncio.Transport)
        self.transport = secure
        self._is_secure = True
        peer, self.session, self.envelope = self.session.peer, Session(self.loop), Envelope()
        self.session.peer = peer
        if self._config.tls == "implicit":
            self._begin()
        else:
            self._renew()
            self._start_cap()
        self._go_on_later()

    @property
    def tls_version(self) -> str:
        """`TLSv1.3`, or "" in the clear."""
        if not self._is_secure or self.transport is None:
            return ""
        return str(self.transport.get_extra_info("ssl_object").version())


def code_of(reply: str) -> str:
    """A reply's codes, `550 5.1.1`, without its words: these may quote a client."""
    return " ".join(reply.split()[:2]) if ENHANCED_CODE.match(reply) else reply[:3]

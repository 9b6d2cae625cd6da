"""A smarthost as courier: SMTP or LMTP over a few connections that are kept and used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from postroom.config import Config, SmartHost
from postroom.errors import ConfigError
from postroom.outbound.carriers import Broken
from postroom.outbound.smtp_auth import Credential
from postroom.outbound.smtp_session import Server, Session, open_session
from postroom.outbound.smtp_wire import Narrator
from postroom.store.outbox import Claimed

IDLE_MAX = 30.0  # seconds that a connection may have been idle; servers drop theirs after a while
MAILS_PER_CONNECTION = 100  # servers count


class SmarthostCarrier:
    """Hands mail to one smarthost."""

    def __init__(self, config: Config, path: str, peer: SmartHost, credential: Credential | None) -> None:
        """`path`: of the peer's table. Raises ConfigError for a CA file that cannot be read."""
        name = config.smtp.hostname or socket.gethostname() or "localhost"
        self._server = Server(peer, name, _context(config, path, peer), credential if peer.user else None)
        self._idle: list[tuple[Session, float]] = []
        self.connections = peer.connections

    async def carry(self, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        """Hand over one mail; the server's answer to its final dot.

        A kept connection may have been dropped behind our back: then a new one is made, once.
        """
        while session := self._kept():
            try:
                return await self._send(session, delivery, before_dot)
            except Broken:
                continue
        return await self._send(await open_session(self._server), delivery, before_dot)

    async def _send(self, session: Session, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        session.sent += 1
        try:
            return await session.send(delivery, before_dot)
        except asyncio.CancelledError:
            session.close()
            raise
        finally:
            if not session.is_usable:
                session.close()
            elif session.sent >= MAILS_PER_CONNECTION:
                await session.quit()
            else:
                self._idle.append((session, time.monotonic()))

    def _kept(self) -> Session | None:
        while self._idle:
            session, since = self._idle.pop()
            if session.is_usable and time.monotonic() - since < IDLE_MAX:
                return session
            session.close()
        return None

    async def close(self) -> None:
        """Say goodbye on every connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session, _ in idle))

    async def check(self) -> tuple[str, datetime | None]:
        """Connect, greet, log in, and say goodbye; host and port, and until when its certificate is valid.

        Raises TemporaryFailure.
        """
        session = await open_session(self._server)
        ends = session.certificate_ends
        await session.quit()
        return str(self._server), ends

    async def narrated(self, mail: Claimed, narrate: Narrator) -> str:
        """Hand over one mail on a connection of its own, and tell each step; the answer to its final dot."""
        session = await open_session(self._server, narrate)
        try:
            return await session.send(mail, _nothing)
        finally:
            await session.quit()


async def _nothing() -> None:
    pass


def _context(config: Config, path: str, peer: SmartHost) -> ssl.SSLContext | None:
    """Verifies the server's certificate and name."""
    if peer.transport == "none":
        return None
    try:
        return ssl.create_default_context(cafile=str(config.resolve(peer.ca_file)) if peer.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{path}.ca_file: {config.resolve(peer.ca_file)}: {error.strerror or error}") from error

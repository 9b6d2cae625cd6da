"""Mail coming in by SMTP and LMTP: where we listen, whom we serve, and the 250 that is a promise."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from aiosmtpd.smtp import Envelope

from postroom.config import ACTIVATED, Config, split_listen
from postroom.daemon.intake import Intake
from postroom.daemon.log import masked
from postroom.daemon.metrics import Metrics
from postroom.daemon.smtp_gate import Gate, Memory, Share
from postroom.daemon.smtp_session import TOO_MUCH, SmtpSession
from postroom.daemon.smtp_syntax import Sender
from postroom.daemon.smtp_wire import Mail, count_received
from postroom.daemon.tls import server_context
from postroom.desk.mailboxes import Mailboxes, Served
from postroom.errors import TemporaryFailure, UserError
from postroom.logger import structlog
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound

MAX_HOPS = 50  # Received lines; a message that has been on that many hosts goes round in circles
REPLY_IDS = 10  # named in one 250; a reply line is 512 octets at most (RFC 5321 §4.5.3.1.5)
# a reload took a mailbox away after RCPT: none is taken, as 250 would promise all of them
MOVED = "451 4.3.0 an address is served no more, try again later"
DISK_FULL = "452 4.3.1 insufficient system storage, try again later"

log = structlog.get_logger()


class SmtpServer:
    """Every address of `smtp.listen`, and the sessions that are open on them."""

    def __init__(
        self, config: Config, store: Store, intake: Intake, activated: Sequence[socket.socket] = (),
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """`activated` are the sockets that systemd opened. Raises ConfigError where the certificate cannot be used."""
        self._activated = activated
        self._metrics = metrics or Metrics()
        self._config = config
        self._tls = server_context(config)
        self._gate = Gate(config.smtp.connections, config.smtp.connections_per_client)
        self._hostname = config.smtp.hostname or socket.getfqdn()
        self._door = Doorkeeper(config, store, intake)
        self._memory = Memory(max(int(config.smtp.max_memory), int(config.smtp.max_size)))
        self._servers: dict[str, list[asyncio.Server]] = {}  # by the entry of smtp.listen
        self._sessions: set[SmtpSession] = set()
        self._all_gone = asyncio.Event()

    @property
    def addresses(self) -> list[str]:
        """`HOST:PORT` of each socket, with the ports that were bound."""
        names = [s.getsockname() for servers in self._servers.values() for server in servers for s in server.sockets]
        return [_shown(name) for name in names]

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def held(self) -> int:
        """The octets of mail that the sessions hold."""
        return self._memory.held

    @property
    def is_disk_short(self) -> bool:
        """Whether mail is refused for want of room."""
        return self._door.is_disk_short(0)

    async def start(self) -> None:
        """Listen. Raises UserError where an address is not to be had."""
        await self._listen(self._config)

    async def use(self, config: Config) -> None:
        """Work by this configuration from now on; open sessions keep their limits, and know the new mailboxes.

        Raises UserError or ConfigError, and has changed nothing, where an address or a certificate is not to be had.
        """
        tls = server_context(config)
        await self._listen(config)
        for gone in self._servers.keys() - set(config.smtp.listen):
            for server in self._servers.pop(gone):
                server.close()
        self._config, self._tls = config, tls
        self._hostname = config.smtp.hostname or socket.getfqdn()
        self._gate.use(config.smtp.connections, config.smtp.connections_per_client)
        self._door.use(config)

    async def _listen(self, config: Config) -> None:
        """Open what is not open yet: all or nothing of it."""
        opened: dict[str, list[asyncio.Server]] = {}
        for listen in config.smtp.listen:
            try:
                if listen not in self._servers:
                    opened[listen] = await self._open(listen)
            except (OSError, UserError) as error:
                for server in (server for servers in opened.values() for server in servers):
                    server.close()
                if isinstance(error, UserError):
                    raise
                raise UserError(f"smtp.listen: cannot listen on {listen}: {_reason(error)}") from error
        self._servers |= opened

    async def _open(self, listen: str) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        if listen != ACTIVATED:
            host, port = split_listen(listen)
            return [await loop.create_server(self._session, host or None, port)]
        if not self._activated:
            raise UserError("smtp.listen: systemd handed over no socket; is postroom.socket started?")
        return [await loop.create_server(self._session, sock=one) for one in self._activated]

    def _session(self) -> SmtpSession:
        share = Share(self._memory)
        session = SmtpSession(self._config.smtp, self._hostname, self._gate, self._tls, share)
        session.door = self._door
        session.on_gone = lambda: self._gone(session)
        session.count = self._metrics.count
        self._sessions.add(session)
        self._all_gone.clear()
        return session

    def _gone(self, session: SmtpSession) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._all_gone.set()

    async def stop(self, grace: float) -> None:
        """Take no more: open sessions hear 421, a message that is being taken is finished and answered.

        Who is still there after `grace` seconds is cut off.
        """
        for server in (server for servers in self._servers.values() for server in servers):
            server.close()
        for session in list(self._sessions):
            session.retire()
        if self._sessions:
            try:
                await asyncio.wait_for(self._all_gone.wait(), grace)
            except TimeoutError:
                log.warning("sessions cut off", sessions=len(self._sessions))
        for session in list(self._sessions):
            session.abort()


class Doorkeeper:
    """Whom we serve, and what we take."""

    def __init__(self, config: Config, store: Store, intake: Intake) -> None:
        self._folder = str(store.path.parent) if store.path else None
        self._intake = intake
        self.use(config)

    def use(self, config: Config) -> None:
        """Serve whom this configuration names, from now on."""
        self._smtp = config.smtp
        self._mailboxes = Mailboxes(config)
        self._first = next(iter(config.mailbox), None)
        self._first_of: dict[str, str] = {}  # domain
        for name, mailbox in config.mailbox.items():
            self._first_of.setdefault(mailbox.address.lower().rpartition("@")[2], name)

    def begin(self, client: SmtpSession, sender: Sender) -> str:
        """The reply to MAIL."""
        refusal = ""
        if self.is_disk_short(sender.size):
            refusal = DISK_FULL
        elif not client.has_room(sender.size):
            refusal = TOO_MUCH
        if refusal:
            log.warning("not accepted", client=client.address, reply=refusal)
        return refusal or "250 2.1.0 ok"

    def admit(self, client: SmtpSession, envelope: Envelope, recipient: str) -> str:
        """The reply to RCPT."""
        if len(envelope.rcpt_tos) >= self._smtp.recipients:
            return "452 4.5.3 too many recipients"
        if self._find(recipient) is None:
            log.info("no such mailbox", client=client.address, domain=recipient.rpartition("@")[2])
            return "550 5.1.1 no such mailbox here"
        return "250 2.1.5 ok"

    async def take(self, client: SmtpSession, envelope: Envelope, mail: Mail | None) -> list[str]:
        """The replies to a content, one for each recipient: 250 only when all of it is on disk."""
        if mail is None:
            refusal = f"552 5.3.4 message exceeds {self._smtp.max_size} octets"
        else:
            refusal = _refusal(mail) or (DISK_FULL if self.is_disk_short(len(mail.raw)) else "")
        if mail is None or refusal:
            log.info("not accepted", client=client.address, reply=refusal)
            return [refusal] * len(envelope.rcpt_tos)
        deliveries = self._deliveries(client, envelope, mail)
        if len(deliveries) < len(envelope.rcpt_tos):
            log.warning("not accepted", client=client.address, reply=MOVED)
            return [MOVED] * len(envelope.rcpt_tos)
        try:
            accepted = await self._intake.accept_async(deliveries)
        except TemporaryFailure as error:
            log.warning("not accepted", client=client.address, error=str(error))
            reply = DISK_FULL if _is_disk_full(error) else "451 4.3.0 the store does not answer, try again later"
            return [reply] * len(envelope.rcpt_tos)
        for delivery, one in zip(deliveries, accepted, strict=True):
            log.info("accepted", inbound=one.id, is_new=one.is_new, mailbox=delivery.mailbox,
                     recipient=masked(delivery.recipient), octets=len(mail.raw), client=client.address)  # fmt: skip
        if self._smtp.protocol == "lmtp":
            return [f"250 2.0.0 accepted as {one.id}" for one in accepted]
        ids = [str(one.id) for one in accepted]
        more = f" and {len(ids) - REPLY_IDS} more" if len(ids) > REPLY_IDS else ""
        return [f"250 2.0.0 accepted as {', '.join(ids[:REPLY_IDS])}{more}"]

    def _deliveries(self, client: SmtpSession, envelope: Envelope, mail: Mail) -> list[NewInbound]:
        sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        peer = {"address": client.address, "helo": client.session.host_name or "", "tls": client.tls_version}
        now = datetime.now(UTC)
        served = [(self._find(address), address.lower()) for address in envelope.rcpt_tos]
        return [
            NewInbound(s.mailbox, recipient, mail.raw, mail.digest, "smtp", sender, now, peer)
            for s, recipient in served
            if s
        ]

    def _find(self, address: str) -> Served | None:
        """The mailbox that serves `address`; postmaster is served at every domain of ours (RFC 5321 §4.5.1)."""
        if served := self._mailboxes.find(address):
            return served
        local, at, domain = address.lower().rpartition("@")
        if (local if at else domain) != "postmaster":
            return None
        name = self._first_of.get(domain) if at else self._first
        return Served(name, None) if name else None

    def is_disk_short(self, octets: int) -> bool:
        """Whether taking so much would leave less free disk than `smtp.min_free_disk`."""
        if self._folder is None:
            return False  # another machine's disk, whose database speaks for itself
        return shutil.disk_usage(self._folder).free - octets < self._smtp.min_free_disk


def _shown(name: tuple[str, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _refusal(mail: Mail) -> str:
    """Why we do not take these bytes, as a reply; "" when we do."""
    if mail.has_bare_line_end:
        return "550 5.5.2 bare CR or LF in the content: lines end in CRLF"
    if count_received(mail.raw) >= MAX_HOPS:
        return "554 5.4.6 too many hops, this is a loop"
    return ""


def _is_disk_full(error: TemporaryFailure) -> bool:
    cause = getattr(error.__cause__, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"
    return getattr(cause, "sqlstate", "") == "53100"  # PostgreSQL's disk_full


def _reason(error: OSError) -> str:
    """asyncio words its own message around the system's; the system's is enough."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)

"""A desk of its own for a test of outgoing mail: real rooms, a real SQLite file, a clock that stands still."""

from __future__ import annotations

import email as standard
import email.policy
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

from peers.stores import plant_sqlite
from sqlalchemy import Connection, select, update

from postroom.config import Config, parse
from postroom.desk import tickets
from postroom.desk.author import Agent, Author, Standing
from postroom.desk.happened import Happened, Origin, What
from postroom.desk.mailboxes import Mailboxes
from postroom.desk.tickets import Desk, Incoming
from postroom.outbound.notify import Notifier
from postroom.outbound.templates import Templates
from postroom.parsers.parsed import Address, ParsedEmail
from postroom.store import inbound, messages, outbox, tables
from postroom.store.agents import sync_agents
from postroom.store.engine import Store
from postroom.threading.tokens import Signer

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
CONFIG = """
[queue.support]
title = "Support"
agents = ["bob", "cora"]
[agent.bob]
name = "Bob Agent"
address = "bob@example.com"
[agent.cora]
name = "Cora Agent"
address = "cora@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
[outgoing]
maildir = "outgoing"
"""


@dataclass
class Clock:
    """A time that only a test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class TestDesk:
    """The rooms around outgoing mail, put together, and short words for what tests do."""

    __test__ = False
    config: Config
    store: Store
    signer: Signer = field(default_factory=lambda: Signer([b"k" * 32]))
    clock: Clock = field(default_factory=Clock)
    random: Random = field(default_factory=lambda: Random(1))
    received: int = 0

    def __post_init__(self) -> None:
        folder = self.config.templates.folder
        templates = Templates(self.config.resolve(folder) if folder else None, self.config.templates.language)
        self.notifier = Notifier(self.config, self.signer, templates, self.clock, self.random)

    @property
    def agents(self) -> dict[str, Agent]:
        a = tables.Agent
        with self.store.read() as connection:
            rows = connection.execute(select(a.id, a.name, a.title, a.address).where(a.active)).all()
        return {row.address: Agent(*row) for row in rows}

    @property
    def key(self) -> int:
        """The key of the one ticket there is."""
        (ticket,) = self.rows(tables.Ticket)
        key: int = ticket.key
        return key

    def agent(self, name: str) -> Agent:
        return next(agent for agent in self.agents.values() if agent.name == name)

    def receive(
        self, email: ParsedEmail, *, sender: str | None = "", raw: bytes | None = None, ticket: int | None = None,
        agent: str | None = None, authenticated: bool | None = None, agreed: bool = True, enqueue: bool = True,
    ) -> Received:  # fmt: skip
        """Open a ticket with a mail, or add it to one; as a customer's, or as that agent's."""
        self.received += 1
        who = email.from_[0] if len(email.from_) == 1 else Address("", "")
        raw = raw or f"mail {self.received}".encode()
        agents = self.agents
        with self.store.write() as connection:
            desk = Desk(self.config, Mailboxes(self.config), agents, self.random)
            accepted = inbound.accept(connection, [inbound.NewInbound(
                "support", "support@example.com", raw, f"{self.received:064x}", "smtp", sender, self.clock()
            )])  # fmt: skip
            known = next((a for a in agents.values() if a.name == agent), None)
            author = Author(
                Standing.AGENT if known else Standing.CUSTOMER, who.address.lower(), who.name, "test", known
            )
            envelope = who.address if sender == "" else sender
            incoming = Incoming(
                accepted[0].id, f"{self.received:064x}", tickets.message_id_of(email, f"{self.received:064x}"), email,
                author, Origin(email, envelope, "support", authenticated), self.clock(), False, self.clock(),
            )  # fmt: skip
            if ticket is None:
                happened = tickets.open_ticket(connection, desk, incoming)
            elif known is not None:
                happened = self._answer(connection, ticket, known, incoming)
            else:
                row = connection.execute(select(tables.Ticket.__table__).where(tables.Ticket.id == ticket)).one()
                happened = tickets.add_customer(connection, desk, row, incoming, agreed)
            lines = self.notifier.enqueue(connection, happened) if enqueue else []
        return Received(happened, lines)

    def _answer(self, connection: Connection, ticket: int, agent: Agent, incoming: Incoming) -> Happened:
        """The rows of an agent's answer."""
        email = incoming.email
        id_ = messages.add(connection, {
            "ticket_id": ticket, "inbound_id": incoming.inbound_id, "digest": incoming.digest, "email_message_id": incoming.message_id,
            "author_type": "agent", "author_address": agent.address, "author_name": agent.title, "visibility": "public",
            "subject": email.subject, "text": email.reply_text, "timestamp": self.clock(), "created_at": self.clock(),
        })  # fmt: skip
        messages.add_attachments(connection, [{"message_id": id_, **asdict(file)} for file in email.attachments])
        changes = {"first_responded_at": self.clock(), "assigned_to": agent.id}
        connection.execute(update(tables.Ticket).where(tables.Ticket.id == ticket).values(changes))
        return Happened(What.AGENT_REPLIED, ticket, agent.name, id_, incoming.origin, agent.id)

    def tell(self, happened: Happened) -> list[dict[str, Any]]:
        with self.store.write() as connection:
            return self.notifier.enqueue(connection, happened)

    def outbox(self, purpose: str | None = None) -> list[Any]:
        """Rows of deliveries, oldest first."""
        with self.store.read() as connection:
            rows = list(reversed(outbox.find(connection)))
        return [row for row in rows if purpose is None or row.purpose == purpose]

    def mail(self, delivery: Any) -> EmailMessage:
        """A delivery's bytes, as the standard library reads them."""
        return read(self.raw(delivery))

    def raw(self, delivery: Any) -> bytes:
        with self.store.read() as connection:
            raw = outbox.raw(connection, delivery.id)
        assert raw is not None
        return raw

    def rows(self, table: Any) -> Sequence[Any]:
        with self.store.read() as connection:
            return connection.execute(select(table.__table__)).all()


@dataclass(frozen=True)
class Received:
    happened: Happened
    lines: list[dict[str, Any]]

    @property
    def ticket(self) -> int:
        return self.happened.ticket_id

    def line(self, step: str) -> dict[str, Any]:
        return next(line for line in self.lines if line["step"] == step)


def read(raw: bytes) -> EmailMessage:
    message = standard.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def mail(**changes: Any) -> ParsedEmail:
    """What an ordinary customer's mail says."""
    values: dict[str, Any] = {
        "message_id": "first@example.org",
        "date": NOON - timedelta(minutes=1),
        "from_": (Address("Ann Customer", "ann@example.org"),),
        "to": (Address("", "support@example.com"),),
        "subject": "Printer on fire",
        "text": "It burns.\n\nPlease help.",
        "reply_text": "It burns.\n\nPlease help.",
        "body_digest": "",
    }
    values.update(changes)
    values["body_digest"] = values["body_digest"] or str(values["message_id"])
    return ParsedEmail(**values)


@contextmanager
def desk_in(folder: Path, settings: str = "", url: str = "") -> Iterator[TestDesk]:
    """A desk whose files are in `folder`; `settings` is TOML that is laid over CONFIG, `url` another store, with its schema."""
    data = tomllib.loads(CONFIG)
    for section, values in tomllib.loads(settings).items():
        data.setdefault(section, {}).update(values)
    loaded = parse(data, folder)
    if not url:
        plant_sqlite(folder / "postroom.db")
    store = Store(url or f"sqlite:///{folder}/postroom.db")
    try:
        with store.write() as connection:
            sync_agents(connection, loaded)
        yield TestDesk(loaded, store)
    finally:
        store.dispose()

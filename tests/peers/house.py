"""A house of its own for a test: the real rooms on a real store, SQLite where none is named, without processes or sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from peers.stores import plant_sqlite
from sqlalchemy import make_url, select

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.receive import Settled, receive
from postroom.parsers.email import parse
from postroom.parsers.parsed import ParsedEmail
from postroom.store import inbound, messages, thread_index, tickets
from postroom.store.tables import Delivery, RawMail, Ticket

SUPPORT = "support@example.com"
ANN, BOB = "ann@example.com", "bob@example.com"
CONFIG: dict[str, Any] = {
    "queue": {"support": {"agents": ["ann", "bob"]}, "sales": {"agents": ["bob"]}},
    "agent": {"ann": {"name": "Ann Agent", "address": ANN}, "bob": {"name": "Bob Agent", "address": BOB}},
    "mailbox": {
        "support": {"address": SUPPORT, "queue": "support"},
        "sales": {"address": "sales@example.com", "queue": "sales"},
    },
}


class TestHouse:
    """Takes mail one by one, and shows what came of it."""

    __test__ = False

    def __init__(self, opened: house.House) -> None:
        self.house = opened
        self.store = opened.store
        self.later = timedelta()

    def take(self, raw: bytes, recipient: str = SUPPORT, sender: str | None = None, **options: Any) -> Settled:
        """Take one delivery and give it its whole effect. `sender` None is From's address."""
        mailbox = self.house.mailboxes.find(recipient)
        assert mailbox is not None, recipient
        email = parse(raw)
        envelope = (email.from_[0].address if email.from_ else "") if sender is None else sender
        digest = hashlib.sha256(raw).hexdigest()
        now = house.now() + self.later
        with self.store.write() as connection:
            new = inbound.NewInbound(mailbox.mailbox, recipient.lower(), raw, digest, "smtp", envelope, now, **options)
            accepted = inbound.accept(connection, [new])[0]
            claimed = inbound.load_claimed(connection, [accepted.id])[0]
            settled = receive(connection, self.house.reception(connection), claimed, email, now)
            inbound.settle(connection, [settled.row(now)])
        return settled

    def ticket(self, id_: int | None) -> Any:
        """A ticket's row, itself or what it was merged into."""
        assert id_ is not None
        with self.store.read() as connection:
            row = tickets.get(connection, id_)
            assert row is not None
            return tickets.follow(connection, row)

    def tickets(self) -> list[Any]:
        """Every ticket that was not merged away, oldest first."""
        with self.store.read() as connection:
            query = select(Ticket.__table__).where(Ticket.merged_into.is_(None)).order_by(Ticket.number)
            return list(connection.execute(query))

    def conversation(self, id_: int | None) -> list[Any]:
        """A ticket's messages, oldest first."""
        assert id_ is not None
        with self.store.read() as connection:
            return list(messages.of_ticket(connection, id_))

    def events(self, id_: int) -> list[str]:
        """The kinds of a ticket's activity, oldest first."""
        with self.store.read() as connection:
            return [e.event for e in messages.events(connection, id_)]

    def links(self, id_: int | None) -> list[tuple[str, str, str]]:
        """The tickets that it is linked with: ref, kind, reason."""
        assert id_ is not None
        with self.store.read() as connection:
            return tickets.links(connection, id_)

    def participants(self, id_: int) -> dict[str, tuple[str, bool]]:
        """Who takes part: role, and whether it was agreed."""
        with self.store.read() as connection:
            return {p.address: (p.role, p.agreed) for p in thread_index.participants(connection, id_)}

    def outbox(self, **wanted: str) -> list[tuple[Any, ParsedEmail | None]]:
        """Deliveries with their mail as our own parser reads it, oldest first."""
        query = select(Delivery.__table__, RawMail.content).outerjoin(RawMail, RawMail.digest == Delivery.digest)
        for column, value in wanted.items():
            query = query.where(getattr(Delivery, column) == value)
        with self.store.read() as connection:
            rows = connection.execute(query.order_by(Delivery.id)).all()
        return [(row, parse(row.content) if row.content else None) for row in rows]

    def sent(self, purpose: str, recipient: str | None = None) -> ParsedEmail:
        """The newest mail of that purpose that waits to be sent."""
        found = [
            mail
            for row, mail in self.outbox(purpose=purpose, state="pending")
            if recipient in (None, row.recipient) and mail
        ]
        assert found, f"no {purpose} to {recipient} in the outbox"
        return found[-1]


@contextmanager
def open_test_house(folder: Path, **changes: Any) -> Iterator[TestHouse]:
    """A house in `folder`; `changes` are sections of the configuration."""
    config = settings.parse({**CONFIG, **changes}, folder)
    url = make_url(config.store_url())
    if url.get_backend_name() == "sqlite" and url.database:
        plant_sqlite(Path(url.database))
    with house.open_house(config) as opened:
        yield TestHouse(opened)


_count = iter(range(1, 1_000_000))


def mail(
    sender: str = "Cy Customer <cy@customer.example>", to: str = SUPPORT, subject: str = "Printer on fire",
    text: str = "It burns.\n", **headers: str,
) -> bytes:  # fmt: skip
    """A mail; further headers by name (`In_Reply_To`), `""` leaves one out."""
    message = EmailMessage()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    number = next(_count)
    fields = {
        "From": sender, "To": to, "Subject": subject, "Date": format_datetime(house.now()),
        "Message-ID": f"<{number}@customer.example>", **given,
    }  # fmt: skip
    for name, value in fields.items():
        if value:
            message[name] = value
    message.set_content(text)
    return message.as_bytes().replace(b"\n", b"\r\n")


def answer(
    received: ParsedEmail,
    text: str = "Try turning it off.\n",
    sender: str = "Ann Agent <ann@example.com>",
    **headers: str,
) -> bytes:
    """What a mail program writes when a person answers a mail: to Reply-To, with the thread's references."""
    to = (received.reply_to or received.from_)[0].address
    refs = " ".join(f"<{ref}>" for ref in (*received.references, received.message_id))
    thread = {"In_Reply_To": f"<{received.message_id}>", "References": refs}
    return mail(sender, to, f"Re: {received.subject}", text, **{**thread, **headers})

"""A store with many tickets, made in minutes: what each of them holds is written by the store's own statements, then multiplied.

The first BASE tickets go in as rows of the store's tables, through its prepared statements. The database copies them as often as
it takes (INSERT … SELECT), each time with other ids, Message-IDs, digests, times and, for half of the tickets, other people.
What is looked up by chance in a real store (digests, Message-IDs, keys) is spread over its index here, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    String,
    bindparam,
    event,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.types import TypeEngine

from postroom.store.engine import Store
from postroom.store.prepared import PreparedInsert
from postroom.store.tables import (
    Delivery,
    Event,
    InboundEmail,
    Message,
    Participant,
    RawMail,
    ThreadRef,
    Ticket,
    Utc,
)
from postroom.store.tables import (
    Sequence as Numbers,
)

BASE = 1000  # tickets that are made one by one
COPIES = 50  # of them in one transaction
MESSAGES = 2  # on each ticket
PEOPLE_SHARE = 10  # tickets for each person who is none of the given
LAST_DAY = datetime(2026, 3, 1, tzinfo=UTC)  # the day before the corpus begins
YEARS = timedelta(days=3650)
TEXT = (
    "since this morning the device shows only a red light; I have tried to restart it twice, and nothing changed.\n" * 4
)
STRANGERS = "@elsewhere.example"
SPREAD = 2654435761  # prime: multiples of it are spread over all keys
KEYS = 1 << 48
# a store that is thrown away if this goes wrong; none of it is true of the daemon that is measured later
CARELESS = {
    "sqlite": ("PRAGMA synchronous=OFF", "PRAGMA cache_size=-1000000", "PRAGMA foreign_keys=OFF"),
    "postgresql": ("SET synchronous_commit = off", "SET session_replication_role = replica"),
}

_tables = (RawMail, Ticket, InboundEmail, Message, ThreadRef, Participant, Event, Delivery)
_inserts = {table: PreparedInsert(table) for table in _tables}
Rows = dict[Any, list[dict[str, Any]]]


def fill(url: str, tickets: int, people: Sequence[str], random: Random) -> None:
    """Put so many tickets into an empty store, half of them by these people; above BASE a multiple of it."""
    store = Store(url)
    event.listen(store.engine, "connect", _be_careless(CARELESS[store.engine.dialect.name]))
    base = min(tickets, BASE)
    if tickets % (base or 1):
        raise ValueError(f"{tickets} is no multiple of {BASE}")
    seconds = YEARS.total_seconds() * base / tickets if tickets else 0
    rows: Rows = {table: [] for table in _tables}
    for n in range(1, base + 1):
        who = random.choice(people) if n % 2 else f"person{random.randrange(max(1, base // PEOPLE_SHARE))}{STRANGERS}"
        _ticket(rows, n, who, LAST_DAY - YEARS + timedelta(seconds=seconds * n / base), random)
    with store.write() as connection:
        for table in _tables:
            _inserts[table].add(connection, rows[table])
        if tickets:
            connection.execute(insert(Numbers).values(name="ticket", value=1000 + tickets))
    for start in range(base, tickets, COPIES * BASE):
        with store.write() as connection:
            for more in range(start, min(start + COPIES * BASE, tickets), BASE):
                _copy(connection, more, seconds * more / BASE)
    _catch_up(store)
    store.dispose()


def _be_careless(commands: Sequence[str]) -> Callable[[Any, Any], None]:
    def run(driver: Any, _record: Any) -> None:
        cursor = driver.cursor()
        for command in commands:
            cursor.execute(command)
        cursor.close()
        if hasattr(driver, "info"):  # psycopg has begun a transaction
            driver.commit()

    return run


def _ticket(rows: Rows, n: int, who: str, at: datetime, random: Random) -> None:
    """The rows of one ticket: two messages of the customer's, and what we sent."""
    subject, closed = f"Device {n % 1000} shows a red light", n % 20 != 0
    digests = [hashlib.sha256(f"{n}.{k}".encode()).hexdigest() for k in range(MESSAGES)]
    rows[Ticket].append({
        "id": n, "number": 1000 + n, "key": n * SPREAD % KEYS, "ref": f"T-{1000 + n}", "subject": subject,
        "normal_subject": subject.lower(), "description": TEXT, "ticket_type": "question", "source": "email", "submitter_name": "Ann",
        "submitter_email": who, "contact_name": "Ann", "contact_email": who, "email_message_id": _id(digests[0]),
        "email_thread_id": _id(digests[0]), "mailbox": "support", "queue": "support", "requester": who,
        "status": "closed" if closed else "open", "priority": "medium", "created_at": at, "updated_at": at,
        "first_responded_at": at if n % 4 == 0 else None, "closed_at": at if closed else None, "clock_stopped_at": at if closed else None,
    })  # fmt: skip
    for k, digest in enumerate(digests):
        id_ = MESSAGES * (n - 1) + k + 1
        rows[RawMail].append({"digest": digest, "size": len(TEXT), "content": TEXT.encode()})
        rows[InboundEmail].append({
            "id": id_, "mailbox": "support", "recipient": "support@example.com", "digest": digest, "size": len(TEXT), "source": "smtp",
            "sender": who, "peer": {}, "received_at": at, "state": "processed", "attempts": 1, "outcome": "added" if k else "opened",
            "reason": "", "decision": [], "ticket_id": n, "processed_at": at,
        })  # fmt: skip
        rows[Message].append({
            "id": id_, "ticket_id": n, "inbound_id": id_, "digest": digest, "email_message_id": _id(digest), "references": [],
            "content_key": digest, "author_type": "user", "author_address": who, "author_name": "Ann", "visibility": "public",
            "subject": subject, "text": TEXT, "timestamp": at, "created_at": at,
        })  # fmt: skip
        rows[ThreadRef].append({"ref": _id(digest), "ticket_id": n, "kind": "message"})
        rows[Event].append({"ticket_id": n, "at": at, "actor": who, "event": "message", "detail": {"subject": subject}})
    rows[Participant].append(
        {"ticket_id": n, "address": who, "name": "Ann", "role": "requester", "agreed": True, "created_at": at}
    )
    sent = _id(hashlib.sha256(f"{n}.sent".encode()).hexdigest())
    rows[ThreadRef].append({"ref": sent, "ticket_id": n, "kind": "message"})
    rows[Event].append({"ticket_id": n, "at": at, "actor": who, "event": "opened", "detail": {"subject": subject}})
    rows[Delivery].append({
        "key": random.getrandbits(60), "ticket_id": n, "purpose": "confirmation", "automatic": True, "mailbox": "support", "recipient": who,
        "envelope_sender": "support@example.com", "email_message_id": sent, "subject": subject, "state": "sent", "attempts": 1,
        "created_at": at, "sent_at": at,
    })  # fmt: skip


def _id(digest: str) -> str:
    """A Message-ID as programs make them: by chance."""
    return f"{digest[:24]}@elsewhere.example"


def _copy(connection: Connection, more: int, seconds: float) -> None:
    """Copy the first BASE tickets, and all that is theirs, to ids that are so many higher, so many seconds later."""
    given = {"more": more, "seconds": seconds, "tag": f"{more:08d}"}
    for table in _tables:
        connection.execute(_copies(connection, table), given)


def _copies(connection: Connection, table: Any) -> Any:
    """The INSERT that copies the first rows of a table."""
    dialect = connection.dialect.name
    if (found := _made.get((dialect, table))) is None:
        columns = table.__table__.c
        own_ids = table in (Event, Delivery)  # theirs were given by the database
        values = {c.name: _copied(table, c, dialect == "sqlite") for c in columns if not (own_ids and c.name == "id")}
        query = select(*values.values()).where(_is_first(columns))
        found = _made[dialect, table] = insert(table).from_select(list(values), query, include_defaults=False)
    return found


_made: dict[tuple[str, Any], Any] = {}


def _is_first(columns: Mapping[str, Any]) -> Any:
    """Which rows belong to the first BASE tickets."""
    if "ticket_id" in columns:
        return columns["ticket_id"] <= literal(BASE)
    if "id" in columns:
        return columns["id"] <= literal(BASE)
    messages = select(Message.digest).where(Message.id <= MESSAGES * BASE)
    return columns["digest"].in_(messages)


def _copied(table: Any, column: Any, is_sqlite: bool) -> Any:
    """What a copy has in that column."""
    more, tag = _given("more", BigInteger()), _given("tag", String())
    name = column.name
    if name in ("digest", "content_key", "email_message_id", "email_thread_id") or (table, name) == (ThreadRef, "ref"):
        return func.substr(column, 1, 4) + tag + func.substr(column, 13)  # the first digits say where in an index
    if isinstance(column.type, Utc):
        if is_sqlite:
            return func.strftime("%Y-%m-%d %H:%M:%f000", column, _given("seconds", String()) + literal(" seconds"))
        return column + func.make_interval(0, 0, 0, 0, 0, 0, _given("seconds", None))
    if name in ("requester", "submitter_email", "contact_email", "sender", "author_address", "address", "actor") or (
        (table, name) == (Delivery, "recipient")
    ):
        return func.replace(column, STRANGERS, tag + literal(STRANGERS))
    if (table, name) == (Ticket, "key"):
        return (Ticket.id + more) * literal(SPREAD, BigInteger()) % literal(KEYS, BigInteger())
    if (table, name) == (Ticket, "ref"):
        return literal("T-") + (Ticket.number + more).cast(String)
    if name == "inbound_id" or (name == "id" and table in (InboundEmail, Message)):
        return column + more * literal(MESSAGES)
    if name in ("id", "number", "ticket_id", "key"):
        return column + more
    return column


def _given(name: str, kind: TypeEngine[Any] | None) -> Any:
    return bindparam(name, type_=kind)


def _catch_up(store: Store) -> None:
    """What the database would have done by itself: count ids on from those that were given, and look at the tables."""
    if store.is_sqlite:
        return
    with store.write() as connection:
        for table in (InboundEmail, Ticket, Message):
            last = select(func.coalesce(func.max(table.id), 1)).scalar_subquery()
            connection.execute(select(func.setval(f"{table.__tablename__}_id_seq", last)))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))

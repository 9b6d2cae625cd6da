"""Does a mail cost more in a large store? The same mails are taken into stores that hold more and more tickets.

A fast generator fills each store through the store's own statements: tickets of two messages with their Message-IDs, participants,
activity, deliveries and received mail. Half of its tickets are by the very people who write the mails that are measured, all but
one in twenty of them closed. Then `postroom ingest` takes new mails, with confirmations; then as many again with `--archive`.

    python bench/grow.py [--sizes 0,10000,100000,1000000] [--count 2000] [--postgresql]

Prints a table, then one JSON line. CPU is that of all of Postroom's processes, and of PostgreSQL's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from corpus import SEED, SENDERS, Mail, make_corpus, write_mbox
from end_to_end import LOOK_SECONDS, Processors, expect_exit, open_store, prepared
from outcome import mistakes
from peers.postgresql import PostgreSQL
from peers.processes import Program
from sqlalchemy import func, insert, select, text

from postroom.daemon.keys import load_signer
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
)
from postroom.store.tables import (
    Sequence as Numbers,
)

SIZES = (0, 10_000)
CHUNK = 2000  # tickets in one transaction
PEOPLE_SHARE = 10  # tickets for each person who is none of the corpus's
LAST_DAY = datetime(2026, 3, 1, tzinfo=UTC)  # the day before the corpus begins
YEARS = timedelta(days=3650)
TEXT = (
    "since this morning the device shows only a red light; I have tried to restart it twice, and nothing changed.\n" * 4
)

_tables = (RawMail, Ticket, InboundEmail, Message, ThreadRef, Participant, Event, Delivery)
_inserts = {table: PreparedInsert(table) for table in _tables}
Rows = dict[Any, list[dict[str, Any]]]


@dataclass(slots=True)
class Figures:
    """What mails cost in a store of one size."""

    tickets: int
    way: str
    messages: int
    wall_seconds: float
    cpu_seconds: float
    mistakes: list[str] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """CPU of one mail, in milliseconds."""
        return 1000 * self.cpu_seconds / self.messages


def grow(store: Store, tickets: int, people: Sequence[str], random: Random) -> None:
    """Fill an empty store with so many tickets, half of them by these people."""
    strangers = max(1, tickets // PEOPLE_SHARE)
    for start in range(0, tickets, CHUNK):
        rows: Rows = {table: [] for table in _tables}
        for n in range(start + 1, min(start + CHUNK, tickets) + 1):
            who = random.choice(people) if n % 2 else f"person{random.randrange(strangers)}@elsewhere.example"
            _ticket(rows, n, who, LAST_DAY - YEARS * (1 - n / tickets), random)
        with store.write() as connection:
            for table in _tables:
                _inserts[table].add(connection, rows[table])
    with store.write() as connection:
        if tickets:
            connection.execute(insert(Numbers).values(name="ticket", value=1000 + tickets))
    if not store.is_sqlite:
        _catch_up(store)


def _ticket(rows: Rows, n: int, who: str, at: datetime, random: Random) -> None:
    """The rows of one ticket: two messages of the customer's, and what we sent."""
    subject, closed = f"Device {n % 1000} shows a red light", n % 20 != 0
    root = f"{n}.1@elsewhere.example"
    rows[Ticket].append({
        "id": n, "number": 1000 + n, "key": n, "ref": f"T-{1000 + n}", "subject": subject, "normal_subject": subject.lower(), "description": TEXT,
        "ticket_type": "question", "source": "email", "submitter_name": "Ann", "submitter_email": who, "contact_name": "Ann",
        "contact_email": who, "email_message_id": root, "email_thread_id": root, "mailbox": "support", "queue": "support", "requester": who,
        "status": "closed" if closed else "open", "priority": "medium", "created_at": at, "updated_at": at,
        "first_responded_at": at if n % 4 == 0 else None, "closed_at": at if closed else None, "clock_stopped_at": at if closed else None,
    })  # fmt: skip
    for k in (1, 2):
        id_, own = 2 * n - 2 + k, f"{n}.{k}@elsewhere.example"
        digest = hashlib.sha256(own.encode()).hexdigest()
        rows[RawMail].append({"digest": digest, "size": len(TEXT), "content": TEXT.encode()})
        rows[InboundEmail].append({
            "id": id_, "mailbox": "support", "recipient": "support@example.com", "digest": digest, "size": len(TEXT), "source": "smtp",
            "sender": who, "peer": {}, "received_at": at, "state": "processed", "attempts": 1, "outcome": "opened" if k == 1 else "added",
            "reason": "", "decision": [], "ticket_id": n, "processed_at": at,
        })  # fmt: skip
        rows[Message].append({
            "id": id_, "ticket_id": n, "inbound_id": id_, "digest": digest, "email_message_id": own, "references": [root] if k > 1 else [],
            "content_key": digest, "author_type": "user", "author_address": who, "author_name": "Ann", "visibility": "public",
            "subject": subject, "text": TEXT, "timestamp": at, "created_at": at,
        })  # fmt: skip
        rows[ThreadRef].append({"ref": own, "ticket_id": n, "kind": "message"})
        rows[Event].append({"ticket_id": n, "at": at, "actor": who, "event": "message", "detail": {"messageId": own}})
    rows[Participant].append(
        {"ticket_id": n, "address": who, "name": "Ann", "role": "requester", "agreed": True, "created_at": at}
    )
    sent = f"sent.{n}@example.com"
    rows[ThreadRef].append({"ref": sent, "ticket_id": n, "kind": "message"})
    rows[Event].append({"ticket_id": n, "at": at, "actor": who, "event": "opened", "detail": {"subject": subject}})
    rows[Delivery].append({
        "key": random.getrandbits(60), "ticket_id": n, "purpose": "confirmation", "automatic": True, "mailbox": "support", "recipient": who,
        "envelope_sender": "support@example.com", "email_message_id": sent, "subject": subject, "state": "sent", "attempts": 1,
        "created_at": at, "sent_at": at,
    })  # fmt: skip


def _catch_up(store: Store) -> None:
    """What PostgreSQL would have done by itself: count ids on from those that were given, and look at the tables."""
    with store.write() as connection:
        for table in (InboundEmail, Ticket, Message):
            last = select(func.coalesce(func.max(table.id), 1)).scalar_subquery()
            connection.execute(select(func.setval(f"{table.__tablename__}_id_seq", last)))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def take(
    folder: Path, url: str, size: int, ways: Sequence[tuple[str, Sequence[Mail]]], server: Server | None
) -> Iterator[Figures]:
    """Let `postroom ingest` take these mails into a store of that size, one way after the other."""
    config = prepared(folder, url).path
    load_signer(folder / "var" / "signing-keys")  # as it was made with the first ticket
    store = open_store(url, folder)
    began = time.monotonic()
    grow(store, size, sorted({mail.sender for _, mails in ways for mail in mails}), Random(size))
    print(f"{size} tickets made in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for way, mails in ways:
        with store.read() as connection:
            last = connection.execute(select(func.coalesce(func.max(Message.id), 0))).scalar_one()
            last_ticket = connection.execute(select(func.coalesce(func.max(Ticket.id), 0))).scalar_one()
        write_mbox(folder / "corpus.mbox", mails)
        archive = ["--archive"] if way == "archive" else []
        wall, cpu = run(
            [sys.executable, "-m", "postroom", "-c", str(config), "ingest", *archive, str(folder / "corpus.mbox")],
            folder,
            server,
        )
        yield Figures(
            size, way, len(mails), wall, cpu, mistakes(store, mails, confirmed=not archive, after=(last, last_ticket))
        )
    store.dispose()


def run(command: list[str], folder: Path, server: Server | None) -> tuple[float, float]:
    """Seconds that passed, and CPU seconds of all of the command's processes and of the database server."""
    cpu, before, start = Processors(), server.seconds() if server else 0.0, time.monotonic()
    program = Program(command, folder / "log")
    try:
        while program.exit_status is None:
            cpu.look(program.group())
            time.sleep(LOOK_SECONDS)
        wall = time.monotonic() - start
        expect_exit(program.exit_status, program.output())
    finally:
        program.stop()
    return wall, cpu.seconds + (server.seconds() - before if server else 0.0)


class Server:
    """The processor time of a PostgreSQL server: its own, of those that it has reaped, and of those that live."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def seconds(self) -> float:
        """All of it, until now."""
        ticks = 0
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if pid == self._pid:
                ticks += sum(map(int, values[11:15]))
            elif int(values[1]) == self._pid:
                ticks += int(values[11]) + int(values[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--sizes", default=",".join(map(str, SIZES)), help="tickets, from small to large")
    options.add_argument("--count", type=int, default=2000, help="mails that are measured, each way")
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    ways = [("ingest", list(make_corpus(given.count, SEED))), ("archive", list(make_corpus(given.count, SEED + 1)))]
    figures: list[Figures] = []
    with ExitStack() as running:
        peer = running.enter_context(PostgreSQL(durable=True)) if given.postgresql else None
        server = Server(peer.pid) if peer else None
        new_url: Callable[[], str] = peer.create_database if peer else lambda: "sqlite:///postroom.db"
        for size in map(int, given.sizes.split(",")):
            with tempfile.TemporaryDirectory(prefix="bench.") as folder:
                figures += take(Path(folder), url := new_url(), size, ways, server)
            if peer:
                peer.drop_database(url)
    show(figures)
    summary = {
        "benchmark": "grow", "database": "postgresql" if given.postgresql else "sqlite", "senders": SENDERS,
        "figures": [asdict(one) | {"cpuMs": round(one.cpu_ms, 3), "ratio": round(ratio(one, figures), 3)} for one in figures],
    }  # fmt: skip
    print(json.dumps(summary))
    return 1 if any(one.mistakes for one in figures) else 0


def ratio(one: Figures, figures: Sequence[Figures]) -> float:
    """Its cost to that of the first store."""
    return one.cpu_ms / next(first.cpu_ms for first in figures if first.way == one.way)


def show(figures: Sequence[Figures]) -> None:
    """Print the table."""
    print(f"{'tickets':>9} {'way':<8}{'mails/s':>9}{'CPU ms/mail':>13}{'ratio':>8}  outcome")
    for one in figures:
        outcome = "right" if not one.mistakes else "WRONG: " + "; ".join(one.mistakes)
        print(
            f"{one.tickets:>9} {one.way:<8}{one.messages / one.wall_seconds:>9.0f}{one.cpu_ms:>13.2f}{ratio(one, figures):>8.2f}  {outcome}"
        )


if __name__ == "__main__":
    sys.exit(main())

"""How long does the report on a month take over many tickets? `python bench/monthly.py [TICKETS]`, a million without."""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from postroom import config
from postroom.desk.performance import report_on
from postroom.store import migrate
from postroom.store.engine import Store

BEGIN, DAYS = datetime(2023, 11, 1, tzinfo=UTC), 3 * 365
QUEUE = {
    "hours": ["mon-fri 09:00-17:00"],
    "time_zone": "Europe/Berlin",
    "first_response_hours": 8,
    "resolution_hours": 40,
}
TICKET = (
    "id, number, key, ref, subject, normal_subject, description, ticket_type, source, submitter_name, submitter_email, queue, "
    "requester, status, priority, created_at, updated_at, first_responded_at, resolved_at, closed_at, suppliers, further_users, "
    "tags, custom_fields, clock_stopped_seconds, reminders"
)


def fill(path: Path, count: int) -> None:
    """Tickets of three years, each answered, resolved and closed, but for the newest."""
    chance = random.Random(1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for first in range(0, count, 50_000):
            tickets, events = [], []
            for n in range(first, min(first + 50_000, count)):
                opened = BEGIN + timedelta(days=DAYS * n / count)
                answered = opened + timedelta(hours=chance.expovariate(1 / 10))
                resolved = answered + timedelta(hours=chance.expovariate(1 / 60))
                is_open = n > count - 20_000
                opened_at, answered_at, resolved_at = (
                    f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in (opened, answered, resolved)
                )
                done = (None, None) if is_open else (resolved_at, resolved_at)
                tickets.append((
                    n + 1, n + 1, n + 1, f"T-{n}", "Printer on fire", "printer on fire", "It burns. " * 20, "question", "email", "Cy",
                    f"c{n % 50000}@x.example", chance.choice(("support", "sales")), f"c{n % 50000}@x.example",
                    "open" if is_open else "closed", "medium", opened_at, resolved_at, answered_at, *done, "[]", "[]", "[]", "{}", 0, 0,
                ))  # fmt: skip
                moves = [(answered_at, "new", "pending_customer")]
                if not is_open:
                    moves += [(resolved_at, "open", "resolved"), (resolved_at, "resolved", "closed")]
                events += [(n + 1, at, f'{{"from": "{old}", "to": "{new}"}}') for at, old, new in moves]
            marks = ", ".join("?" * len(tickets[0]))
            connection.executemany(f"INSERT INTO ticket ({TICKET}) VALUES ({marks})", tickets)
            connection.executemany(
                "INSERT INTO event (ticket_id, at, actor, event, detail) VALUES (?, ?, 'ann', 'status', ?)", events
            )
        connection.execute("ANALYZE")


def main() -> None:
    """Fill a store and time two reports."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    settings = config.parse({
        "queue": {"support": QUEUE, "sales": {}}, "mailbox": {"support": {"address": "s@localhost", "queue": "support"}},
    }, Path())  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/bench.db")
        migrate.upgrade(store)
        fill(Path(folder) / "bench.db", count)
        for month in ("2026-09", "2024-03"):
            began = time.perf_counter()
            with store.read() as connection:
                report = report_on(connection, settings, month)
            seconds = time.perf_counter() - began
            print(
                f"{count} tickets, {month}: {report.total.opened} opened, {report.total.resolved} resolved, {seconds:.2f} s"
            )
        store.dispose()


if __name__ == "__main__":
    main()

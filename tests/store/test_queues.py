"""What waits is found by an index, in order, however much waits or is settled: no query of a claim sorts or scans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from postroom.store import inbound, outbox
from postroom.store.engine import Store
from postroom.store.migrate import upgrade
from postroom.store.rates import MINUTE, Rate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
MANY = 3000  # rows of each kind: enough that PostgreSQL prefers an index


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    sqlite = f"sqlite:///{tmp_path}/postroom.db"
    store = Store(sqlite if request.param == "sqlite" else request.getfixturevalue("postgresql_url"))
    upgrade(store)
    fill(store)
    yield store
    store.dispose()


def fill(store: Store) -> None:
    """Deliveries both ways: some wait, most are settled."""
    moment = NOW if not store.is_sqlite else NOW.replace(tzinfo=None)
    later = moment + timedelta(hours=1)
    with store.write() as connection:
        connection.execute(text("INSERT INTO raw_mail (digest, size, content) VALUES ('d', 4, :raw)"), {"raw": b"mail"})
        out, in_ = [], []
        for n in range(3 * MANY):
            state, again = ("pending", None) if n % 3 == 0 else ("retry", later) if n % 30 == 1 else ("sent", None)
            out.append({"id": n + 1, "key": n, "state": state, "again": again, "now": moment})
            state = {"sent": "processed", "retry": "pending"}.get(state, state)
            in_.append({"id": n + 1, "to": str(n), "state": state, "again": again, "now": moment})
        connection.execute(
            text(
                "INSERT INTO delivery (id, key, purpose, automatic, recipient, envelope_sender, digest, subject, state, attempts,"
                " next_attempt_at, created_at) VALUES (:id, :key, 'reply', false, 'ann@example.org', '', 'd', '', :state, 0, :again, :now)"
            ), out,
        )  # fmt: skip
        connection.execute(
            text(
                "INSERT INTO inbound_email (id, mailbox, recipient, digest, size, source, peer, received_at, archive, quiet, state,"
                " attempts, failures, next_attempt_at) VALUES (:id, 'support', :to, 'd', 4, 'smtp', '{}', :now, false, false, :state,"
                " 0, 0, :again)"
            ), in_,
        )  # fmt: skip
    if not store.is_sqlite:  # which does so by itself, sooner or later; SQLite does not
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def plans(store: Store, work: object) -> list[str]:
    """How the database carries out each query that waits for rows, in its own words."""
    found: list[str] = []

    def explain(connection, cursor, statement, parameters, context, many):  # type: ignore[no-untyped-def]
        if "LIMIT" in statement and not statement.startswith("EXPLAIN"):
            prefix = "EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN "
            given = tuple(parameters) if store.is_sqlite else parameters
            rows = connection.exec_driver_sql(prefix + statement, given).all()
            found.append("\n".join(str(row[-1]) for row in rows))

    event.listen(store.engine, "after_cursor_execute", explain)
    with store.write() as connection:
        work(connection)  # type: ignore[operator]
    event.remove(store.engine, "after_cursor_execute", explain)
    return found


@pytest.mark.parametrize("queue", [outbox, inbound])
def test_a_claim_reads_in_the_order_of_an_index(store: Store, queue: object) -> None:
    found = plans(store, lambda connection: queue.claim(connection, "w", NOW, LEASE, 50))  # type: ignore[attr-defined]
    table = "delivery" if queue is outbox else "inbound_email"
    assert len(found) == (2 if queue is outbox else 3)
    assert f"ix_{table}_new" in found[0] + found[1]
    assert f"ix_{table}_again" in found[0] + found[1]
    for plan in found:
        assert not re.search(rf"SCAN {table}(?! USING)|Seq Scan on {table}|TEMP B-TREE|Sort", plan), plan


def test_a_claim_takes_the_oldest_first_and_what_is_due_again_when_it_is(store: Store) -> None:
    day = timedelta(days=1)
    with store.write() as connection:
        assert [c.id for c in outbox.claim(connection, "w", NOW, day, 3)] == [1, 4, 7]
        assert inbound.claim(connection, "w", NOW, day, 3) == [1, 4, 7]
    with store.write() as connection:
        assert {2, 32} <= {c.id for c in outbox.claim(connection, "w", NOW + 2 * timedelta(hours=1), LEASE, 8)}
        assert inbound.claim(connection, "w", NOW + 2 * timedelta(hours=1), LEASE, 1) == [2]


# -- rates


def claim(store: Store, now: datetime, *allowed: Rate, limit: int = 20) -> list[int]:
    with store.write() as connection:
        return [c.id for c in outbox.claim(connection, "w", now, LEASE, limit, allowed)]


def test_what_is_over_a_rate_waits_for_its_turn_and_says_why(store: Store) -> None:
    rate = Rate(5, MINUTE, per_domain=True)
    assert len(claim(store, NOW, rate)) == 5
    with store.read() as connection:
        waits = [row for row in outbox.find(connection, "pending") if row.next_attempt_at]
    assert {row.reason for row in waits} == {"waits for its turn: at most 5 mails a minute to example.org"}
    assert sorted(row.next_attempt_at - NOW for row in waits) == [MINUTE * n for n in (1, 2, 3) for _ in range(5)]
    assert claim(store, NOW, rate) == []
    assert len(claim(store, NOW + MINUTE, rate)) == 5


def test_what_one_rate_holds_back_uses_up_no_other(store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE delivery SET recipient = 'bob@other.example' WHERE id > 40"))
    rates = (Rate(8, MINUTE, per_domain=False), Rate(3, MINUTE, per_domain=True))
    assert claim(store, NOW, *rates) == [1, 4, 7, 43, 46, 49]
    with store.read() as connection:
        counted = connection.execute(text("SELECT count FROM counter WHERE scope = 'out-minute:'")).scalar_one()
    assert counted == 6


def test_two_daemons_share_a_rate(store: Store) -> None:
    rate = Rate(10, MINUTE, per_domain=False)
    assert [len(claim(store, NOW, rate, limit=6)), len(claim(store, NOW, rate, limit=6))] == [6, 4]

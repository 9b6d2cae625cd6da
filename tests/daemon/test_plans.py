"""Every statement on a mail's way, from the door to the courier and the sweep, is served by an index on both databases."""

import hashlib
from datetime import timedelta

import pytest
from peers.house import CONFIG, SUPPORT, mail
from sqlalchemy import event

from postroom import config as settings
from postroom.config import Processing
from postroom.daemon import house
from postroom.daemon.process import Processor
from postroom.daemon.workers import Workers
from postroom.desk import due, workflow
from postroom.store import agents, assigning, inbound, ingested, outbox, overview, reports
from postroom.store.engine import Store
from postroom.store.migrate import upgrade

# a handful of rows, all asked for; counters are two days of senders, tidied once an hour
SMALL = {"agent", "alarm", "sequence", "smarthost_state", "mailbox_state", "recurring", "counter"}
LEASE = timedelta(minutes=10)
READS = ("SELECT", "UPDATE", "DELETE")


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request, tmp_path):
    url = "sqlite:///postroom.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    if request.param != "sqlite":
        store = Store(url)
        upgrade(store)
        store.dispose()
    with house.open_house(settings.parse({**CONFIG, "store": {"url": url}}, tmp_path)) as opened:
        yield opened


def accept(desk, *mails):
    with desk.store.write() as connection:
        taken = inbound.accept(connection, [
            inbound.NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "cy@cy.example", house.now())
            for raw in mails
        ])  # fmt: skip
    return [one.id for one in taken]


def take_a_mails_way(desk):
    """Mail of every kind, taken twice, processed, swept, and claimed for sending."""
    opens = mail("cy@cy.example", SUPPORT, "Printer", "It is on fire.", Message_ID="<1@cy.example>")
    with Workers(Processing(workers=1)) as workers:
        processor = Processor(desk.config, desk.store, workers, desk.reception, house.now)
        accept(desk, opens)
        processor.drain()
        ids = accept(
            desk, opens, b"Received: by b\r\n" + opens,
            mail("cy@cy.example", SUPPORT, "Re: Printer", "Still.", Message_ID="<2@cy.example>", In_Reply_To="<1@cy.example>"),
            mail("cy@cy.example", SUPPORT, "Re: Printer", "No reference.", Message_ID="<3@cy.example>"),
            mail("cy@cy.example", SUPPORT, "[T-1001] Printer", "By its number.", Message_ID="<4@cy.example>"),
            mail("else@else.example", SUPPORT, "Re: Printer", "A stranger.", Message_ID="<5@cy.example>", In_Reply_To="<1@cy.example>"),
        )  # fmt: skip
        outcomes = processor.drain()
    with desk.store.write() as connection:
        due.sweep(connection, desk.config, house.now() + timedelta(days=400), 50)
        outbox.claim(connection, "courier", house.now(), LEASE, 10)
        ingested.unsettled(connection, ids[0], ids[-1])
        ingested.waiting(connection, ids)
        ingested.outcomes(connection, ids)
    return outcomes


def plan_of(connection, is_sqlite, statement, values):
    """How the database would go about it, line by line."""
    cursor = connection.connection.cursor()
    try:
        one = (
            values[0] if isinstance(values, list) and values and isinstance(values[0], (dict, list, tuple)) else values
        )
        cursor.execute(("EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN ") + statement, one)
        return [str(row[-1]).strip(" ->") for row in cursor.fetchall()]
    finally:
        cursor.close()


def whole_tables(connection, is_sqlite, statement, values):
    """The tables that the database would read from end to end for it."""
    plan = plan_of(connection, is_sqlite, statement, values)
    if is_sqlite:
        return {line.split()[1] for line in plan if line.startswith("SCAN ") and "INDEX" not in line} - {
            "CONSTANT",
            "(subquery-1)",
        }
    return {line.split()[3] for line in plan if line.startswith("Seq Scan on ")}


def test_no_statement_on_a_mails_way_reads_a_whole_table(desk):
    seen = {}
    event.listen(
        desk.store.engine, "before_cursor_execute",
        lambda _c, _cursor, statement, values, _context, _many: seen.setdefault(statement, values),
    )  # fmt: skip
    outcomes = take_a_mails_way(desk)
    assert outcomes["added"] >= 3, outcomes
    asked = {statement: values for statement, values in seen.items() if statement.lstrip().startswith(READS)}
    found = {}
    with desk.store.write() as connection:
        if not desk.store.is_sqlite:  # small tables would be read whole for their smallness
            connection.exec_driver_sql("set enable_seqscan = off")
        for statement, values in asked.items():
            if tables := whole_tables(connection, desk.store.is_sqlite, statement, values) - SMALL:
                found[statement] = tables
    assert found == {}
    assert len(asked) > 25


@pytest.mark.parametrize(
    ("look", "index"),
    [
        (lambda c: list(reports.find(c, reports.Filter(), 100)), "ix_ticket_updated_at"),
        (lambda c: list(reports.find(c, reports.Filter(queue="support"), 100)), "ix_ticket_updated_at"),
        (lambda c: list(reports.find(c, reports.Filter(assignee=1), 100)), "ix_ticket_updated_at"),
        (lambda c: list(reports.find(c, reports.Filter(since=house.now()), 100)), "ix_ticket_updated_at"),
        (lambda c: list(reports.find(c, reports.Filter(("closed",)), 100)), "ix_ticket_status_updated_at"),
        (lambda c: assigning.loads(c, [1, 2], workflow.DONE), "ix_ticket_unclosed"),
        (lambda c: agents.unresolved(c, 1), "ix_ticket_unclosed"),
        (overview.queues, "ix_ticket_unclosed"),
        (lambda c: reports.merged_from(c, 1), "ix_ticket_merged_into"),
    ],
)
def test_a_look_at_tickets_walks_through_no_more_of_them_than_it_shows(desk, look, index):
    seen = []
    with desk.store.write() as connection:
        if not desk.store.is_sqlite:
            connection.exec_driver_sql("set enable_seqscan = off")
            connection.exec_driver_sql("set enable_bitmapscan = off")  # nothing would be sorted faster
        event.listen(
            connection, "before_cursor_execute",
            lambda _c, _cursor, statement, values, _context, _many: seen.append((statement, values)),
        )  # fmt: skip
        look(connection)
        plan = plan_of(connection, desk.store.is_sqlite, *seen[0])
    assert any(index in line for line in plan), plan
    assert not any("ORDER BY" in line or line.startswith("Sort Key: ticket.updated_at") for line in plan), plan

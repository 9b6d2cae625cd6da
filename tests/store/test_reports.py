"""Tickets as they are read: narrowed, whole, a handful at a time; and what became of mail from files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from postroom.store import agents, inbound, ingested, messages, reports, tickets
from postroom.store.agents import NewAgent
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound
from postroom.store.reports import Filter

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(store_url):
    store = Store(store_url)
    yield store
    store.dispose()


def ticket(connection, number: int, **values) -> int:
    return tickets.add(connection, {
        "number": number, "ref": f"T-{number}", "subject": f"number {number}", "normal_subject": f"number {number}",
        "description": "", "ticket_type": "question", "source": "email", "submitter_name": "", "submitter_email": "",
        "requester": "carla@customer.example.org", "queue": "support", "status": "new", "priority": "medium",
        "created_at": AT, "updated_at": AT + timedelta(minutes=number), "email_message_id": f"{number}@example.org",
        **values,
    }, Random(number))  # fmt: skip


def message(connection, ticket_id: int, minutes: int, **values) -> int:
    return messages.add(connection, {
        "ticket_id": ticket_id, "author_type": "user", "author_address": "carla@customer.example.org",
        "author_name": "", "visibility": "public", "subject": "", "text": f"at {minutes}", "created_at": AT,
        "timestamp": AT + timedelta(minutes=minutes), **values,
    })  # fmt: skip


def numbers(rows) -> list[int]:
    return [row.number for row in rows]


def test_tickets_are_found_by_what_is_asked_and_merged_ones_are_not(store):
    with store.write() as connection:
        ann = agents.add(connection, NewAgent("ann", "Ann", "ann@example.com", (), "cli"))
        first = ticket(connection, 1)
        ticket(connection, 2, status="open", assigned_to=ann, requester="bob@example.org")
        ticket(connection, 3, queue="sales", status="resolved")
        ticket(connection, 4, merged_into=first)
    with store.read() as connection:
        for wanted, expected in (
            (Filter(), [3, 2, 1]),
            (Filter(statuses=("new", "open")), [2, 1]),
            (Filter(assignee=ann), [2]),
            (Filter(unassigned=True), [3, 1]),
            (Filter(requester="BOB@example.org"), [2]),
            (Filter(queue="sales"), [3]),
            (Filter(since=AT + timedelta(minutes=2)), [3, 2]),
        ):
            assert numbers(reports.find(connection, wanted)) == expected, wanted
        assert numbers(reports.find(connection, Filter(), limit=1)) == [3]
        assert [row.assignee for row in reports.find(connection, Filter(assignee=ann))] == ["ann"]
        assert reports.merged_from(connection, first) == ["T-4"]
        assert reports.refs(connection, {first}) == {first: "T-1"}


def test_every_ticket_comes_once_and_whole_however_it_is_cut(store, monkeypatch):
    monkeypatch.setattr(reports, "CHUNK", 2)
    with store.write() as connection:
        ids = [ticket(connection, number) for number in range(1, 6)]
        for id_ in ids:
            message(connection, id_, 20)
            early = message(connection, id_, 10)
            messages.add_attachments(connection, [
                {"message_id": early, "part": "2", "filename": f"{id_}.txt", "content_type": "text/plain", "size": 1,
                 "inline": False}
            ])  # fmt: skip
            for name in ("a", "b"):
                messages.add_event(connection, id_, name, {}, "postroom", AT)
    every = list(reports.every_ticket(store, Filter()))
    assert [whole.ticket.id for whole in every] == ids
    for whole in every:
        assert [m.text for m in whole.messages] == ["at 10", "at 20"]
        assert [e.event for e in whole.events] == ["a", "b"]
        [files] = whole.attachments.values()
        assert [file.filename for file in files] == [f"{whole.ticket.id}.txt"]


def test_what_became_of_mail_from_files_is_counted(store):
    raws = [f"Subject: {n}\r\n\r\n".encode() for n in range(6)]
    with store.write() as connection:
        taken = [a.id for a in inbound.accept(connection, [
            NewInbound("support", "support@example.com", raw, hashlib.sha256(raw).hexdigest(), "ingest", None, AT)
            for raw in raws
        ])]  # fmt: skip
        opened, added, settled, duplicate, quarantined, waiting = taken
        assert ingested.unsettled(connection, min(taken), max(taken)) == 6
        id_ = ticket(connection, 1)
        one = message(connection, id_, 1, email_message_id="1@example.org")
        two = message(connection, id_, 2, email_message_id="2@example.org")
        inbound.settle(connection, [
            {"id": opened, "state": "processed", "outcome": "opened", "ticket_id": id_, "message_id": one},
            {"id": added, "state": "processed", "outcome": "added", "ticket_id": id_, "message_id": two},
            {"id": settled, "state": "processed", "outcome": "settled"},
            {"id": duplicate, "state": "duplicate", "outcome": "duplicate"},
        ])  # fmt: skip
        inbound.quarantine(connection, quarantined, "broken", AT)
    with store.read() as connection:
        assert ingested.outcomes(connection, taken) == {
            "opened": 1, "added": 1, "settled": 1, "duplicate": 1, "quarantined": 1, "pending": 1,
        }  # fmt: skip
        assert ingested.unsettled(connection, min(taken), max(taken)) == 1
        assert ingested.unsettled(connection, min(taken), waiting - 1) == 0

"""Tickets as they are read: found by filters, and whole, a handful at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.sql import Select

from postroom.store import solutions
from postroom.store.engine import Store
from postroom.store.inbound import SELECT_CHUNK
from postroom.store.tables import Agent, Attachment, Event, Message, Ticket

CHUNK = 200  # tickets read at once, with everything on them


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tickets; what is None does not matter."""

    statuses: Sequence[str] = ()
    assignee: int | None = None
    unassigned: bool = False
    requester: str | None = None  # an address
    queue: str | None = None
    since: datetime | None = None  # touched since then


@dataclass(frozen=True, slots=True)
class Moved:
    """One step of a message from ticket to ticket."""

    at: datetime
    event: str  # merged, unmerged, split
    from_ref: str
    to_ref: str
    actor: str
    why: str


@dataclass(frozen=True, slots=True)
class WholeTicket:
    """A ticket's row with everything on it, each in its order."""

    ticket: Row[Any]  # with `assignee`, the agent's name
    messages: Sequence[Row[Any]]
    attachments: dict[int, list[Row[Any]]]  # by message
    events: Sequence[Row[Any]]
    solutions: Sequence[Row[Any]]  # with `proposer` and `reviewer`, the agents' names


def find(connection: Connection, wanted: Filter, limit: int | None = None) -> Iterator[Row[Any]]:
    """Tickets that were not merged away, with `assignee`; the one touched last comes first. Read as they are asked for."""
    query = _filtered(wanted).order_by(Ticket.updated_at.desc(), Ticket.id.desc())
    yield from connection.execute(query.limit(limit) if limit else query, execution_options={"yield_per": CHUNK})


def every_ticket(store: Store, wanted: Filter) -> Iterator[WholeTicket]:
    """Every such ticket with everything on it, by number.

    Read a handful at a time, each in a transaction of its own: a slow reader holds up nobody, and each
    ticket is as it was when it was read.
    """
    last = 0
    while True:
        with store.read() as connection:
            chunk = _filtered(wanted).where(Ticket.id > last).order_by(Ticket.id).limit(CHUNK)
            tickets = _whole(connection, connection.execute(chunk).all())
        if not tickets:
            return
        yield from tickets
        last = tickets[-1].ticket.id


def whole_ticket(connection: Connection, id_: int) -> WholeTicket:
    """One ticket with everything on it."""
    [ticket] = _whole(connection, connection.execute(_tickets().where(Ticket.id == id_)).all())
    return ticket


def merged_from(connection: Connection, id_: int) -> list[str]:
    """The references of the tickets that were merged into this one."""
    return list(connection.execute(select(Ticket.ref).where(Ticket.merged_into == id_).order_by(Ticket.id)).scalars())


def moves(connection: Connection, ticket_id: int, message_id: int | None) -> list[Moved]:
    """How a message came from the ticket that took it to the one that it is on, oldest first; without a message, the ticket's own way."""
    ref = connection.execute(select(Ticket.ref).where(Ticket.id == ticket_id)).scalar_one()
    way: list[Moved] = []
    been, last = {ref}, 0
    kinds = Event.event.in_(("merged", "unmerged", "split"))
    query = select(Event.__table__).join(Ticket, Ticket.id == Event.ticket_id).where(kinds).order_by(Event.id)
    while True:
        events = connection.execute(query.where(Ticket.ref == ref, Event.id > last)).all()
        found = next(((e, to) for e in events if (to := _away(e, message_id, been))), None)
        if found is None:
            return way
        event, to = found
        way.append(Moved(event.at, event.event, ref, to, event.actor, event.detail.get("why", "")))
        ref, last = to, event.id
        been.add(to)


def _away(event: Row[Any], message_id: int | None, been: Collection[str]) -> str | None:
    """The ticket that an event took the message to."""
    detail = event.detail
    if event.event == "split":
        return str(detail["to"]) if detail["message"] == message_id else None
    to = detail.get("into" if event.event == "merged" else "ticket")
    named = message_id in detail["messages"] or (message_id is None and (event.event == "merged" or to in been))
    return str(to) if to and named else None


def refs(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The readable references of tickets, by id."""
    found: dict[int, str] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), SELECT_CHUNK):
        query = select(Ticket.id, Ticket.ref).where(Ticket.id.in_(wanted[start : start + SELECT_CHUNK]))
        found.update({row.id: row.ref for row in connection.execute(query)})
    return found


def _tickets() -> Select[Any]:
    return select(Ticket.__table__, Agent.name.label("assignee")).outerjoin(Agent, Agent.id == Ticket.assigned_to)


def _filtered(wanted: Filter) -> Select[Any]:
    query = _tickets().where(Ticket.merged_into.is_(None))
    if wanted.statuses:
        query = query.where(Ticket.status.in_(wanted.statuses))
    if wanted.unassigned:
        query = query.where(Ticket.assigned_to.is_(None))
    if wanted.assignee is not None:
        query = query.where(Ticket.assigned_to == wanted.assignee)
    if wanted.requester is not None:
        query = query.where(Ticket.requester == wanted.requester.lower())
    if wanted.queue is not None:
        query = query.where(Ticket.queue == wanted.queue)
    if wanted.since is not None:
        query = query.where(Ticket.updated_at >= wanted.since)
    return query


def _whole(connection: Connection, tickets: Sequence[Row[Any]]) -> list[WholeTicket]:
    """These tickets with everything on them, by one query for each kind of thing."""
    ids = [ticket.id for ticket in tickets]
    if not ids:
        return []
    m, a, e = Message, Attachment, Event
    messages = select(m.__table__).where(m.ticket_id.in_(ids)).order_by(m.timestamp, m.id)
    files = select(a.__table__, m.digest).join(m, m.id == a.message_id).where(m.ticket_id.in_(ids)).order_by(a.id)
    by_ticket: dict[int, list[Row[Any]]] = defaultdict(list)
    for message in connection.execute(messages):
        by_ticket[message.ticket_id].append(message)
    by_message: dict[int, list[Row[Any]]] = defaultdict(list)
    for file in connection.execute(files):
        by_message[file.message_id].append(file)
    events: dict[int, list[Row[Any]]] = defaultdict(list)
    for event in connection.execute(select(e.__table__).where(e.ticket_id.in_(ids)).order_by(e.id)):
        events[event.ticket_id].append(event)
    proposed: dict[int, list[Row[Any]]] = defaultdict(list)
    for solution in solutions.of_tickets(connection, ids):
        proposed[solution.ticket_id].append(solution)
    return [
        WholeTicket(t, by_ticket[t.id], _of(by_message, by_ticket[t.id]), events[t.id], proposed[t.id]) for t in tickets
    ]


def _of(files: dict[int, list[Row[Any]]], messages: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    return {message.id: files[message.id] for message in messages if message.id in files}


def has_tickets(connection: Connection) -> bool:
    """Whether there is any ticket."""
    return connection.execute(select(Ticket.id).limit(1)).first() is not None

"""What came and went in a stretch of time? Counted in the database, by queue and agent.

A ticket that was merged away is counted where it went, and spam not at all. What a status was at a moment that has
passed is read from the activity: a report on October says the same in November and in March.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)  # fmt: skip
from sqlalchemy.sql import Select

from postroom.store.tables import Agent, Event, Ticket

CHUNK = 2000  # rows that are read at once
DONE = ("closed", "resolved")  # in the order of the alphabet, which `_is_open` rests on
SPAM = '%"spam"%'

_status_event = Event.event == literal_column("'status'")  # written out: the index of status events is known by it
_from, _to = Event.detail["from"].as_string(), Event.detail["to"].as_string()


def opened(connection: Connection, days: Sequence[datetime]) -> Sequence[Row[Any]]:
    """Tickets opened between the first and the last of `days`: `queue`, `agent`, `day` (which, from 0), `tickets`."""
    day = case(*((Ticket.created_at < end, n) for n, end in enumerate(days[1:])), else_=len(days) - 1).label("day")
    inner = (
        select(Ticket.queue, Ticket.assigned_to, day)
        .where(Ticket.created_at >= days[0], Ticket.created_at < days[-1], *_counted())
        .subquery()
    )
    columns = (inner.c.queue, Agent.name.label("agent"), inner.c.day)
    query = select(*columns, func.count().label("tickets")).outerjoin(Agent, Agent.id == inner.c.assigned_to)
    return connection.execute(query.group_by(*columns)).all()


def moves(connection: Connection, begin: datetime, end: datetime) -> Sequence[Row[Any]]:
    """Changes of status within that time: `queue`, `agent`, `closed` (tickets that were), `reopened` (how often)."""
    reopened = case((and_(_from.in_(DONE), _to.not_in(DONE)), 1), else_=0)
    closed = case((_to == "closed", Event.ticket_id))
    query = select(
        Ticket.queue, Agent.name.label("agent"), func.count(closed.distinct()).label("closed"), func.sum(reopened).label("reopened")
    )  # fmt: skip
    query = query.select_from(Event).join(Ticket, Ticket.id == Event.ticket_id)
    query = query.outerjoin(Agent, Agent.id == Ticket.assigned_to).where(*_within(begin, end), *_counted())
    return connection.execute(query.group_by(Ticket.queue, Agent.name)).all()


def backlog(connection: Connection, end: datetime) -> list[tuple[str, str | None, int]]:
    """How many tickets were neither resolved nor closed at that moment: queue, agent, count."""
    # "+ 0": grouped by the bare column, SQLite would rather walk every event in the order of tickets
    first = select(func.min(Event.id).label("id")).where(_status_event, Event.at >= end)
    firsts = first.group_by(Event.ticket_id + 0).subquery()
    later = select(Event.ticket_id, _from.label("was")).join(firsts, firsts.c.id == Event.id).subquery()
    was_open, is_open = later.c.was.not_in(DONE), Ticket.status.not_in(DONE)
    turned = case((and_(was_open, ~is_open), 1), (and_(~was_open, is_open), -1), else_=0)
    now = _by_owner(func.count()).where(_is_open(), *_counted())
    younger = _by_owner(-func.count()).where(_is_open(), Ticket.created_at >= end, *_counted())
    back = _by_owner(func.sum(turned)).join(later, later.c.ticket_id == Ticket.id)
    counts: dict[tuple[str, str | None], int] = {}
    for query in (now, younger, back.where(Ticket.created_at < end, *_counted())):
        for queue, agent, count in connection.execute(query):
            counts[queue, agent] = counts.get((queue, agent), 0) + int(count or 0)
    return [(queue, agent, count) for (queue, agent), count in counts.items()]


def answered(connection: Connection, begin: datetime, end: datetime) -> Iterator[Row[Any]]:
    """Tickets that had their first answer within that time: `queue`, `agent`, `priority`, `created_at`, `at`."""
    at = Ticket.first_responded_at
    query = select(Ticket.queue, Agent.name.label("agent"), Ticket.priority, Ticket.created_at, at.label("at"))
    query = query.outerjoin(Agent, Agent.id == Ticket.assigned_to)
    yield from _stream(connection, query.where(at >= begin, at < end, at.is_not(None), *_counted()))


def resolved(connection: Connection, begin: datetime, end: datetime) -> Iterator[Row[Any]]:
    """Tickets that became resolved or closed within that time, each with the last time that it did.

    `queue`, `agent`, `priority`, `created_at`, `at`, `stopped_at`, `stopped` (seconds of working time that its clock
    stood still), `rating`.
    """
    done = (
        select(Event.ticket_id, func.max(Event.at).label("at"))
        .where(*_within(begin, end), _to.in_(DONE), _from.not_in(DONE)).group_by(Event.ticket_id).subquery()
    )  # fmt: skip
    query = select(
        Ticket.queue, Agent.name.label("agent"), Ticket.priority, Ticket.created_at, type_coerce(done.c.at, Event.at.type).label("at"),
        Ticket.clock_stopped_at.label("stopped_at"), Ticket.clock_stopped_seconds.label("stopped"),
        Ticket.satisfaction_rating.label("rating"),
    )  # fmt: skip
    query = query.join(done, done.c.ticket_id == Ticket.id).outerjoin(Agent, Agent.id == Ticket.assigned_to)
    yield from _stream(connection, query.where(*_counted()))


def _stream(connection: Connection, query: Any) -> Iterator[Row[Any]]:
    yield from connection.execute(query, execution_options={"yield_per": CHUNK})


def _by_owner(count: Any) -> Select[Any]:
    query = select(Ticket.queue, Agent.name.label("agent"), count.label("count")).select_from(Ticket)
    return query.outerjoin(Agent, Agent.id == Ticket.assigned_to).group_by(Ticket.queue, Agent.name)


def _within(begin: datetime, end: datetime) -> tuple[ColumnElement[bool], ...]:
    return (_status_event, Event.at >= begin, Event.at < end)


def _counted() -> tuple[ColumnElement[bool], ...]:
    return (Ticket.merged_into.is_(None), cast(Ticket.tags, Text).not_like(SPAM))


def _is_open() -> ColumnElement[bool]:
    """Neither of DONE, said so that the index of statuses serves: most tickets are closed."""
    first, last = DONE
    between = and_(Ticket.status > first, Ticket.status < last)
    return or_(Ticket.status < first, between, Ticket.status > last)

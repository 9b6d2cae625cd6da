"""When is a ticket due, and what happens then?

Due times lie in the ticket's row. `follow_clock` brings them up to what has just happened: the clock runs in working
time of the ticket's queue from its creation, and stands still while the ticket waits for its customer, or is resolved.
`sweep` does what has become due: each thing once, in the caller's transaction, with a line of activity.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config, Queue
from postroom.config_times import Hours
from postroom.desk import feedback, workflow
from postroom.desk.business_time import Calendar, calendar
from postroom.desk.happened import Happened, What
from postroom.desk.routing import SPAM
from postroom.store import due as stored
from postroom.store import messages, solutions, tickets

POSTROOM = "postroom"
SECONDS_OF_AN_HOUR = 3600
STANDING_STILL = (workflow.PENDING_CUSTOMER, workflow.RESOLVED, workflow.CLOSED)


def has_targets(config: Config) -> bool:
    """Whether anything is ever due by the time that a queue promises."""
    return any(queue.first_response_hours or queue.resolution_hours for queue in config.queue.values())


def follow_clock(connection: Connection, config: Config, ticket_id: int, now: datetime) -> None:
    """Bring a ticket's due time up to its status, priority and queue; to be called after each change of these."""
    ticket = tickets.get(connection, ticket_id)
    if ticket is None:
        return
    ticket = tickets.follow(connection, ticket)
    changes = changes_of(ticket, config, now)
    if changes:
        tickets.change(connection, ticket.id, changes)


def changes_of(ticket: Row[Any], config: Config, now: datetime) -> dict[str, Any]:
    """The columns of a ticket's clock that are not what they should be."""
    phase, queue = workflow.phase(ticket.status, config), config.queue.get(ticket.queue) or Queue()
    works = calendar(queue.hours, queue.holidays, queue.time_zone)
    stands, waits = phase in STANDING_STILL, phase == workflow.PENDING_CUSTOMER
    wanted: dict[str, Any] = {}
    stopped_seconds = ticket.clock_stopped_seconds
    if stands and ticket.clock_stopped_at is None:
        wanted["clock_stopped_at"] = now
    elif not stands and ticket.clock_stopped_at is not None:
        stopped_seconds += round(works.between(ticket.clock_stopped_at, now))
        wanted |= {"clock_stopped_at": None, "clock_stopped_seconds": stopped_seconds}
    if waits and ticket.waiting_since is None:
        wanted |= {"waiting_since": now, "reminders": 0}
    elif not waits and ticket.waiting_since is not None:
        wanted |= {"waiting_since": None, "reminders": 0}
    is_answered = ticket.first_responded_at is not None
    none_is_due = stands or SPAM in ticket.tags
    wanted["sla_due_at"] = (
        None
        if none_is_due
        else next_due(queue, works, ticket.priority, ticket.created_at, is_answered, stopped_seconds)
    )
    if wanted["sla_due_at"] is not None and wanted["sla_due_at"] > now:
        wanted["escalated_at"] = None  # a new time, of which nobody was told yet
    return {column: value for column, value in wanted.items() if getattr(ticket, column) != value}


def next_due(
    queue: Queue, works: Calendar, priority: str, created_at: datetime, is_answered: bool, stopped_seconds: int
) -> datetime | None:
    """When the ticket has to be answered, or then to be resolved, whatever comes first; None where nothing is promised."""
    hours = [hours_of(queue.resolution_hours, priority)]
    if not is_answered:
        hours.append(hours_of(queue.first_response_hours, priority))
    times = [works.add(created_at, one * SECONDS_OF_AN_HOUR + stopped_seconds) for one in hours if one]
    return min(times, default=None)


def hours_of(hours: Hours, priority: str) -> float:
    """The hours of that priority; 0 where there is no promise."""
    return hours.get(priority, 0) if isinstance(hours, dict) else hours


def sweep(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    """Do what has become due, at most `limit` of each kind; what happened is to be told. Again, it does nothing."""
    return [
        *_escalate(connection, config, now, limit),
        *_remind(connection, config, now, limit),
        *_close(connection, config, now, limit),
        *_close_solved(connection, config, now, limit),
        *feedback.ask(connection, config, now, limit),
        *_follow_up(connection, now, limit),
    ]


def _escalate(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    rows = stored.overdue(connection, now, limit)
    for row in rows:
        queue = config.queue.get(row.queue)
        to = (queue.escalate_to if queue else "") or None
        if to:
            tickets.change(connection, row.id, {"escalated_to": to})
        what = "resolution" if row.first_responded_at else "first response"
        messages.add_event(
            connection, row.id, "escalated", {"what": what, "due": _written(row.sla_due_at), "to": to}, POSTROOM, now
        )
    return _happened(What.ESCALATED, rows)


def _remind(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    settings = config.tickets
    if not settings.remind_customer_days:
        return []
    every, waiting = timedelta(days=settings.remind_customer_days), workflow.waiting(config)
    rows = stored.unanswered(connection, waiting, every, settings.remind_customer_times, now, limit)
    for row in rows:
        detail = {"reminder": row.reminders, "waiting since": _written(row.waiting_since)}
        messages.add_event(connection, row.id, "reminded", detail, POSTROOM, now)
    return _happened(What.REMINDED, rows)


def _close(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    settings = config.tickets
    if not settings.close_resolved_days:
        return []
    before = now - timedelta(days=settings.close_resolved_days)
    rows = stored.silent(connection, workflow.RESOLVED, workflow.CLOSED, before, now, limit)
    for row in rows:
        why = f"nothing happened for {settings.close_resolved_days:g} days"
        messages.add_event(
            connection, row.id, "status", {"from": workflow.RESOLVED, "to": workflow.CLOSED, "why": why}, POSTROOM, now
        )
    if not settings.close_resolved_mail:
        return []
    old, new = workflow.RESOLVED, workflow.CLOSED
    return [Happened(What.STATUS, row.id, POSTROOM, old_status=old, new_status=new) for row in rows]


def _close_solved(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    rows = solutions.to_close(connection, workflow.RESOLVED, now, limit)
    old, new = workflow.RESOLVED, workflow.CLOSED
    for row in rows:
        tickets.change(connection, row.id, {"status": new, "updated_at": now, **workflow.times_of(old, new, now)})
        why = "its customer said that it is solved"
        messages.add_event(connection, row.id, "status", {"from": old, "to": new, "why": why}, POSTROOM, now)
    if not config.tickets.close_resolved_mail:
        return []
    return [Happened(What.STATUS, row.id, POSTROOM, old_status=old, new_status=new) for row in rows]


def _follow_up(connection: Connection, now: datetime, limit: int) -> list[Happened]:
    rows = stored.to_follow_up(connection, now, limit)
    for row in rows:
        messages.add_event(connection, row.id, "follow up", {}, POSTROOM, now)
    return _happened(What.FOLLOW_UP, rows)


def _happened(what: What, rows: Sequence[Row[Any]]) -> list[Happened]:
    return [Happened(what, row.id, POSTROOM) for row in rows]


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

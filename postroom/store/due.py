"""What has become due? Each query claims its tickets by changing them, so that of two daemons one gets each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from postroom.store.tables import Ticket

REMINDERS_MAX = 50  # of one ticket, whatever is configured


def overdue(connection: Connection, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Tickets that are overdue, and of which nobody was told; they are marked as told of."""
    conditions = (Ticket.sla_due_at <= now, Ticket.escalated_at.is_(None))
    return _claim(connection, conditions, {"escalated_at": now}, Ticket.sla_due_at, limit)


def unanswered(
    connection: Connection, waiting: Collection[str], every: timedelta, times: int, now: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Tickets that have waited so long for their customer, in one of these statuses, that he gets one reminder more."""
    turns = range(min(times, REMINDERS_MAX))
    is_due = or_(*(and_(Ticket.reminders == n, Ticket.waiting_since <= now - every * (n + 1)) for n in turns))
    conditions = (Ticket.status.in_(waiting), is_due)
    return _claim(connection, conditions, {"reminders": Ticket.reminders + 1}, Ticket.waiting_since, limit)


def silent(
    connection: Connection, resolved: str, closed: str, before: datetime, now: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Resolved tickets on which nothing has happened since `before`; they are closed."""
    conditions = (Ticket.status == resolved, Ticket.updated_at <= before, Ticket.resolved_at <= before)
    values = {"status": closed, "closed_at": now, "updated_at": now, "feedback_due_at": now}
    return _claim(connection, conditions, values, Ticket.resolved_at, limit)


def to_follow_up(connection: Connection, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Tickets that were to be looked at again by now; they have no such time any more."""
    return _claim(connection, (Ticket.follow_up_at <= now,), {"follow_up_at": None}, Ticket.follow_up_at, limit)


def _claim(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], values: dict[str, Any], order: Any, limit: int
) -> Sequence[Row[Any]]:
    """The conditions stand twice: whoever waited for another's change sees that they hold no more."""
    live = (*conditions, Ticket.merged_into.is_(None))
    ids = select(Ticket.id).where(*live).order_by(order, Ticket.id).limit(limit).with_for_update(skip_locked=True)
    query = update(Ticket).where(Ticket.id.in_(ids), *live).values(values).returning(Ticket.__table__)
    return sorted(connection.execute(query).all(), key=lambda row: int(row.id))

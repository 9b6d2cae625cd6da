"""What lies on a queue's desk now? For its digest: one query for the numbers, one for what is overdue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, and_, case, cast, func, or_, select

from postroom.store.performance import SPAM
from postroom.store.tables import Agent, Ticket

LISTED = 20  # tickets that are named


def counts(connection: Connection, queue: str, waiting: Collection[str], now: datetime) -> Sequence[Row[Any]]:
    """Unresolved tickets by agent: `agent` (an id, None for nobody's), `open`, `overdue`, `waiting`."""
    overdue = func.sum(case((Ticket.sla_due_at <= now, 1), else_=0))
    waits = func.sum(case((Ticket.status.in_(waiting), 1), else_=0))
    owner = Ticket.assigned_to + 0  # by the bare column, SQLite would rather walk every ticket in the order of agents
    columns = (
        owner.label("agent"), func.count().label("open"), overdue.label("overdue"), waits.label("waiting"),
    )  # fmt: skip
    query = select(*columns).where(*_unresolved(queue)).group_by(owner)
    return connection.execute(query).all()


def overdue(connection: Connection, queue: str, now: datetime) -> Sequence[Row[Any]]:
    """The tickets that are overdue for longest: `ref`, `subject`, `due`, `agent` (a name, or None)."""
    query: Any = select(Ticket.ref, Ticket.subject, Ticket.sla_due_at.label("due"), Agent.name.label("agent"))
    query = query.outerjoin(Agent, Agent.id == Ticket.assigned_to).where(*_unresolved(queue), Ticket.sla_due_at <= now)
    return connection.execute(query.order_by(Ticket.sla_due_at, Ticket.id).limit(LISTED)).all()


def _unresolved(queue: str) -> tuple[ColumnElement[bool], ...]:
    between = and_(Ticket.status > "closed", Ticket.status < "resolved")  # an index serves that, and not `not in`
    unresolved = or_(Ticket.status < "closed", between, Ticket.status > "resolved")
    return (unresolved, Ticket.queue == queue, Ticket.merged_into.is_(None), cast(Ticket.tags, Text).not_like(SPAM))

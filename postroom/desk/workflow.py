"""What a ticket's status may become, and what a message makes of it.

    new → open → pending_customer | pending_internal → resolved → closed

Configuration adds statuses (`tickets.extra_statuses`); those count as open.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from postroom.config import Config, Tickets
from postroom.errors import UserError

NEW, OPEN, PENDING_CUSTOMER, PENDING_INTERNAL, RESOLVED, CLOSED = STATUSES = (
    "new", "open", "pending_customer", "pending_internal", "resolved", "closed",
)  # fmt: skip


def statuses(settings: Tickets) -> tuple[str, ...]:
    """Every status that a ticket may have."""
    return (*STATUSES, *settings.extra_statuses)


def done(config: Config) -> tuple[str, ...]:
    """The statuses in which nothing is left to do."""
    return (RESOLVED, CLOSED)


def check_status(status: str, settings: Tickets) -> str:
    """The status itself; UserError for one that does not exist."""
    if status not in statuses(settings):
        raise UserError(f"{status!r} is no status; there are: {', '.join(statuses(settings))}")
    return status


def after_customer(status: str) -> str:
    """A customer's word reopens what waited for him or was taken for solved."""
    return OPEN if status in (PENDING_CUSTOMER, RESOLVED, CLOSED) else status


def after_agent(status: str) -> str:
    """An agent's answer leaves it to the customer; what is resolved or closed stays so."""
    return status if status in (RESOLVED, CLOSED) else PENDING_CUSTOMER


def may_reopen(status: str, closed_at: datetime | None, now: datetime, settings: Tickets) -> bool:
    """Whether a customer's word may still join the ticket: not once it was closed for `reopen_days`."""
    if status != CLOSED or closed_at is None:
        return True
    return now - closed_at <= timedelta(days=settings.reopen_days)


def times_of(old: str, new: str, now: datetime) -> dict[str, datetime | None]:
    """The columns that go with a change of status: when it was resolved and closed."""
    changes: dict[str, datetime | None] = {}
    if new == RESOLVED and old != RESOLVED:
        changes = {"resolved_at": now, "closed_at": None}
    elif new == CLOSED and old != CLOSED:
        changes = {"closed_at": now} if old == RESOLVED else {"closed_at": now, "resolved_at": now}
    elif new not in (RESOLVED, CLOSED) and old in (RESOLVED, CLOSED):
        changes = {"resolved_at": None, "closed_at": None}
    return changes

"""What a ticket's status may become, and what a message makes of it.

    new → open → pending_customer | pending_internal → resolved → closed

Configuration adds statuses (`[status.NAME]`), each of which works like open or one of the pending ones: its phase. It
may also say what an agent can make of a status. What mail does by itself (a customer's word reopens, an agent's
answer leaves it to the customer) no transition forbids.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from postroom.config import Config, Tickets
from postroom.config_times import BUILT_IN
from postroom.errors import UserError
from postroom.saying import Saying

NEW, OPEN, PENDING_CUSTOMER, PENDING_INTERNAL, RESOLVED, CLOSED = STATUSES = BUILT_IN
DONE = (RESOLVED, CLOSED)  # nothing is left to do


def statuses(config: Config) -> tuple[str, ...]:
    """Every status that a ticket may have."""
    return (*STATUSES, *(name for name in config.status if name not in STATUSES))


def phase(status: str, config: Config) -> str:
    """The built-in status that a status works like; one that the configuration has lost works like open."""
    if status in STATUSES:
        return status
    settings = config.status.get(status)
    return (settings.phase if settings else None) or OPEN


def waiting(config: Config) -> tuple[str, ...]:
    """The statuses in which a ticket waits for its customer."""
    return tuple(status for status in statuses(config) if phase(status, config) == PENDING_CUSTOMER)


def check_status(status: str, config: Config) -> str:
    """The status itself; UserError for one that does not exist."""
    if status not in statuses(config):
        names = ", ".join(statuses(config))
        raise UserError(Saying("'%(status)s' is no status; there are: %(names)s", status=status, names=names))
    return status


def check_move(old: str, new: str, config: Config) -> None:
    """UserError where an agent may not make `new` of `old`."""
    allowed = config.status[old].to if old in config.status else ()
    if allowed and new not in (old, *allowed):
        raise UserError(Saying(
            "%(old)s can only become %(allowed)s (status.%(old)s.to), not %(new)s", old=old, allowed=", ".join(allowed), new=new
        ))  # fmt: skip


def after_customer(status: str, config: Config) -> str:
    """A customer's word reopens what waited for him or was taken for solved."""
    return OPEN if phase(status, config) in (PENDING_CUSTOMER, RESOLVED, CLOSED) else status


def after_agent(status: str) -> str:
    """An agent's answer leaves it to the customer; what is resolved or closed stays so."""
    return status if status in DONE else PENDING_CUSTOMER


def may_reopen(status: str, closed_at: datetime | None, now: datetime, settings: Tickets) -> bool:
    """Whether a customer's word may still join the ticket: not once it was closed for `reopen_days`."""
    if status != CLOSED or closed_at is None:
        return True
    return now - closed_at <= timedelta(days=settings.reopen_days)


def times_of(old: str, new: str, now: datetime) -> dict[str, datetime | None]:
    """The columns that go with a change of status: when it was resolved and closed, and may be asked about."""
    changes: dict[str, datetime | None] = {}
    if new == RESOLVED and old != RESOLVED:
        changes = {"resolved_at": now, "closed_at": None}
    elif new == CLOSED and old != CLOSED:
        changes = {"closed_at": now} if old == RESOLVED else {"closed_at": now, "resolved_at": now}
        changes["feedback_due_at"] = now
    elif new not in DONE and old in DONE:
        changes = {"resolved_at": None, "closed_at": None, "feedback_due_at": None}
    return changes

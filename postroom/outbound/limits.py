"""How often we write to anyone by ourselves: counted in the caller's transaction, so that daemons cannot race."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from postroom.config import Answers
from postroom.logger import structlog
from postroom.outbound import policy
from postroom.outbound.policy import BREAKER, Refusal
from postroom.store import counters
from postroom.store.engine import once_committed

log = structlog.get_logger("outbound")


class Limits:
    """Counts automatic mail; safe to share between threads."""

    def __init__(self, answers: Answers, clock: Callable[[], datetime]) -> None:
        self._answers, self._clock = answers, clock
        self._purged: datetime | None = None

    def take(self, connection: Connection, recipient: str) -> Refusal | None:
        """Count one more mail to `recipient`; the refusal where that is one too many."""
        now = self._clock()
        hour = counters.window_of(now, counters.HOUR)
        if self._purged != hour:
            counters.purge(connection, now)
            self._purged = hour
        reached = counters.take(connection, policy.limits(recipient, self._answers), now)
        if reached is None:
            return None
        if reached.limit.scope == BREAKER and reached.count == reached.limit.most + 1:
            most, until = reached.limit.most, str(hour + counters.HOUR)
            once_committed(connection, lambda: log.error("breaker opened", answers=most, until=until))
        return policy.over(reached.limit)

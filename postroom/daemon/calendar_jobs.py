"""What is done by the calendar, and at which moments: digests, the report on the month.

Each job is done once for each moment, in one transaction with the mark that says so (`store/recurring.py`). After a
long stop what was missed is made up once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moments:
    """Each day, or the first of each month, at a time of day in a time zone."""

    at: time
    zone: ZoneInfo
    monthly: bool = False

    def last(self, now: datetime) -> datetime:
        """The latest of them that has come, in UTC."""
        day = now.astimezone(self.zone).date()
        day = day.replace(day=1) if self.monthly else day
        moment = self._on(day)
        if moment > now:
            moment = self._on((day - DAY).replace(day=1) if self.monthly else day - DAY)
        return moment

    def _on(self, day: date) -> datetime:
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is done at those moments, on the caller's connection."""

    name: str
    moments: Moments
    do: Callable[[Connection, datetime], None]  # is told the moment that it is done for

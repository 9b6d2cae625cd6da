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

from postroom.config import Config
from postroom.config_times import clock_time
from postroom.outbound.notify import Notifier

OPERATOR_AT = time(7)  # when the operator is told of the quarantine, in the time zone of [reports]
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
    do: Callable[[Connection, datetime], object]  # is told the moment that it is done for


def jobs_of(config: Config, notifier: Notifier, clock: Callable[[], datetime]) -> list[Job]:
    """The jobs that the configuration asks for."""
    reports = config.reports
    zone = ZoneInfo(reports.time_zone)
    jobs = []
    for name, queue in config.queue.items():
        if queue.digest_at:
            moments = Moments(clock_time(queue.digest_at, f"queue.{name}.digest_at"), ZoneInfo(queue.time_zone))
            jobs.append(Job(f"digest {name}", moments, _digest(notifier, name, clock)))
    if config.operator.address:
        jobs.append(
            Job("quarantine", Moments(OPERATOR_AT, zone), lambda connection, _: notifier.quarantine(connection))
        )
    if reports.monthly_to:
        moments = Moments(clock_time(reports.monthly_at, "reports.monthly_at"), zone, monthly=True)
        jobs.append(Job("monthly report", moments, notifier.monthly))
    return jobs


def _digest(notifier: Notifier, queue: str, clock: Callable[[], datetime]) -> Callable[[Connection, datetime], object]:
    return lambda connection, _: notifier.digest(connection, queue, clock())

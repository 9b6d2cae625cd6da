"""How did the desk do in a month? Numbers by queue and agent, in the working time of each queue.

A month is one of the business's time zone. A ticket counts for the agent and in the queue that it has now. Of a ticket that
was resolved, reopened and resolved again the last time counts; while it waited for its customer its clock stood still.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import mean, median
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from postroom.config import Config, Queue
from postroom.desk.business_time import Stopwatch, calendar
from postroom.desk.due import SECONDS_OF_AN_HOUR, hours_of
from postroom.errors import UserError
from postroom.saying import Saying
from postroom.store import performance as counted

LOOK_BACK = timedelta(days=400)  # for tickets older than that working time is counted the slow way
YEARS = range(1970, 9000)  # beyond them calendars end
NOBODY = ""  # the agent of tickets that nobody has


@dataclass(slots=True)
class Figures:
    """What came together for one queue, one agent, or all. Times in seconds of working time."""

    opened: int = 0
    resolved: int = 0
    closed: int = 0
    reopened: int = 0
    backlog: int = 0
    first_responses: list[float] = field(default_factory=list)
    resolutions: list[float] = field(default_factory=list)
    sla_kept: int = 0
    sla_missed: int = 0
    ratings: list[int] = field(default_factory=list)

    def as_numbers(self) -> dict[str, int | float | None]:
        """The figures with their medians and the like: times in hours, None where there is nothing to measure."""
        promises = self.sla_kept + self.sla_missed
        return {
            "opened": self.opened, "resolved": self.resolved, "closed": self.closed, "reopened": self.reopened,
            "backlog": self.backlog,
            "firstResponses": len(self.first_responses), **_times("firstResponse", self.first_responses),
            "resolutions": len(self.resolutions), **_times("resolution", self.resolutions),
            "slaKept": self.sla_kept, "slaMissed": self.sla_missed,
            "slaKeptPercent": round(100 * self.sla_kept / promises, 1) if promises else None,
            "ratings": len(self.ratings), "ratingMean": round(mean(self.ratings), 2) if self.ratings else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Month:
    """The report on one month."""

    name: str  # "2026-10"
    begin: datetime  # UTC
    end: datetime
    total: Figures
    queues: dict[str, Figures]  # by queue
    agents: dict[str, Figures]  # by agent; NOBODY
    opened_by_day: list[int]
    resolved_by_day: list[int]

    def as_object(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "month": self.name, "begin": f"{self.begin:%Y-%m-%dT%H:%M:%SZ}", "end": f"{self.end:%Y-%m-%dT%H:%M:%SZ}",
            "total": self.total.as_numbers(),
            "queues": [{"queue": name, **one.as_numbers()} for name, one in sorted(self.queues.items())],
            "agents": [{"agent": name or None, **one.as_numbers()} for name, one in sorted(self.agents.items())],
            "openedByDay": self.opened_by_day, "resolvedByDay": self.resolved_by_day,
        }  # fmt: skip


def month_before(moment: datetime, zone: ZoneInfo) -> str:
    """The month before the one that it is in that zone: "2026-10"."""
    return f"{moment.astimezone(zone).date().replace(day=1) - timedelta(days=1):%Y-%m}"


def report_on(connection: Connection, config: Config, month: str) -> Month:
    """The report on a month such as "2026-10"; UserError for what is none."""
    days = days_of(month, ZoneInfo(config.reports.time_zone))
    begin, end = days[0], days[-1]
    gathered = _Gathered(config, days)
    for row in counted.opened(connection, days):
        gathered.opened_by_day[row.day] += row.tickets
        for figures in gathered.of(row.queue, row.agent):
            figures.opened += row.tickets
    for row in counted.moves(connection, begin, end):
        for figures in gathered.of(row.queue, row.agent):
            figures.closed += row.closed
            figures.reopened += int(row.reopened or 0)
    for queue, agent, count in counted.backlog(connection, end):
        for figures in gathered.of(queue, agent):
            figures.backlog += count
    for row in counted.answered(connection, begin, end):
        gathered.add_answer(row)
    for row in counted.resolved(connection, begin, end):
        gathered.add_resolution(row)
    return Month(
        month, begin, end, gathered.total, dict(gathered.queues), dict(gathered.agents), gathered.opened_by_day,
        gathered.resolved_by_day,
    )  # fmt: skip


def days_of(month: str, zone: ZoneInfo) -> list[datetime]:
    """When each day of the month begins in that zone, and when the last one ends, in UTC."""
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise UserError(Saying("'%(month)s' is no month such as 2026-10", month=month)) from None
    if first.year not in YEARS:
        raise UserError(Saying("'%(month)s' is beyond the calendar", month=month))
    count = monthrange(first.year, first.month)[1]
    return [datetime.combine(first + timedelta(days=n), time(), zone).astimezone(UTC) for n in range(count + 1)]


class _Gathered:
    """The figures while they come together."""

    def __init__(self, config: Config, days: list[datetime]) -> None:
        self._config, self._days = config, days
        self._watches: dict[str, Stopwatch] = {}
        self.total = Figures()
        self.queues: defaultdict[str, Figures] = defaultdict(Figures)
        self.agents: defaultdict[str, Figures] = defaultdict(Figures)
        self.opened_by_day = [0] * (len(days) - 1)
        self.resolved_by_day = [0] * (len(days) - 1)

    def of(self, queue: str, agent: str | None) -> tuple[Figures, Figures, Figures]:
        """What a ticket counts for."""
        return self.total, self.queues[queue], self.agents[agent or NOBODY]

    def add_answer(self, row: Any) -> None:
        """A ticket that had its first answer."""
        queue, watch = self._queue(row.queue)
        seconds = watch.between(row.created_at, row.at)
        promised = hours_of(queue.first_response_hours, row.priority) * SECONDS_OF_AN_HOUR
        for figures in self.of(row.queue, row.agent):
            figures.first_responses.append(seconds)
            _keep(figures, seconds, promised)

    def add_resolution(self, row: Any) -> None:
        """A ticket that became resolved."""
        queue, watch = self._queue(row.queue)
        until = min(row.stopped_at, row.at) if row.stopped_at else row.at
        seconds = max(watch.between(row.created_at, until) - row.stopped, 0.0)
        promised = hours_of(queue.resolution_hours, row.priority) * SECONDS_OF_AN_HOUR
        self.resolved_by_day[bisect_right(self._days, row.at) - 1] += 1
        for figures in self.of(row.queue, row.agent):
            figures.resolved += 1
            figures.resolutions.append(seconds)
            _keep(figures, seconds, promised)
            if row.rating:
                figures.ratings.append(row.rating)

    def _queue(self, name: str) -> tuple[Queue, Stopwatch]:
        queue = self._config.queue.get(name) or Queue()
        if name not in self._watches:
            works = calendar(queue.hours, queue.holidays, queue.time_zone)
            self._watches[name] = works.stopwatch(self._days[0] - LOOK_BACK, self._days[-1])
        return queue, self._watches[name]


def _keep(figures: Figures, seconds: float, promised: float) -> None:
    if promised:
        figures.sla_kept += seconds <= promised
        figures.sla_missed += seconds > promised


def _times(name: str, seconds: list[float]) -> dict[str, float | None]:
    """Median and 90th percentile (nearest rank), in hours."""
    if not seconds:
        return {f"{name}HoursMedian": None, f"{name}HoursP90": None}
    ninth = sorted(seconds)[math.ceil(len(seconds) * 0.9) - 1]
    return {
        f"{name}HoursMedian": round(median(seconds) / SECONDS_OF_AN_HOUR, 2),
        f"{name}HoursP90": round(ninth / SECONDS_OF_AN_HOUR, 2),
    }

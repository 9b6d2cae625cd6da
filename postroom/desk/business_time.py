"""How much working time lies between two moments, and when has so much of it passed?

Pure. A calendar says in its own time zone when work is done; moments are aware, and counted in real seconds, so a day
on which the clocks change is as long as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from postroom.config_times import MINUTES_OF_A_DAY, holiday_of, spans_of

DAYS_MAX = 20_000  # that are looked at; beyond that nothing is ever due
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a queue works. `spans` for each weekday, Monday first: minutes from midnight, sorted and apart."""

    zone: ZoneInfo
    spans: tuple[tuple[tuple[int, int], ...], ...]
    holidays: frozenset[tuple[int | None, int, int]] = frozenset()

    def add(self, moment: datetime, seconds: float) -> datetime:
        """The moment at which so much working time has passed since `moment`."""
        left = timedelta(seconds=seconds)
        for begin, end in self._open(moment):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        return datetime.max.replace(tzinfo=UTC)

    def between(self, first: datetime, last: datetime) -> float:
        """Seconds of working time from `first` to `last`; 0 where the latter is not later."""
        passed = timedelta()
        for begin, end in self._open(first):
            if begin >= last:
                break
            passed += min(end, last) - begin
        return passed.total_seconds()

    def stopwatch(self, first: datetime, last: datetime) -> Stopwatch:
        """What measures many stretches between these moments, each at once."""
        begins: list[datetime] = []
        ends: list[datetime] = []
        passed: list[float] = []
        total = 0.0
        for begin, end in self._open(first):
            if begin >= last:
                break
            begins.append(begin)
            ends.append(end)
            passed.append(total)
            total += (end - begin).total_seconds()
        return Stopwatch(self, first, last, begins, ends, passed)

    def _open(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The stretches of working time from `since` on, in UTC."""
        day, since = since.astimezone(self.zone).date(), since.astimezone(UTC)
        for _ in range(DAYS_MAX):
            for begin, end in self._of_day(day):
                if end > since:
                    yield max(begin, since), end
            if day == date.max:
                return
            day += DAY

    def _of_day(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        if (day.year, day.month, day.day) in self.holidays or (None, day.month, day.day) in self.holidays:
            return
        for first, last in self.spans[day.weekday()]:
            begin, end = self._at(day, first), self._at(day, last)
            if end > begin:  # not where the clocks jump over all of it
                yield begin, end

    def _at(self, day: date, minutes: int) -> datetime:
        if minutes == MINUTES_OF_A_DAY:
            day, minutes = day + DAY, 0
        return datetime.combine(day, time(minutes // 60, minutes % 60), self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """A calendar's working time, added up beforehand."""

    calendar: Calendar
    first: datetime
    last: datetime
    begins: Sequence[datetime]
    ends: Sequence[datetime]
    passed: Sequence[float]  # seconds until each begin

    def between(self, first: datetime, last: datetime) -> float:
        """As `Calendar.between`."""
        if first < self.first or last > self.last:
            return self.calendar.between(first, last)
        return max(self._until(last) - self._until(first), 0.0)

    def _until(self, moment: datetime) -> float:
        number = bisect_right(self.begins, moment) - 1
        if number < 0:
            return 0.0
        return self.passed[number] + (min(moment, self.ends[number]) - self.begins[number]).total_seconds()


@cache
def calendar(hours: tuple[str, ...], holidays: tuple[str, ...], time_zone: str) -> Calendar:
    """The calendar that the configuration of a queue means; without `hours` it works always, but on holidays."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(7)]
    for line in hours or ("mon-sun 00:00-24:00",):
        for weekday, begin, end in spans_of(line, "hours"):
            found[weekday].append((begin, end))
    days = frozenset(holiday_of(day, "holidays") for day in holidays)
    return Calendar(ZoneInfo(time_zone), tuple(_apart(spans) for spans in found), days)


def _apart(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans in their order, those that overlap made one."""
    apart: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if apart and begin <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((begin, end))
    return tuple(apart)

"""`[status.NAME]`, and the times of `[queue.NAME]`: when a queue works, and how soon it answers.

What they mean is `desk/workflow.py`'s and `desk/due.py`'s matter; here is how they are written, and what can be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from postroom.config_section import Section
from postroom.errors import ConfigError

BUILT_IN = ("new", "open", "pending_customer", "pending_internal", "resolved", "closed")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? +(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
EVERY_YEAR = re.compile(r"\d{2}-\d{2}")
LEAP_YEAR = 2024  # has a 29 February
MINUTES_OF_A_DAY = 24 * 60
HOURS_MAX = 10_000  # of working time until something is due

Hours = float | dict[str, float]  # for all priorities, or for each of some


class Status(Section, frozen=True, kw_only=True):
    """`[status.NAME]`: a status of one's own, or where a built-in one may lead."""

    phase: Literal["open", "pending_customer", "pending_internal"] | None = None  # the built-in one that it works like
    to: tuple[str, ...] = ()  # what an agent may make of it; () is anything


def check_statuses(statuses: Mapping[str, Status]) -> None:
    """ConfigError with the key's path for a status that cannot be."""
    every = {*BUILT_IN, *statuses}
    for name, status in statuses.items():
        path = f"status.{name}"
        if name in BUILT_IN and status.phase is not None:
            raise ConfigError(f"{path}.phase: is fixed, as {name} is built in; only `to` can be given")
        if name not in BUILT_IN and status.phase is None:
            raise ConfigError(f"{path}.phase: is missing")
        if "-" in name:
            raise ConfigError(f"{path}: a status has no - in its name, but may have _")
        for to in status.to:
            if to not in every:
                raise ConfigError(f"{path}.to: there is no status {to!r}")


def check_times(
    path: str, hours: Sequence[str], holidays: Sequence[str], time_zone: str, targets: Mapping[str, Hours],
    priorities: Collection[str],
) -> None:  # fmt: skip
    """ConfigError with the key's path for a queue's times that cannot be. `targets`: hours until due, by key."""
    for number, line in enumerate(hours):
        spans_of(line, f"{path}.hours[{number}]")
    for number, day in enumerate(holidays):
        holiday_of(day, f"{path}.holidays[{number}]")
    check_zone(time_zone, f"{path}.time_zone")
    for key, value in targets.items():
        by_priority = value if isinstance(value, dict) else {}
        for priority in by_priority:
            if priority not in priorities:
                raise ConfigError(f"{path}.{key}: {priority!r} is no priority; there are: {', '.join(priorities)}")
        for one in by_priority.values() if isinstance(value, dict) else (value,):
            if not 0 <= one <= HOURS_MAX:
                raise ConfigError(f"{path}.{key}: {one:g} is not between 0 and {HOURS_MAX} hours")


def check_zone(name: str, path: str) -> None:
    """ConfigError for what is no time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{path}: {name!r} is no time zone such as Europe/Berlin") from None


def clock_time(text: str, path: str) -> time:
    """`08:00` as a time of day; ConfigError for what is none."""
    found = CLOCK.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ConfigError(f"{path}: {text!r} is no time such as 08:00")
    return time(int(found[1]), int(found[2]))


def spans_of(line: str, path: str) -> list[tuple[int, int, int]]:
    """`mon-fri 09:00-17:00` as (weekday, first minute, end): Monday is 0, minutes count from midnight."""
    found = HOURS.fullmatch(line.strip().lower())
    if found is None or found[1] not in DAYS or (found[2] or found[1]) not in DAYS:
        raise ConfigError(f"{path}: {line!r} is not such as 'mon-fri 09:00-17:00'")
    begin, end = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if int(found[4]) > 59 or int(found[6]) > 59 or not begin < end <= MINUTES_OF_A_DAY:
        raise ConfigError(f"{path}: {line!r} does not begin before it ends, within 00:00 and 24:00")
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    count = (last - first) % len(DAYS) + 1
    return [((first + n) % len(DAYS), begin, end) for n in range(count)]


def holiday_of(day: str, path: str) -> tuple[int | None, int, int]:
    """`2026-12-25`, or `12-25` of every year, as (year or None, month, day)."""
    every_year = EVERY_YEAR.fullmatch(day) is not None
    try:
        found = date.fromisoformat(f"{LEAP_YEAR}-{day}" if every_year else day)
    except ValueError:
        raise ConfigError(f"{path}: {day!r} is no day such as 2026-12-25, or 12-25 for every year") from None
    return (None if every_year else found.year), found.month, found.day

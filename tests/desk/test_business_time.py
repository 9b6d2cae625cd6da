"""Working time: hours, weekends, holidays, and the days on which the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.desk.business_time import calendar

OFFICE = ("mon-fri 09:00-17:00",)
BERLIN = "Europe/Berlin"


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("hours", "holidays", "zone", "since", "worked", "until"),
    [
        ((), (), "UTC", "2026-11-21T23:00", 2, "2026-11-22T01:00"),  # always
        ((), ("2026-11-22",), "UTC", "2026-11-21T23:00", 2, "2026-11-23T01:00"),  # always, but on a holiday
        (OFFICE, (), "UTC", "2026-11-23T10:00", 4, "2026-11-23T14:00"),  # within a day
        (OFFICE, (), "UTC", "2026-11-23T07:00", 1, "2026-11-23T10:00"),  # before it opens
        (OFFICE, (), "UTC", "2026-11-23T16:00", 2, "2026-11-24T10:00"),  # over a night
        (OFFICE, (), "UTC", "2026-11-23T09:00", 8, "2026-11-23T17:00"),  # to the very end of the day
        (OFFICE, (), "UTC", "2026-11-23T17:00", 1, "2026-11-24T10:00"),  # from it
        (OFFICE, (), "UTC", "2026-11-27T16:00", 2, "2026-11-30T10:00"),  # over a weekend
        (OFFICE, (), "UTC", "2026-11-28T12:00", 1, "2026-11-30T10:00"),  # from a weekend
        (
            OFFICE,
            ("12-25", "2026-12-24"),
            "UTC",
            "2026-12-23T16:00",
            2,
            "2026-12-28T10:00",
        ),  # Thursday, Friday, weekend
        (OFFICE, ("2025-12-24",), "UTC", "2026-12-23T16:00", 2, "2026-12-24T10:00"),  # another year's holiday
        (("mon 09:00-12:00", "mon 13:00-17:00"), (), "UTC", "2026-11-23T11:00", 2, "2026-11-23T14:00"),  # over noon
        (("mon 09:00-13:00", "mon 12:00-17:00"), (), "UTC", "2026-11-23T11:00", 3, "2026-11-23T14:00"),  # overlapping
        (("sat-mon 10:00-12:00",), (), "UTC", "2026-11-21T11:00", 4, "2026-11-23T11:00"),  # around the week's end
        (("fri 20:00-24:00", "sat 00:00-04:00"), (), "UTC", "2026-11-27T22:00", 3, "2026-11-28T01:00"),  # over midnight
        (OFFICE, (), BERLIN, "2026-11-23T16:30", 1, "2026-11-24T09:30"),  # in its own zone
        (OFFICE, (), BERLIN, "2026-03-27T16:00", 2, "2026-03-30T10:00"),  # the clocks change on the weekend between
        (("sun 00:00-24:00",), (), BERLIN, "2026-03-29T01:00", 2, "2026-03-29T04:00"),  # an hour that there is not
        (("sun 00:00-24:00",), (), BERLIN, "2026-10-25T01:00", 3, "2026-10-25T03:00"),  # an hour that comes twice
        (
            ("sun 02:00-03:00", "mon 09:00-10:00"),
            (),
            BERLIN,
            "2026-03-28T12:00",
            0.5,
            "2026-03-30T09:30",
        ),  # jumped over
        (("sun 02:30-03:00", "mon 09:00-10:00"), (), BERLIN, "2026-03-28T12:00", 0.5, "2026-03-30T09:30"),  # in part
        (OFFICE, (), "Asia/Kolkata", "2026-11-23T16:30", 1, "2026-11-24T09:30"),  # half an hour off
    ],
)
def test_working_time_is_added_and_measured(hours, holidays, zone, since, worked, until):
    works = calendar(hours, holidays, zone)
    begin, end = at(since, zone), at(until, zone)
    assert works.add(begin, worked * 3600) == end
    assert works.between(begin, end) == worked * 3600


def test_moments_are_told_in_any_zone():
    works = calendar(OFFICE, (), BERLIN)
    assert works.add(at("2026-11-23T08:00"), 3600) == at("2026-11-23T10:00", BERLIN)
    assert works.between(at("2026-11-23T07:00"), at("2026-11-23T09:00")) == 3600


def test_time_does_not_run_backwards():
    assert calendar(OFFICE, (), "UTC").between(at("2026-11-24T10:00"), at("2026-11-23T10:00")) == 0


def test_where_nothing_is_ever_open_nothing_is_ever_due():
    works = calendar(
        ("mon 09:00-10:00",),
        tuple(f"{m:02}-{d:02}" for m in range(1, 13) for d in range(1, 32) if _is_day(m, d)),
        "UTC",
    )
    assert works.add(at("2026-11-23T10:00"), 3600) == datetime.max.replace(tzinfo=UTC)


def _is_day(month, day):
    return day <= {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}.get(month, 31)


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants them so)


@given(MOMENTS, st.integers(0, 200 * 3600))
def test_what_was_added_is_what_is_measured(begin, seconds):
    works = calendar(("mon-thu 08:15-12:00", "mon-thu 13:00-17:30", "sun 01:00-04:00"), ("12-25",), BERLIN)
    end = works.add(begin, seconds)
    assert works.between(begin, end) == seconds
    assert works.between(begin, end + timedelta(hours=1)) >= seconds

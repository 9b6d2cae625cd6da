"""When was it written?"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.dates import read_date

MOMENT = datetime(2026, 11, 25, 9, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "Wed, 25 Nov 2026 10:11:12 +0100", "Wed, 25 Nov 2026 10:11:12 +0100 (CET)", "25 Nov 2026 10:11:12 CET", "Wed, 25 Nov 26 09:11:12 GMT",
        "Wed,25 Nov 2026 10:11:12+0100", "Wed, 25-Nov-2026 09:11:12 GMT", "Wed Nov 25 09:11:12 2026", "Wed Nov 25 10:11:12 CET 2026",
        "Wed, 25 Nov 2026 10.11.12 +01:00", "2026-11-25T09:11:12Z", "2026-11-25 10:11:12+01:00", "2026/11/25 09:11:12", "Nov 25, 2026 9:11:12 AM",
        "Mi, 25 Nov 2026 10:11:12 +0100", "mer., 25 nov. 2026 10:11:12 +0100", "Wed, 25 Nov 2026 04:11:12 EST", "Wed, 25 Nov 2026 10:11:12 GMT+0100",
        "Wed, 25 Nov 2026 09:11:12", "Wed, 25 Nov 2026 09:11:12 -0000", "Wed, 25 Nov 2026 14:41:12 +0530", "WED, 25 NOV 2026 09:11:12 UT",
    ],
)  # fmt: skip
def test_the_same_moment_in_many_spellings(written: str) -> None:
    assert read_date(written) == MOMENT


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "Wed, 31 Feb 2026 10:00:00 +0000",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Sat, 01 Jan 0001 00:00:00 +1400",
        "99 Nov",
        ":",
    ],
)
def test_no_moment_is_made_up(written: str) -> None:
    assert read_date(written) is None


def test_leap_seconds_and_the_hour_24_are_moments() -> None:
    assert read_date("Wed, 25 Nov 2026 23:59:60 +0000") == datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)
    assert read_date("Wed, 25 Nov 2026 24:00:00 +0000") == datetime(2026, 11, 26, tzinfo=UTC)


@given(st.text(max_size=120) | st.text(st.sampled_from("0123456789:+-., ANovJan/TZ"), max_size=60))
def test_any_text_is_a_moment_in_utc_or_none(text: str) -> None:
    found = read_date(text)
    assert found is None or found.tzinfo is UTC


EARLIEST, LATEST = datetime(1950, 1, 1), datetime(2999, 1, 1)  # noqa: DTZ001 - hypothesis wants them naive


@given(st.datetimes(EARLIEST, LATEST), st.integers(-14 * 60, 14 * 60))
def test_what_rfc_5322_writes_is_read_exactly(moment: datetime, zone: int) -> None:
    from datetime import timedelta, timezone
    from email.utils import format_datetime

    local = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=zone)))
    assert read_date(format_datetime(local)) == local


@pytest.mark.parametrize("month", ["Jan", "Mar", "May", "Dec", "Mai", "Xyz", "Déc"])
@pytest.mark.parametrize(
    "rest",
    ["2026 23:59:60 +1430", "2026 24:00:00 -1500", "2026 10:61:00 +0000", "0000 10:11:12 +0100", "9999 24:00:00 -1400"],
)
def test_a_date_in_the_usual_form_is_read_as_the_same_date_in_an_unusual_one(month: str, rest: str) -> None:
    assert read_date(f"Tue, 03 {month} {rest}") == read_date(f"Tue, 03  {month}  {rest}")

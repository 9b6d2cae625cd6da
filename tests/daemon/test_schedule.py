"""Housekeeping: what was missed is made up, once, and a job that comes late still runs."""

import asyncio
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine

from postroom.config import parse
from postroom.daemon.calendar_jobs import Job, Moments
from postroom.daemon.schedule import Schedule
from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url)
    yield store
    store.dispose()


def schedule(store: Store) -> Schedule:
    return Schedule(parse({}, Path()), store, lambda: NOON)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_tidying_gives_the_write_ahead_log_back(store: Store) -> None:
    with store.write() as connection:
        raw = b"x" * 1_000_000
        digest = hashlib.sha256(raw).hexdigest()
        inbound.accept(connection, [NewInbound("support", "a@b.example", raw, digest, "smtp", "", NOON)])
    wal = Path(f"{store.path}-wal")
    assert wal.stat().st_size > 1_000_000
    schedule(store).tidy()
    assert wal.stat().st_size == 0


async def test_a_job_that_comes_late_still_runs_and_once(store: Store) -> None:
    """APScheduler's default forgets a job that is a second late."""
    plan = schedule(store)
    plan.start()
    ran = asyncio.Event()
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)
        ran.set()

    plan._scheduler.add_job(job, "interval", hours=1, next_run_time=datetime.now(UTC) - timedelta(hours=5))
    await asyncio.wait_for(ran.wait(), 10)
    plan.stop()
    assert runs == [1]


class Diary:
    """A job of the calendar that writes down for which moments it was done, and a clock that is set."""

    def __init__(self, store: Store, monthly: bool = False, zone: str = "Europe/Berlin") -> None:
        self.store, self.now, self.done = store, NOON, []
        self.job = Job("diary", Moments(time(8), ZoneInfo(zone), monthly), lambda _, moment: self.done.append(moment))

    def look(self, at: datetime) -> list[str]:
        """Set the clock, and look what is to be done; for which moments it was, this time."""
        self.now, self.done = at, []
        Schedule(parse({}, Path()), self.store, lambda: self.now, jobs=[self.job]).make_up()
        return [f"{moment:%d %H:%M}" for moment in self.done]


def test_a_job_of_the_calendar_is_done_once_for_each_moment(store: Store) -> None:
    diary = Diary(store)
    assert diary.look(NOON) == []  # it is new: nothing is made up
    assert diary.look(NOON + timedelta(hours=18)) == []
    assert diary.look(NOON + timedelta(hours=19)) == ["24 07:00"]
    assert diary.look(NOON + timedelta(hours=20)) == []


def test_what_was_missed_in_a_long_stop_is_made_up_once(store: Store) -> None:
    diary = Diary(store)
    diary.look(NOON)
    assert diary.look(NOON + timedelta(days=5)) == ["28 07:00"]
    assert diary.look(NOON + timedelta(days=5)) == []


def test_a_clock_that_was_set_does_nothing_twice_and_stops_nothing(store: Store) -> None:
    diary = Diary(store)
    diary.look(NOON)
    assert diary.look(NOON + timedelta(days=1)) == ["24 07:00"]
    assert diary.look(NOON) == []  # a day back
    assert diary.look(NOON + timedelta(days=2)) == ["25 07:00"]
    assert diary.look(NOON + timedelta(days=900)) != []  # a wrong clock, ...
    assert diary.look(NOON + timedelta(days=3)) == ["26 07:00"]  # ... which was put right


def test_the_first_of_a_month_is_its_first_in_the_time_zone(store: Store) -> None:
    diary = Diary(store, monthly=True)
    diary.look(NOON)
    assert diary.look(datetime(2026, 12, 1, 6, 59, tzinfo=UTC)) == []
    assert diary.look(datetime(2026, 12, 1, 7, tzinfo=UTC)) == ["01 07:00"]
    assert diary.look(datetime(2027, 4, 1, 6, tzinfo=UTC)) == ["01 06:00"]  # summer time


def test_of_two_daemons_one_does_it(store: Store) -> None:
    diary = Diary(store)
    diary.look(NOON)
    diary.now = NOON + timedelta(days=1)
    diary.done = []
    other = Store(store.engine.url.render_as_string(hide_password=False))
    plans = [Schedule(parse({}, Path()), store, lambda: diary.now, jobs=[diary.job]) for store in (store, other) * 3]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda plan: plan.do(diary.job), plans))
    other.dispose()
    assert sorted(answers) == [False] * 5 + [True]
    assert len(diary.done) == 1


async def test_the_calendar_is_looked_at_whatever_the_clock_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the system's clock a library would sleep through the day that the clock was set back."""
    monkeypatch.setattr("postroom.daemon.schedule.CHECK_SECONDS", 0.05)
    diary = Diary(store)
    diary.look(NOON)
    plan = Schedule(parse({}, Path()), store, lambda: diary.now, jobs=[diary.job])
    with time_machine.travel(NOON, tick=True) as travelling:
        plan.start()
        travelling.move_to(NOON - timedelta(days=1))
        diary.now = NOON + timedelta(days=1)
        async with asyncio.timeout(30):
            while not diary.done:
                await asyncio.sleep(0.01)
        plan.stop()
    assert [f"{moment:%d %H:%M}" for moment in diary.done] == ["24 07:00"]


async def test_stopping_twice_or_before_the_start_is_fine(store: Store) -> None:
    plan = schedule(store)
    plan.stop()
    plan.start()
    plan.stop()
    plan.stop()

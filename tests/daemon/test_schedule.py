"""Housekeeping: what will become trouble is said in time, and a job that comes late still runs."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from postroom.config import parse
from postroom.daemon.schedule import Schedule
from postroom.store import inbound, migrate
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/postroom.db")
    migrate.upgrade(store)
    yield store
    store.dispose()


def schedule(store: Store, at: datetime = NOON, floor: int | str = 1) -> Schedule:
    return Schedule(parse({"smtp": {"min_free_disk": floor}}, Path()), store, lambda: at)


def test_mail_that_waits_too_long_is_named(store: Store) -> None:
    raw = b"Subject: one\r\n\r\n"
    with store.write() as connection:
        digest = hashlib.sha256(raw).hexdigest()
        inbound.accept(connection, [NewInbound("support", "a@b.example", raw, digest, "smtp", "", NOON)])
    with capture_logs() as logs:
        schedule(store, NOON + timedelta(minutes=14)).watch()
        assert logs == []
        schedule(store, NOON + timedelta(minutes=16)).watch()
    assert [line["event"] for line in logs] == ["mail waits unprocessed"]


def test_a_disk_that_fills_is_named_before_mail_is_refused(store: Store) -> None:
    with capture_logs() as logs:
        schedule(store, floor=1 << 60).watch()
    assert [line["event"] for line in logs] == ["disk fills"]


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


async def test_stopping_twice_or_before_the_start_is_fine(store: Store) -> None:
    plan = schedule(store)
    plan.stop()
    plan.start()
    plan.stop()
    plan.stop()

"""Housekeeping by the clock. Due times of mail and tickets live in tables; here is only what may be missed.

What is done every so often runs on the loop's own clock, which no one sets. What is done at a time of the calendar
waits in APScheduler, which is woken every minute: it sleeps by the system's clock, and would not notice that it was set.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from postroom.config import Config
from postroom.daemon.calendar_jobs import Job
from postroom.daemon.failpoint import failpoint
from postroom.desk import erasure
from postroom.desk.due import sweep
from postroom.desk.happened import Happened
from postroom.errors import TemporaryFailure
from postroom.logger import structlog
from postroom.outbound.notify import Notifier
from postroom.store import raw_mail, recurring
from postroom.store.engine import Store

CHECK_SECONDS = 300
TIDY_SECONDS = 6 * 3600
PURGE_SECONDS = 3600
OBJECTS_SECONDS = 60
ANALYSED = 1000  # rows of an index that SQLite looks at for its statistics: all of them would keep writers waiting
SWEEP_SECONDS = 60  # how exactly due times are kept
BEAT_SECONDS = 2.0  # between two signs of life while nothing is to be done
SWEEP_BATCH = 50  # things of each kind in one transaction: whoever else writes waits no longer
SWEEPS_MAX = 100  # transactions of one round

log = structlog.get_logger()


class Schedule:
    """Runs the jobs while it is started, each in a thread of the loop's."""

    def __init__(
        self, config: Config, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        notifier: Notifier | None = None, on_enqueued: Callable[[], None] = lambda: None, jobs: Sequence[Job] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Without a `notifier` nothing becomes due; `on_enqueued` is called when there may be mail to send.

        `jobs` are those of the calendar; `beat` is called as the sweep goes on.
        """
        self._beat = beat
        self._config = config
        self._store = store
        self._clock = clock
        self._notifier, self._on_enqueued = notifier, on_enqueued
        self._jobs = jobs
        self._loops: list[asyncio.Task[None]] = []
        # A job that comes late still runs, once: the library's default forgets it after a second.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        for job in jobs:
            at, day = job.moments.at, 1 if job.moments.monthly else None
            self._scheduler.add_job(
                self.do, "cron", [job], day=day, hour=at.hour, minute=at.minute, timezone=job.moments.zone
            )

    def start(self) -> None:
        """Begin; needs the running event loop."""
        self._scheduler.start()
        self._every(SWEEP_SECONDS, self._wake)
        if self._notifier is not None:
            # at once: much may have become due while nobody looked
            self._loops.append(asyncio.ensure_future(_repeat(SWEEP_SECONDS, self.sweep, at_once=True, beat=self._beat)))
        if self._jobs:
            self._every(CHECK_SECONDS, self.make_up)
        if any(getattr(self._config.retention, kind) for kind in self._config.retention.__struct_fields__):
            self._every(PURGE_SECONDS, self.purge)
        if self._store.objects is not None:
            self._every(OBJECTS_SECONDS, self.move_bytes)
        if self._store.is_sqlite:
            self._every(TIDY_SECONDS, self.tidy, at_once=False)

    def stop(self) -> None:
        """Start nothing more. A job that runs is short and ends by itself."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for loop in self._loops:
            loop.cancel()

    def _every(self, seconds: float, job: Callable[[], object], at_once: bool = True) -> None:
        self._loops.append(asyncio.ensure_future(_repeat(seconds, job, at_once)))

    def _wake(self) -> None:
        """Let the library look at the clock."""
        if self._scheduler.running:
            self._scheduler.wakeup()

    def make_up(self) -> None:
        """Do what the calendar had while no daemon ran, each once."""
        for job in self._jobs:
            self.do(job)

    def do(self, job: Job) -> bool:
        """Do a job of the calendar for its latest moment, unless that was done; whether it was now."""
        now = self._clock()
        moment = job.moments.last(now)
        try:
            with self._store.write(alone=True) as connection:
                is_ours = recurring.claim(connection, job.name, moment, now)
                if is_ours:
                    job.do(connection, moment)
        except TemporaryFailure as error:  # nothing of it happened; the next round does it
            log.warning("deferred", job=job.name, why=str(error))
            return False
        except Exception:  # the edge: one job, whatever is wrong with it; it is tried again, and holds up no other
            log.exception("failed", job=job.name)
            return False
        if is_ours:
            log.info("done", job=job.name, moment=moment.isoformat(timespec="minutes"))
            self._on_enqueued()
        return is_ours

    def sweep(self) -> int:
        """Do what has become due, a handful in each transaction; how many things that were."""
        assert self._notifier is not None
        count = 0
        for _ in range(SWEEPS_MAX):
            self._beat()
            failpoint("schedule-sweep")
            try:
                with self._store.write(alone=True) as connection:
                    happened = sweep(connection, self._config, self._clock(), SWEEP_BATCH)
                    for one in happened:
                        self._tell(connection, one)
            except TemporaryFailure as error:  # nothing of it happened; the next round does it
                log.warning("deferred", job="sweep", why=str(error))
                break
            if not happened:
                break
            count += len(happened)
            log.info("due", **Counter(one.what.value.replace("-", "_") for one in happened))
            self._on_enqueued()
        return count

    def _tell(self, connection: Connection, happened: Happened) -> None:
        """Tell of one thing; where that fails, the others are told all the same, and what was done stays done."""
        assert self._notifier is not None
        try:
            with connection.begin_nested():
                self._notifier.enqueue(connection, happened)
        except (OperationalError, TemporaryFailure):
            raise
        except Exception:  # the edge: one ticket, whatever is wrong with it
            log.exception("nobody was told", ticket=happened.ticket_id, what=happened.what)

    def purge(self) -> None:
        """Erase what was kept as long as [retention] says."""
        try:
            purged = erasure.purge(self._store, self._config.retention, self._clock())
        except TemporaryFailure as error:  # what was erased is; the next round does the rest
            log.warning("deferred", job="purge", why=str(error))
            return
        if purged:
            log.info("purged", **purged)

    def move_bytes(self) -> None:
        """Delete the objects that nothing names any more, and put what has become too large for the database."""
        assert self._store.objects is not None
        try:
            done = raw_mail.work(self._store)
            if self._store.objects.failing_since is not None:  # nobody else may ask it for a while
                self._store.objects.probe()
        except TemporaryFailure as error:  # what was done is; the next round does the rest
            log.warning("deferred", job="objects", why=str(error))
            return
        if done.deleted or done.put:
            log.info("bytes moved", deleted=done.deleted, put=done.put)

    def tidy(self) -> None:
        """Give the write-ahead log back to the disk, and the query planner its statistics."""
        connection = self._store.engine.raw_connection()  # SQLAlchemy's own begin a transaction, where neither works
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA analysis_limit={ANALYSED}")
            cursor.execute("PRAGMA optimize")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.close()
        except sqlite3.OperationalError as error:  # somebody writes; there is no hurry
            log.info("deferred", job="tidy", why=str(error))
        finally:
            connection.close()


async def _repeat(
    seconds: float, job: Callable[[], object], at_once: bool, beat: Callable[[], None] = lambda: None
) -> None:
    """Run the job every so often, for ever; what one run breaks, the next may do. `beat` is called between the runs."""
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await asyncio.to_thread(job)
        except Exception:  # the edge: one run, whatever is wrong with it
            log.exception("failed", job=getattr(job, "__name__", "?"))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, BEAT_SECONDS))
            beat()

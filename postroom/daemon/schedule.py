"""Housekeeping by the clock. Due times of mail and tickets live in tables; here is only what may be missed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from postroom.config import Config
from postroom.desk.due import sweep
from postroom.desk.happened import Happened
from postroom.errors import TemporaryFailure
from postroom.outbound.notify import Notifier
from postroom.store import inbound
from postroom.store.engine import Store

OLDEST_PENDING = timedelta(minutes=15)  # a mail that waits longer is worth an operator's look
CHECK_MINUTES = 5
TIDY_HOURS = 6
SWEEP_SECONDS = 60  # how exactly due times are kept
SWEEP_BATCH = 50  # things of each kind in one transaction: whoever else writes waits no longer
SWEEPS_MAX = 100  # transactions of one round
DISK_WARNING = 2  # times smtp.min_free_disk, where mail would be refused

log = structlog.get_logger()


class Schedule:
    """Runs the jobs while it is started, each in a thread of the loop's."""

    def __init__(
        self, config: Config, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        notifier: Notifier | None = None, on_enqueued: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Without a `notifier` nothing becomes due; `on_enqueued` is called when there may be mail to send."""
        self._config = config
        self._store = store
        self._clock = clock
        self._notifier, self._on_enqueued = notifier, on_enqueued
        # A job that comes late still runs, once: the library's default forgets it after a second.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_job(self.watch, "interval", minutes=CHECK_MINUTES)
        if notifier is not None:
            at_once = datetime.now(UTC)  # much may have become due while nobody looked
            self._scheduler.add_job(self.sweep, "interval", seconds=SWEEP_SECONDS, next_run_time=at_once)
        if store.is_sqlite:
            self._scheduler.add_job(self.tidy, "interval", hours=TIDY_HOURS)

    def start(self) -> None:
        """Begin; needs the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more. A job that runs is short and ends by itself."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def watch(self) -> None:
        """Warn of what will become trouble: mail that nobody processes, a disk that fills."""
        with self._store.read() as connection:
            oldest = inbound.oldest_pending(connection)
        if oldest and self._clock() - oldest > OLDEST_PENDING:
            log.warning("mail waits unprocessed", since=oldest.isoformat(timespec="seconds"))
        if self._store.path:
            free = shutil.disk_usage(self._store.path.parent).free
            if free < DISK_WARNING * self._config.smtp.min_free_disk:
                log.warning("disk fills", free=free, refused_below=int(self._config.smtp.min_free_disk))

    def sweep(self) -> int:
        """Do what has become due, a handful in each transaction; how many things that were."""
        assert self._notifier is not None
        count = 0
        for _ in range(SWEEPS_MAX):
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

    def tidy(self) -> None:
        """Give the write-ahead log back to the disk, and the query planner its statistics."""
        connection = self._store.engine.raw_connection()  # SQLAlchemy's own begin a transaction, where neither works
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA optimize")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.close()
        finally:
            connection.close()

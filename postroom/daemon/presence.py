"""Showing the other daemons on a PostgreSQL that this one lives, and taking over from those that have died.

Whoever could not reach the database himself for a while buries nobody: after an outage all look dead, until each has said again
that it lives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from postroom.errors import PostroomError, TemporaryFailure
from postroom.logger import structlog
from postroom.store import nodes
from postroom.store.engine import Store

BEAT_SECONDS = 2.5  # a quarter of the lease: three beats may be late
FIRST_SECONDS = 1.0  # to say it the first time; where the database is slower, what was claimed waits for its own lease

log = structlog.get_logger("presence")


def _now() -> datetime:
    return datetime.now(UTC)


class Presence:
    """A thread that beats, from `start()` to `stop()`, or in a `with` block. Nothing on SQLite, which has one daemon."""

    def __init__(
        self, store: Store, on_freed: Callable[[], None] = lambda: None, clock: Callable[[], datetime] = _now,
        every: float = BEAT_SECONDS,
    ) -> None:  # fmt: skip
        """`on_freed` is called when there is work of a dead one."""
        self._store, self._on_freed, self._clock, self._every = store, on_freed, clock, every
        self._steady_since: float | None = None  # monotonic; since when every beat was heard, and in time
        self._last = 0.0  # monotonic; the last beat
        self._stopping, self._first = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; where the database answers, it is said when this returns."""
        if not self._store.is_sqlite:
            self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
            self._thread.start()
            self._first.wait(FIRST_SECONDS)

    def stop(self) -> None:
        """End, and free what this one still has."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(FIRST_SECONDS)
        with suppress(PostroomError), self._store.write() as connection:
            nodes.bury(connection, self._store.node, None)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs; there is none on SQLite."""
        return self._store.is_sqlite or (self._thread is not None and self._thread.is_alive())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except PostroomError as error:
                self._steady_since = None
                log.warning("deferred", why=str(error))
            except Exception:  # this thread must live: without it others take what we are at
                self._steady_since = None
                log.exception("failed", job="presence")
            self._first.set()
            self._stopping.wait(self._every)

    def look(self) -> None:
        """Say that we live; and bury the dead."""
        with self._store.write() as connection:
            nodes.beat(connection, self._store.node, self._clock())
        now, lease = time.monotonic(), nodes.LEASE.total_seconds()
        if self._steady_since is None or now - self._last > lease:
            self._steady_since = now
        self._last = now
        if now - self._steady_since < lease:
            return
        with self._store.read() as connection:
            dead = nodes.dead(connection, self._clock())
        for name in dead:
            try:
                with self._store.write() as connection:
                    nodes.end_sessions(connection, name)
            except TemporaryFailure as error:  # then PostgreSQL ends them, in its own time
                log.warning("deferred", node=name, why=str(error))
            with self._store.write() as connection:
                freed = nodes.bury(connection, name, self._clock())
            if freed is not None:
                log.warning("took over", node=name, received=freed[0], outgoing=freed[1])
                self._on_freed()

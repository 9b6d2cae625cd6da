"""The write-ahead log is brought home by a thread of its own, so that no sender waits while it is.

SQLite leaves that to whichever commit finds the log long enough, and the mail whose commit it was waits until megabytes are written
and synced twice. This thread does it soon after anything was written: first beside the writers, which is nearly all of the work;
then, where the log has grown long, what came meanwhile, in a turn of its own. Only so does the next writer begin the log
anew: it would grow for as long as mail comes. SQLite's own rule stays, further out, for commands, which have no such
thread, and for the day that this one cannot work.
"""

from __future__ import annotations

import sqlite3
import threading

import structlog

from postroom.errors import TemporaryFailure
from postroom.store.engine import Store

LOOK_SECONDS = 0.25  # between two looks at whether anything was written
LONG_PAGES = 4000  # of 4 KiB in the log, from which on it is to begin anew: a turn in which others wait for two syncs

log = structlog.get_logger()


class Checkpointer:
    """The thread. For an SQLite store with a file; `look()` is what it does each time."""

    def __init__(self, store: Store) -> None:
        assert store.path
        self._store = store
        self._log = store.path.with_name(f"{store.path.name}-wal")
        self._seen = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a new thread."""
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float | None = None) -> None:
        """End it; what is not home yet the next start finds in the log."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Bring home what was written since the last look."""
        written = self._written()
        if written == self._seen:
            return
        self._seen = written
        try:
            if self._bring_home() >= LONG_PAGES:
                with self._store.turn():
                    self._bring_home()
        except (sqlite3.Error, TemporaryFailure) as error:  # a full disk, say: the log keeps it
            log.info("deferred", job="checkpoint", why=str(error))

    def _written(self) -> int:
        """When the log was last written, by whatever process."""
        try:
            return self._log.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _bring_home(self) -> int:
        """Copy what is in the log and what no reader needs there; how many pages it has. Nobody is waited for."""
        connection = (
            self._store.engine.raw_connection()
        )  # SQLAlchemy's own begin a transaction, in which it cannot be done
        try:
            cursor = connection.cursor()
            try:
                _is_busy, pages, _done = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                cursor.close()
            return int(pages)
        finally:
            connection.close()

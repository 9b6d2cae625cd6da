"""What was deleted is to be gone from the disk as well, as far as this program can reach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DatabaseError

from postroom.store.engine import Store

TRIES = 40
PAUSE_SECONDS = 0.25  # between tries: whoever else reads or writes is done in a moment

POSTGRESQL = (
    "the tables were vacuumed; dead pages are overwritten as the server needs them, and its write-ahead log, replicas and "
    "backups keep what was there until you recycle them"
)


@dataclass(slots=True)
class Wiped:
    """How far it went."""

    words: str = ""
    problem: str = ""  # why it did not


@contextmanager
def thoroughly(store: Store) -> Iterator[Wiped]:
    """While this lasts, what is deleted is overwritten; at its end the file and its write-ahead log are written anew.

    `VACUUM` needs as much free disk again as the file has, and writers wait for it.
    """
    wiped = Wiped()
    if not store.is_sqlite:
        yield wiped
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
        wiped.words = POSTGRESQL
        return
    event.listen(store.engine, "connect", _overwrite)
    store.engine.dispose()
    try:
        yield wiped
        _rewrite(store, wiped)
    finally:
        event.remove(store.engine, "connect", _overwrite)
        store.engine.dispose()


def _overwrite(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA secure_delete=ON")


def _rewrite(store: Store, wiped: Wiped) -> None:
    connection = store.engine.raw_connection()
    try:
        cursor = connection.cursor()
        error: object = "others read it all the time"
        for _ in range(TRIES):
            try:
                cursor.execute("VACUUM")
                break
            except DatabaseError as failed:
                error = failed
            except Exception as failed:
                error = failed
            time.sleep(PAUSE_SECONDS)
        else:
            wiped.problem = f"the file could not be written anew, and its free pages may hold old words: {error}"
            return
        for _ in range(TRIES):
            is_busy, _pages, _done = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                wiped.words = "the file and its write-ahead log were written anew; nothing of it is left in them"
                return
            time.sleep(PAUSE_SECONDS)
        wiped.problem = (
            "the write-ahead log is in use, and may hold old words until the daemon has let go of it; say it again"
        )
    finally:
        connection.close()

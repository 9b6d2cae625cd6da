"""The database as it is at one moment, written into a file while everybody works on, and put back.

SQLite writes a copy of itself (`VACUUM INTO`: one read transaction, so a consistent picture, and nobody waits);
PostgreSQL has `pg_dump` and `pg_restore` for that.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from postroom.errors import UserError
from postroom.store.engine import Store

SQLITE, POSTGRESQL = "postroom.db", "postroom.dump"
CANCELLED = "cancelled after a restore: it may have gone out since the backup"


def dump(store: Store, folder: Path) -> Path:
    """Write the database into the folder; the file, which is its owner's alone. UserError where that cannot be done."""
    if store.is_sqlite:
        target = folder / SQLITE
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(str(store.path), isolation_level=None)) as connection:
            try:
                connection.execute("VACUUM INTO ?", (str(target),))
            except sqlite3.Error as error:
                raise UserError(f"{target}: {error}") from error
    else:
        target = folder / POSTGRESQL
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _run(store, "pg_dump", "--format=custom", "--no-owner", f"--file={target}")
    sync(target)
    return target


def check(path: Path) -> None:
    """UserError for a file that is no whole SQLite database of ours."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
            connection.execute("SELECT count(*) FROM inbound_email").fetchone()
    except (sqlite3.Error, ValueError) as error:
        raise UserError(f"{path}: is no backup of Postroom: {error}") from error
    if found != "ok":
        raise UserError(f"{path}: is damaged: {found}")


def put_back_sqlite(backup: Path, target: Path) -> tuple[int, int]:
    """Put a backup in the place of an SQLite store that nobody uses; mails cancelled, and mails that are sent again.

    It stands there whole, or not at all; what stood there before is kept beside it.
    """
    check(backup)
    new = target.with_name(f"{target.name}.restoring")
    new.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    shutil.copyfile(backup, new)
    store = Store(f"sqlite:///{new}")
    try:
        with store.write() as connection:
            counts = settle_outbox(connection)
        with closing(store.engine.raw_connection()) as raw:
            cursor = raw.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.close()
    finally:
        store.dispose()
    for suffix in ("-wal", "-shm"):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    sync(new)
    if target.exists():
        aside = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for suffix in ("-wal", "-shm", ""):
            old = target.with_name(target.name + suffix)
            if old.exists():
                old.rename(target.with_name(f"{target.name}.before-{aside}{suffix}"))
    new.rename(target)
    sync(target.parent)
    return counts


def put_back_postgresql(backup: Path, store: Store) -> tuple[int, int]:
    """Put a backup into an empty PostgreSQL database; mails cancelled, and mails that are sent again."""
    with store.read() as connection:
        if inspect(connection).get_table_names():
            raise UserError("store.url: the database is not empty; a backup is put into an empty one")
    _run(store, "pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", str(backup))
    with store.write() as connection:
        return settle_outbox(connection)


def settle_outbox(connection: Connection) -> tuple[int, int]:
    """Decide about mail that was not sent when the backup was made, and may have been since.

    Automatic mail is not sent twice, so it is not sent; people's mail is, with the same bytes and Message-ID.
    """
    waits = "state IN ('pending', 'sending', 'retry')"
    nothing_held = "next_attempt_at = NULL, claimed_by = NULL, claimed_until = NULL, in_doubt_at = NULL"
    cancelled = connection.execute(
        text(f"UPDATE delivery SET state = 'cancelled', reason = :why, {nothing_held} WHERE {waits} AND automatic"),  # noqa: S608
        {"why": CANCELLED},
    )
    again = connection.execute(text(f"UPDATE delivery SET state = 'pending', {nothing_held} WHERE {waits}"))  # noqa: S608
    return cancelled.rowcount, again.rowcount


def sync(path: Path) -> None:
    """Have a file, or a folder's entries, on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(store: Store, program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise UserError(f"{program} is not installed here; it comes with PostgreSQL's client (postgresql-client)")
    url = store.engine.url
    environment = {**os.environ}
    if url.password:
        environment["PGPASSWORD"] = str(url.password)
    where = [f"--host={url.host}"] if url.host else []
    where += [f"--port={url.port}"] if url.port else []
    where += [f"--username={url.username}"] if url.username else []
    command = [found, *where, f"--dbname={url.database}", "--no-password", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603 (ours)
    if ran.returncode:
        last = ran.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(f"{program}: {last[0]}")

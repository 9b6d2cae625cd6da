"""Bringing the database to this version's schema, in one transaction: all of it, or it stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from postroom.errors import ConfigError, PermanentFailure, TemporaryFailure
from postroom.store.engine import Store

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"  # the last step in migrations/versions; named here so that asking for it costs no Alembic
COPYING = "copying"  # in place of a step, while migrate-store fills a database
FOLDER = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x706F7374  # "post": two daemons that start at once on PostgreSQL migrate one after the other


def is_current(store: Store) -> bool:
    """Whether the database has this version's schema.

    ConfigError where it has a later one: this program must not touch it. TemporaryFailure where it does not answer.
    """
    with store.read() as connection:
        return _is_current(connection)


def version(store: Store) -> str | None:
    """The last step that the database has taken; None for an empty one."""
    with store.read() as connection:
        return _version(connection)


def upgrade(store: Store) -> None:
    """Bring the database to this version's schema, whatever version it has; nothing where it is there."""
    if is_current(store):
        return
    with _exclusive(store) as connection:
        if not _is_current(connection):  # another daemon was first
            run_steps(connection)


def run_steps(connection: Connection) -> None:
    """Take every step that the database has not taken yet, in the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - 100 ms that only an old database pays

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """What Alembic needs to know, in place of its ini file."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_current(connection: Connection) -> bool:
    found = _version(connection)
    if found == COPYING:
        raise ConfigError("store.url: a copy into this database was not finished: run postroom migrate-store again")
    if found is not None and found > HEAD:
        if (since := _compatible_since(connection)) is not None and since <= HEAD:
            return True
        raise ConfigError(
            f"store.url: the database was made by a later version of Postroom (schema {found}, this one knows {HEAD})"
        )
    return found == HEAD


def _compatible_since(connection: Connection) -> str | None:
    """The oldest step whose programs may work on a later schema; None where nothing says so."""
    if not inspect(connection).has_table("compatibility"):
        return None
    return connection.execute(text("SELECT max(since) FROM compatibility")).scalar()


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


@contextmanager
def _exclusive(store: Store) -> Iterator[Connection]:
    """A transaction that nobody else migrates in.

    On SQLite a table is changed by making it anew, which foreign keys forbid: they are checked at the end
    instead (a pragma, which has no effect within a transaction).
    """
    if not store.is_sqlite:
        with store.write() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            yield connection
        return
    try:
        with store.engine.connect() as connection:
            _pragma(connection, "foreign_keys=OFF")
            try:
                connection.execution_options(postroom_write=True)
                with connection.begin():
                    yield connection
                    check_foreign_keys(connection)
            finally:
                _pragma(connection, "foreign_keys=ON")
    except DatabaseError as error:
        raise TemporaryFailure(f"database: {error.orig}") from error


def _pragma(connection: Connection, pragma: str) -> None:
    """Set a pragma past SQLAlchemy, which would begin a transaction for it."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA {pragma}")


def check_foreign_keys(connection: Connection) -> None:
    """PermanentFailure where a row points to nothing; on SQLite, where they are not checked as rows are written."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise PermanentFailure(f"the migration would leave {broken[0]} pointing to nothing in {broken[2]}")

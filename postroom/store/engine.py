"""The database: opening it, and the two ways to use it, `read()` and `write()`.

On SQLite every write transaction begins with `BEGIN IMMEDIATE` (the driver's late begin loses updates
silently), in WAL with `synchronous=FULL` (each commit is synced) unless its writer says that it need not be, and the
writers of one process take turns (`turns.py`) instead of sleeping on SQLite's lock.

On PostgreSQL those who ask for it write alone (`write(alone=True)`): whoever decides by what is on the tickets
sees all that was decided before. Two replies that arrive at once, in two daemons, so make one ticket.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase

from postroom.errors import ConfigError, TemporaryFailure
from postroom.store import lock, news, waiting
from postroom.store.driver import as_sqlalchemys
from postroom.store.json_text import as_json, from_json
from postroom.store.lock import StoreHeld
from postroom.store.turns import Turns

if TYPE_CHECKING:
    from postroom.store.objects import Objects

DAEMON_NAME = "postroom daemon"  # how a daemon begins to call itself to PostgreSQL
NAME_MAX = 63  # octets that PostgreSQL keeps of it
# What one transaction prepares, the connection of the next has not.
UNPREPARED: dict[str, Any] = {"prepare_threshold": None}
BUSY_SECONDS = 4.0  # how long a writer waits for another; a sender is told to come again within 5 s
DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
UNUSABLE = (*DAMAGED, "SQLITE_READONLY")  # waiting mends none of them
RESCUE = "; keep the file: postroom rescue gets its mail out"
QUICK_CHECK_MAX = 64 << 20  # octets that are looked through at each start, at about 0.2 s
WAL_AUTOCHECKPOINT = 16000  # pages of 4 KiB: far more than a daemon lets the log grow to (checkpoint.py)
LENT_TRIES = 3  # others may be given the connection in between
ALONE = 0x706F7374726F6F6D  # "postroom": the advisory lock of those who write alone, one in a database
OBJECTS = "postroom_objects"  # of an engine's connections: where bytes may lie beside the database
ALONE_IDLE_MAX = "60s"  # a daemon that hangs or is cut off, lock in hand, loses it with its transaction
_COMMITTED = "postroom_committed"  # in a connection's own dictionary

# Locks for single threads or tickets would not do: which tickets a mail touches (by subject, by merging two, by its
# sender's limits) turns out on the way, in any order; and whoever opens one waits for the row that numbers them anyway.
_alone = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :idle, true), pg_advisory_xact_lock(:lock)"
).bindparams(idle=ALONE_IDLE_MAX, lock=ALONE)
_backend = text("SELECT pg_backend_pid()")


def daemon_name(node: str) -> str:
    """What that daemon calls itself to PostgreSQL; of a long name the end, which tells it from others."""
    return f"{DAEMON_NAME} {node[len(DAEMON_NAME) + 1 - NAME_MAX :]}"


class Store:
    """An open database. Safe to share between threads; close it with `dispose()`."""

    def __init__(
        self, url: str, busy_seconds: float = BUSY_SECONDS, direct_url: str = "", objects: Objects | None = None
    ) -> None:
        """Raises ConfigError where a URL names no database that we can use.

        `direct_url`: of the same database, where `url` is a pooler's that gives each transaction another connection.
        `objects`: where bytes of mail may lie beside it.
        """
        self.url = url
        self.listening_url = _parsed(direct_url, "direct_url") if direct_url else _parsed(url)
        self.busy_seconds = busy_seconds
        self._turns = Turns()
        self.urgent_seconds = 0.0  # that urgent writers have taken of late, each, smoothed
        self.engine = _open(url, busy_seconds, is_pooled=bool(direct_url))
        event.listen(self.engine, "before_cursor_execute", waiting.before_sqlalchemys)
        self.objects = objects
        if objects is not None:
            self.engine.update_execution_options(**{OBJECTS: objects})
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.node = (
            f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"  # this process, to others on the database
        )

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for another database or one in memory."""
        database = self.engine.url.database
        return Path(database) if self.is_sqlite and database not in (None, "", ":memory:") else None

    @contextmanager
    def write(self, alone: bool = False, urgent: bool = False, synced: bool = True) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back on any error.

        `alone`: it begins when every other of that kind has ended, in whatever process; on SQLite each is of that kind.
        `urgent`: somebody waits on the wire; of the writers of this process it comes next.
        `synced` False: on SQLite a power cut may undo it, with all that was written after it; the next one that is synced
        keeps it too. For whoever has told nobody outside of it yet. Raises TemporaryFailure where the database is locked,
        full or gone.
        """
        with self._writing(alone, urgent, synced) as connection:
            try:
                yield connection
                happened = connection.info.get(_COMMITTED, [])
            finally:
                if not connection.invalidated:
                    connection.info.pop(_COMMITTED, None)
        for call in happened:
            call()

    @contextmanager
    def _writing(self, alone: bool, urgent: bool, synced: bool) -> Iterator[Connection]:
        if not self.is_sqlite:
            with _classified(), self.engine.begin() as connection:
                if alone:  # first of all, so that nobody waits for it with a row in hand
                    connection.execute(_alone)
                try:
                    yield connection
                    news.send(connection, self.node)
                finally:
                    news.forget(connection)
            return
        with self.turn(urgent), _classified(), self.engine.connect() as connection:
            connection.execution_options(postroom_write="FULL" if synced else "NORMAL")
            with connection.begin():
                yield connection

    @contextmanager
    def turn(self, urgent: bool = False) -> Iterator[None]:
        """While this lasts nobody else in this process writes into an SQLite store. Raises TemporaryFailure where one of them does not end."""
        if not self._turns.take(self.busy_seconds, urgent):
            raise TemporaryFailure("the database is busy")
        began = time.monotonic()
        try:
            yield
        finally:
            if urgent:
                self.urgent_seconds += (time.monotonic() - began - self.urgent_seconds) / 8
            self._turns.hand_over()

    @property
    def is_wanted(self) -> bool:
        """Whether an urgent writer waits for another of this process to end: whoever can end early should."""
        return self._turns.is_wanted

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one consistent picture."""
        with _classified(), self.engine.connect() as connection, connection.begin():
            yield connection

    def is_lent_by_transaction(self) -> bool:
        """Whether a pooler lends our connections one of the server's for a transaction at a time, so that nothing outlasts one.

        It shows where the next transaction, on another connection of ours, comes upon the same one of the server's.
        """
        if self.is_sqlite:
            return False
        with _classified(), self.engine.connect() as idle:
            for _ in range(LENT_TRIES):
                with idle.begin():
                    before = idle.execute(_backend).scalar_one()
                with self.read() as connection:
                    if connection.execute(_backend).scalar_one() == before:
                        return True
        return False

    def refuse_if_damaged(self) -> None:
        """ConfigError where SQLite finds the file damaged: at once, not with the mail that comes upon it at night.

        A file of over QUICK_CHECK_MAX is not looked through: its start would take too long.
        """
        if self.path is not None and self.path.stat().st_size <= QUICK_CHECK_MAX:
            self.look_through()

    def look_through(self) -> None:
        """ConfigError where SQLite finds the file damaged, however large it is: at about 3 s for each GiB."""
        with self.read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise ConfigError(f"store.url: the database is damaged: {_first_line(found)}{RESCUE}")

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def call_itself(self, name: str) -> None:
        """On PostgreSQL: the name of this process's connections, as others see them, from the next one on."""
        if not self.is_sqlite:
            self.engine.dispose()
            event.listen(
                self.engine, "do_connect", lambda _d, _r, _args, params: params.update(application_name=name[:NAME_MAX])
            )

    def held_by(self) -> StoreHeld | None:
        """Who holds an SQLite store by `daemon_lock()`; None where nobody does, and on PostgreSQL."""
        return lock.held_by(self.path) if self.path else None

    @contextmanager
    def daemon_lock(self, who: str = "command") -> Iterator[None]:
        """Hold an SQLite store for one daemon, or for a command that works as one; `who` says which.

        Raises StoreHeld where another process holds it. Nothing on PostgreSQL.
        """
        with lock.holding(self.path, who) if self.path else nullcontext():
            yield


def once_committed(connection: Connection, call: Callable[[], object]) -> None:
    """Call it when what is being written is committed; never, where that is taken back. For the log, which cannot be."""
    connection.info.setdefault(_COMMITTED, []).append(call)


@contextmanager
def taking_back(connection: Connection) -> Iterator[None]:
    """What is taken back by an error in it is not called once the rest is committed."""
    calls = connection.info.setdefault(_COMMITTED, [])
    kept = len(calls)
    try:
        yield
    except BaseException:
        del calls[kept:]
        raise


def insert(connection: Connection, table: type[DeclarativeBase]) -> Any:
    """An INSERT of this database's dialect, for `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return _insert_for(connection.dialect.name, table)


def insert_new(connection: Connection, table: type[DeclarativeBase]) -> Any:
    """An INSERT that leaves rows which are there already as they are."""
    return _insert_new(connection.dialect.name, table)


# Statements are made once: what SQLAlchemy works out about one it keeps with it, and the hot path runs on that.
@cache
def _insert_for(dialect: str, table: type[DeclarativeBase]) -> Any:
    return (sqlite if dialect == "sqlite" else postgresql).insert(table.__table__)


@cache
def _insert_new(dialect: str, table: type[DeclarativeBase]) -> Any:
    return _insert_for(dialect, table).on_conflict_do_nothing()


def _parsed(url: str, key: str = "url") -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"store.{key}: {error}") from error


def _open(url: str, busy_seconds: float, is_pooled: bool) -> Engine:
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(url, parsed.database, busy_seconds)
        if parsed.drivername != "postgresql+psycopg":
            raise ConfigError(f"store.url: {parsed.drivername} is neither sqlite nor postgresql+psycopg")
        return create_engine(
            url,
            hide_parameters=True,
            json_serializer=as_json,
            json_deserializer=from_json,
            pool_pre_ping=True,
            pool_size=8,
            connect_args={"connect_timeout": int(busy_seconds), **(UNPREPARED if is_pooled else {})},
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(f"store.url: {error}") from error


def _open_sqlite(url: str, database: str | None, busy_seconds: float) -> Engine:
    if database not in (None, "", ":memory:"):
        _make_private(Path(str(database)))
    engine = create_engine(
        url,
        hide_parameters=True,
        json_serializer=as_json,
        json_deserializer=from_json,
        connect_args={"timeout": busy_seconds, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """Mail is nobody else's business: the folder and the file are their owner's alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # never opened here: closing it would let go of every lock that SQLite holds on it in this process (fcntl(2)), and
        # the next command to end would take the write-ahead log away from under the daemon
        if not os.access(path, os.R_OK | os.W_OK):
            raise ConfigError(f"store.url: cannot open {path}: {os.strerror(errno.EACCES)}") from None
    except OSError as error:
        raise ConfigError(f"store.url: cannot open {path}: {error.strerror}") from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    pragmas: tuple[tuple[str, str | int], ...] = (
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        ("wal_autocheckpoint", WAL_AUTOCHECKPOINT),
        ("cache_size", -32000),  # KiB, of each connection: they fill with what mails weigh
        ("temp_store", "MEMORY"),
    )
    cursor = connection.cursor()
    for name, value in pragmas:
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    synchronous = connection.get_execution_options().get("postroom_write")
    driver: Any = connection.connection.driver_connection
    begin = "BEGIN IMMEDIATE" if synchronous else "BEGIN"
    try:
        if synchronous:  # said each time, so that no connection brings it along from who had it before
            driver.execute(f"PRAGMA synchronous={synchronous}")
        driver.execute(begin)
    except sqlite3.Error as error:
        raise as_sqlalchemys(connection, begin, error) from error


@contextmanager
def _classified() -> Iterator[None]:
    """What the database could not do now, it may do later; a broken constraint is our own mistake."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as error:
        if (name := getattr(error.orig, "sqlite_errorname", "")) in UNUSABLE:
            remedy = RESCUE if name in DAMAGED else ""
            raise ConfigError(f"store.url: the database cannot be used: {_first_line(error.orig)}{remedy}") from error
        raise TemporaryFailure(f"database: {_first_line(error.orig)}") from error


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]

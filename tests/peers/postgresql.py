"""A private PostgreSQL: one server, as many fresh databases as are asked for.

with PostgreSQL() as server:
    url = server.create_database()  # "postgresql+psycopg://postgres@127.0.0.1:PORT/test_1"
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.processes import Program, Server, accepts, free_port, need, private_folder

PACKAGE = "postgresql"
OWNER = "postgres"
MIGRATED = "migrated"  # the database that tests have one after the other
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;  -- foreign keys need no look: all rows go
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'compatibility')
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""

CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
shared_buffers = 32MB
logging_collector = off
log_min_messages = warning
timezone = 'UTC'
{durability}
"""
FAST = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off"


class PostgreSQL(Server):
    """Runs while the `with` block does; `stop()` and `start()` take it down and up on the same port."""

    def __init__(self, durable: bool = False, settings: str = "") -> None:
        """`durable`: sync to disk as in production; tests of behaviour need it not. `settings`: lines of postgresql.conf."""
        self.durable, self._settings = durable, settings
        self.host = "127.0.0.1"
        self.port = 0
        self._numbers = itertools.count(1)
        self._is_migrated = False
        self._program: Program | None = None
        super().__init__()

    def _open(self) -> None:
        binaries = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
        self._initdb = need("initdb", PACKAGE, binaries)
        self._postgres = need("postgres", PACKAGE, binaries)
        self.folder = self._closing.enter_context(private_folder("postgresql"))
        self._closing.callback(self.kill)
        self.port = free_port()
        self._initialise()
        self.start()

    def _initialise(self) -> None:
        self._user = OWNER if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, OWNER, OWNER)
        self.data = self.folder / "data"
        command = [
            self._initdb, "-D", str(self.data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
            "--no-sync", "--no-instructions",
        ]  # fmt: skip
        subprocess.run(
            command, check=True, capture_output=True, cwd="/", user=self._user, group=self._user,
            extra_groups=[] if self._user else None,
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as config:
            durability = "" if self.durable else FAST
            config.write(CONFIG.format(port=self.port, folder=self.folder, durability=durability) + self._settings)

    def start(self) -> None:
        """Start it, and return when it takes queries."""
        if self._program is None:
            command = [self._postgres, "-D", str(self.data)]
            log = self.folder / "output"
            program = Program(command, log, cwd=Path("/"), user=self._user, group=self._user)
            self._program = program
            program.wait_until_ready(self._answers, f"PostgreSQL listens on port {self.port}")

    def _answers(self) -> bool:
        import psycopg

        if not accepts(self.port):
            return False
        try:
            psycopg.connect(self._conninfo("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:  # it says "starting up" to the first
            return False
        return True

    def stop(self) -> None:
        """Stop it; connections end at once, what was committed stays."""
        if self._program is not None:
            self.resume()
            self._program.stop(signal.SIGINT)
            self._program = None

    def kill(self) -> None:
        """Stop it as a crash does; the next `start()` recovers."""
        if self._program is not None:
            self._program.stop(signal.SIGQUIT)
            self._program = None

    def pause(self) -> None:
        """Make it hang: connections are taken by the kernel, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause()`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._program is not None
        # Each backend is a session of its own, so the server's process group does not reach it.
        for pid in (self._program.pid, *_children(self._program.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def url(self, database: str) -> str:
        """The URL of a database, for SQLAlchemy."""
        return f"postgresql+psycopg://{OWNER}@{self.host}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The id of the server's first process, whose children the others are."""
        assert self._program is not None
        return self._program.pid

    def create_database(self) -> str:
        """Create an empty database; its URL."""
        name = f"test_{next(self._numbers)}"
        self.query(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def emptied_database(self, migrate: Callable[[str], None]) -> str:
        """The URL of a database with the schema that `migrate` gives to it, without rows, to which nobody is connected.

        It is the same one each time: a new one costs 0.3 s of CPU, emptying this one 0.02.
        """
        if not self._is_migrated:
            self.query(f'CREATE DATABASE "{MIGRATED}" TEMPLATE template0')
            migrate(self.url(MIGRATED))
            self._is_migrated = True
        self.query(EMPTY, MIGRATED)
        return self.url(MIGRATED)

    def drop_database(self, url: str) -> None:
        """Drop a database, and whoever is still connected to it."""
        self.query(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def query(self, sql: str, database: str = OWNER) -> list[tuple[Any, ...]]:
        """The rows of a query; none for a command."""
        import psycopg

        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _conninfo(self, database: str) -> str:
        return f"host={self.host} port={self.port} user={OWNER} dbname={database}"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

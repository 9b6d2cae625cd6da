"""Opening an SQLite store: what others may do to its files meanwhile."""

import re
import subprocess
import sys
from contextlib import suppress

import pytest
from peers.processes import need

from postroom.store.engine import Store, once_committed
from postroom.store.migrate import upgrade
from postroom.store.prepared import savepoint

LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM ticket').fetchone()); c.close()"


def test_a_store_that_is_opened_again_keeps_its_locks_so_nobody_takes_its_log_away(tmp_path):
    """A process that closes any descriptor of a file loses its locks on it: the log would go with the next command that ends."""
    url = f"sqlite:///{tmp_path}/postroom.db"
    first = Store(url)
    upgrade(first)
    second = Store(url)
    try:
        with first.read() as connection:
            connection.exec_driver_sql("SELECT 1 FROM ticket").all()
        subprocess.run([sys.executable, "-c", LOOK, tmp_path / "postroom.db"], check=True, capture_output=True)
        assert (tmp_path / "postroom.db-wal").exists()
    finally:
        second.dispose()
        first.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = (
        f"sqlite:///{tmp_path}/postroom.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    )
    opened = Store(url)
    yield opened
    opened.dispose()


def breaking(connection, say):
    once_committed(connection, say)
    raise ValueError("breaks")


def test_what_is_to_be_said_once_committed_is_said_then_and_never_of_what_was_taken_back(store):
    said = []
    with store.write() as connection:
        once_committed(connection, lambda: said.append("first"))
        with suppress(ValueError), savepoint(connection):
            breaking(connection, lambda: said.append("taken back to the savepoint"))
        with savepoint(connection):
            once_committed(connection, lambda: said.append("second"))
        assert said == []
    assert said == ["first", "second"]
    with suppress(ValueError), store.write() as connection:
        breaking(connection, lambda: said.append("rolled back"))
    with store.write():  # on the same connection of the pool
        pass
    assert said == ["first", "second"]


WRITE = """
import os, sys
from postroom.store.engine import Store
store = Store(sys.argv[1])
with store.write() as connection:
    connection.exec_driver_sql("CREATE TABLE kept (n INTEGER)")
for synced in (False, False, True, False, True):
    with store.write(synced=synced) as connection:
        connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
    os.write(2, b"was to be synced\\n" if synced else b"need not be\\n")
os._exit(0)
"""
CALLS = re.compile(r"(fdatasync)\(.*postroom\.db-wal|write\(2<[^>]*>, \"([a-z ]+)")


def test_a_commit_is_synced_unless_its_writer_said_that_it_need_not_be(tmp_path):
    """In the trace of system calls; the connection is the same each time, and forgets what the one before wanted."""
    trace = tmp_path / "trace"
    subprocess.run(
        [need("strace", "strace"), "-f", "-y", "-o", trace, "-e", "trace=fdatasync,write",
         sys.executable, "-c", WRITE, f"sqlite:///{tmp_path}/postroom.db"],
        check=True, capture_output=True,
    )  # fmt: skip
    calls = [found[1] or found[2] for found in CALLS.finditer(trace.read_text("utf-8", "replace"))]
    while calls[0] != "need not be":  # what making the table took
        calls.pop(0)
    assert calls == ["need not be", "need not be", "fdatasync", "was to be synced", "need not be", "fdatasync", "was to be synced"]  # fmt: skip

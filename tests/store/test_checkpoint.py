"""The write-ahead log comes home beside those who write, and does not grow for as long as they do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.store import checkpoint, engine
from postroom.store.checkpoint import Checkpointer
from postroom.store.engine import Store

PAGES = 50  # from which on a log is long here
OCTETS = 40_000  # of a row, some ten pages


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """One whose commits bring nothing home."""
    monkeypatch.setattr(engine, "WAL_AUTOCHECKPOINT", 0)
    monkeypatch.setattr(checkpoint, "LONG_PAGES", PAGES)
    opened = Store(f"sqlite:///{tmp_path}/postroom.db")
    with opened.write() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (words TEXT)")
    yield opened
    opened.dispose()


def write(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("INSERT INTO kept VALUES (?)", ("x" * OCTETS,))


def log_size(store: Store) -> int:
    assert store.path
    return store.path.with_name("postroom.db-wal").stat().st_size


def at_home(store: Store) -> int:
    """How many rows the file has by itself, without its log."""
    home = sqlite3.connect(f"file:{store.path}?mode=ro&immutable=1", uri=True)
    try:
        return int(home.execute("SELECT count(*) FROM kept").fetchone()[0])
    except sqlite3.DatabaseError:  # there is no such table at home
        return 0
    finally:
        home.close()


def test_what_was_written_is_home_after_a_look(store: Store) -> None:
    checkpointer = Checkpointer(store)
    write(store)
    assert at_home(store) == 0
    checkpointer.look()
    assert at_home(store) == 1


def test_the_log_begins_anew_however_long_writing_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes each time that the log is being copied: beside him it would never be home whole."""
    bring_home = Checkpointer._bring_home

    def interrupted(self: Checkpointer) -> int:
        if store._turns._is_taken:
            return bring_home(self)
        with store.read() as reader:  # what is written from here on is not copied this time
            reader.exec_driver_sql("SELECT count(*) FROM kept").all()
            write(store)
            return bring_home(self)

    monkeypatch.setattr(Checkpointer, "_bring_home", interrupted)
    checkpointer = Checkpointer(store)
    for _ in range(60):
        write(store)
        checkpointer.look()
    assert log_size(store) < 3 * PAGES * 4096 < 60 * OCTETS


def test_who_reads_for_long_holds_nobody_up_and_the_log_begins_anew_when_he_is_done(store: Store) -> None:
    checkpointer = Checkpointer(store)
    with store.read() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM kept").all()
        for _ in range(20):
            write(store)
            checkpointer.look()
        assert log_size(store) > 20 * OCTETS
    write(store)
    checkpointer.look()
    grown = log_size(store)
    for _ in range(20):
        write(store)
        checkpointer.look()
    assert log_size(store) == grown


def test_a_log_that_nobody_has_written_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpointer = Checkpointer(store)
    write(store)
    checkpointer.look()
    monkeypatch.delattr(Checkpointer, "_bring_home")
    checkpointer.look()
    with store.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM kept").all()
    checkpointer.look()


def test_what_cannot_be_brought_home_now_is_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpointer = Checkpointer(store)
    write(store)

    def fail(self: Checkpointer) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Checkpointer, "_bring_home", fail)
        checkpointer.look()
    write(store)
    checkpointer.look()
    assert at_home(store) == 2

"""The steps make exactly the tables, once, in one transaction, and a later version's database is left alone."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from postroom.errors import ConfigError, PermanentFailure
from postroom.store import migrate
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound, accept
from postroom.store.tables import Base


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    sqlite = f"sqlite:///{tmp_path}/postroom.db"
    store = Store(sqlite if request.param == "sqlite" else request.getfixturevalue("postgresql_url"))
    yield store
    store.dispose()


def test_the_steps_make_exactly_the_tables(store: Store) -> None:
    migrate.upgrade(store)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_circle_of_mail_and_message_is_closed(store: Store) -> None:
    migrate.upgrade(store)
    keys = inspect(store.engine).get_foreign_keys("inbound_email")
    assert ("message", ["message_id"]) in [(key["referred_table"], key["constrained_columns"]) for key in keys]


def test_a_new_database_is_not_current_until_it_was_upgraded(store: Store) -> None:
    assert not migrate.is_current(store)
    assert migrate.version(store) is None
    migrate.upgrade(store)
    assert migrate.is_current(store)
    assert migrate.version(store) == migrate.HEAD


def test_upgrading_again_changes_nothing(store: Store) -> None:
    migrate.upgrade(store)
    with store.write() as connection:
        connection.execute(text("INSERT INTO sequence (name, value) VALUES ('ticket', 7)"))
    migrate.upgrade(store)
    with store.read() as connection:
        assert connection.execute(text("SELECT value FROM sequence")).scalar_one() == 7


def test_a_database_of_a_later_version_is_refused(store: Store) -> None:
    migrate.upgrade(store)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE compatibility SET since = '9998'"))
    with pytest.raises(ConfigError, match="later version"):
        migrate.is_current(store)
    with pytest.raises(ConfigError, match="later version"):
        migrate.upgrade(store)


def test_a_later_schema_that_only_grew_is_worked_on_by_this_version(store: Store) -> None:
    """As during a rolling upgrade: another daemon has taken the next step, and this one is started again."""
    migrate.upgrade(store)
    with store.write() as connection:
        connection.execute(text("ALTER TABLE ticket ADD COLUMN mood TEXT"))
        connection.execute(text("ALTER TABLE inbound_email ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert migrate.is_current(store)
    migrate.upgrade(store)
    assert migrate.version(store) == "9999"
    raw = b"Subject: hello\r\n\r\nWorld\r\n"
    new = NewInbound("support", "s@x.example", raw, hashlib.sha256(raw).hexdigest(), "smtp", "", datetime.now(UTC))
    with store.write() as connection:
        assert accept(connection, [new])[0].is_new


def test_a_step_that_fails_leaves_nothing_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(connection: Connection) -> None:
        run_steps(connection)
        raise PermanentFailure("half way")

    run_steps = migrate.run_steps
    monkeypatch.setattr(migrate, "run_steps", break_down)
    with pytest.raises(PermanentFailure):
        migrate.upgrade(store)
    assert inspect(store.engine).get_table_names() == []


def test_foreign_keys_hold_after_an_upgrade_and_are_checked_by_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/postroom.db")
    migrate.upgrade(store)
    with store.read() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    with pytest.raises(PermanentFailure, match="event"), migrate._exclusive(store) as connection:
        connection.execute(
            text(
                "INSERT INTO event (ticket_id, at, actor, event, detail) VALUES (7, '2026-11-24', 'ann', 'opened', '{}')"
            )
        )
    store.dispose()


def test_head_names_the_last_step(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/postroom.db")
    with store.read() as connection:
        assert ScriptDirectory.from_config(migrate.alembic_config(connection)).get_heads() == [migrate.HEAD]
    store.dispose()


def test_a_current_database_costs_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/postroom.db"
    store = Store(url)
    migrate.upgrade(store)
    store.dispose()
    program = (
        "import sys; from postroom.store import engine, migrate;"
        f"migrate.upgrade(engine.Store({url!r})); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

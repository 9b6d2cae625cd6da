"""Which configuration and which database does this command work on?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from postroom import config
from postroom.errors import ConfigError, TryAgainLater, UserError

if TYPE_CHECKING:
    from postroom.daemon.house import House
    from postroom.store.engine import Store


@contextmanager
def open_store(settings: config.Config, create: bool = False) -> Iterator[Store]:
    """The store, with this version's schema and the configuration's agents; closed in the end.

    An SQLite store is brought up to date on the way, unless a daemon is at it. ConfigError for a PostgreSQL one
    that is not. Where there is none, `create` makes it; else UserError, for the folder may be the wrong one.
    """
    from postroom.store import agents, migrate
    from postroom.store.engine import Store
    from postroom.store.objects import objects_of

    if not create:
        _must_exist(settings)
    log_errors_only(settings)
    store = Store(settings.store_url(), direct_url=settings.store.direct_url, objects=objects_of(settings))
    try:
        if not migrate.is_current(store):
            _bring_up_to_date(store)
        with store.read() as connection:
            in_sync = agents.in_sync(connection, settings)
        if not in_sync:
            with store.write() as connection:
                agents.sync_agents(connection, settings)
        yield store
    finally:
        store.dispose()


@contextmanager
def open_house(settings: config.Config, create: bool = False) -> Iterator[House]:
    """The store with the desk around it, for commands that change tickets."""
    from postroom.daemon import house

    with open_store(settings, create), house.open_house(settings) as opened:
        yield opened


def log_errors_only(settings: config.Config) -> None:
    """Let what the rooms say in their log be heard where it is an error, on standard error: the output is for data."""
    from postroom.daemon import log
    from postroom.logger import structlog

    if not structlog.is_configured():  # by a command that says more
        log.configure(config.Log(level="error", format=settings.log.format))


def database_file(settings: config.Config) -> Path | None:
    """The file of an SQLite store, None for another."""
    scheme, _, path = settings.store_url().partition(":///")
    return Path(path.partition("?")[0]) if scheme.startswith("sqlite") and path not in ("", ":memory:") else None


def _must_exist(settings: config.Config) -> None:
    path = database_file(settings)
    if path is not None and not path.exists():
        where = f"the configuration is {settings.path}" if settings.path else "no configuration was found here"
        raise UserError(
            f"there is no database at {path} ({where}): name another with -c FILE, or begin with: postroom run"
        )


def _bring_up_to_date(store: Store) -> None:
    from postroom.store import migrate

    if not store.is_sqlite:
        raise ConfigError("store.url: the database has not this version's schema; run: postroom migrate")
    try:
        with store.daemon_lock("command"):
            migrate.upgrade(store)
    except ConfigError as error:
        if migrate.is_current(store):  # the daemon that holds the lock was about to do it
            return
        raise TryAgainLater(f"a daemon is at work, and the schema is not this version's: {error}") from None

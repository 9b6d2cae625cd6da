"""Which configuration and which database does this command work on?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroom import config
from postroom.errors import ConfigError, TryAgainLater

if TYPE_CHECKING:
    from postroom.daemon.house import House
    from postroom.store.engine import Store


@contextmanager
def open_store(settings: config.Config) -> Iterator[Store]:
    """The store, with this version's schema and the configuration's agents; closed in the end.

    An SQLite store is brought up to date on the way, unless a daemon is at it. ConfigError for a PostgreSQL one
    that is not.
    """
    from postroom.store import agents, migrate
    from postroom.store.engine import Store

    store = Store(settings.store_url())
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
def open_house(settings: config.Config) -> Iterator[House]:
    """The store with the desk around it, for commands that change tickets."""
    from postroom.daemon import house

    with open_store(settings), house.open_house(settings) as opened:
        yield opened


def _bring_up_to_date(store: Store) -> None:
    from postroom.store import migrate

    if not store.is_sqlite:
        raise ConfigError("store.url: the database has not this version's schema; run: postroom migrate")
    try:
        with store.daemon_lock():
            migrate.upgrade(store)
    except ConfigError as error:
        if migrate.is_current(store):  # the daemon that holds the lock was about to do it
            return
        raise TryAgainLater(f"a daemon is at work, and the schema is not this version's: {error}") from None

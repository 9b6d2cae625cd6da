"""The rooms, put together from a configuration: for the daemon and for every command that needs them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from sqlalchemy import Connection, select

from postroom.config import Config
from postroom.daemon.keys import load_signer
from postroom.daemon.receive import Reception
from postroom.desk.author import Agent
from postroom.desk.mailboxes import Mailboxes
from postroom.desk.tickets import Desk
from postroom.errors import ConfigError
from postroom.outbound.notify import Notifier
from postroom.outbound.templates import Templates
from postroom.store import reports, tables
from postroom.store.agents import sync_agents
from postroom.store.engine import Store
from postroom.store.migrate import upgrade
from postroom.store.objects import objects_of
from postroom.threading.tokens import Signer


@dataclass(frozen=True, slots=True)
class House:
    """An open store with the desk around it."""

    config: Config
    store: Store
    signer: Signer
    mailboxes: Mailboxes
    notifier: Notifier
    templates: Templates
    random: Random

    def desk(self, connection: Connection) -> Desk:
        """The desk as it stands: the settings, our addresses, and who answers."""
        a = tables.Agent
        rows = connection.execute(select(a.id, a.name, a.title, a.address).where(a.active))
        return Desk(self.config, self.mailboxes, {row.address: Agent(*row) for row in rows}, self.random)

    def reception(self, connection: Connection) -> Reception:
        """What receiving a message needs."""
        return Reception(self.desk(connection), self.signer, self.notifier)


def now() -> datetime:
    """The time, aware and UTC."""
    return datetime.now(UTC)


@contextmanager
def open_house(config: Config) -> Iterator[House]:
    """Open the store, bring its schema and agents up to date, and close it in the end.

    Raises ConfigError for a store, keys or templates that cannot be used.
    """
    store = Store(config.store_url(), direct_url=config.store.direct_url, objects=objects_of(config))
    try:
        if store.is_sqlite:
            upgrade(store)
        yield furnish(config, store)
    finally:
        store.dispose()


def furnish(config: Config, store: Store) -> House:
    """The rooms around an open store, whose agents become the configuration's; nothing where anything is wrong.

    Raises ConfigError for keys or templates that cannot be used.
    """
    signer = _signer(config, store)
    overrides = config.resolve(config.templates.folder) if config.templates.folder else None
    templates = Templates(overrides, config.templates.language)
    random = secrets.SystemRandom()
    notifier = Notifier(config, signer, templates, now, random)
    with store.write() as connection:
        sync_agents(connection, config)
    return House(config, store, signer, Mailboxes(config), notifier, templates, random)


def _signer(config: Config, store: Store) -> Signer:
    """The signer. Keys are made for a new store only: in place of lost ones they would disown every address in the field."""
    path = config.resolve(config.keys.file)
    if not path.exists():
        with store.read() as connection:
            is_used = reports.has_tickets(connection)
        if is_used:
            raise ConfigError(
                f"keys.file: {path} is gone, and answers to what was sent are recognised by it; restore it from a "
                "backup, or, where it is lost for good: postroom keys new"
            )
    return load_signer(path)

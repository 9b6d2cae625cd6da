"""What must be there before anything runs: secrets, the store for ourselves, its schema, the desk around it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

from postroom.config import Config, read_client_secret, read_object_key, read_secret
from postroom.daemon import systemd
from postroom.daemon.house import House, open_house
from postroom.daemon.keeping import passed
from postroom.daemon.workers import Workers
from postroom.errors import ConfigError, TemporaryFailure
from postroom.logger import structlog
from postroom.store import inbound, migrate, overview, raw_mail
from postroom.store.engine import Store, daemon_name
from postroom.store.lock import DAEMON, StoreHeld

if TYPE_CHECKING:
    from postroom.daemon.checking import Checker

LENT = (
    "store.url: a pooler lends us another connection for each transaction; name PostgreSQL itself in store.direct_url, or "
    "have it pool by session"
)
STORE_RETRY_SECONDS = 1.0  # between attempts to open a store that does not answer

log = structlog.get_logger()


def read_secrets(config: Config) -> dict[str, str]:
    """Every password and secret of an app that the configuration names, by the path of its table. Raises ConfigError for a missing one."""
    peers = {f"mailbox.{name}.imap": mailbox.imap for name, mailbox in config.mailbox.items() if mailbox.imap}
    secrets = {path: read_secret(config, path, peer) for path, peer in peers.items()}
    if config.outgoing.courier == "smtp":
        secrets |= {path: read_secret(config, path, peer) for path, peer in config.smarthosts().items()}
    secrets["raw_mail"] = read_object_key(config)
    return secrets | {f"oauth.{name}": read_client_secret(config, name) for name in config.oauth}


async def begin(config: Config, closing: ExitStack, stop: asyncio.Event) -> House | None:
    """The house, for this daemon alone where it must be; waits for a database that does not answer. None: told to stop."""
    store = Store(config.store_url(), direct_url=config.store.direct_url)
    closing.callback(store.dispose)
    if not await _hold(store, closing, stop):
        return None
    while True:
        try:
            if not store.is_sqlite and not migrate.is_current(store):
                raise ConfigError("store.url: the database has another version's schema; run: postroom migrate")
            if not config.store.direct_url and store.is_lent_by_transaction():
                raise ConfigError(LENT)
            store.refuse_if_damaged()
            house = closing.enter_context(open_house(config))
            if not store.is_sqlite:
                store.dispose()  # the house has connections of its own
            house.store.call_itself(daemon_name(house.store.node))
            house.notifier.read_keys()
            raw_mail.refuse_if_out_of_reach(house.store)
            _warn_of_forgetting(house.store)
            if store.is_sqlite:  # what was claimed, a daemon that is dead had claimed
                with store.write() as connection:
                    inbound.recover(connection)
        except TemporaryFailure as error:
            log.warning("the store does not answer", error=str(error), retry_in=STORE_RETRY_SECONDS)
            systemd.starting("waiting for the database")
            if await passed(stop, STORE_RETRY_SECONDS):
                return None
        else:
            return house


def _warn_of_forgetting(store: Store) -> None:
    if not store.is_sqlite:
        with store.read() as connection:
            off = overview.forgetting(connection)
        if off:
            log.warning("the store may forget", off=off)


async def _hold(store: Store, closing: ExitStack, stop: asyncio.Event) -> bool:
    """Have an SQLite store for ourselves; a command that works on it is waited for, another daemon not (StoreHeld)."""
    said = ""
    while True:
        try:
            closing.enter_context(store.daemon_lock(DAEMON))
        except StoreHeld as held:
            if held.is_by_daemon:
                raise
            if said != held.process:
                log.warning("waiting for the store", holder=held.who, process=held.process)
                said = held.process
            systemd.starting(f"waiting for {held.who} (process {held.process}) to be done with the store")
        else:
            return True
        if await passed(stop, STORE_RETRY_SECONDS):
            return False


def open_checker(config: Config, workers: Workers) -> Checker | None:
    """What checks the senders of mail, where that is configured. Raises ConfigError where there is no DNS to ask."""
    if config.authentication.check == "off":
        return None
    from postroom.daemon.checking import Checker  # noqa: PLC0415 - 0.2 s of imports, for those who want it
    from postroom.daemon.resolver import open_resolver  # noqa: PLC0415

    return Checker(config, workers, open_resolver(config.authentication.resolver))

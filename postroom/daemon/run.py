"""The daemon's life: what is started in which order, and how it ends without losing anything.

Start: secrets, lock, schema; then the intake, before anybody can hand mail over; then the doors, SMTP first, since a port
can be taken; then what works on the mail. Stop: the doors close first, what was taken is committed and
answered, and whatever hangs is left behind in time, as by a crash, which loses nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from random import SystemRandom
from typing import TYPE_CHECKING

import structlog

from postroom.config import Config, read_secret
from postroom.daemon import log as logging
from postroom.daemon import systemd
from postroom.daemon.failpoint import failpoint
from postroom.daemon.house import House, now, open_house
from postroom.daemon.imap import Watcher
from postroom.daemon.intake import Intake
from postroom.daemon.keeping import keep, keep_thread, passed
from postroom.daemon.process import Processor
from postroom.daemon.schedule import Schedule
from postroom.daemon.smtp import SmtpServer
from postroom.daemon.workers import Workers
from postroom.errors import ConfigError, TemporaryFailure
from postroom.outbound.courier import Courier
from postroom.outbound.smtp_auth import passwords
from postroom.store import inbound, migrate
from postroom.store.engine import DAEMON, Store, StoreHeld

if TYPE_CHECKING:
    from postroom.daemon.checking import Checker

DOORS_SECONDS = 10.0  # for open sessions and watchers to end
WORK_SECONDS = 20.0  # for a batch or a delivery at hand to end
COMMIT_SECONDS = 5.0  # for the last commits, when the doors are closed
STOP_SECONDS = 28.0  # in all; service managers kill at 30 and later
STORE_RETRY_SECONDS = 1.0  # between attempts to open a store that does not answer

log = structlog.get_logger()


async def serve(config: Config, on_stopping: Callable[[], None] = lambda: None) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises ConfigError and UserError where it cannot begin."""
    secrets = read_secrets(config)
    logging.configure(config.log, [secret for secret in secrets.values() if secret])
    stop = asyncio.Event()
    _on_signals(stop)
    with ExitStack() as closing:
        house = await _open(config, closing, stop)
        if house is None:
            return
        workers = closing.enter_context(Workers(config.processing))
        daemon = Daemon(house, workers, secrets)
        try:
            await daemon.start()
            await stop.wait()
        finally:
            on_stopping()
            await daemon.stop()


def read_secrets(config: Config) -> dict[str, str]:
    """Every password that the configuration names, by the path of its table. Raises ConfigError for a missing one."""
    peers = {f"mailbox.{name}.imap": mailbox.imap for name, mailbox in config.mailbox.items() if mailbox.imap}
    secrets = {path: read_secret(config, path, peer) for path, peer in peers.items()}
    if config.outgoing.courier == "smtp":
        secrets |= {path: read_secret(config, path, peer) for path, peer in config.smarthosts().items()}
    return secrets


async def _open(config: Config, closing: ExitStack, stop: asyncio.Event) -> House | None:
    """The house, for this daemon alone where it must be; waits for a database that does not answer. None: told to stop."""
    store = Store(config.store_url())
    closing.callback(store.dispose)
    if not await _hold(store, closing, stop):
        return None
    while True:
        try:
            if not store.is_sqlite and not migrate.is_current(store):
                raise ConfigError("store.url: the database has another version's schema; run: postroom migrate")
            house = closing.enter_context(open_house(config))
            house.notifier.read_keys()
            if store.is_sqlite:  # what was claimed, a daemon that is dead had claimed
                with store.write() as connection:
                    inbound.recover(connection)
        except TemporaryFailure as error:
            log.warning("the store does not answer", error=str(error), retry_in=STORE_RETRY_SECONDS)
            systemd.starting("waiting for the database")
            if await passed(stop, STORE_RETRY_SECONDS):
                return None
        else:
            for problem in house.templates.check():
                log.warning("ours is used in place of a template", template=str(problem.path), why=problem.why)
            return house


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


class Daemon:
    """Everything that runs."""

    def __init__(self, house: House, workers: Workers, secrets: Mapping[str, str]) -> None:
        config, store = house.config, house.store
        self._house = house
        self._secrets = secrets
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._kept: list[asyncio.Task[None]] = []
        self._courier = Courier(
            config, store, passwords(config, secrets), now, SystemRandom(), structlog.get_logger("courier"),
            notifier=house.notifier, failpoint=failpoint,
        )  # fmt: skip
        self._checker = _open_checker(config, workers)
        check = self._checker.check_all if self._checker else None
        self._processor = Processor(config, store, workers, house.reception, now, self._courier.wake, check)
        self._intake = Intake(store, self._processor.wake)
        self._smtp = SmtpServer(config, store, self._intake)
        self._watchers: dict[str, Watcher] = {}
        self._schedule = Schedule(config, store, now, house.notifier, self._courier.wake)

    async def start(self) -> None:
        """Start it all; raises UserError where a port is taken."""
        config = self._house.config
        self._keep_thread("intake", self._intake.start, lambda: self._intake.is_alive)
        await self._smtp.start()
        for name, mailbox in config.mailbox.items():
            if mailbox.imap:
                self._watch(name)
        self._keep_thread("process", self._processor.start, lambda: self._processor.alive)
        self._keep(keep("courier", lambda: self._courier.run(self._stopping), self._stopping))
        self._schedule.start()
        log.info("ready", smtp=self._smtp.addresses, imap=[name for name, mailbox in config.mailbox.items() if mailbox.imap], courier=config.outgoing.courier,
                 database=self._house.store.engine.name)  # fmt: skip
        self._is_ready = True
        systemd.notify("READY=1")

    def _watch(self, name: str) -> None:
        house, secret = self._house, self._secrets[f"mailbox.{name}.imap"]

        def start() -> None:
            self._watchers[name] = Watcher(house.config, name, secret, house.store, self._intake)
            self._watchers[name].start()

        self._keep_thread(f"imap {name}", start, lambda: not self._watchers[name].join(0))

    def _keep_thread(self, name: str, start: Callable[[], None], is_alive: Callable[[], bool]) -> None:
        self._keep(keep_thread(name, start, is_alive, self._stopping))

    def _keep(self, kept: Awaitable[None]) -> None:
        self._kept.append(asyncio.ensure_future(kept))

    async def stop(self) -> None:
        """End it all: close the doors, finish what was taken."""
        if self._is_ready:  # else the reason is said in one line
            log.info("stopping")
        systemd.notify("STOPPING=1")
        self._stopping.set()
        self._schedule.stop()
        for watcher in self._watchers.values():
            watcher.stop()
        working = asyncio.gather(
            asyncio.wait(self._kept, timeout=WORK_SECONDS),
            asyncio.to_thread(self._processor.stop, WORK_SECONDS),
        )
        await asyncio.gather(
            self._smtp.stop(DOORS_SECONDS),
            *(asyncio.to_thread(watcher.join, DOORS_SECONDS) for watcher in self._watchers.values()),
        )
        await asyncio.to_thread(self._intake.stop, COMMIT_SECONDS)
        await working
        if self._checker:
            self._checker.close()
        for late in self._kept:
            late.cancel()
        if self._is_ready:
            log.info("stopped")


def _open_checker(config: Config, workers: Workers) -> Checker | None:
    """What checks the senders of mail, where that is configured. Raises ConfigError where there is no DNS to ask."""
    if config.authentication.check == "off":
        return None
    from postroom.daemon.checking import Checker  # noqa: PLC0415 - 0.2 s of imports, for those who want it
    from postroom.daemon.resolver import open_resolver  # noqa: PLC0415

    return Checker(config, workers, open_resolver(config.authentication.resolver))


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: log.warning("not reloaded: restart to read the configuration anew"))


def leave_in_time() -> None:
    """Whatever hangs (a database that was stopped, say), this process ends: all that matters is on disk."""

    def leave() -> None:
        log.error("cut off", after=STOP_SECONDS)
        os._exit(1)

    timer = threading.Timer(STOP_SECONDS, leave)
    timer.daemon = True
    timer.start()

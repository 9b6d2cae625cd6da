"""The daemon's life: what is started in which order, and how it ends without losing anything.

Start: secrets, lock, schema; then the intake, before anybody can hand mail over; then the doors, SMTP first, since a port
can be taken; then what works on the mail. Stop: the doors close first, what was taken is committed and
answered, and nobody waits longer than STOP_SECONDS.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import structlog

from postroom.config import Config, read_secret
from postroom.daemon import log as logging
from postroom.daemon import systemd
from postroom.daemon.imap import Watcher
from postroom.daemon.intake import Intake
from postroom.daemon.keeping import keep_thread
from postroom.daemon.schedule import Schedule
from postroom.daemon.smtp import SmtpServer
from postroom.store import inbound, migrate
from postroom.store.engine import Store

STOP_SECONDS = 20.0  # for the doors and the loops, all at once
COMMIT_SECONDS = 5.0  # then, for the last commits

log = structlog.get_logger()


async def serve(config: Config) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises ConfigError and UserError where it cannot begin."""
    secrets = read_secrets(config)
    logging.configure(config.log, [secret for secret in secrets.values() if secret])
    stop = asyncio.Event()
    with ExitStack() as closing:
        store = Store(config.store_url())
        closing.callback(store.dispose)
        closing.enter_context(store.daemon_lock())
        migrate.upgrade(store)
        daemon = Daemon(config, store, secrets)
        _on_signals(stop)
        try:
            await daemon.start()
            await stop.wait()
        finally:
            await daemon.stop()


def read_secrets(config: Config) -> dict[str, str]:
    """Every password that the configuration names, by the path of its table. Raises ConfigError for a missing one."""
    peers = {f"mailbox.{name}.imap": mailbox.imap for name, mailbox in config.mailbox.items() if mailbox.imap}
    secrets = {path: read_secret(config, path, peer) for path, peer in peers.items()}
    if config.outgoing.courier == "smtp":
        secrets["outgoing.smtp"] = read_secret(config, "outgoing.smtp", config.outgoing.smtp)
    return secrets


class Daemon:
    """Everything that runs."""

    def __init__(self, config: Config, store: Store, secrets: Mapping[str, str]) -> None:
        self._config = config
        self._store = store
        self._secrets = secrets
        self._stopping = asyncio.Event()
        self._kept: list[asyncio.Task[None]] = []
        self._intake = Intake(store, lambda: None)
        self._smtp = SmtpServer(config, store, self._intake)
        self._watchers: dict[str, Watcher] = {}
        self._schedule = Schedule(config, store)

    async def start(self) -> None:
        """Start it all; raises UserError where a port is taken."""
        if self._store.is_sqlite:  # nobody else can be working on it
            with self._store.write() as connection:
                inbound.recover(connection)
        self._keep("intake", self._intake.start, lambda: self._intake.is_alive)
        await self._smtp.start()
        for name, mailbox in self._config.mailbox.items():
            if mailbox.imap:
                self._keep_watching(name)
        self._schedule.start()
        log.info("ready", smtp=self._smtp.addresses, imap=list(self._watchers), database=self._store.engine.name)
        systemd.notify("READY=1")

    def _keep(self, name: str, start: Callable[[], None], is_alive: Callable[[], bool]) -> None:
        self._kept.append(asyncio.create_task(keep_thread(name, start, is_alive, self._stopping)))

    def _keep_watching(self, name: str) -> None:
        def start() -> None:
            secret = self._secrets[f"mailbox.{name}.imap"]
            self._watchers[name] = Watcher(self._config, name, secret, self._store, self._intake)
            self._watchers[name].start()

        self._keep(f"imap {name}", start, lambda: not self._watchers[name].join(0))

    async def stop(self) -> None:
        """End it all: close the doors, finish what was taken."""
        log.info("stopping")
        systemd.notify("STOPPING=1")
        self._stopping.set()
        self._schedule.stop()
        for watcher in self._watchers.values():
            watcher.stop()
        await asyncio.gather(
            self._smtp.stop(STOP_SECONDS),
            *(asyncio.to_thread(watcher.join, STOP_SECONDS) for watcher in self._watchers.values()),
        )
        await asyncio.to_thread(self._intake.stop, COMMIT_SECONDS)
        await asyncio.gather(*self._kept)
        log.info("stopped")


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: log.warning("not reloaded: restart to read the configuration anew"))

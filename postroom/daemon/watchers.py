"""Which mailboxes are watched now? One watcher for each that is fetched by IMAP, begun and ended as the configuration changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from postroom.config import Config, Mailbox, Size
from postroom.daemon import pulse
from postroom.daemon.credentials import Secret, of_mailboxes
from postroom.daemon.imap import Watcher, longest_wait
from postroom.daemon.intake import Intake
from postroom.daemon.keeping import keep_thread
from postroom.daemon.pulse import Pulses
from postroom.store.engine import Store


@dataclass(slots=True)
class _Watched:
    made_from: object
    watcher: Watcher | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    kept: asyncio.Task[None] | None = None


class Watchers:
    """The watchers of a daemon."""

    def __init__(self, store: Store, intake: Intake, pulses: Pulses) -> None:
        self._store, self._intake, self._pulses = store, intake, pulses
        self._watched: dict[str, _Watched] = {}

    @property
    def names(self) -> list[str]:
        """The mailboxes that are watched."""
        return list(self._watched)

    async def use(self, config: Config, secrets: Mapping[str, str], grace: float) -> None:
        """Watch what this configuration names: who is gone or differs is ended, and begun anew, within `grace` seconds."""
        logins = of_mailboxes(config, secrets)
        wanted = {name: _what_matters(config, config.mailbox[name], secret) for name, secret in logins.items()}
        await self.stop(grace, [name for name, one in self._watched.items() if one.made_from != wanted.get(name)])
        for name, made_from in wanted.items():
            if name not in self._watched:
                self._begin(config, name, logins[name], made_from)

    def _begin(self, config: Config, name: str, secret: Secret, made_from: object) -> None:
        one = self._watched[name] = _Watched(made_from)
        beat = self._pulses.begin(f"imap {name}", longest_wait(config, name) + pulse.IMAP)

        def start() -> None:
            one.watcher = Watcher(config, name, secret, self._store, self._intake, beat=beat)
            one.watcher.start()

        def is_alive() -> bool:
            return one.watcher is not None and not one.watcher.join(0)

        one.kept = asyncio.ensure_future(keep_thread(f"imap {name}", start, is_alive, one.stopping))

    async def stop(self, grace: float, names: list[str] | None = None) -> None:
        """End these, or all: what a watcher has in hand is committed or left on its server."""
        going = [self._watched.pop(name) for name in (self.names if names is None else names)]
        for one in going:
            one.stopping.set()
            if one.watcher is not None:
                one.watcher.stop()
        for name in set(self._pulses.ages()) - {f"imap {name}" for name in self._watched}:
            if name.startswith("imap "):
                self._pulses.end(name)
        await asyncio.gather(*(asyncio.to_thread(one.watcher.join, grace) for one in going if one.watcher))
        kept = [one.kept for one in going if one.kept]
        if kept:
            await asyncio.wait(kept, timeout=grace)


def _what_matters(config: Config, mailbox: Mailbox, secret: Secret) -> object:
    """All that a watcher is made from: where it fetches, how much it takes, and whose mail it can be."""
    addresses = [(name, one.address, one.aliases) for name, one in config.mailbox.items()]
    return mailbox, secret, Size(config.smtp.max_size), addresses, config.folder

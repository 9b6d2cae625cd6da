"""Which way does a mail go: into the Maildir, or to which smarthost? And is that way open?

A way on which nobody takes our mail is closed: what would go there is given back, and no attempt is counted. From time to
time one mail tries it, and the others follow when it came through. The store knows since when, so that `status` shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection

from postroom import config_keys
from postroom.config import Config
from postroom.errors import TemporaryFailure
from postroom.outbound.carriers import Carrier, NotOpen
from postroom.outbound.maildir import MaildirCarrier
from postroom.outbound.schedule import jittered
from postroom.outbound.smtp_auth import Credential
from postroom.store import smarthosts
from postroom.store.outbox import Claimed

DEFAULT = config_keys.DEFAULT_SMARTHOST
MAILDIR = "outgoing.maildir"
PROBE_FIRST = timedelta(seconds=5)  # after a way was found closed; doubled each time ...
PROBE_MAX = timedelta(minutes=5)  # ... up to this: mail follows within minutes when a smarthost is back
PROBE_DOUBLINGS = 16  # beyond these it is the longest anyhow

Note = Callable[[Callable[[Connection], Any]], Awaitable[Any]]  # does it in a transaction


class Way:
    """One place that mail goes to next."""

    def __init__(
        self,
        name: str,
        host: str,
        carrier: Carrier,
        clock: Callable[[], datetime],
        random: Random,
        log: Any,
        note: Note,
    ) -> None:
        """`host`: the server's name, "" for none."""
        self.name, self.host = name, host
        self._carrier, self._clock, self._random, self._log, self._note = carrier, clock, random, log, note
        self._room = asyncio.Semaphore(carrier.connections)
        self._probing = asyncio.Lock()
        self._trouble: str | None = None
        self._failures = 0
        self._probe_at = 0.0  # by the monotonic clock: one that is set must not keep a way closed
        self._is_known = False  # whether the store knows how it fares

    @property
    def closed_for(self) -> float:
        """Seconds until it is tried again; 0 where it may be tried now. While one mail tries it, the others wait a while."""
        if self._trouble is None:
            return 0.0
        if self._probing.locked():
            return PROBE_FIRST.total_seconds()
        return max(self._probe_at - time.monotonic(), 0.0)

    @property
    def is_closed(self) -> bool:
        """Whether nobody took our mail when it was last tried."""
        return self._trouble is not None

    async def carry(self, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        """As the carrier does; NotOpen also where it is closed."""
        self._refuse()  # a server that is silent may hold the one that tries it for minutes: nobody waits for that
        async with self._room:
            if self._trouble is None:
                return await self._try(delivery, before_dot)
            self._refuse()
            async with self._probing:
                return await self._try(delivery, before_dot)

    def _refuse(self) -> None:
        if self._trouble is not None and self.closed_for:
            raise NotOpen(self._trouble)

    async def _try(self, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        try:
            answer = await self._carrier.carry(delivery, before_dot)
        except NotOpen as error:
            await self._close(str(error))
            raise
        except Exception:  # somebody was there
            await self._open()
            raise
        await self._open()
        return answer

    async def _close(self, why: str) -> None:
        now, was_open = self._clock(), self._trouble is None
        if not was_open and self._probe_at > time.monotonic():  # another mail found it out at the same time
            return
        delay = jittered(min(PROBE_FIRST * 2 ** min(self._failures, PROBE_DOUBLINGS), PROBE_MAX), self._random)
        self._trouble, self._failures = why, self._failures + 1
        self._probe_at = time.monotonic() + delay.total_seconds()
        self._is_known = False
        if was_open:
            self._log.error("smarthost down", smarthost=self.name, why=why)
        with contextlib.suppress(TemporaryFailure):
            await self._note(lambda c: smarthosts.note_failure(c, self.name, now, why, now + delay))

    async def _open(self) -> None:
        if self._is_known:
            return
        now, self._is_known = self._clock(), True
        if self._trouble is not None:
            self._log.warning("smarthost up again", smarthost=self.name, probes=self._failures)
        self._trouble, self._failures = None, 0
        try:
            await self._note(lambda c: smarthosts.note_success(c, self.name, now))
        except TemporaryFailure:
            self._is_known = False

    async def close(self) -> None:
        """Let go of every connection."""
        await self._carrier.close()


class Ways:
    """Every way that mail can go."""

    def __init__(self, ways: Mapping[str, Way], by_mailbox: Mapping[str, str], default: str) -> None:
        self._ways, self._by_mailbox, self._default = dict(ways), dict(by_mailbox), default

    def of(self, mailbox: str | None) -> Way:
        """The way of what that mailbox sends; the default one where it is gone."""
        return self._ways[self._by_mailbox.get(mailbox or "", self._default)]

    @property
    def closed_for(self) -> float:
        """Seconds until the first way may be tried; 0 where one is open."""
        return min(way.closed_for for way in self._ways.values())

    @property
    def are_closed(self) -> bool:
        """Whether no way is known to be open."""
        return all(way.is_closed for way in self._ways.values())

    async def close(self) -> None:
        """Let go of every connection."""
        await asyncio.gather(*(way.close() for way in self._ways.values()))


def open_ways(
    config: Config, credentials: Mapping[str, Credential], carrier: Carrier | None, clock: Callable[[], datetime],
    random: Random, log: Any, note: Note,
) -> Ways:  # fmt: skip
    """The ways that the configuration names; or that `carrier` alone. Raises ConfigError."""

    def way(name: str, host: str, carrier: Carrier) -> Way:
        return Way(name, host, carrier, clock, random, log, note)

    if carrier is not None:
        return Ways({DEFAULT: way(DEFAULT, config.outgoing.smtp.host, carrier)}, {}, DEFAULT)
    if config.outgoing.courier == "maildir":
        maildir = MaildirCarrier(config.resolve(config.outgoing.maildir))
        return Ways({MAILDIR: way(MAILDIR, "", maildir)}, {}, MAILDIR)
    from postroom.outbound.smarthost import SmarthostCarrier  # noqa: PLC0415 (the Maildir needs none of it)

    ways, by_mailbox = {}, {name: path_of(config, name) for name in config.mailbox}
    for path, peer in config.smarthosts().items():
        ways[path] = way(path, peer.host, SmarthostCarrier(config, path, peer, credentials.get(path)))
    return Ways(ways, by_mailbox, DEFAULT)


def path_of(config: Config, mailbox: str) -> str:
    """The path of the table of the smarthost that takes what that mailbox sends."""
    name = config.mailbox[mailbox].smarthost if mailbox in config.mailbox else ""
    return f"smarthost.{name}" if name else DEFAULT

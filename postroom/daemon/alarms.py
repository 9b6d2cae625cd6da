"""What the operator should know now, before customers do: told by mail once, and once more when it is over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from postroom.config import Config
from postroom.daemon.oauth_standing import standings
from postroom.errors import TemporaryFailure
from postroom.logger import structlog
from postroom.outbound.notify import Notifier
from postroom.outbound.policy import BREAKER
from postroom.saying import Saying, kept, recalled
from postroom.store import alarms, counters, inbound, overview
from postroom.store.alarms import Change
from postroom.store.engine import Store
from postroom.store.overview import Overview

LOOK_SECONDS = 60.0
NEVER = timedelta.max  # what a threshold of 0 means

log = structlog.get_logger()


class Alarms:
    """Looks, and tells."""

    def __init__(
        self, config: Config, store: Store, notifier: Notifier, clock: Callable[[], datetime],
        hanging: Callable[[], set[str]] = set, on_enqueued: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`hanging` names the daemon's parts that hang; `on_enqueued` is called when there is mail to send."""
        self._config, self._store, self._notifier, self._clock = config, store, notifier, clock
        self._hanging, self._on_enqueued = hanging, on_enqueued
        at, self._began = config.alarms, clock()
        self._steady = timedelta(minutes=at.steady_minutes)
        self._failing = timedelta(minutes=at.failing_minutes) or NEVER
        self._silent = timedelta(hours=at.mailbox_silent_hours) or NEVER
        self._waiting = timedelta(minutes=at.oldest_minutes) or NEVER

    def look(self) -> list[Change]:
        """One look; what was told."""
        now = self._clock()
        try:
            with self._store.write(alone=True) as connection:
                raised = {name: kept(words) for name, words in self._raised(connection, now)}
                followed = alarms.follow(connection, raised, now, self._steady)
                changes = [replace(change, words=recalled(change.words)) for change in followed]
                for change in changes:
                    self._tell(connection, change, now)
        except TemporaryFailure as error:  # nothing of it happened; the next look does it
            log.warning("deferred", job="alarms", why=str(error))
            return []
        for change in changes:
            say = log.warning if change.is_over else log.error
            say("alarm over" if change.is_over else "alarm", alarm=change.name, why=str(change.words))
        if changes:
            self._on_enqueued()
        return changes

    def _tell(self, connection: Connection, change: Change, now: datetime) -> None:
        title = Saying("alarm: %(name)s", name=change.name)
        text = [change.words, Saying("Since %(when)s.", when=change.since)]
        if change.is_over:
            title = Saying("over: %(name)s", name=change.name)
            text.append(Saying("It is over since about %(when)s.", when=now - self._steady))
        self._notifier.tell_operator(connection, title, [*text, Saying("See: postroom status")])

    def _raised(self, connection: Connection, now: datetime) -> Iterator[tuple[str, str]]:
        seen = overview.look(connection)
        yield from self._of_mailboxes(seen, now)
        for host in seen.smarthosts:
            if host.failing_since and now - host.failing_since > self._failing:
                yield (
                    f"smarthost {host.name}",
                    Saying("%(host)s does not take our mail: %(why)s", host=host.name, why=host.last_error or ""),
                )
        objects = self._store.objects
        if objects is not None and objects.failing_since and now - objects.failing_since > self._failing:
            yield (
                "raw mail",
                Saying(
                    "large mail cannot be stored in %(place)s, or read there: %(why)s",
                    place=objects.url,
                    why=objects.last_error,
                ),
            )
        for login in standings(self._config, self._clock):
            if login.needs_somebody:
                yield (
                    f"login {login.account.user} ({login.account.name})",
                    Saying("%(user)s: %(why)s", user=login.account.user, why=login.words),
                )
        if seen.oldest_unprocessed and now - seen.oldest_unprocessed > self._waiting:
            yield (
                "unprocessed mail",
                Saying("the oldest unprocessed mail came at %(when)s", when=seen.oldest_unprocessed),
            )
        # under a flood it closes with each hour and opens again: that is one story, which ends with an hour without
        hours = [counters.count(connection, BREAKER, counters.HOUR, at) for at in (now, now - counters.HOUR)]
        if max(hours) > self._config.answers.all_hour:
            yield (
                "breaker",
                Saying("so many automatic answers are due in an hour that no more go out in it (answers.all_hour)"),
            )
        quarantined = inbound.quarantined_since(connection, now - timedelta(hours=1))
        if 0 < self._config.alarms.quarantine <= quarantined:
            yield (
                "quarantine",
                Saying(
                    "%(count)s mails went into quarantine within an hour: postroom inbound list --state quarantined",
                    count=quarantined,
                ),
            )
        if (free := self._disk_short()) is not None:
            yield (
                "disk",
                Saying(
                    "%(free)s MiB are free; mail is refused below %(least)s MiB (smtp.min_free_disk)",
                    free=free >> 20,
                    least=int(self._config.smtp.min_free_disk) >> 20,
                ),
            )
        for name in sorted(self._hanging()):
            yield f"component {name}", Saying("%(name)s makes no progress; where it hangs is in the log", name=name)

    def _of_mailboxes(self, seen: Overview, now: datetime) -> Iterator[tuple[str, str]]:
        for name, mailbox in self._config.mailbox.items():
            if mailbox.imap is None:
                continue
            state = seen.mailboxes.get(name)
            if state is not None and state.failing_since:
                if now - state.failing_since > self._failing:
                    yield (
                        f"mailbox {name}",
                        Saying(
                            "%(address)s cannot be read: %(why)s", address=mailbox.address, why=state.last_error or ""
                        ),
                    )
                continue
            read_at = state.last_success_at if state and state.last_success_at else self._began
            patience = timedelta(seconds=mailbox.imap.poll_seconds)
            if self._silent != NEVER and now - max(read_at, self._began) > self._silent + patience:
                minutes = (self._silent + patience).total_seconds() / 60
                yield (
                    f"mailbox {name}",
                    Saying(
                        "%(address)s was not read for %(count)s minutes", address=mailbox.address, count=round(minutes)
                    ),
                )

    def _disk_short(self) -> int | None:
        """The octets that are free, where they are few."""
        if self._store.path is None:
            return None
        free = shutil.disk_usage(self._store.path.parent).free
        return free if free < self._config.alarms.disk * self._config.smtp.min_free_disk else None

"""How do the logins stand? What is known of each account without asking anybody: for status, check and the alarms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from postroom.config import Config
from postroom.daemon.oauth import Account, accounts, now
from postroom.errors import TemporaryFailure
from postroom.saying import Saying

WARN_SECONDS = 2 * 86_400.0  # before a login ends ...
WARN_PART = 0.25  # ... or so much of its life: one that is renewed with each refresh never comes so near


@dataclass(frozen=True, slots=True)
class Standing:
    """An account, and how its login stands."""

    account: Account
    used_by: tuple[str, ...]  # paths of tables
    state: Literal["good", "unused", "missing", "ending", "refused", "unreadable"]
    words: str
    ends_at: datetime | None = None
    refreshed_at: datetime | None = None
    needs_somebody: bool = field(default=False)


def standings(config: Config, clock: Callable[[], datetime] = now) -> list[Standing]:
    """Every account that the configuration names, in its order; nothing is asked, and no secret is needed."""
    by_file: dict[object, list[tuple[str, Account]]] = {}
    for path, account in accounts(config, {f"oauth.{name}": "" for name in config.oauth}, clock).items():
        by_file.setdefault(account.path, []).append((path, account))
    return [_standing(users[0][1], tuple(path for path, _ in users)) for users in by_file.values()]


def _standing(account: Account, used_by: tuple[str, ...]) -> Standing:
    try:
        kept = account.file.read()
    except TemporaryFailure as error:
        return Standing(account, used_by, "unreadable", str(error), needs_somebody=True)
    if kept is None and account.app.way == "app":
        return Standing(account, used_by, "unused", "no token was asked for yet")
    if kept is None:
        words = Saying("nobody has logged in: postroom mailboxes login %(login)s", login=account.login)
        return Standing(account, used_by, "missing", words, needs_somebody=True)
    ends_at, refreshed_at = _moment(kept.ends_at), _moment(kept.issued_at)
    if kept.refused_at is not None:
        return Standing(account, used_by, "refused", kept.refusal, ends_at, refreshed_at, needs_somebody=True)
    if ends_at is None or kept.ends_at is None:
        return Standing(account, used_by, "good", "good; no end is known", None, refreshed_at)
    left = kept.ends_at - account.clock().timestamp()
    if left < min(WARN_SECONDS, WARN_PART * (kept.lasts or WARN_SECONDS)):
        login = account.login
        if left > 0:
            words = Saying("ends %(when)s; log in again: postroom mailboxes login %(login)s", when=ends_at, login=login)
        else:
            words = Saying(
                "ended %(when)s; log in again: postroom mailboxes login %(login)s", when=ends_at, login=login
            )
        return Standing(account, used_by, "ending", words, ends_at, refreshed_at, needs_somebody=True)
    return Standing(account, used_by, "good", Saying("good until %(when)s", when=ends_at), ends_at, refreshed_at)


def _moment(at: float | None) -> datetime | None:
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return None

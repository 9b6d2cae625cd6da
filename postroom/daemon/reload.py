"""A new configuration, read and checked while the old one goes on working."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from postroom import config as settings
from postroom.config import Config, RawMail
from postroom.daemon.begin import open_checker, read_secrets
from postroom.daemon.house import House, furnish
from postroom.daemon.tls import server_context
from postroom.daemon.workers import Workers

if TYPE_CHECKING:
    from postroom.daemon.checking import Checker

# What is made once at the start; another value waits for the next one.
FIXED = {
    "store": ("url", "direct_url"),
    "raw_mail": RawMail.__struct_fields__,
    "smtp": ("protocol", "max_memory"),
    "processing": ("workers", "parse_seconds", "parse_memory"),
    "health": ("listen", "public"),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that moving needs."""

    house: House
    secrets: dict[str, str]
    checker: Checker | None


def prepare(old: House, workers: Workers) -> Prepared:
    """The house of the configuration as its file says now, around the store that is open.

    Raises ConfigError, UserError or TemporaryFailure, and has changed nothing, where it cannot be used.
    """
    config = settings.load(str(old.config.path)) if old.config.path else old.config
    secrets = read_secrets(config)
    server_context(config)
    checker = open_checker(config, workers)
    house = furnish(config, old.store)
    house.notifier.read_keys()
    return Prepared(house, secrets, checker)


def needing_restart(old: Config, new: Config) -> list[str]:
    """The keys that differ, and that a running daemon cannot change."""
    return [
        f"{section}.{key}"
        for section, keys in FIXED.items()
        for key in keys
        if getattr(getattr(old, section), key, None) != getattr(getattr(new, section), key, None)
    ]

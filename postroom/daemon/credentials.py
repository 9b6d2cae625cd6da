"""With what do we log in there: a password, or an account's tokens?"""

from __future__ import annotations

from collections.abc import Mapping

from postroom.config import Config, read_secret
from postroom.daemon.oauth import Account, accounts
from postroom.outbound.smtp_auth import Credential, Token, passwords

Secret = str | Account


def of_mailboxes(config: Config, secrets: Mapping[str, str]) -> dict[str, Secret]:
    """What each mailbox that is fetched logs in with, by its name; `secrets` as `read_secrets` has them. Raises ConfigError."""
    tokens = accounts(config, secrets)
    paths = {name: f"mailbox.{name}.imap" for name, mailbox in config.mailbox.items() if mailbox.imap}
    return {name: tokens.get(path) or secrets[path] for name, path in paths.items()}


def of_smarthosts(config: Config, secrets: Mapping[str, str]) -> dict[str, Credential]:
    """What each smarthost that has a user is told, by the path of its table; `secrets` as above. Raises ConfigError."""
    found = passwords(config, secrets)
    for path, one in accounts(config, secrets).items():
        if path in config.smarthosts():
            found[path] = Token(one.user, one.token, one.another)
    return found


def of_mailbox(config: Config, name: str) -> Secret:
    """The same for one mailbox, its password read now. Raises ConfigError."""
    path, imap = f"mailbox.{name}.imap", config.mailbox[name].imap
    assert imap is not None
    return accounts(config)[path] if imap.oauth else read_secret(config, path, imap)


def of_smarthost(config: Config, path: str) -> Credential | None:
    """The same for one smarthost; None where it wants no login. Raises ConfigError."""
    peer = config.smarthosts()[path]
    if peer.oauth:
        one = accounts(config)[path]
        return Token(one.user, one.token, one.another)
    return passwords(config, {path: read_secret(config, path, peer)}).get(path)

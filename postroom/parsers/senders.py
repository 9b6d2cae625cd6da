"""Who sends without being a person: mail systems, list managers, mailboxes that nobody reads.

Read from the header fields alone. Return-Path counts, as final delivery wrote it (RFC 5321 §4.4); where it is missing
nothing is concluded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from postroom.parsers.bounce_addresses import find_addresses

FROM_KEPT = 256  # characters of one whose addresses are kept for the next mail that has it
FROM_READ = 1_000  # characters of a From field that are looked at


class Headers(Protocol):
    """What is asked of a message here: `mime.Part` has it."""

    def header(self, name: str) -> str | None:
        """The first field of that name, decoded and unfolded."""

    def all_headers(self, name: str) -> tuple[str, ...] | list[str]:
        """All fields of that name."""


_DAEMON_LOCAL_PARTS = re.compile(
    r"(?:mailer[-_.]?da?e?mon|mail[-_.]?da?e?mon|mdaemon|da?e?mon|post[-_.]?master|poo?stmaster|mailer|mmdf|pmdf|"
    r"mail[-_.]?delivery|mail[-_.]?system|mail[-_.]?admin(?:istrator)?|microsoftexchange[0-9a-f]+|"
    r"system[-_.]?administrator|amavis|bounces?|bounce-notification|mta)(?:[-+=_.].*)?",
    re.IGNORECASE,
)
# As display names begin. Not in their middle: parcels have a "Royal Mail Delivery" of their own.
_DAEMON_NAMES = (
    "mail delivery sub", "mail delivery sys", "mail delivery service", "mail delivery agent", "email delivery sys",
    "e-mail delivery sys", "mailer-daemon", "mailer daemon", "mail daemon", "mail administrator", "system administrator",
    "delivery subsystem", "delivery system", "postmaster", "mail system", "message delivery sub", "message delivery sys",
    "microsoft exchange", "microsoft outlook", "content-filter", "content filter", "mail transfer agent", "internet mail",
    "mail server", "mailserver", "courier mail server", "system attendant", "mailsystem", "mailrouter", "mail router",
    "spam firewall", "barracuda spam firewall", "mail gateway", "systemadministrator", "inet mail", "the mail system",
    "electronic postmaster", "pmdf",
)  # fmt: skip
_UNANSWERABLE = re.compile(
    r"(?:mailer-?daemon|postmaster|abuse|root|daemon|nobody|hostmaster|webmaster-noreply|bounces?(?:[-+=_.].*)?|"
    r".*no[-_.]?repl(?:y|ies).*|.*do[-_.]?not[-_.]?(?:reply|respond).*|dont[-_.]?reply.*|no[-_.]?(?:antwort|responder|responda|reponse|rispondere)|"
    r"ne[-_.]?pas[-_.]?repondre|nicht[-_.]?antworten|nao[-_.]?responda|unattended|"
    r"owner-.*|.*-(?:owner|request|bounces?|errors?|return)|.*-bounces[+=].*|listserv|majordomo|mailman|ezmlm|sympa)",
    re.IGNORECASE,
)
_LIST_MANAGERS = re.compile(
    r"(?:owner-.*|.*-(?:owner|admin|request|bounces?|help|manager)|listserv|majordomo|mailman|ezmlm|sympa|ecartis|listproc|lyris)",
    re.IGNORECASE,
)


def has_null_sender(headers: Headers) -> bool:
    """Whether Return-Path says that the envelope had no sender, or a mail system as sender (RFC 5321 §4.5.5)."""
    for value in headers.all_headers("return-path"):
        path = value.strip()
        if path in {"<>", ""} or path.strip("<>").strip() == "":
            return True
        if path.strip("<> ").partition("@")[0].lower() in {"mailer-daemon", "mailer_daemon", "#@[]"}:
            return True
    return False


def is_mail_system(headers: Headers) -> bool:
    """Whether From is a mail system: its local part, its name, or that there is no address at all (`MAILER-DAEMON`, `<>`)."""
    value = (headers.header("from") or "")[:FROM_READ]
    address = _from_address(headers)
    name = value.lower()
    if address is not None:
        if _DAEMON_LOCAL_PARTS.fullmatch(address.rpartition("@")[0]):
            return True
        name = name.replace(address.lower(), "")
    elif "<>" in value or _DAEMON_LOCAL_PARTS.fullmatch(value.strip(" <>\"'")):
        return True
    return name.strip(" <>()\"'").startswith(_DAEMON_NAMES)


def is_mailer_daemon(headers: Headers) -> bool:
    """Whether From is a mailer-daemon: never a person, as a postmaster may be."""
    address = _from_address(headers)
    return address is not None and address.lower().startswith(("mailer-daemon@", "mailer_daemon@", "mailerdaemon@"))


def is_list_manager(headers: Headers) -> bool:
    """Whether From is the program that runs a mailing list."""
    if any(headers.header(name) is not None for name in ("x-mlserver", "x-mailman-version", "x-listserver")):
        return True
    address = _from_address(headers)
    return address is not None and _LIST_MANAGERS.fullmatch(address.rpartition("@")[0]) is not None


def unanswerable_address(headers: Headers) -> str | None:
    """The address of From whose local part says that nobody reads what is sent there, or None."""
    for address in _from_addresses((headers.header("from") or "")[:FROM_READ]):
        if _UNANSWERABLE.fullmatch(address.rpartition("@")[0]):
            return address
    return None


def _from_address(headers: Headers) -> str | None:
    return next(iter(_from_addresses((headers.header("from") or "")[:FROM_READ])), None)


def _from_addresses(written: str) -> tuple[str, ...]:
    return _find_again(written) if len(written) <= FROM_KEPT else tuple(find_addresses(written))


@lru_cache(maxsize=1024)  # each message is asked four questions about it, and the same people write again and again
def _find_again(written: str) -> tuple[str, ...]:
    return tuple(find_addresses(written))

"""Which policy does the domain of From publish, and does another identifier vouch for it? DMARC (RFC 7489).

Percentages (`pct`) are for those who roll a policy out, not for us: a policy always applies whole. What is broken,
or there twice, is no policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from postroom.desk.lookup import Asking
from postroom.parsers.addresses import ascii_domain

DISPOSITIONS = ("none", "quarantine", "reject")
RECORD_MAX = 4096  # characters that are read
VERSION = re.compile(r"v\s*=\s*DMARC1\s*(?:;|\Z)")
STRICT = {"r": False, "s": True}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain wants done with mail in its name that nobody vouches for."""

    domain: str  # where it was found: the domain of From, or the organisation's
    disposition: str  # none, quarantine, reject; for a subdomain, the organisation's word on subdomains
    strict_dkim: bool = False
    strict_spf: bool = False


def find_policy(domain: str, ask: Asking) -> Policy | None:
    """The policy for mail From `domain` (ASCII, lower case), None where there is none (RFC 7489 §6.6.3).

    Raises DnsFailure where that cannot be said.
    """
    organisation = organisational_domain(domain)
    for where in dict.fromkeys((domain, organisation)):
        records = [record for record in ask(f"_dmarc.{where}", "TXT") if VERSION.match(record)]
        if records:
            return read_policy(records[0], where, where != domain) if len(records) == 1 else None
    return None


def read_policy(record: str, where: str, is_for_subdomain: bool = False) -> Policy | None:
    """What a record says (RFC 7489 §6.3), None where it is broken."""
    tags: dict[str, str] = {}
    for number, part in enumerate(record[:RECORD_MAX].split(";")):
        name, equals, value = part.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not name and not equals:
            continue
        if not equals or name in tags or (number == 0) != (name == "v"):
            return None
        tags[name] = value
    wanted = tags.get("p", "").lower()
    if tags.get("v") != "DMARC1" or wanted not in DISPOSITIONS:
        return None
    if is_for_subdomain:
        wanted = tags.get("sp", wanted).lower()
    if wanted not in DISPOSITIONS:
        return None
    dkim, spf = STRICT.get(tags.get("adkim", "r").lower()), STRICT.get(tags.get("aspf", "r").lower())
    return Policy(where, wanted, bool(dkim), bool(spf))


def is_aligned(identifier: str, domain: str, strict: bool) -> bool:
    """Whether a proven domain stands for the domain of From (RFC 7489 §3.1); both in ASCII and lower case."""
    if not identifier or not domain:
        return False
    return identifier == domain or (not strict and organisational_domain(identifier) == organisational_domain(domain))


@lru_cache(maxsize=4096)
def organisational_domain(domain: str) -> str:
    """The domain that was registered (RFC 7489 §3.2): `example.co.uk` of `mail.example.co.uk`.

    A public suffix (`co.uk`), or a name without dots, stands for itself alone.
    """
    return _private_suffix()(domain) or domain


@lru_cache(maxsize=1)
def _private_suffix() -> Callable[[str], str | None]:
    """The list of public suffixes, read once: that takes 80 ms."""
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - only where mail is checked

    suffixes: Callable[[str], str | None] = PublicSuffixList().privatesuffix
    return suffixes


def domain_of(address: str) -> str:
    """The domain of an address in ASCII and lower case; "" where it has none."""
    _, at, domain = address.rpartition("@")
    return (ascii_domain(domain.rstrip(".")) or "") if at else ""

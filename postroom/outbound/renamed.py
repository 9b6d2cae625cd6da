"""By which other Message-ID will recipients know a mail of ours? Some relays put their own in place of it.

Two things tell: the relay's answer to the final dot, for relays whose words we know, and a copy of our mail that
comes back, whole or in a report. Answers to that id then find their ticket, even where the signed address was lost.
Whoever names it must take part in the ticket all the same: it is no proof, as our own signed ids are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from postroom.parsers.parsed import ParsedEmail
from postroom.threading.tokens import NO_TICKET, Role, Signer

MAX_ID = 250  # characters of an id that is believed

_SES_REGION = re.compile(r"email-smtp(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com")
_SES_FIRST = "us-east-1"  # its ids end in email.amazonses.com, those of the other regions in their names


def _ses(found: re.Match[str], host: str) -> list[str]:
    """Amazon SES writes its own Message-ID over ours, made of the id in its answer and a domain for the region."""
    region = _SES_REGION.fullmatch(host.lower())
    domains = ["email"] if region is None or region[1] == _SES_FIRST else [region[1], "email"]
    return [f"{found[1]}@{domain}.amazonses.com" for domain in domains]


def _bracketed(found: re.Match[str], host: str) -> list[str]:
    return [found[1]]


ANSWERS: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str], str], list[str]]]] = (
    # 250 Ok 0100018f2c3d4e5f-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d-000000
    (re.compile(r"250 Ok ([0-9a-f]{16}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d{6})", re.IGNORECASE), _ses),
    # Exchange: 250 2.6.0 <AM0P…@AM0P….eurprd03.prod.outlook.com> [InternalId=…, Hostname=…] … Queued mail for delivery
    (re.compile(r"250 2\.6\.0 <([^<>\s@]+@[^<>\s@]+)> \[InternalId=.*"), _bracketed),
)


def by_answer(answer: str, host: str, own: str | None) -> tuple[str, ...]:
    """The Message-IDs that a relay's answer says, or lets us know, in place of `own`; `host` is the relay."""
    for pattern, ids in ANSWERS:
        if found := pattern.fullmatch(answer.strip()):
            return tuple(id_ for id_ in ids(found, host) if id_ != own and len(id_) <= MAX_ID)
    return ()


def by_report(email: ParsedEmail, own: str | None, signer: Signer) -> tuple[str, ...]:
    """The Message-ID that a report about a mail of ours found on it, where that is none of ours."""
    seen = email.bounce.original_message_id if email.bounce else None
    return (seen,) if seen and seen != own and len(seen) <= MAX_ID and not _is_signed(seen, signer) else ()


def by_copy(
    email: ParsedEmail,
    tag_of: Callable[[str], str | None],
    is_ours: Callable[[str], bool],
    signer: Signer,
    now: datetime,
) -> int | None:
    """The key of the ticket whose mail this is a copy of: from us, and answers to it go to a signed address of ours."""
    if email.message_id is None or len(email.from_) != 1 or not is_ours(email.from_[0].address):
        return None
    for reply_to in email.reply_to:
        token = signer.read_reply(tag, now) if (tag := tag_of(reply_to.address)) else None
        if token is not None and token.role is Role.CUSTOMER and token.ticket != NO_TICKET and not token.expired:
            return token.ticket
    return None


def _is_signed(message_id: str, signer: Signer) -> bool:
    return signer.read_message_id(message_id.partition("@")[0]) is not None

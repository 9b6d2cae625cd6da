"""The addresses and Message-IDs that we sign, and which addresses we may write to."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime

from postroom.threading.tokens import Link, Role, Signer

MAX_ADDRESS = 254  # octets of an address in a path (RFC 5321 §4.5.3.1.3, less the angle brackets)
MAX_LOCAL_PART = 64  # octets (RFC 5321 §4.5.3.1.1)
MAX_DOMAIN = 253  # octets
THREAD_ROOT = 0  # the nonce of a Message-ID that is never sent: the root of a ticket's thread at its agents'

# RFC 6531 §3.3 lets anything beyond ASCII in; we take letters and digits, so that nothing can be invisible
LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+")
DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*")
DOT_ATOM = re.compile(r"[^.]+(?:\.[^.]+)*")
# what may stand in a Message-ID that we name; wide enough for what is met, and no blank, bracket or control
MESSAGE_ID = re.compile(r"[^\s<>\x00-\x20\x7f-\uffff]{1,480}@[^\s<>\x00-\x20\x7f-\uffff]{1,480}")


def reply_address(
    signer: Signer, mailbox: str, ticket: int, role: Role, expires: datetime, agent: int | None = None
) -> str:
    """`local+<token>@domain`: a mail to it joins the ticket whose key is `ticket`, in that role."""
    return _tagged(mailbox, signer.reply(ticket, role, expires, agent))


def agent_address(signer: Signer, mailbox: str, ticket: int, expires: datetime, agent: int) -> str:
    """`local+<token>@domain`: that agent's mail to it is an answer to the ticket's customer."""
    return _tagged(mailbox, signer.reply(ticket, Role.AGENT, expires, agent))


def review_address(signer: Signer, mailbox: str, ticket: int, expires: datetime, agent: int) -> str:
    """`local+<token>@domain`: that agent's mail to it stays at the desk, but for what its commands order."""
    return _tagged(mailbox, signer.review(ticket, expires, agent))


def link_address(signer: Signer, mailbox: str, ticket: int, link: Link, expires: datetime) -> str:
    """`local+<token>@domain`: whoever writes to it says what `link` says."""
    return _tagged(mailbox, signer.link(ticket, link, expires))


def bounce_address(signer: Signer, mailbox: str, delivery: int) -> str:
    """`local+<token>@domain`: the envelope sender of the delivery with that key."""
    return _tagged(mailbox, signer.bounce(delivery))


def message_id(signer: Signer, mailbox: str, ticket: int, nonce: int) -> str:
    """A Message-ID of ours, bare, about the ticket of that key; its left side is the token itself. `nonce` has 32 bits."""
    return f"{signer.message_id(ticket, nonce)}@{domain_of(mailbox)}"


def domain_of(address: str) -> str:
    """The domain of an address, in lower case."""
    return address.rpartition("@")[2].lower()


def is_sendable(address: str) -> bool:
    """Whether mail can be sent to that addr-spec as it stands.

    Narrower than RFC 5322 §3.4.1: no quoted local part, no comment, no domain literal, nothing that begins an
    encoded word (some programs decode it). Those are met in attacks, hardly ever in mail.
    """
    local, at, domain = address.rpartition("@")
    return bool(
        at
        and LOCAL_PART.fullmatch(local)
        and "=?" not in local
        and DOMAIN.fullmatch(domain)
        and len(local.encode()) <= MAX_LOCAL_PART
        and len(domain.encode()) <= MAX_DOMAIN
        and len(address.encode()) <= MAX_ADDRESS
    )


def as_written(address: str) -> str:
    """The address as it stands in a header or an envelope.

    Dots where no atom may have them are quoted; a domain that is not ASCII is in its ASCII form (RFC 5891)
    where the local part can do without SMTPUTF8.
    """
    local, _, domain = address.rpartition("@")
    if local.isascii() and not domain.isascii():
        with suppress(UnicodeError):
            domain = domain.encode("idna").decode("ascii")
    return f"{local}@{domain}" if DOT_ATOM.fullmatch(local) else f'"{local}"@{domain}'


def is_message_id(text: str) -> bool:
    """Whether a bare Message-ID can stand in a header of ours."""
    return bool(MESSAGE_ID.fullmatch(text))


def _tagged(mailbox: str, token: str) -> str:
    local, _, domain = mailbox.rpartition("@")
    return f"{local}+{token}@{domain.lower()}"

"""Signed tokens: what makes one of our addresses or Message-IDs unforgeable.

A token is a few octets that say what it is for, and the first 128 bits of their HMAC-SHA256, in
lower-case base32: it survives mail systems that change an address's case, and with the mailbox's own
local part it stays within the 64 octets that RFC 5321 §4.5.3.1.1 allows. A token of one purpose or
role never passes as another: both are signed.

The first key signs, every key verifies, so a key is changed by putting a new one in front.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b32decode, b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

MAC_SIZE = 16  # octets: 128 bits
DAY = 86_400  # seconds
REPLY = struct.Struct(">B6sH3s")  # purpose and role or answer, ticket key, day of expiry, agent or nonce
MESSAGE = struct.Struct(">B6sI")  # purpose, ticket key, nonce
DELIVERY = struct.Struct(">BQ")  # purpose, delivery key
NO_TICKET = 0  # in an agent's own address, which belongs to no ticket; no ticket has this key


class Purpose(IntEnum):
    """What a token is for."""

    REPLY = 1  # an address to reply to
    MESSAGE_ID = 2  # the left side of one of our Message-IDs
    BOUNCE = 3  # an envelope sender
    LINK = 4  # an address that says something by itself: a link in a mail to a customer
    REVIEW = 5  # an agent's address, of which nothing goes on to the customer


class Role(IntEnum):
    """Who a token was given to."""

    CUSTOMER = 1
    AGENT = 2


class Says(IntEnum):
    """What a customer says by writing to a link's address."""

    SOLVED = 1
    NOT_SOLVED = 2
    RATED_1 = 3
    RATED_2 = 4
    RATED_3 = 5
    RATED_4 = 6
    RATED_5 = 7

    @property
    def rating(self) -> int | None:
        """1 to 5; None for what is no rating."""
        return self - Says.RATED_1 + 1 if self >= Says.RATED_1 else None


@dataclass(frozen=True, slots=True)
class Link:
    """What a link's address says, and of which question; that it counts is not yet said."""

    says: Says
    nonce: int


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """What a signed reply address proves: its holder was given it for this ticket, in this role."""

    ticket: int  # its key; NO_TICKET in an agent's own address
    role: Role
    agent: int | None  # the agent's id, for an agent's token
    expires: datetime
    expired: bool
    link: Link | None = None  # of a customer's token, where its address says something by itself
    is_internal: bool = False  # an agent's, of which nothing goes on to the customer


class Signer:
    """Makes and checks tokens with the house's keys. Tokens and keys are never logged."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: the newest first, each of at least 16 octets."""
        if not keys or any(len(key) < MAC_SIZE for key in keys):
            raise ValueError("a signing key has at least 16 octets")
        self._keys = tuple(keys)

    def reply(self, ticket: int, role: Role, expires: datetime, agent: int | None = None) -> str:
        """A token for an address to reply to, by the ticket's key; `agent` is the agent's id and belongs to Role.AGENT alone."""
        if (role is Role.AGENT) != (agent is not None):
            raise ValueError("an agent's token names an agent, a customer's none")
        day = int(expires.timestamp()) // DAY
        return self._sign(REPLY.pack(Purpose.REPLY << 4 | role, ticket.to_bytes(6), day, (agent or 0).to_bytes(3)))

    def link(self, ticket: int, link: Link, expires: datetime) -> str:
        """A customer's token whose address says `link` by itself; `expires` is when it leads to its ticket no more."""
        day = int(expires.timestamp()) // DAY
        return self._sign(REPLY.pack(Purpose.LINK << 4 | link.says, ticket.to_bytes(6), day, link.nonce.to_bytes(3)))

    def review(self, ticket: int, expires: datetime, agent: int) -> str:
        """An agent's token like that of `reply`, but nothing of what is sent there goes on to the customer."""
        day = int(expires.timestamp()) // DAY
        return self._sign(REPLY.pack(Purpose.REVIEW << 4 | Role.AGENT, ticket.to_bytes(6), day, agent.to_bytes(3)))

    def read_reply(self, token: str, now: datetime) -> ReplyToken | None:
        """What a reply token, a link or a review token proves, or None for anything that we did not sign as one."""
        payload = self._verified(token, REPLY.size)
        if payload is None or payload[0] >> 4 not in (Purpose.REPLY, Purpose.LINK, Purpose.REVIEW):
            return None
        head, ticket, day, last = REPLY.unpack(payload)
        purpose, kind, number = Purpose(head >> 4), head & 15, int.from_bytes(last)
        link = Link(Says(kind), number) if purpose is Purpose.LINK else None
        role = Role.CUSTOMER if link else Role(kind)
        expires = datetime.fromtimestamp((day + 1) * DAY, UTC)
        agent = number if role is Role.AGENT else None
        return ReplyToken(
            int.from_bytes(ticket), role, agent, expires, now >= expires, link, purpose is Purpose.REVIEW
        )  # fmt: skip

    def message_id(self, ticket: int, nonce: int) -> str:
        """The left side of a Message-ID of ours, by the ticket's key; `nonce` (32 bits) makes it unique within the ticket."""
        return self._sign(MESSAGE.pack(Purpose.MESSAGE_ID << 4, ticket.to_bytes(6), nonce))

    def read_message_id(self, left: str) -> int | None:
        """The key of the ticket that one of our Message-IDs names, or None for any other Message-ID."""
        payload = self._verified(left, MESSAGE.size)
        if payload is None or payload[0] != Purpose.MESSAGE_ID << 4:
            return None
        return int.from_bytes(MESSAGE.unpack(payload)[1])

    def bounce(self, delivery: int) -> str:
        """A token for the envelope sender of a delivery, by its key (63 bits)."""
        return self._sign(DELIVERY.pack(Purpose.BOUNCE << 4, delivery))

    def read_bounce(self, token: str) -> int | None:
        """The key of the delivery that a bounce address names, or None."""
        payload = self._verified(token, DELIVERY.size)
        if payload is None or payload[0] != Purpose.BOUNCE << 4:
            return None
        return int(DELIVERY.unpack(payload)[1])

    def _sign(self, payload: bytes) -> str:
        return b32encode(payload + _mac(self._keys[0], payload)).decode("ascii").rstrip("=").lower()

    def _verified(self, token: str, size: int) -> bytes | None:
        if len(token.rstrip("=")) != _length(size) or not token.isascii():  # as others' Message-IDs are
            return None
        try:
            octets = b32decode(token.upper() + "=" * (-len(token) % 8))
        except ValueError:
            return None
        payload, mac = octets[:size], octets[size:]
        # every key is tried, in constant time: how long a check takes says nothing
        good = [hmac.compare_digest(_mac(key, payload), mac) for key in self._keys]
        return payload if len(octets) == size + MAC_SIZE and any(good) else None


def _length(size: int) -> int:
    """Of a token whose payload has `size` octets: five bits a character, the last one filled up."""
    return ((size + MAC_SIZE) * 8 + 4) // 5


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.new(key, payload, hashlib.sha256).digest()[:MAC_SIZE]

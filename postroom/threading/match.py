"""What the search for a ticket asks, and what it answers: values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from postroom.threading.tokens import ReplyToken


class Index(Protocol):
    """What the rules ask of the store. Ticket ids are those that merges lead to."""

    def by_refs(self, refs: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """For each known Message-ID the tickets that it points to: (ticket id, `message` or `reference`)."""
        ...

    def by_key(self, key: int) -> tuple[int, str] | None:
        """The ticket that a token of ours names: its id, and its own reference."""
        ...

    def by_number(self, number: int) -> int | None:
        """The ticket of that number."""
        ...

    def by_subject(self, subject: str, requester: str, since: datetime) -> list[int]:
        """Unresolved tickets of that requester and normalised subject, touched since then."""
        ...

    def taking_part(self, ticket_ids: Sequence[int], address: str) -> set[int]:
        """Those of the tickets of which the address (lower case) is a participant."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What the rules need to know beside the message itself."""

    author: str  # the address that wrote it, lower case; "" is nobody that we can name
    tokens: tuple[ReplyToken, ...]  # of the addresses that it was sent to, good ones only, the best first
    own_ids: dict[str, int]  # those of its references that we signed -> ticket key
    tags: tuple[int, ...]  # ticket numbers that its subject names
    subject: str  # normalised
    is_reply: bool  # the subject has a reply prefix
    now: datetime
    archive: bool = False  # history: an archive's own threads are trusted


class Outcome(StrEnum):
    """How a rule ended."""

    HELD = "held"
    NOT = "did not hold"
    REFUSED = "refused"  # it points to a ticket, but the author has no right to use it


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule, tried: what came of it, and the evidence."""

    rule: str
    outcome: Outcome
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)
    tickets: tuple[int, ...] = ()  # the first is the one; others are joined by the same evidence
    token: ReplyToken | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """The ticket that a message belongs to, with every rule that was tried; None: it opens one."""

    ticket: int | None
    rule: str | None
    tried: tuple[Finding, ...]
    token: ReplyToken | None = None
    also: tuple[int, ...] = ()  # further tickets that the same evidence joins
    refused: tuple[int, ...] = ()  # tickets that a rule named without the right to use it

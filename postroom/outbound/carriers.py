"""What carries a mail: the contract between the courier and its Maildir or smarthost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from postroom.errors import TemporaryFailure
from postroom.store.outbox import Claimed


class NotOpen(TemporaryFailure):
    """Nobody is there who takes mail from us: a server that is down or refuses us, a full disk. No mail's fault."""


class Broken(TemporaryFailure):
    """The connection is of no more use, and the mail was not taken."""


class InDoubt(TemporaryFailure):
    """The peer may have taken the mail: the connection ended, or it fell silent, after the final dot was written."""


class LeaseLost(TemporaryFailure):
    """Another daemon took this delivery over: it is not ours to send any more."""


class Carrier(Protocol):
    """Takes one mail to where it goes next."""

    connections: int  # how many mails it carries at the same time

    async def carry(self, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        """Carry one mail; the peer's answer, in words.

        `before_dot` is awaited before the peer can have taken it: it returns once that is committed.
        Raises PermanentFailure, TemporaryFailure, NotOpen or InDoubt; any other error counts as temporary.
        """

    async def close(self) -> None:
        """Let go of every connection."""

"""What the checks of a sender ask of the DNS: a few questions, within a time that ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from postroom.errors import TemporaryFailure

QUESTIONS_MAX = 60  # of one message; SPF alone may rightly ask some forty (RFC 7208 §4.6.4)


class DnsFailure(TemporaryFailure):
    """The DNS did not answer, or not in time: nothing is known."""


class Dns(Protocol):
    """Answers one question: the records' values, none where the name or its records do not exist.

    `kind` is TXT (its strings joined, one character an octet), A, AAAA, MX (the hosts) or PTR. Raises DnsFailure
    where nothing can be said within `seconds`.
    """

    def __call__(self, name: str, kind: str, seconds: float) -> tuple[str, ...]: ...


class Asking:
    """The questions of one message: all of them share its time, and there are not more than so many."""

    def __init__(self, dns: Dns, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._dns, self._clock = dns, clock
        self._until = clock() + seconds
        self._asked = 0

    @property
    def left(self) -> float:
        """Seconds that are left; never negative."""
        return max(self._until - self._clock(), 0.0)

    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        """The records' values; raises DnsFailure, also when time or questions have run out."""
        self._asked += 1
        if self._asked > QUESTIONS_MAX:
            raise DnsFailure(f"more than {QUESTIONS_MAX} questions to the DNS")
        if not self.left:
            raise DnsFailure("the time for this message's checks is over")
        return self._dns(name, kind, self.left)

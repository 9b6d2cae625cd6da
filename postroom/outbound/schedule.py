"""When is a delivery tried again, when is it given up, and how many may go out in a while?"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from postroom.config import Outgoing
from postroom.store.counters import HOUR
from postroom.store.rates import MINUTE, Rate

JITTER = 0.25  # of a delay, more or less: mails that failed together are not all tried again together


def delay_after(attempts: int, settings: Outgoing) -> timedelta:
    """How long to wait after that many attempts, before jitter: doubled each time, up to the longest."""
    doublings = min(attempts - 1, 40)
    return timedelta(seconds=min(settings.retry_first_seconds * 2**doublings, settings.retry_max_seconds))


def is_given_up(attempts: int, settings: Outgoing) -> bool:
    """Whether that many attempts have filled the days for which mail is tried.

    Counted by attempts, not by the clock: neither a clock that was set nor a daemon that was down gives mail up.
    """
    seconds, longest, waited = settings.retry_days * 86_400, settings.retry_max_seconds, 0.0
    for attempt in range(1, attempts + 1):
        delay = delay_after(attempt, settings).total_seconds()
        if delay >= longest:
            return waited + (attempts - attempt + 1) * longest > seconds
        waited += delay
    return waited > seconds


def jittered(delay: timedelta, random: Random) -> timedelta:
    """The delay, a little longer or shorter."""
    return delay * random.uniform(1 - JITTER, 1 + JITTER)


def rates_of(settings: Outgoing) -> tuple[Rate, ...]:
    """How many mails may go out; none where nothing is limited."""
    wanted = (
        Rate(settings.per_minute, MINUTE, per_domain=False), Rate(settings.per_hour, HOUR, per_domain=False),
        Rate(settings.domain_per_minute, MINUTE, per_domain=True), Rate(settings.domain_per_hour, HOUR, per_domain=True),
    )  # fmt: skip
    return tuple(rate for rate in wanted if rate.most)

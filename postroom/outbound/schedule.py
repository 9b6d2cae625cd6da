"""When is a delivery tried again, and when is it given up?"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from postroom.config import Outgoing

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

"""The breaker of automatic mail: the operator is told once that it opened, and once that it has stayed closed.

It opens where the limit for all in an hour is reached (`answers.all_hour`), and closes by itself as the hour ends. Under a flood it
opens anew each hour: that is one story, which ends when a whole hour passed without. Its state is a row among the
counters, so that of several daemons one tells.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import Connection

from postroom.outbound.to_operator import tell_operator
from postroom.outbound.told import Post
from postroom.store import counters
from postroom.store.counters import HOUR

TOLD = "breaker-told"  # its window is the hour in which it was last open
OPENED = "No automatic answers go out until {until}"
OPENED_TEXT = """\
{most} automatic mails went out to all senders within this hour, which is the limit (answers.all_hour).
Until {until} none goes out; what came is taken in and becomes tickets, and people's answers are sent.

A flood of forged mail, or two machines that answer each other, looks like this:
  postroom outbox list --state suppressed --limit 50
  postroom inbound list --limit 50
"""
CLOSED = "Automatic answers go out again"
CLOSED_TEXT = """\
For an hour the limit of automatic mail (answers.all_hour) has not been reached. What was not answered meanwhile stays so:
  postroom outbox list --state suppressed
"""

log = structlog.get_logger("outbound")


def opened(post: Post, connection: Connection, most: int, hour: datetime) -> None:
    """The limit of that hour was passed just now: the operator is told, unless he knows."""
    until = hour + HOUR
    log.error("breaker opened", answers=most, until=str(until))
    if counters.move(connection, TOLD, hour):
        return
    at = f"{until:%H:%M} UTC"
    tell_operator(post, connection, OPENED.format(until=at), OPENED_TEXT.format(most=most, until=at))


def look(post: Post, connection: Connection, now: datetime) -> bool:
    """Tell the operator that it has stayed closed for an hour, where he knows that it was open; whether he was told."""
    if not counters.drop(connection, TOLD, now - 2 * HOUR):
        return False
    log.info("breaker closed")
    return tell_operator(post, connection, CLOSED, CLOSED_TEXT)

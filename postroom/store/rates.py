"""How many mails may go out within a window of time: counted in the claim's transaction, so that daemons share it.

What is over a rate is put off to the window in which its turn comes by today's queue, so that a long queue is not looked
at again and again. Windows are those of `counters`; around the end of one, twice its mails can go out in its length.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, update

from postroom.store.counters import HOUR, window_of
from postroom.store.engine import insert
from postroom.store.tables import Counter, Delivery

MINUTE = timedelta(minutes=1)
WORDS = {MINUTE: "a minute", HOUR: "an hour"}
Key = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` mails in each window; to all together, or to each domain."""

    most: int
    window: timedelta
    per_domain: bool

    def key(self, recipient: str, now: datetime) -> Key:
        """The counter that a mail to that recipient counts on."""
        whom = recipient.rpartition("@")[2].lower() if self.per_domain else ""
        return f"out-{WORDS[self.window].split()[-1]}:{whom}", window_of(now, self.window)

    def reason(self, recipient: str) -> str:
        """Why a mail waits."""
        whom = f" to {recipient.rpartition('@')[2].lower()}" if self.per_domain else ""
        return f"waits for its turn: at most {self.most} mails {WORDS[self.window]}{whom}"


def within(connection: Connection, rows: Sequence[Any], rates: Sequence[Rate], now: datetime) -> list[Any]:
    """Those of these deliveries (`id`, `recipient`) that may go out now; the others are put off."""
    if not rows:
        return []
    asked = Multiset(key for row in rows for key in (rate.key(row.recipient, now) for rate in rates))
    before = _count(connection, asked)
    allowed: list[Any] = []
    put_off: list[dict[str, Any]] = []
    used: Multiset[Key] = Multiset()
    for row in rows:
        over = next(_over(row, rates, before, used, now), None)
        if over is None:
            allowed.append(row)
            used.update(rate.key(row.recipient, now) for rate in rates)
            continue
        rate, place = over
        used[rate.key(row.recipient, now)] += 1  # it keeps its place in the queue of what is over
        turn = window_of(now, rate.window) + rate.window * (1 + place // rate.most)
        put_off.append({"row_id": row.id, "turn": turn, "why": rate.reason(row.recipient)})
    if unused := asked - used:
        connection.execute(_give_back, [{"row_scope": s, "row_window": w, "times": n} for (s, w), n in unused.items()])
    if put_off:
        connection.execute(_put_off, put_off)
    return allowed


def _over(
    row: Any, rates: Sequence[Rate], before: dict[Key, int], used: Multiset[Key], now: datetime
) -> Iterator[tuple[Rate, int]]:
    """Each rate that a mail is over, with how many wait before it."""
    for rate in rates:
        key = rate.key(row.recipient, now)
        place = before[key] + used[key] - rate.most
        if place >= 0:
            yield rate, place


def _count(connection: Connection, asked: Multiset[Key]) -> dict[Key, int]:
    """Add these to their counters; what those said before. In one order, so that daemons cannot lock each other out."""
    statement = insert(connection, Counter).values(
        [{"scope": scope, "window": window, "count": times} for (scope, window), times in sorted(asked.items())]
    )
    added = statement.on_conflict_do_update(
        index_elements=["scope", "window"], set_={"count": Counter.count + statement.excluded.count}
    ).returning(Counter.scope, Counter.window, Counter.count)
    counts = {(scope, window): count for scope, window, count in connection.execute(added)}
    return {key: counts[key] - times for key, times in asked.items()}


_give_back = (
    update(Counter)
    .where(Counter.scope == bindparam("row_scope"), Counter.window == bindparam("row_window"))
    .values(count=Counter.count - bindparam("times"))
)
_put_off = (
    update(Delivery)
    .where(Delivery.__table__.c.id == bindparam("row_id"))
    .values(next_attempt_at=bindparam("turn"), reason=bindparam("why"))
)

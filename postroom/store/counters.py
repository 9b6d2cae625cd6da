"""How often something happened in a window of time, counted in the transaction that it limits.

One UPSERT takes every counter at once; what a limit refuses gives the others back. The caller's transaction
holds the counters' rows, so daemons cannot race, and a rollback has counted nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from sqlalchemy import Connection, bindparam, delete, select, text, update

from postroom.store.prepared import Prepared
from postroom.store.tables import Counter, Utc

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEPT = timedelta(days=2)  # windows older than this count for nothing


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` times in each window of that length."""

    scope: str  # "sender-hour:ann@example.org"
    window: timedelta
    most: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that forbids, and how often it was asked in this window."""

    limit: Limit
    count: int


def take(connection: Connection, limits: Sequence[Limit], now: datetime) -> Reached | None:
    """Count one of each, or nothing; the first limit that forbids it, None where all allow it.

    The limit that forbids keeps counting, so that its count says how much was refused. The last limit's row is
    taken first: where it is one for all, transactions queue up on it and cannot lock each other out.
    """
    rows = [(limit.scope, window_of(now, limit.window)) for limit in reversed(limits)]
    counts = _upsert(len(rows)).all(connection, _parameters(rows))
    taken = {(row.scope, row.window): int(row.times) for row in counts}
    for limit in limits:
        count = taken[limit.scope, window_of(now, limit.window)]
        if count > limit.most:
            others = [row for row, other in zip(rows, reversed(limits), strict=True) if other is not limit]
            if others:
                connection.execute(_give_back, [{"row_scope": scope, "row_window": window} for scope, window in others])
            return Reached(limit, count)
    return None


def count(connection: Connection, scope: str, window: timedelta, now: datetime) -> int:
    """How often it was counted in the window that `now` is in."""
    query = select(Counter.count).where(Counter.scope == scope, Counter.window == window_of(now, window))
    return connection.execute(query).scalar_one_or_none() or 0


def purge(connection: Connection, now: datetime) -> int:
    """Drop the windows that count for nothing any more; how many."""
    return connection.execute(delete(Counter).where(Counter.window < now - KEPT)).rowcount


def window_of(now: datetime, window: timedelta) -> datetime:
    """When the window that `now` is in began: windows are counted from midnight UTC of 1 January 1970."""
    seconds = window.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)


_give_back = (
    update(Counter)
    .where(Counter.scope == bindparam("row_scope"), Counter.window == bindparam("row_window"))
    .values(count=Counter.count - 1)
)


@cache
def _upsert(rows: int) -> Prepared:
    """Written out, because SQLAlchemy compiles an INSERT of several rows anew each time."""
    values = ", ".join(f"(:scope{n}, :window{n}, 1)" for n in range(rows))
    statement = (
        f'INSERT INTO counter (scope, "window", "count") VALUES {values} '  # noqa: S608 (only numbers go in)
        'ON CONFLICT (scope, "window") DO UPDATE SET "count" = counter."count" + 1 '
        'RETURNING scope, "window", "count" AS times'
    )
    return Prepared(
        text(statement)
        .bindparams(*(bindparam(f"window{n}", type_=Utc) for n in range(rows)))
        .columns(scope=Counter.scope.type, window=Utc(), times=Counter.count.type)
    )


def _parameters(rows: Sequence[tuple[str, datetime]]) -> dict[str, str | datetime]:
    parameters: dict[str, str | datetime] = {}
    for n, (scope, window) in enumerate(rows):
        parameters[f"scope{n}"], parameters[f"window{n}"] = scope, window
    return parameters

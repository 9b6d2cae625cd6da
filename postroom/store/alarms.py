"""Which alarms are raised? One row for each, over all daemons and restarts, so that each is told once, and its end once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from postroom.store.engine import insert_new
from postroom.store.tables import Alarm


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that is new, or over."""

    name: str
    words: str
    since: datetime
    is_over: bool


def follow(connection: Connection, raised: Mapping[str, str], now: datetime, steady: timedelta) -> list[Change]:
    """Bring the rows up to what is `raised` now (name: words); what is new, and what has been well for as long as `steady`.

    The caller's transaction has to be one that writes alone, and tells of the changes in it: then each is told once.
    """
    known = {row.name: row for row in connection.execute(select(Alarm.__table__))}
    changes = []
    for name, words in raised.items():
        row = known.get(name)
        if row is None:
            connection.execute(insert_new(connection, Alarm), {"name": name, "words": words, "since": now})
            changes.append(Change(name, words, now, is_over=False))
        elif row.well_since is not None or row.words != words:
            connection.execute(update(Alarm).where(Alarm.name == name).values(well_since=None, words=words))
    for name, row in known.items():
        if name in raised:
            continue
        if row.well_since is None or row.well_since > now:  # a clock that went back begins anew
            connection.execute(update(Alarm).where(Alarm.name == name).values(well_since=now))
        elif now - row.well_since >= steady:
            connection.execute(delete(Alarm).where(Alarm.name == name))
            changes.append(Change(name, row.words, row.since, is_over=True))
    return changes


def standing(connection: Connection) -> list[Change]:
    """Every alarm that is raised, the oldest first."""
    rows = connection.execute(select(Alarm.__table__).order_by(Alarm.since, Alarm.name))
    return [Change(row.name, row.words, row.since, is_over=False) for row in rows]

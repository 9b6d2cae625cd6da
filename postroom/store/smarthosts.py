"""How each smarthost fares: since when it does not answer, why, and when it is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from postroom.store.engine import insert
from postroom.store.tables import SmarthostState


def note_failure(connection: Connection, name: str, at: datetime, error: str, next_probe_at: datetime) -> None:
    """It could not be used; the first of a row of failures says since when."""
    statement = insert(connection, SmarthostState).values(
        name=name, failing_since=at, last_error=error, next_probe_at=next_probe_at
    )
    since = func.coalesce(SmarthostState.failing_since, statement.excluded.failing_since)
    changed = {"failing_since": since, "last_error": error, "next_probe_at": next_probe_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))


def note_success(connection: Connection, name: str, at: datetime) -> None:
    """It is there, or there again."""
    values = {"failing_since": None, "last_error": None, "next_probe_at": None, "last_success_at": at}
    statement = insert(connection, SmarthostState).values(name=name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def states(connection: Connection) -> Sequence[Row[Any]]:
    """How every smarthost fares that was ever in trouble, by its name."""
    return connection.execute(select(SmarthostState.__table__).order_by(SmarthostState.name)).all()

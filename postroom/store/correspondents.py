"""Whom we write to: the language of each, and whether our automatic mail to them is held, and why.

Most addresses have no row: it is made when something is known. Every write is one statement that makes the row or
changes it, so it does not matter who was first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, or_, select, update

from postroom.store.engine import insert
from postroom.store.tables import Correspondent

_one = select(Correspondent.__table__).where(Correspondent.address == bindparam("address"))


def get(connection: Connection, address: str) -> Row[Any] | None:
    """What is known of an address; None where nothing is."""
    return connection.execute(_one, {"address": address.lower()}).one_or_none()


def set_language(connection: Connection, address: str, language: str | None, now: datetime) -> None:
    """Keep the language in which he is written to; None forgets it."""
    _put(connection, address, {"language": language, "updated_at": now})


def count_bounce(connection: Connection, address: str, now: datetime, within: timedelta) -> int:
    """Count a hard bounce of a mail to that address; how many there were since the first one, within that time."""
    c = Correspondent
    stale = or_(c.bounces_since.is_(None), c.bounces_since < now - within)
    counted = {
        "hard_bounces": case((stale, 1), else_=c.hard_bounces + 1),
        "bounces_since": case((stale, now), else_=c.bounces_since), "updated_at": now,
    }  # fmt: skip
    first = {"address": address.lower(), "hard_bounces": 1, "bounces_since": now, "updated_at": now}
    statement = insert(connection, c).values(first).on_conflict_do_update(index_elements=["address"], set_=counted)
    return int(connection.execute(statement.returning(c.hard_bounces)).scalar_one())


def hold(connection: Connection, address: str, why: str, now: datetime) -> None:
    """Send no more automatic mail there, until somebody is heard from it: what we send comes back."""
    _put(connection, address, {"held_at": now, "held_why": why, "updated_at": now})


def complain(connection: Connection, address: str, why: str, now: datetime) -> None:
    """Send no more automatic mail there, until an operator releases it: its owner does not want it."""
    _put(connection, address, {"complained_at": now, "complained_why": why, "updated_at": now})


def heard(connection: Connection, address: str, now: datetime, proven: bool) -> None:
    """End a hold because mail came from there; what is proven ends its bounces too, what is not is trusted once in a while."""
    c = Correspondent
    values: dict[str, Any] = {"held_at": None, "held_why": None, "updated_at": now}
    values |= {"hard_bounces": 0, "bounces_since": None, "trusted_at": None} if proven else {"trusted_at": now}
    connection.execute(update(c).where(c.address == address.lower()).values(values))


def release(connection: Connection, address: str, now: datetime) -> bool:
    """Forget every bounce and complaint, because a person says so; False where the address was not held."""
    c = Correspondent
    held = or_(c.held_at.is_not(None), c.complained_at.is_not(None))
    nothing = {
        "hard_bounces": 0, "bounces_since": None, "held_at": None, "held_why": None, "trusted_at": None,
        "complained_at": None, "complained_why": None, "updated_at": now,
    }  # fmt: skip
    return bool(connection.execute(update(c).where(c.address == address.lower(), held).values(nothing)).rowcount)


def held(connection: Connection) -> Sequence[Row[Any]]:
    """The addresses to which no automatic mail goes, by name."""
    c = Correspondent
    query = select(c.__table__).where(or_(c.held_at.is_not(None), c.complained_at.is_not(None))).order_by(c.address)
    return connection.execute(query).all()


def _put(connection: Connection, address: str, values: dict[str, Any]) -> None:
    statement = insert(connection, Correspondent).values({"address": address.lower(), "hard_bounces": 0, **values})
    connection.execute(statement.on_conflict_do_update(index_elements=["address"], set_=values))

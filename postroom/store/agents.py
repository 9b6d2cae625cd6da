"""Those who answer: from the configuration, or added from the command line.

An agent's id is signed into the addresses that his notices come from. So a row is never deleted and its id never
given to another: who is removed becomes inactive, and is the same agent should he come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from postroom.config import Config
from postroom.store.engine import insert
from postroom.store.tables import Agent, Ticket


@dataclass(frozen=True, slots=True)
class NewAgent:
    """An agent as he is to stand in the table."""

    name: str
    title: str  # as customers read it
    address: str  # lower case
    queues: tuple[str, ...]
    source: str  # config, cli


def configured(config: Config) -> list[NewAgent]:
    """The agents that the configuration names, each with the queues that name him."""
    return [
        NewAgent(
            name, agent.name or name, agent.address.lower(),
            tuple(sorted(queue for queue, its in config.queue.items() if name in its.agents)), "config",
        )
        for name, agent in config.agent.items()
    ]  # fmt: skip


def in_sync(connection: Connection, config: Config) -> bool:
    """Whether the table says of the configuration's agents what the configuration says."""
    return not _changes(everyone(connection), configured(config))


def sync_agents(connection: Connection, config: Config) -> None:
    """Bring the table up to what the configuration says; who was removed there becomes inactive.

    An agent is the same one by his name, or else by his address (he was renamed). Agents of the command line
    stay as they are, unless the configuration names them.
    """
    rows = everyone(connection)
    _write(connection, rows, _changes(rows, configured(config)))


def add(connection: Connection, agent: NewAgent) -> int:
    """Add an agent, or bring one back; his id."""
    rows = everyone(connection)
    _write(connection, rows, _matched(rows, [agent]))
    return int(connection.execute(select(Agent.id).where(Agent.name == agent.name)).scalar_one())


def remove(connection: Connection, id_: int) -> None:
    """Make an agent inactive: he is told nothing more, and nothing is taken in his name."""
    connection.execute(update(Agent).where(Agent.id == id_).values(active=False))


def everyone(connection: Connection) -> Sequence[Row[Any]]:
    """Every agent that there ever was, by name."""
    return connection.execute(select(Agent.__table__).order_by(Agent.name)).all()


def find(connection: Connection, who: str, removed: bool = False) -> Row[Any] | None:
    """The agent of that name or address, in any case; with `removed`, one who is no longer active, too."""
    query = select(Agent.__table__).where((Agent.name == who.lower()) | (Agent.address == who.lower()))
    return connection.execute(query if removed else query.where(Agent.active)).one_or_none()


def names(connection: Connection) -> dict[int, str]:
    """The name of every agent, by id."""
    return {row.id: row.name for row in connection.execute(select(Agent.id, Agent.name))}


def unresolved(connection: Connection, id_: int) -> int:
    """How many unresolved tickets an agent has."""
    live = (
        Ticket.closed_at.is_(None),
        Ticket.status.not_in(("resolved", "closed")),
    )  # the first is what an index serves
    mine = select(func.count()).where(Ticket.assigned_to == id_, *live)
    return int(connection.execute(mine).scalar_one())


Change = tuple[int | None, dict[str, Any]]  # the row, or None for a new one, and what its columns are to be


def _changes(rows: Sequence[Row[Any]], wanted: Sequence[NewAgent]) -> list[Change]:
    """What differs between the table and the configuration."""
    changes = _matched(rows, wanted)
    kept = {id_ for id_, _ in changes}
    gone = [row for row in rows if row.source == "config" and row.active and row.id not in kept]
    changes += [(row.id, {"active": False}) for row in gone]
    before = {row.id: row for row in rows}
    return [
        (id_, new) for id_, new in changes if id_ is None or any(getattr(before[id_], c) != v for c, v in new.items())
    ]


def _matched(rows: Sequence[Row[Any]], wanted: Sequence[NewAgent]) -> list[Change]:
    by_name = {row.name: row.id for row in rows}
    by_address = {row.address: row.id for row in rows}
    taken = {by_name[agent.name] for agent in wanted if agent.name in by_name}
    changes: list[Change] = []
    for agent in wanted:
        id_ = by_name.get(agent.name)
        if id_ is None and (renamed := by_address.get(agent.address)) not in taken:
            id_ = renamed
        columns = {"name": agent.name, "title": agent.title, "address": agent.address}
        changes.append((id_, {**columns, "queues": list(agent.queues), "source": agent.source, "active": True}))
    return changes


def _write(connection: Connection, rows: Sequence[Row[Any]], changes: Sequence[Change]) -> None:
    """Apply changes; addresses that change hands are freed first, since no two rows may have one."""
    new_addresses = {columns["address"]: id_ for id_, columns in changes if "address" in columns}
    for row in rows:
        if new_addresses.get(row.address, row.id) != row.id:
            freed = f"{row.address} (agent {row.id}, until then)"
            connection.execute(update(Agent).where(Agent.id == row.id).values(address=freed))
    for id_, columns in changes:
        if id_ is not None:
            connection.execute(update(Agent).where(Agent.id == id_).values(columns))
    new = [columns for id_, columns in changes if id_ is None]
    if new:
        connection.execute(insert(connection, Agent), new)

"""Whose turn is it? The agents of a queue, how much each has, and who was given the last ticket.

`take_turn` locks the queue's row until the transaction ends: of two daemons that assign, one waits and then sees
what the other has done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from postroom.store.engine import insert
from postroom.store.tables import Agent, Ticket
from postroom.store.tables import Sequence as SequenceTable

NOBODY = 0  # as the agent who was given the last ticket


def active(connection: Connection) -> Sequence[Row[Any]]:
    """Everyone who answers now, by id: id, name, address, queues."""
    query = select(Agent.id, Agent.name, Agent.address, Agent.queues).where(Agent.active).order_by(Agent.id)
    rows: Sequence[Row[Any]] = connection.execute(query).all()
    return rows


def take_turn(connection: Connection, queue: str) -> int:
    """The id of the agent who was given the queue's last ticket, or NOBODY; locked until the transaction ends."""
    start = insert(connection, SequenceTable).values(name=_turn(queue), value=NOBODY)
    same = {"value": SequenceTable.value}
    return int(
        connection.execute(
            start.on_conflict_do_update(index_elements=["name"], set_=same).returning(SequenceTable.value)
        ).scalar_one()
    )


def end_turn(connection: Connection, queue: str, agent_id: int) -> None:
    """Remember who was given the queue's last ticket."""
    connection.execute(update(SequenceTable).where(SequenceTable.name == _turn(queue)).values(value=agent_id))


def loads(connection: Connection, agents: Collection[int], done: Collection[str]) -> dict[int, int]:
    """How many tickets each of these agents has; those in a status of `done` do not count."""
    live = (Ticket.closed_at.is_(None), Ticket.status.not_in(done), Ticket.merged_into.is_(None))
    query = select(Ticket.assigned_to, func.count()).where(Ticket.assigned_to.in_(agents), *live)
    query = query.group_by(Ticket.assigned_to)
    found = {id_: int(count) for id_, count in connection.execute(query)}
    return {id_: found.get(id_, 0) for id_ in agents}


def _turn(queue: str) -> str:
    return f"turn:{queue}"

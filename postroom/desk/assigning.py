"""Who gets a new ticket? One agent by name, the queue's next one in turn, or the one who has the least to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from postroom.store import assigning


@dataclass(frozen=True, slots=True)
class Choice:
    """The agent who gets it, and why he."""

    agent_id: int
    name: str
    why: str


def choose(connection: Connection, queue: str, how: str, requester: str, done: Collection[str]) -> Choice | None:
    """Who gets a ticket of `queue`, as the configuration's `assign` says it; None where nobody can.

    Who was removed gets none, and nobody a ticket of his own asking. `done`: the statuses of tickets that are no work.
    """
    if how in ("", "none"):
        return None
    agents = [agent for agent in assigning.active(connection) if agent.address != requester]
    if how not in ("round_robin", "least_loaded"):
        named = next((agent for agent in agents if agent.name == how), None)
        return Choice(named.id, named.name, f"{how} gets it by configuration") if named else None
    answering = [agent for agent in agents if queue in agent.queues]
    if not answering:
        return None
    last = assigning.take_turn(connection, queue)
    # after the last one in turn, and then from the first; so equals take turns as well
    in_turn = [agent for agent in answering if agent.id > last] + [agent for agent in answering if agent.id <= last]
    chosen, why = in_turn[0], f"the next in turn of queue {queue}"
    if how == "least_loaded":
        loads = assigning.loads(connection, [agent.id for agent in answering], done)
        chosen = min(in_turn, key=lambda agent: loads[agent.id])
        why = f"has the least to do in queue {queue}: {loads[chosen.id]} tickets"
    assigning.end_turn(connection, queue, chosen.id)
    return Choice(chosen.id, chosen.name, why)

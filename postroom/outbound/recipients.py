"""Which agents get a notice? As `[notify.to]` says, and not for what they did themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postroom.outbound.told import Post, Told

ASSIGNED, QUEUE = "assigned", "queue"


@dataclass(frozen=True, slots=True)
class Outsider:
    """An address that is told, and is no agent's: an answer from there proves nothing."""

    address: str
    id: None = None
    name: str = ""
    title: str = ""


def chosen(post: Post, told: Told, purpose: str) -> list[Any]:
    """Agents, each once, then addresses, as `notify.to` names them for that purpose."""
    found: dict[str, Any] = {}
    everyone = told.agents()
    for who in getattr(post.config.notify.to, purpose):
        if who == ASSIGNED:
            named: Sequence[Any] = who_answers(told)
        elif who == QUEUE:
            named = [agent for agent in everyone if told.case.queue in agent.queues]
        elif "@" in who:
            named = [agent for agent in everyone if agent.address == who.lower()] or [Outsider(who)]
        else:
            named = [agent for agent in everyone if agent.name == who]
        for one in named:
            found.setdefault(one.address.lower(), one)
    return sorted(found.values(), key=lambda one: one.id is None)


def who_answers(told: Told) -> list[Any]:
    """The assigned agent; where nobody is, or he is gone, the queue's agents."""
    everyone = told.agents()
    assigned = [agent for agent in everyone if agent.id == told.case.assigned_to]
    return assigned or [agent for agent in everyone if told.case.queue in agent.queues]


def others(post: Post, told: Told, agents: Sequence[Any]) -> list[Any]:
    """Those who did not do it themselves; all of them, where `notify.own_actions` wants that."""
    if post.config.notify.own_actions:
        return list(agents)
    return [agent for agent in agents if told.happened.actor not in (agent.name, agent.address)]

"""A mail that opens a ticket meets the rules: blocked, ignored, or opened where the route leads, and given to an agent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from postroom.desk import tickets, workflow
from postroom.desk.assigning import Choice, choose
from postroom.desk.author import Standing
from postroom.desk.happened import Happened
from postroom.desk.routing import Facts, Route, blocked_by, route
from postroom.desk.tickets import Desk, Incoming
from postroom.store import messages
from postroom.store import tickets as stored

POSTROOM = "postroom"


def why_blocked(desk: Desk, incoming: Incoming) -> str | None:
    """Why the mail goes no further; None where it may. No agent is ever blocked, and no history."""
    block, author = desk.config.block, incoming.author
    if not block.senders or incoming.archive or author.standing is Standing.AGENT or author.address in desk.agents:
        return None
    return blocked_by(block, incoming.email, author.address, incoming.origin.sender)


def open_routed(connection: Connection, desk: Desk, incoming: Incoming) -> tuple[Happened | None, Route]:
    """Open the ticket that the mail asks for, where its route leads; None where a rule ignores it.

    Of history only the mailbox decides.
    """
    found = route_of(desk, incoming)
    if found.ignore:
        return None, found
    happened = tickets.open_ticket(connection, desk, incoming)
    usual = desk.config.mailbox[incoming.origin.mailbox].queue
    changes: dict[str, Any] = {
        "queue": found.queue if found.queue != usual else None, "priority": found.priority, "ticket_type": found.ticket_type,
        "category": found.category, "tags": list(found.tags),
    }  # fmt: skip
    changes = {column: value for column, value in changes.items() if value}
    if not incoming.archive and not found.is_spam:
        chosen = _assign(connection, desk, incoming, found)
        if chosen is not None:
            changes["assigned_to"] = chosen.agent_id
            messages.add_event(
                connection,
                happened.ticket_id,
                "assigned",
                {"to": chosen.name, "why": chosen.why},
                POSTROOM,
                incoming.now,
            )
    if found.tags:
        messages.add_event(connection, happened.ticket_id, "tagged", {"tags": list(found.tags)}, POSTROOM, incoming.now)
    if changes:
        stored.change(connection, happened.ticket_id, changes)
    return happened, found


def route_of(desk: Desk, incoming: Incoming) -> Route:
    """Where the rules send the mail."""
    origin = incoming.origin
    facts = Facts(
        incoming.email, origin.mailbox, incoming.recipient, incoming.author.address, incoming.size, origin.authenticated
    )
    rules = () if incoming.archive else desk.config.rule
    return route(rules, facts, desk.config.mailbox[origin.mailbox].queue)


def _assign(connection: Connection, desk: Desk, incoming: Incoming, found: Route) -> Choice | None:
    queue = desk.config.queue[found.queue]
    how = found.assign or queue.assign
    return choose(connection, found.queue, how, incoming.author.address, workflow.DONE)

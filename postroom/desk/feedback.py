"""How did the requester find what was done? Asked once for each ticket, after it was closed; the answer changes no status."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config
from postroom.desk import workflow
from postroom.desk.happened import Happened, What
from postroom.desk.routing import SPAM
from postroom.desk.tickets import Incoming
from postroom.store import messages, solutions, tickets

POSTROOM = "postroom"
FORGOTTEN = timedelta(days=7)  # nobody is asked about what was closed longer ago
NOTES_MAX = 5_000  # characters of what is said beside the rating


def ask(connection: Connection, config: Config, now: datetime, limit: int) -> list[Happened]:
    """Ask about at most `limit` of the tickets that were closed lately: each once, to be told."""
    if not config.notify.feedback_request:
        return []
    until = now - timedelta(hours=config.tickets.feedback_after_hours)
    expires = now + timedelta(days=config.tickets.link_days)
    happened = []
    for row in solutions.to_ask(connection, workflow.CLOSED, until - FORGOTTEN, until, limit):
        question = {"ticket_id": row.id, "customer": row.requester, "asked_at": now, "expires_at": expires}
        if row.requester and SPAM not in row.tags and solutions.ask_feedback(connection, question):
            messages.add_event(connection, row.id, "feedback", {"what": "asked"}, POSTROOM, now)
            happened.append(Happened(What.FEEDBACK_ASKED, row.id, POSTROOM))
    return happened


def give(connection: Connection, asked_of: int, ticket: Row[Any], rating: int, incoming: Incoming) -> str:
    """Keep the rating and the words on `ticket`; "", or why it does not count. `asked_of`: the ticket that was asked about."""
    if not solutions.give_feedback(connection, asked_of, incoming.now):
        row = solutions.feedback(connection, asked_of)
        is_answered = row is not None and row.answered_at is not None
        return "feedback was given before" if is_answered else "the time for feedback is over"
    notes = incoming.own_words[:NOTES_MAX] or None
    tickets.change(connection, ticket.id, {"satisfaction_rating": rating, "satisfaction_notes": notes})
    return ""

"""Two tickets that are one, and one that is two: merge and split, with redirects ever after.

A merge moves the messages and everything that finds the ticket by mail; the emptied ticket stays, closed,
and its number leads to the other. Nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Tickets
from postroom.desk import workflow
from postroom.desk.happened import NEWCOMER
from postroom.errors import UserError
from postroom.parsers.subjects import normalise_subject
from postroom.store import messages, thread_index, tickets


def merge(connection: Connection, source: Row[Any], target: Row[Any], why: str, actor: str, now: datetime) -> None:
    """Let `source` be part of `target`; the target keeps its thread id, requester and status.

    UserError where a ticket would be merged into itself.
    """
    if source.id == target.id:
        raise UserError(f"{source.ref} cannot be merged into itself")
    moved = messages.move(connection, source.id, target.id)
    thread_index.move(connection, source.id, target.id)
    tickets.change(connection, source.id, {
        "merged_into": target.id, "status": workflow.CLOSED, "closed_at": source.closed_at or now, "updated_at": now,
    })  # fmt: skip
    tickets.change(connection, target.id, {
        "updated_at": now, "tags": sorted({*target.tags, *source.tags}),
        "first_responded_at": min(filter(None, (target.first_responded_at, source.first_responded_at)), default=None),
    })  # fmt: skip
    detail = {"why": why, "messages": moved}
    messages.add_events(connection, [
        {"ticket_id": source.id, "at": now, "actor": actor, "event": "merged", "detail": {"into": target.ref, **detail}},
        {"ticket_id": target.id, "at": now, "actor": actor, "event": "merged", "detail": {"from": source.ref, **detail}},
    ])  # fmt: skip


def join(connection: Connection, ids: Sequence[int], archive: bool, why: str, now: datetime) -> Row[Any]:
    """Bring tickets together that one mail turned out to join: the oldest stays.

    Unresolved tickets of one requester (in an archive: all) are merged; others are only linked, so that
    no requester ever reads another's words.
    """
    rows = sorted((row for id_ in ids if (row := tickets.get(connection, id_)) is not None), key=lambda row: row.number)
    target = rows[0] if archive else next(row for row in rows if row.id == ids[0])
    for other in rows:
        if other.id == target.id:
            continue
        both_live = workflow.CLOSED not in (other.status, target.status)
        if archive or (other.requester and other.requester == target.requester and both_live):
            old, kept = (other, target) if archive or other.number > target.number else (target, other)
            merge(connection, old, kept, why, "postroom", now)
            target = tickets.get(connection, kept.id) or kept
        else:
            tickets.link(connection, target.id, [other.id], "related", why)
    return target


def split(
    connection: Connection, settings: Tickets, ticket: Row[Any], message: Row[Any], actor: str, now: datetime
) -> Row[Any]:
    """Take one message out of a ticket and open a ticket of its own with it.

    Only its author takes part in the new one: two strangers may have been mixed up, which is why one splits.
    """
    if message.ticket_id != ticket.id:
        raise UserError(f"message {message.id} is not part of {ticket.ref}")
    if len(messages.of_ticket(connection, ticket.id)) < 2:
        raise UserError(f"{ticket.ref} has one message only: there is nothing to split off")
    number = tickets.next_number(connection, settings.first_number)
    subject = message.subject or ticket.subject
    by_customer = message.author_type == "user" and message.author_address
    new_id = tickets.add(connection, {
        "number": number, "ref": f"{settings.prefix}{number}", "subject": subject,
        "normal_subject": normalise_subject(subject), "description": message.text,
        "ticket_type": ticket.ticket_type, "priority": ticket.priority, "source": ticket.source,
        "submitter_name": message.author_name if by_customer else ticket.submitter_name,
        "submitter_email": message.author_address if by_customer else ticket.submitter_email,
        "requester": message.author_address if by_customer else ticket.requester,
        "email_message_id": message.email_message_id, "email_thread_id": message.email_message_id,
        "mailbox": ticket.mailbox, "queue": ticket.queue, "status": workflow.OPEN,
        "created_at": now, "updated_at": now,
    })  # fmt: skip
    messages.move_one(connection, message.id, new_id)
    if NEWCOMER in message.flags:  # on a ticket of his own he is none
        messages.set_flags(connection, message.id, [flag for flag in message.flags if flag != NEWCOMER])
    if message.email_message_id:
        thread_index.move_ref(connection, message.email_message_id, ticket.id, new_id)
    requester = message.author_address if by_customer else ticket.requester
    thread_index.add_participants(connection, new_id, [
        {"address": requester, "name": message.author_name, "role": "requester", "agreed": True, "created_at": now}
    ])  # fmt: skip
    tickets.link(connection, new_id, [ticket.id], "split_from", f"split off by {actor}")
    new = tickets.get(connection, new_id)
    assert new is not None
    messages.add_events(connection, [
        {"ticket_id": ticket.id, "at": now, "actor": actor, "event": "split", "detail": {"to": new.ref, "message": message.id}},
        {"ticket_id": new_id, "at": now, "actor": actor, "event": "opened", "detail": {"split from": ticket.ref}},
    ])  # fmt: skip
    return new

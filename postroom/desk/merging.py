"""Two tickets that are one, and one that is two: merge and split, with redirects ever after.

A merge moves the messages and everything that finds the ticket by mail; the emptied ticket stays, closed,
and its number leads to the other. Nothing is deleted, and the merge can be taken back. What a person has parted,
no mail joins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Tickets
from postroom.desk import solution, workflow
from postroom.desk.happened import NEWCOMER
from postroom.errors import UserError
from postroom.parsers.subjects import normalise_subject
from postroom.saying import Saying
from postroom.store import messages, solutions, thread_index, tickets

DUPLICATE_OF, SPLIT_FROM = "duplicate_of", "split_from"  # kinds of links


def merge(
    connection: Connection, source: Row[Any], target: Row[Any], why: str, actor: str, now: datetime,
    duplicate: bool = False,
) -> None:  # fmt: skip
    """Let `source` be part of `target`; the target keeps its thread id, requester and status.

    `duplicate`: it said the same, and is linked as such. UserError where a ticket would be merged into itself.
    """
    if source.id == target.id:
        raise UserError(Saying("%(ref)s cannot be merged into itself", ref=source.ref))
    moved = messages.move(connection, source.id, target.id)
    joined = thread_index.move(connection, source.id, target.id)
    judged = solution.follow_merge(connection, source, target)
    tickets.change(connection, source.id, {
        "merged_into": target.id, "status": workflow.CLOSED, "closed_at": source.closed_at or now, "updated_at": now,
    })  # fmt: skip
    tickets.change(connection, target.id, {
        "updated_at": now, "tags": sorted({*target.tags, *source.tags}),
        "first_responded_at": min(filter(None, (target.first_responded_at, source.first_responded_at)), default=None),
    })  # fmt: skip
    if duplicate:
        tickets.link(connection, source.id, [target.id], DUPLICATE_OF, why)
    responded = target.first_responded_at
    undo = {
        "status": source.status, "tags": sorted({*source.tags} - {*target.tags}), "participants": joined,
        "first_responded_at": responded.isoformat() if responded else None, "solutions": judged,
    }  # fmt: skip
    detail = {"why": why, "messages": moved}
    messages.add_event(connection, source.id, "merged", {"into": target.ref, **detail, "undo": undo}, actor, now)
    messages.add_event(connection, target.id, "merged", {"from": source.ref, **detail}, actor, now)


def unmerge(connection: Connection, source: Row[Any], actor: str, now: datetime) -> Row[Any]:
    """Take the merge of `source` back; the ticket that it was part of. What came to that one later stays there.

    UserError where it is part of none, or where later changes leave no one way back.
    """
    if source.merged_into is None:
        raise UserError(Saying("%(ref)s is not merged into another ticket", ref=source.ref))
    target = tickets.get(connection, source.merged_into)
    assert target is not None
    detail = next(e.detail for e in reversed(messages.events(connection, source.id)) if _is_merge_into(e))
    moved, undo = detail["messages"], detail["undo"]
    if target.merged_into is not None:
        raise UserError(Saying(
            "%(target)s, which %(ref)s is part of, was merged too; first: postroom tickets unmerge %(target)s",
            target=target.ref, ref=source.ref,
        ))  # fmt: skip
    if away := sorted({*moved} - {message.id for message in messages.of_ticket(connection, target.id)}):
        raise UserError(Saying(
            "message %(id)s, which came from %(ref)s, has moved on from %(target)s: there is no one way back",
            id=away[0], ref=source.ref, target=target.ref,
        ))  # fmt: skip
    messages.move_back(connection, moved, source.id)
    thread_index.move_back(connection, target.id, source.id, undo["participants"])
    solutions.give(connection, undo.get("solutions", []), source.id)
    _reopen(connection, source, target, undo, now)
    why = f"unmerged by {actor}"
    tickets.unlink(connection, source.id, target.id, DUPLICATE_OF)
    tickets.link(connection, source.id, [target.id], SPLIT_FROM, why)
    messages.add_event(connection, source.id, "unmerged", {"out of": target.ref, "messages": moved}, actor, now)
    messages.add_event(connection, target.id, "unmerged", {"ticket": source.ref, "messages": moved}, actor, now)
    return target


def _is_merge_into(event: Any) -> bool:
    return event.event == "merged" and "into" in event.detail


def _reopen(connection: Connection, source: Row[Any], target: Row[Any], undo: Mapping[str, Any], now: datetime) -> None:
    """Give both tickets the columns back that a merge had changed, and nothing has changed since."""
    status = undo["status"]
    closed_at = source.closed_at if status == workflow.CLOSED else None
    tickets.change(connection, source.id, {
        "merged_into": None, "status": status, "closed_at": closed_at, "updated_at": now,
    })  # fmt: skip
    changes: dict[str, Any] = {"updated_at": now, "tags": sorted({*target.tags} - {*undo["tags"]})}
    if target.first_responded_at == source.first_responded_at:
        responded = undo["first_responded_at"]
        changes["first_responded_at"] = datetime.fromisoformat(responded) if responded else None
    tickets.change(connection, target.id, changes)


def join(connection: Connection, ids: Sequence[int], archive: bool, why: str, now: datetime) -> Row[Any]:
    """Bring tickets together that one mail turned out to join: the oldest stays.

    Tickets of one requester that are not closed (in an archive: all) are merged; others are only linked, so that
    no requester ever reads another's words. Those that a person has parted stay parted.
    """
    rows = sorted((row for id_ in ids if (row := tickets.get(connection, id_)) is not None), key=lambda row: row.number)
    target = next(row for row in rows if row.id == ids[0])
    for other in rows:
        if other.id == target.id or tickets.are_linked(connection, other.id, target.id, SPLIT_FROM):
            continue
        both_live = workflow.CLOSED not in (other.status, target.status)
        if archive or (other.requester and other.requester == target.requester and both_live):
            old, kept = (other, target) if other.number > target.number else (target, other)
            merge(connection, old, kept, why, "postroom", now)
            target = tickets.get(connection, kept.id) or kept
        else:
            tickets.link(connection, target.id, [other.id], "related", why)
    return target


def split(
    connection: Connection, settings: Tickets, random: Random, ticket: Row[Any], message: Row[Any], actor: str,
    now: datetime,
) -> Row[Any]:  # fmt: skip
    """Take one message out of a ticket and open a ticket of its own with it, whose key is made by `random`.

    Only its author takes part in the new one: two strangers may have been mixed up, which is why one splits.
    """
    if message.ticket_id != ticket.id:
        raise UserError(Saying("message %(id)s is not part of %(ref)s", id=message.id, ref=ticket.ref))
    if len([m for m in messages.of_ticket(connection, ticket.id) if m.visibility == "public"]) < 2:
        raise UserError(
            Saying("%(ref)s has one message only, beside its notes: there is nothing to split off", ref=ticket.ref)
        )
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
    }, random)  # fmt: skip
    messages.move_one(connection, message.id, new_id)
    if NEWCOMER in message.flags:  # on a ticket of his own he is none
        messages.set_flags(connection, message.id, [flag for flag in message.flags if flag != NEWCOMER])
    if message.email_message_id:
        thread_index.move_ref(connection, message.email_message_id, ticket.id, new_id)
    requester = message.author_address if by_customer else ticket.requester
    thread_index.add_participants(connection, new_id, [
        {"address": requester, "name": message.author_name, "role": "requester", "agreed": True, "created_at": now}
    ])  # fmt: skip
    tickets.link(connection, new_id, [ticket.id], SPLIT_FROM, f"split off by {actor}")
    new = tickets.get(connection, new_id)
    assert new is not None
    messages.add_event(connection, ticket.id, "split", {"to": new.ref, "message": message.id}, actor, now)
    messages.add_event(connection, new_id, "opened", {"split from": ticket.ref}, actor, now)
    return new

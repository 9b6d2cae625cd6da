"""Taking away what people wrote, and leaving numbers.

Bytes are emptied where they lie: their row stays with its digest and its size, so that the same mail, fetched again by
a server's new numbering, is known and does not come back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, String, Table, Text, and_, delete, func, or_, select, update
from sqlalchemy import cast as sql_cast

from postroom.store import raw_mail
from postroom.store.engine import insert
from postroom.store.tables import (
    Agent,
    Attachment,
    Delivery,
    Event,
    Feedback,
    Forgetting,
    InboundEmail,
    Message,
    Participant,
    Solution,
    ThreadRef,
    Ticket,
    TicketLink,
)  # fmt: skip

DELETED = "deleted"  # the outcome of a mail that a person took out of quarantine for good
ERASED = "erased"  # what stands in place of a reason, an address, a name
ERASED_SUBJECT = "(erased)"
ERASED_MARK = "[erased]"  # in place of words within others' words
SETTLED = ("processed", "duplicate", "quarantined")
UNDER_WAY = ("pending", "sending", "retry")
KEPT_DETAIL = {"purpose", "type", "visibility", "messages", "message", "reminder", "due", "what"}
TELLING = {"status", "priority", "type", "category"}  # whose `from` and `to` are words of ours
# what would make it a part of another address
BEFORE_ADDRESS, BEHIND_ADDRESS = r"(?<!\w)(?<!\w[.+-])", r"(?!\w|[.-]\w)"
NOT_SWEPT = {
    "raw_mail",
    "raw_task",
    "agent",
    "mailbox_state",
    "sequence",
    "recurring",
    "forgetting",
    "imap_message",
    "imap_lease",
    "node",
    "compatibility",
}


def sought(connection: Connection, address: str) -> dict[str, Any]:
    """What an earlier run looked for that did not come to its end; empty where there was none."""
    query = select(Forgetting.sought).where(Forgetting.address == address)
    return connection.execute(query).scalar_one_or_none() or {}


def keep_sought(connection: Connection, address: str, what: dict[str, Any]) -> None:
    """Keep what is looked for until `drop_sought`: a run that is broken off goes on with it."""
    statement = insert(connection, Forgetting).values(address=address, sought=what)
    connection.execute(statement.on_conflict_do_update(index_elements=["address"], set_={"sought": what}))


def drop_sought(connection: Connection, address: str) -> None:
    """Nothing of it is left."""
    connection.execute(delete(Forgetting).where(Forgetting.address == address))


def empty_received(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Erase the bytes of received mails; how many octets those were. Bytes that another mail has too stay its own."""
    rows = connection.execute(
        update(InboundEmail).where(InboundEmail.id.in_(ids), InboundEmail.erased_at.is_(None))
        .values(erased_at=now).returning(InboundEmail.digest, InboundEmail.size)
    ).all()  # fmt: skip
    digests = {row.digest: row.size for row in rows}
    kept = select(InboundEmail.digest).where(InboundEmail.digest.in_(digests), InboundEmail.erased_at.is_(None))
    gone = digests.keys() - set(connection.execute(kept).scalars())
    gone -= _digests(connection, Delivery.digest.in_(gone), Delivery.state.in_(UNDER_WAY))  # our own, that came back
    raw_mail.empty(connection, sorted(gone))
    return sum(digests[digest] for digest in gone)


def delete_quarantined(connection: Connection, id_: int, reason: str, now: datetime) -> bool:
    """Take a mail out of quarantine for good; its row stays, with the reason. False where it is not in quarantine."""
    result = connection.execute(
        update(InboundEmail).where(InboundEmail.id == id_, InboundEmail.state == "quarantined")
        .values(state="processed", outcome=DELETED, reason=reason, processed_at=now)
    )  # fmt: skip
    if result.rowcount:
        empty_received(connection, [id_], now)
    return bool(result.rowcount)


def erase_received(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Erase mails that were received, bytes and envelope and evidence; what is left says when, how big and what became of it."""
    octets = empty_received(connection, ids, now)
    rows = connection.execute(select(InboundEmail.id, InboundEmail.decision).where(InboundEmail.id.in_(ids))).all()
    for row in rows:
        steps = [
            {"step": line.get("step"), "rule": line.get("rule"), "outcome": line.get("outcome"), "why": ERASED, "evidence": {}}
            for line in row.decision or []
        ]  # fmt: skip
        values: dict[str, Any] = {"sender": None, "peer": {}, "decision": steps, "reason": ERASED}
        connection.execute(update(InboundEmail).where(InboundEmail.id == row.id).values(values))
    return octets


def erase_sent(connection: Connection, ids: Sequence[int]) -> int:
    """Erase mails that went out, or will not any more; what waits is cancelled. How many are under way, and were left.

    Bytes that somebody else is still to get stay until he has them.
    """
    d = Delivery
    waiting = update(d).where(d.id.in_(ids), d.state.in_(("pending", "retry")))
    connection.execute(waiting.values(state="cancelled", next_attempt_at=None))
    settled = (d.id.in_(ids), d.state != "sending")
    values = {"recipient": ERASED, "subject": "", "reason": ERASED, "digest": None}
    digests = _digests(connection, *settled)
    connection.execute(update(d).where(*settled).values(values))
    kept = _digests(connection, d.digest.in_(digests), d.state.in_(UNDER_WAY))
    raw_mail.empty(connection, sorted(digests - kept))
    left = select(func.count()).select_from(d).where(d.id.in_(ids), d.state == "sending")
    return int(connection.execute(left).scalar_one())


def _digests(connection: Connection, *which: ColumnElement[bool]) -> set[str]:
    found = connection.execute(select(Delivery.digest).where(*which, Delivery.digest.is_not(None)))
    return {str(digest) for digest in found.scalars()}


def erase_bytes(connection: Connection, ids: Sequence[int]) -> None:
    """Erase the bytes of mails that went out, where nobody is still to get them; that they went, and to whom, stays."""
    d = Delivery
    digests = _digests(connection, d.id.in_(ids))
    gone = sorted(digests - _digests(connection, d.digest.in_(digests), d.state.in_(UNDER_WAY)))
    connection.execute(update(d).where(d.id.in_(ids), d.digest.in_(gone)).values(digest=None))
    raw_mail.empty(connection, gone)


def erase_messages(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Erase messages with their files and their mail; that there were some, when and by what kind of author stays."""
    rows = connection.execute(
        select(Message.inbound_id, Message.ticket_id, Message.email_message_id).where(Message.id.in_(ids))
    ).all()
    erase_received(connection, [row.inbound_id for row in rows if row.inbound_id is not None], now)
    refs = [row.email_message_id for row in rows if row.email_message_id]
    on = {
        row.ticket_id for row in rows
    }  # on no other: whoever writes chooses his Message-ID, and may have taken another's
    connection.execute(delete(ThreadRef).where(ThreadRef.ref.in_(refs), ThreadRef.ticket_id.in_(on)))
    connection.execute(delete(Attachment).where(Attachment.message_id.in_(ids)))
    connection.execute(update(Message).where(Message.id.in_(ids)).values(
        email_message_id=None, references=[], author_address=ERASED, author_name="", subject="", text="",
        thread_index=None, thread_topic=None,
    ))  # fmt: skip


def erase_tickets(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Erase everything that was written on these tickets; refs, times and states stay. How many mails are under way."""
    messages = select(Message.id, Message.author_type).where(Message.ticket_id.in_(ids))
    erase_messages(connection, [row.id for row in connection.execute(messages)], now)
    received = select(InboundEmail.id).where(InboundEmail.ticket_id.in_(ids), InboundEmail.state.in_(SETTLED))
    erase_received(connection, list(connection.execute(received).scalars()), now)
    sent = select(Delivery.id).where(Delivery.ticket_id.in_(ids))
    left = erase_sent(connection, list(connection.execute(sent).scalars()))
    connection.execute(delete(ThreadRef).where(ThreadRef.ticket_id.in_(ids)))
    connection.execute(delete(Participant).where(Participant.ticket_id.in_(ids)))
    either = or_(TicketLink.ticket_id.in_(ids), TicketLink.other_id.in_(ids))
    connection.execute(update(TicketLink).where(either).values(reason=ERASED))
    connection.execute(update(Solution).where(Solution.ticket_id.in_(ids)).values(text="", customer=None))
    connection.execute(update(Feedback).where(Feedback.ticket_id.in_(ids)).values(customer=ERASED))
    _erase_events(connection, ids)
    connection.execute(update(Ticket).where(Ticket.id.in_(ids)).values(
        subject=ERASED_SUBJECT, normal_subject="", description="", submitter_name="", submitter_email="", requester="",
        email_message_id=None, email_thread_id=None, contact_name=None, contact_email=None, contact_phone=None,
        client=None, site=None, support_contract=None, affected_asset=None, related_system=None, suppliers=[],
        triage_notes=None, resolution_summary=None, root_cause=None, satisfaction_notes=None, custom_fields={},
    ))  # fmt: skip
    lines = [{"ticket_id": id_, "at": now, "actor": "postroom", "event": ERASED, "detail": {}} for id_ in ids]
    connection.execute(insert(connection, Event), lines)
    return left


def _erase_events(connection: Connection, ids: Sequence[int]) -> None:
    """Leave of activity what it was, when, and who of ours did it."""
    ours = set(connection.execute(select(Agent.name)).scalars()) | {"postroom", "command line"}
    for row in connection.execute(select(Event.__table__).where(Event.ticket_id.in_(ids))).all():
        kept = KEPT_DETAIL | ({"from", "to"} if row.event in TELLING else set())
        detail = {key: value for key, value in row.detail.items() if key in kept}
        actor = row.actor if row.actor in ours else ERASED
        if (detail, actor) != (row.detail, row.actor):
            connection.execute(update(Event).where(Event.id == row.id).values(detail=detail, actor=actor))


def sweep(
    connection: Connection, table: Table, after: int, needles: Sequence[str], cut: Sequence[str], chunk: int
) -> tuple[int, int]:  # fmt: skip
    """Take words out of a stretch of a table's text and JSON; where to go on (0: none is left), and how many rows changed.

    `needles`, a few, are looked for, and `cut` is taken out where one is found. A row whose very key holds one goes. Bytes of mail are another matter. Where to go on is the last row number looked
    at; in a table without those, how many rows hold a word only as a part of another, and stay.
    """
    keys = list(table.primary_key.columns)
    order = keys[0] if keys[0].name == "id" else None
    columns = [c for c in table.columns if isinstance(c.type, String | JSON) and not c.foreign_keys]
    if not columns or table.name in NOT_SWEPT:
        return 0, 0
    found = or_(*(_holds(connection, column, needle) for column in columns for needle in _spellings(needles)))
    query = select(table).where(found)
    query = query.where(order > after).order_by(order) if order is not None else query.order_by(*keys).offset(after)
    query = query.limit(chunk)
    rows = connection.execute(query).all()
    count = 0
    for row in rows:
        this = and_(*(key == row._mapping[key.name] for key in keys))
        changes = {c.name: without(row._mapping[c.name], cut) for c in columns}
        changes = {name: value for name, value in changes.items() if value != row._mapping[name]}
        count += bool(changes)
        if any(key.name in changes for key in keys):
            connection.execute(delete(table).where(this))
        elif changes:
            connection.execute(update(table).where(this).values(changes))
    if len(rows) < chunk:
        return 0, count
    return (rows[-1].id if order is not None else after + len(rows) - count), count


def without(value: Any, needles: Sequence[str]) -> Any:
    """A text, or JSON, in which none of these stands as a whole, in whatever case."""
    if isinstance(value, str):
        for needle in needles:
            value = whole(needle).sub(ERASED_MARK, value)
        return value
    if isinstance(value, list):
        return [without(item, needles) for item in value]
    if isinstance(value, dict):
        return {without(key, needles): without(item, needles) for key, item in value.items()}
    return value


@cache
def whole(needle: str) -> re.Pattern[str]:
    """Finds words that stand by themselves: `ann@example.org`, and not another's `joann@example.org` or `ann@example.org.uk`."""
    before, behind = (BEFORE_ADDRESS, BEHIND_ADDRESS) if "@" in needle else (r"(?<!\w)", r"(?!\w)")
    left = before if re.match(r"\w", needle) else ""
    right = behind if re.search(r"\w\Z", needle) else ""
    return re.compile(f"{left}{re.escape(needle)}{right}", re.IGNORECASE)


def _spellings(needles: Sequence[str]) -> list[str]:
    """As text, and as JSON escapes what is not ASCII; in lower case, as the database lowers ASCII alone."""
    spelt = {needle.lower() for needle in needles} | set(needles)
    return sorted(spelt | {json.dumps(one)[1:-1].lower() for one in spelt})


def _holds(connection: Connection, column: ColumnElement[Any], needle: str) -> ColumnElement[bool]:
    find = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return find(func.lower(sql_cast(column, Text)), needle) > 0

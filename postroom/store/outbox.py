"""The outbox: mail going out, one row for each recipient, its bytes frozen.

    pending → sending → sent
                      → retry → sending …
                      → pending (given back: put off until `next_attempt_at`, no attempt counted)
                      → failed
    pending, retry → cancelled; suppressed never was on its way

A claim is a lease: the caller commits it before it connects anywhere. `in_doubt_at` is committed before the
peer can have taken the mail; where it is still set after a crash, nobody knows whether the peer did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, or_, select, text, update

from postroom.store import leases, news, rates, raw_mail, thread_index, tickets
from postroom.store.engine import insert, insert_new
from postroom.store.prepared import Prepared, PreparedIn, PreparedInsert
from postroom.store.rates import Rate
from postroom.store.tables import AGAIN, NEW, Delivery, Event, RawMail, ThreadRef

IN_DOUBT = "in doubt after a crash: automatic mail is not sent twice"
WAITING = ("pending", "retry")
CLAIM_SIZE_MAX = 32 << 20  # octets of mail that one claim loads, beyond its first

_is_held = (Delivery.state == "sending", Delivery.claimed_by == bindparam("worker"))  # this worker's to send
_keep = PreparedInsert(RawMail, lambda connection: insert_new(connection, RawMail))
_add = PreparedInsert(Delivery)
_index = PreparedInsert(ThreadRef, lambda connection: insert_new(connection, ThreadRef))
_note = PreparedInsert(Event)
_ours = PreparedIn(
    Delivery.id.type,
    lambda ids: select(
        Delivery.id, Delivery.ticket_id, Delivery.purpose, Delivery.recipient, Delivery.email_message_id
    ).where(Delivery.id.in_(ids), *_is_held).with_for_update(),
)  # fmt: skip
_mark = PreparedIn(
    Delivery.id.type,
    lambda ids: update(Delivery).where(Delivery.id.in_(ids), *_is_held)
    .values(in_doubt_at=bindparam("at")).returning(Delivery.id),
)  # fmt: skip
_settle = Prepared(
    update(Delivery).where(Delivery.__table__.c.id == bindparam("row_id")).values(
        state=bindparam("new_state"), reason=bindparam("new_reason"), next_attempt_at=bindparam("new_next"),
        sent_at=bindparam("new_sent"), attempts=Delivery.attempts + bindparam("new_attempts"),
        claimed_by=None, claimed_until=None, in_doubt_at=None,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A mail for one recipient; without bytes where it was suppressed."""

    key: int  # random, 63 bits
    ticket_id: int | None
    message_id: int | None  # the row of the message that it carries or is about
    purpose: str
    automatic: bool
    mailbox: str | None
    recipient: str
    created_at: datetime
    subject: str = ""
    envelope_sender: str = ""
    email_message_id: str | None = None
    digest: str | None = None  # SHA-256 of `raw`, hex
    raw: bytes | None = field(default=None, repr=False)
    suppressed: str | None = None  # why it is not sent


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker may attempt until its lease ends."""

    id: int
    key: int
    ticket_id: int | None
    purpose: str
    automatic: bool
    mailbox: str | None
    recipient: str
    envelope_sender: str
    email_message_id: str | None
    attempts: int  # this one counted
    created_at: datetime
    raw: bytes = field(repr=False)  # empty until it is fetched from its place
    place: str | None = None  # the object in which its bytes lie


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to."""

    id: int
    state: str  # sent, retry, failed, pending (given back: the attempt does not count)
    reason: str | None = None
    next_attempt_at: datetime | None = None
    renamed: tuple[str, ...] = ()  # Message-IDs that recipients may see in place of ours


def enqueue(connection: Connection, mails: Sequence[NewDelivery]) -> None:
    """Put mails into the outbox, index their Message-IDs for threading, and note them on their tickets."""
    raws = {m.digest: {"digest": m.digest, "size": len(m.raw), "content": m.raw} for m in mails if m.raw is not None}
    if raws:
        _keep.add(connection, list(raws.values()))
        raw_mail.put_later(connection, raws.values())
    _add.add(connection, [_row(mail) for mail in mails])
    news.tell(connection, news.OUTBOX)
    told = [m for m in mails if m.ticket_id is not None and m.suppressed is None]
    refs = {(m.email_message_id, m.ticket_id) for m in told if m.email_message_id}
    if refs:
        rows = [{"ref": ref, "ticket_id": ticket_id, "kind": "message"} for ref, ticket_id in sorted(refs)]
        _index.add(connection, rows)
    _note.add(connection, [_enqueued(mail) for mail in told])


def _row(m: NewDelivery) -> dict[str, Any]:
    return {
        "key": m.key, "ticket_id": m.ticket_id, "message_id": m.message_id, "purpose": m.purpose,
        "automatic": m.automatic, "mailbox": m.mailbox, "recipient": m.recipient, "envelope_sender": m.envelope_sender,
        "email_message_id": m.email_message_id, "digest": m.digest, "subject": m.subject, "attempts": 0,
        "state": "suppressed" if m.suppressed else "pending", "reason": m.suppressed, "created_at": m.created_at,
    }  # fmt: skip


def _enqueued(m: NewDelivery) -> dict[str, Any]:
    detail = {"purpose": m.purpose, "recipient": m.recipient, "messageId": m.email_message_id}
    return {
        "ticket_id": m.ticket_id,
        "at": m.created_at,
        "actor": "postroom",
        "event": "enqueued",
        "detail": detail,
    }


def claim(
    connection: Connection, worker: str, now: datetime, lease: timedelta, limit: int, allowed: Sequence[Rate] = ()
) -> list[Claimed]:
    """Take up to `limit` deliveries that are due, with their bytes or their place; the caller commits before sending.

    Half of the room is for those whose time to be tried again has come. Of the new ones people's mail comes before
    automatic mail, and the oldest first. Of mails whose bytes are more than CLAIM_SIZE_MAX in all, the first ones.
    Those over what is `allowed` are put off until their turn comes, with that as their reason.
    """
    d = Delivery
    query = select(d.id, d.recipient, RawMail.size).join(RawMail, RawMail.digest == d.digest)
    query = query.with_for_update(skip_locked=True, of=d)
    again = query.where(text(AGAIN), text("state || '' IN ('pending', 'retry')"), d.next_attempt_at <= now).order_by(
        d.next_attempt_at
    )
    new = query.where(text(NEW)).order_by(d.automatic, d.id)
    due = list(connection.execute(again.limit(limit)))
    fresh = list(connection.execute(new.limit(limit)))
    half = max((limit + 1) // 2, limit - len(fresh))
    taken: list[Any] = []
    room = CLAIM_SIZE_MAX
    for row in [*due[:half], *fresh][:limit]:
        room -= row.size
        if taken and room < 0:
            break
        taken.append(row)
    ids = [row.id for row in (rates.within(connection, taken, allowed, now) if allowed else taken)]
    if not ids:
        return []
    connection.execute(
        update(d).where(d.id.in_(ids)).values(
            state="sending", attempts=d.attempts + 1, claimed_by=worker,
            claimed_until=leases.until(connection, now, lease), in_doubt_at=None, next_attempt_at=None,
        )
    )  # fmt: skip
    loaded: Any = (
        select(d.id, d.key, d.ticket_id, d.purpose, d.automatic, d.mailbox, d.recipient, d.envelope_sender,
               d.email_message_id, d.attempts, d.created_at, RawMail.content, RawMail.place)
        .join(RawMail, RawMail.digest == d.digest).where(d.id.in_(ids)).order_by(d.automatic, d.id)
    )  # fmt: skip
    return [
        Claimed(*row) if row.place is None else replace(Claimed(*row), raw=b"") for row in connection.execute(loaded)
    ]


def mark_in_doubt(connection: Connection, worker: str, ids: Sequence[int], now: datetime) -> set[int]:
    """Note that from now on the peer may have taken these; those that are still this worker's to send."""
    return {row.id for row in _mark.all(connection, ids, {"worker": worker, "at": now})}


def renew(connection: Connection, worker: str, ids: Sequence[int], now: datetime, lease: timedelta) -> None:
    """Hold the lease on these for longer: from now on."""
    connection.execute(
        update(Delivery).where(Delivery.id.in_(ids), Delivery.state == "sending", Delivery.claimed_by == worker)
        .values(claimed_until=leases.until(connection, now, lease))
    )  # fmt: skip


def settle(connection: Connection, worker: str, outcomes: Sequence[Outcome], now: datetime) -> list[Outcome]:
    """Write what attempts came to, and note on their tickets what was sent and what failed; those that were written.

    One whose lease ran out and that another took, or that was settled meanwhile by a bounce, stays as it is.
    """
    held = {row.id: row for row in _ours.all(connection, [o.id for o in outcomes], {"worker": worker})}
    written = [o for o in outcomes if o.id in held]
    if not written:
        return []
    _settle.run(connection, [
        {"row_id": o.id, "new_state": o.state, "new_reason": o.reason, "new_next": o.next_attempt_at,
         "new_sent": now if o.state == "sent" else None, "new_attempts": -1 if o.state == "pending" else 0}
        for o in written
    ])  # fmt: skip
    events = [
        _event(held[o.id], o.state, now, o.reason)
        for o in written
        if o.state in ("sent", "failed") and held[o.id].ticket_id is not None
    ]
    _note.add(connection, events)
    for o in written:
        index_renamed(connection, held[o.id].ticket_id, o.renamed)
    return written


def index_renamed(connection: Connection, ticket_id: int | None, ids: Sequence[str]) -> None:
    """Let Message-IDs by which others know a mail of ours point to its ticket, or to the one that it was merged into."""
    row = tickets.get(connection, ticket_id) if ticket_id is not None and ids else None
    if row is not None:
        for id_ in ids:
            thread_index.add_refs(connection, tickets.follow(connection, row).id, id_, ())


def recover(connection: Connection, now: datetime, alone: bool) -> tuple[int, int]:
    """Free what a dead daemon had claimed: how many are tried again, and how many failed because nobody knows.

    `alone`: no other daemon lives, so every claim is a dead one's; else those whose lease ran out. People's
    mail goes out again with identical bytes; automatic mail that may have gone out does not.
    """
    dead = Delivery.state == "sending"
    if not alone:
        dead = and_(dead, Delivery.claimed_until < leases.now(connection, now))
    unknown = and_(Delivery.in_doubt_at.is_not(None), Delivery.automatic)
    freed = connection.execute(
        update(Delivery).where(dead).values(
            state=case((unknown, "failed"), else_="pending"), reason=case((unknown, IN_DOUBT), else_=Delivery.reason),
            claimed_by=None, claimed_until=None, next_attempt_at=None,
        ).returning(Delivery.id, Delivery.state, Delivery.ticket_id, Delivery.purpose, Delivery.recipient, Delivery.email_message_id)
    ).all()  # fmt: skip
    failed = [row for row in freed if row.state == "failed"]
    events = [_event(row, "failed", now, IN_DOUBT) for row in failed if row.ticket_id is not None]
    if events:
        connection.execute(insert(connection, Event), events)
    return len(freed) - len(failed), len(failed)


def fail_delivered(
    connection: Connection, delivery: Any, reason: str, now: datetime, ticket_id: int | None, by: str
) -> bool:
    """Let a delivery count as failed, because word of it came back; False where it had failed before.

    `ticket_id`: the ticket that notes it. `by`: what vouches for that word.
    """
    query = update(Delivery).where(
        Delivery.id == delivery.id, Delivery.state.not_in(("failed", "suppressed", "cancelled"))
    )
    failed = connection.execute(query.values(
        state="failed", reason=reason, reported_by=by, claimed_by=None, claimed_until=None, next_attempt_at=None
    ))  # fmt: skip
    if failed.rowcount:
        note(connection, delivery, "undelivered", now, reason, ticket_id)
    return bool(failed.rowcount)


def note(
    connection: Connection, delivery: Any, event: str, now: datetime, reason: str | None, ticket_id: int | None
) -> None:
    """Add a line about a delivery to a ticket's activity; nothing where there is no ticket."""
    if ticket_id is not None:
        line = {**_event(delivery, event, now, reason), "ticket_id": ticket_id}
        connection.execute(insert(connection, Event), [line])


def _event(delivery: Any, event: str, now: datetime, reason: str | None) -> dict[str, Any]:
    detail = {"purpose": delivery.purpose, "recipient": delivery.recipient, "messageId": delivery.email_message_id}
    if reason:
        detail["reason"] = reason
    return {"ticket_id": delivery.ticket_id, "at": now, "actor": "postroom", "event": event, "detail": detail}


def by_key(connection: Connection, key: int) -> Row[Any] | None:
    """The delivery with that key."""
    return connection.execute(select(Delivery.__table__).where(Delivery.key == key)).one_or_none()


def by_message_id(connection: Connection, message_id: str) -> Sequence[Row[Any]]:
    """The deliveries that bear that Message-ID: one for each recipient of the mail."""
    query = select(Delivery.__table__).where(Delivery.email_message_id == message_id).order_by(Delivery.id)
    return connection.execute(query).all()


def by_message_ids(connection: Connection, message_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The deliveries that bear one of these Message-IDs."""
    if not message_ids:
        return []
    query = select(Delivery.__table__).where(Delivery.email_message_id.in_(message_ids)).order_by(Delivery.id)
    return connection.execute(query).all()


def get(connection: Connection, id_: int) -> Row[Any] | None:
    """One delivery's row, without its bytes."""
    return connection.execute(select(Delivery.__table__).where(Delivery.id == id_)).one_or_none()


def find(
    connection: Connection, state: str | None = None, ticket_id: int | None = None, limit: int | None = None, *,
    recipient: str | None = None, since: datetime | None = None,
) -> Sequence[Row[Any]]:  # fmt: skip
    """Rows of deliveries, newest first, without their bytes; `recipient` is an address, or `@domain` for all of one."""
    query = select(Delivery.__table__).order_by(Delivery.id.desc())
    if state:
        query = query.where(Delivery.state == state)
    if ticket_id is not None:
        query = query.where(Delivery.ticket_id == ticket_id)
    if recipient and recipient.startswith("@"):
        query = query.where(func.lower(Delivery.recipient).endswith(recipient.lower(), autoescape=True))
    elif recipient:
        query = query.where(func.lower(Delivery.recipient) == recipient.lower())
    if since is not None:
        query = query.where(Delivery.created_at >= since)
    return connection.execute(query.limit(limit) if limit else query).all()


def has_any(connection: Connection, ticket_id: int, purpose: str, since: datetime) -> bool:
    """Whether a mail of that purpose was enqueued for a ticket since then."""
    d = Delivery
    query = select(d.id).where(d.ticket_id == ticket_id, d.purpose == purpose, d.created_at >= since).limit(1)
    return connection.execute(query).one_or_none() is not None


def raw(connection: Connection, id_: int) -> bytes | None:
    """The exact bytes of a delivery; None where it was suppressed before it had any. Raises as `raw_mail.whole` does."""
    query = select(RawMail.content, RawMail.place).join(Delivery, Delivery.digest == RawMail.digest)
    found = connection.execute(query.where(Delivery.id == id_)).one_or_none()
    return None if found is None else raw_mail.whole(connection, *found)


def retry(connection: Connection, id_: int) -> bool:
    """Send a failed, cancelled or waiting delivery now, because a person says so; False where it cannot be."""
    put_off = and_(Delivery.state == "pending", Delivery.next_attempt_at.is_not(None))
    can_be = or_(Delivery.state.in_(("failed", "cancelled", "retry")), put_off)
    result = connection.execute(
        update(Delivery)
        .where(Delivery.id == id_, can_be, Delivery.digest.is_not(None))
        .values(state="pending", attempts=0, reason=None, reported_by=None, next_attempt_at=None, in_doubt_at=None)
    )
    news.tell(connection, news.OUTBOX)
    return bool(result.rowcount)


def cancel(connection: Connection, id_: int, reason: str) -> bool:
    """Never send a delivery that waits; False where it is on its way, or was."""
    result = connection.execute(
        update(Delivery).where(Delivery.id == id_, Delivery.state.in_(WAITING))
        .values(state="cancelled", reason=reason, next_attempt_at=None)
    )  # fmt: skip
    return bool(result.rowcount)


def count_by_state(connection: Connection) -> dict[str, int]:
    """How many deliveries are in each state."""
    rows = connection.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    return {row[0]: row[1] for row in rows}


def oldest_waiting(connection: Connection) -> datetime | None:
    """When the oldest delivery that is not settled was enqueued."""
    query = select(func.min(Delivery.created_at)).where(Delivery.state.in_(("pending", "sending", "retry")))
    return connection.execute(query).scalar_one_or_none()

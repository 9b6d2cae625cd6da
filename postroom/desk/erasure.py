"""Forgetting a person: his words, names, files and mail go, everywhere; numbers, times and states stay.

His own tickets are erased whole, with what was answered there. On others' tickets only what he wrote goes, and where they
quote or name him, that: text is cut, bytes of others' mail are blackened in place. Each step is a small transaction of
its own and does nothing where nothing is left; what is looked for is kept until it is done: what was broken off is finished
by doing it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from postroom.config import Retention
from postroom.desk import workflow
from postroom.parsers.email import parse
from postroom.store import erasure, raw_mail
from postroom.store.engine import Store
from postroom.store.tables import (
    Agent,
    Base,
    Delivery,
    InboundEmail,
    Message,
    Participant,
    Ticket,
)  # fmt: skip

CHUNK = 20  # tickets, or mails, in one transaction: whoever else writes waits no longer
SWEEP_CHUNK = 200  # rows
NEEDLES_AT_ONCE = 4  # in one query, for each column: SQLite takes no expression deeper than 1,000
PURGED_MAX = 2_000  # of each kind in one round
LINE_LEAST = 20  # characters of a line that is looked for in others' words: shorter ones are everybody's
NAME_LEAST = 6  # characters of a name that is looked for
LINES_MAX = 200
TEXT_MAX = 50_000  # characters of one message whose lines are looked for


@dataclass(frozen=True, slots=True)
class Traces:
    """What there is of a person."""

    tickets: int  # his own
    messages: int  # his, on others' tickets
    received: int  # mails from his address
    sent: int  # mails to it
    pending: int  # mails from it that are not processed yet
    names: tuple[str, ...]  # his, which are cut out wherever they stand


@dataclass(slots=True)
class Forgotten:
    """What came of forgetting."""

    tickets: int = 0
    messages: int = 0
    received: int = 0
    sent: int = 0
    redacted: int = 0  # rows and mails of others in which he stood
    left: int = 0  # mails under way, and not processed yet: do it again
    kept: int = 0  # mails of others that quote him in a form that cannot be cut out, and carry their files


def traces(connection: Connection, address: str) -> Traces:
    """How much there is of that address, in lower case."""
    i = InboundEmail
    theirs = func.lower(i.sender) == address
    unsettled = i.state.not_in(erasure.SETTLED)
    elsewhere = (Message.author_address == address, Ticket.requester != address)
    return Traces(
        _count(connection, select(Ticket.id).where(Ticket.requester == address)),
        _count(connection, select(Message.id).join(Ticket, Ticket.id == Message.ticket_id).where(*elsewhere)),
        _count(connection, select(i.id).where(theirs)),
        _count(connection, select(Delivery.id).where(func.lower(Delivery.recipient) == address)),
        _count(connection, select(i.id).where(theirs, unsettled)),
        tuple(_names(connection, address)),
    )


def forget(store: Store, address: str, now: datetime, on_step: Callable[[str], None] = lambda words: None) -> Forgotten:
    """Forget the person of that address, in lower case."""
    done = Forgotten()
    with store.write(alone=True) as connection:
        sought = _sought(connection, address)
    mine, names = [*sought["ids"], address], sought["names"]
    needles = [*mine, *names]
    on_step("others' tickets")
    for id_, lines in sought["lines"].items():
        _redact_ticket(store, int(id_), address, [*needles, *lines], now, done)
    on_step("his tickets")
    for ids in _chunks(store, select(Ticket.id).where(Ticket.requester == address)):
        with store.write(alone=True) as connection:
            done.left += erasure.erase_tickets(connection, ids, now)
        done.tickets += len(ids)
    on_step("his mail")
    theirs = (func.lower(InboundEmail.sender) == address, InboundEmail.state.in_(erasure.SETTLED))
    for ids in _chunks(store, select(InboundEmail.id).where(*theirs)):
        with store.write(alone=True) as connection:
            erasure.erase_received(connection, ids, now)
        done.received += len(ids)
    for ids in _chunks(store, select(Delivery.id).where(func.lower(Delivery.recipient) == address)):
        with store.write(alone=True) as connection:
            left = erasure.erase_sent(connection, ids)
        done.sent += len(ids)
        done.left += left
    on_step("every other table")
    done.redacted += _sweep(store, [address], mine)
    for start in range(0, len(names), NEEDLES_AT_ONCE):
        some = names[start : start + NEEDLES_AT_ONCE]
        done.redacted += _sweep(store, some, some)
    with store.write(alone=True) as connection:
        done.left += traces(connection, address).pending
        if not done.left:
            erasure.drop_sought(connection, address)
    return done


def _sought(connection: Connection, address: str) -> dict[str, Any]:
    """What is looked for, kept until it is done: a run that was broken off has erased some of what tells the rest."""
    before = erasure.sought(connection, address)
    lines = {str(id_): _lines(connection, id_, address) for id_ in _shared_tickets(connection, address)}
    for id_, known in before.get("lines", {}).items():
        lines[id_] = _both(known, lines.get(id_, []))
    sought = {
        "ids": _both(before.get("ids", []), _message_ids(connection, address)),
        "names": _both(before.get("names", []), _names(connection, address)),
        "lines": lines,
    }
    erasure.keep_sought(connection, address, sought)
    return sought


def _both(some: Sequence[str], others: Sequence[str]) -> list[str]:
    """All of them, the longest first: what holds another is looked for before it."""
    return sorted({*some, *others}, key=len, reverse=True)


def _redact_ticket(
    store: Store, ticket_id: int, address: str, needles: Sequence[str], now: datetime, done: Forgotten
) -> None:
    """Take a person off another's ticket."""
    his = select(Message.id).where(Message.ticket_id == ticket_id, Message.author_address == address)
    for ids in _chunks(store, his):
        with store.write(alone=True) as connection:
            about = select(Delivery.id).where(Delivery.message_id.in_(ids))
            done.left += erasure.erase_sent(connection, list(connection.execute(about).scalars()))
            erasure.erase_messages(connection, ids, now)
        done.messages += len(ids)
    with store.write(alone=True) as connection:
        for row in connection.execute(select(Message.__table__).where(Message.ticket_id == ticket_id)).all():
            cut = {name: erasure.without(getattr(row, name), needles) for name in ("text", "subject")}
            connection.execute(update(Message).where(Message.id == row.id).values(cut))
        row = connection.execute(select(Ticket.__table__).where(Ticket.id == ticket_id)).one()
        columns = ("subject", "normal_subject", "description", "resolution_summary", "triage_notes", "root_cause")
        cut = {name: erasure.without(getattr(row, name), needles) for name in columns}
        connection.execute(update(Ticket).where(Ticket.id == ticket_id).values(cut))
    received = select(InboundEmail.digest).where(InboundEmail.ticket_id == ticket_id, InboundEmail.erased_at.is_(None))
    settled = Delivery.state.not_in(erasure.UNDER_WAY)
    sent = select(Delivery.digest).where(Delivery.ticket_id == ticket_id, Delivery.digest.is_not(None), settled)
    with store.read() as connection:
        theirs = {str(digest) for digest in connection.execute(received).scalars()}
        ours = {str(digest) for digest in connection.execute(sent).scalars()} - theirs
    for digest in sorted(theirs | ours):
        _blacken(store, digest, needles, digest in ours, done)


def _blacken(store: Store, digest: str, needles: Sequence[str], is_ours: bool, done: Forgotten) -> None:
    """Take words out of the bytes of a mail, which stay as long as they were, so that its files are still found.

    Where the words are encoded: our own mail is emptied, as is another's that carries no files; another's with files stays.
    """
    with store.read() as connection:
        raw = raw_mail.read(connection, digest)
    if not raw:
        return
    black = blackened(raw, needles)
    if _mentions(black, needles):
        if not is_ours and parse(black).attachments:
            done.kept += 1
        else:
            black = b""
    if black != raw:
        with store.write(alone=True) as connection:
            raw_mail.rewrite(connection, digest, black)
        done.redacted += 1


def blackened(raw: bytes, needles: Sequence[str]) -> bytes:
    """The bytes with `x` over what stands there as it is, in whatever case."""
    for needle in needles:
        pattern = erasure.whole(needle).pattern.encode("utf-8", "replace")
        raw = re.sub(pattern, lambda found: b"x" * len(found[0]), raw, flags=re.IGNORECASE)
    return raw


def _mentions(raw: bytes, needles: Sequence[str]) -> bool:
    """Whether one who reads the mail finds any of these."""
    email = parse(raw)
    people = [f"{who.name} {who.address}" for who in (*email.from_, *email.to, *email.cc)]
    words = "\n".join([email.subject, email.text, email.html or "", *people, *(value for _, value in email.headers)])
    return any(erasure.whole(needle).search(words) for needle in needles)


def _names(connection: Connection, address: str) -> list[str]:
    """The names under which the person is known, without those that somebody else bears: he chooses what he is called."""
    queries = (
        select(Participant.name).where(Participant.address == address).distinct(),
        select(Message.author_name).where(Message.author_address == address).distinct(),
        select(Ticket.submitter_name).where(Ticket.requester == address).distinct(),
    )
    found = {str(name).strip() for query in queries for name in connection.execute(query).scalars() if name}
    names = [
        name
        for name in sorted(found)
        if len(name) >= NAME_LEAST and " " in name and not _is_others(connection, name, address)
    ]
    return sorted(names, key=len, reverse=True)


def _is_others(connection: Connection, name: str, address: str) -> bool:
    """Whether somebody else goes by that name, an agent or another person."""
    queries = (
        select(Agent.id).where(func.lower(Agent.title) == name.lower()),
        select(Participant.ticket_id).where(Participant.name == name, Participant.address != address),
        select(Message.id).where(Message.author_name == name, Message.author_address.not_in((address, erasure.ERASED))),
        select(Ticket.id).where(Ticket.submitter_name == name, Ticket.requester.not_in((address, ""))),
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in queries)


def _shared_tickets(connection: Connection, address: str) -> list[int]:
    """Others' tickets on which he is, or wrote."""
    his = select(Ticket.id).where(Ticket.requester == address)
    on = select(Participant.ticket_id).where(Participant.address == address)
    wrote = select(Message.ticket_id).where(Message.author_address == address)
    found = {*connection.execute(on).scalars(), *connection.execute(wrote).scalars()}
    return sorted(found - set(connection.execute(his).scalars()))


def _lines(connection: Connection, ticket_id: int, address: str) -> list[str]:
    """The longer lines of what he wrote on a ticket: what others may have quoted."""
    query = select(Message.text).where(Message.ticket_id == ticket_id, Message.author_address == address)
    lines = {line.strip() for text in connection.execute(query).scalars() for line in text[:TEXT_MAX].splitlines()}
    return sorted((line for line in lines if len(line) >= LINE_LEAST), key=len, reverse=True)[:LINES_MAX]


def _message_ids(connection: Connection, address: str) -> list[str]:
    """Those of his mails that hold his address."""
    query = select(Message.email_message_id).where(Message.author_address == address)
    found = {str(id_) for id_ in connection.execute(query).scalars() if id_ and address in id_.lower()}
    return sorted(found, key=len, reverse=True)


def _sweep(store: Store, needles: Sequence[str], cut: Sequence[str]) -> int:
    """Take him out of every table there is, also those that nobody thought of here."""
    count = 0
    for table in Base.metadata.sorted_tables:
        after, begun = 0, False
        while after or not begun:
            begun = True
            with store.write(alone=True) as connection:
                after, changed = erasure.sweep(connection, table, after, needles, cut, SWEEP_CHUNK)
            count += changed
    return count


def _chunks(store: Store, query: object) -> Iterator[list[int]]:
    """The ids that a query finds, a handful at a time, until it finds no new ones."""
    with store.read() as connection:
        ids = list(connection.execute(query).scalars())  # type: ignore[call-overload]
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _count(connection: Connection, query: object) -> int:
    return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())  # type: ignore[attr-defined]


def purge(store: Store, settings: Retention, now: datetime) -> dict[str, int]:
    """Erase what was kept as long as the configuration says, a handful in each transaction; how much of each kind."""
    i, d = InboundEmail, Delivery
    received = (i.state.in_(("processed", "duplicate")), i.erased_at.is_(None))
    sent = (d.state.not_in(erasure.UNDER_WAY), d.digest.is_not(None))
    closed = (Ticket.status == workflow.CLOSED, Ticket.subject != erasure.ERASED_SUBJECT)
    kinds = {
        "quarantined": (settings.quarantined_days, i.id, i.processed_at, (i.state == "quarantined",), _expire),
        "received": (settings.received_days, i.id, i.processed_at, received, erasure.empty_received),
        "sent": (settings.sent_days, d.id, d.created_at, sent, lambda connection, ids, _: erasure.erase_bytes(connection, ids)),
        "closed_tickets": (settings.closed_ticket_days, Ticket.id, Ticket.closed_at, closed, erasure.erase_tickets),
    }  # fmt: skip
    counts: dict[str, int] = {}
    for kind, (days, id_, at, which, erase) in kinds.items():
        if not days:
            continue
        for ids in _chunks(
            store, select(id_).where(*which, at < now - timedelta(days=days)).order_by(id_).limit(PURGED_MAX)
        ):
            with store.write(alone=True) as connection:
                erase(connection, ids, now)
            counts[kind] = counts.get(kind, 0) + len(ids)
    return counts


def _expire(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    for id_ in ids:
        erasure.delete_quarantined(
            connection, id_, "deleted: nobody looked at it for as long as [retention] keeps it", now
        )

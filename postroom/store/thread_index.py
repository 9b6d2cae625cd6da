"""Which tickets a Message-ID points to, and who takes part in them.

`ThreadIndex` answers what the room `threading` asks (its Protocol), on one connection: so a message sees
what the messages before it in the same transaction have written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from postroom.store import tickets
from postroom.store.engine import insert, insert_new
from postroom.store.inbound import SELECT_CHUNK
from postroom.store.prepared import Prepared, PreparedIn, PreparedInsert
from postroom.store.tables import MAX_MESSAGE_ID, Delivery, Message, Participant, ThreadRef, Ticket

MAX_REFS = 200  # Message-IDs of one message that are looked up or indexed: the root and the newest

_hits = PreparedIn(
    ThreadRef.ref.type,
    lambda refs: (
        select(ThreadRef.ref, ThreadRef.ticket_id, ThreadRef.kind)
        .where(ThreadRef.ref.in_(refs)).order_by(ThreadRef.ticket_id)
    ),
    by=ThreadRef.ref,
)  # fmt: skip
_taking_part = PreparedIn(
    Participant.ticket_id.type,
    lambda ids: select(Participant.ticket_id).where(
        Participant.ticket_id.in_(ids), Participant.address == bindparam("address")
    ),
    by=Participant.ticket_id,
)
_agreed = Prepared(
    select(Participant.agreed).where(
        Participant.ticket_id == bindparam("ticket_id"), Participant.address == bindparam("address")
    ),
    by=Participant.ticket_id,
)
_add_participants = PreparedInsert(Participant, lambda connection: insert_new(connection, Participant))
_same_subject = Prepared(
    select(Ticket.id).where(
        Ticket.requester == bindparam("requester"), Ticket.normal_subject == bindparam("subject"),
        Ticket.updated_at >= bindparam("since"), Ticket.status != "resolved", Ticket.status != "closed", Ticket.merged_into.is_(None),
    ).limit(2)
)  # fmt: skip


class ThreadIndex:
    """The index, as one transaction sees it; for one message, which writes nothing while it asks."""

    def __init__(self, connection: Connection, expected: Sequence[str] = ()) -> None:
        """`expected`: Message-IDs that it will be asked for; they are looked up all at once."""
        self._connection = connection
        self._expected = dict.fromkeys(expected)
        self._looked_up: dict[str, list[tuple[int, str]]] | None = None
        self._took_part: dict[tuple[tuple[int, ...], str], set[int]] = {}  # one rule asks after the other

    def by_refs(self, refs: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """For each known Message-ID the tickets that it points to, oldest first: (ticket id, kind)."""
        if not self._expected:
            return self._hits(refs)
        if self._looked_up is None:
            self._looked_up = self._hits(list(self._expected))
        known, unknown = self._looked_up, [ref for ref in refs if ref not in self._expected]
        found = {ref: known[ref] for ref in refs if ref in known}
        return {**found, **self._hits(unknown)} if unknown else found

    def _hits(self, refs: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = {}
        wanted = bounded(refs)
        if not wanted:
            return found
        for ref, ticket_id, kind in _hits.all(self._connection, wanted, {}):
            found.setdefault(ref, []).append((ticket_id, kind))
        return found

    def by_key(self, key: int) -> tuple[int, str] | None:
        """The ticket of that key: the id of it, or of the one that it was merged into, and its own reference."""
        row = tickets.by_key(self._connection, key)
        return None if row is None else (int(tickets.follow(self._connection, row).id), str(row.ref))

    def by_number(self, number: int) -> int | None:
        """The id of the ticket of that number, or of the one that it was merged into."""
        row = tickets.by_number(self._connection, number)
        return None if row is None else int(tickets.follow(self._connection, row).id)

    def by_subject(self, subject: str, requester: str, since: datetime) -> list[int]:
        """Up to two unresolved tickets of that requester and normalised subject, touched since then."""
        values = {"subject": subject, "requester": requester, "since": since}
        return [int(row.id) for row in _same_subject.all(self._connection, values)]

    def taking_part(self, ticket_ids: Sequence[int], address: str) -> set[int]:
        """Those of the tickets of which the address (lower case) is a participant."""
        asked = tuple(ticket_ids), address
        found = self._took_part.get(asked)
        if found is None:
            found = self._took_part[asked] = set()
            for start in range(0, len(ticket_ids), SELECT_CHUNK):
                some = ticket_ids[start : start + SELECT_CHUNK]
                found.update(
                    int(row.ticket_id) for row in _taking_part.all(self._connection, some, {"address": address})
                )
        return found


def ask_ahead(connection: Connection, refs: Sequence[str]) -> None:
    """Look up now, for all messages of a batch, the Message-IDs that each of them will be asked for."""
    _hits.ask_ahead(connection, list(dict.fromkeys(ref for ref in refs if 0 < len(ref) <= MAX_MESSAGE_ID)))


def is_agreed(connection: Connection, ticket_id: int, address: str) -> bool:
    """Whether the address (lower case) takes part, and not only as one to whom no agent has agreed yet."""
    return bool(_agreed.scalar(connection, {"ticket_id": ticket_id, "address": address}))


def agree(connection: Connection, ticket_id: int, address: str) -> None:
    """Let a newcomer take part like everybody else."""
    his = (Participant.ticket_id == ticket_id, Participant.address == address)
    connection.execute(update(Participant).where(*his).values(agreed=True))


def add_refs(connection: Connection, ticket_id: int, own: str | None, named: Iterable[str]) -> None:
    """Index a message: the Message-ID that it bears, and those that it names."""
    rows = [{"ref": ref, "ticket_id": ticket_id, "kind": "reference"} for ref in bounded(list(named)) if ref != own]
    if own and len(own) <= MAX_MESSAGE_ID:
        rows.append({"ref": own, "ticket_id": ticket_id, "kind": "message"})
    if rows:
        _index.add(connection, rows)


def _indexing(connection: Connection) -> Any:
    """Who is named already and turns out to be one of the ticket's messages becomes one."""
    inserted = insert(connection, ThreadRef)
    return inserted.on_conflict_do_update(
        index_elements=["ref", "ticket_id"], set_={"kind": "message"}, where=inserted.excluded.kind == "message"
    )


_index = PreparedInsert(ThreadRef, _indexing)


def add_participants(connection: Connection, ticket_id: int, people: Sequence[dict[str, Any]]) -> None:
    """Add participants (`address`, `name`, `role`, `agreed`, `created_at`); who is one already stays as he is."""
    if people:
        rows = [{"ticket_id": ticket_id, **person} for person in people]
        _add_participants.add(connection, rows)


def participants(connection: Connection, ticket_id: int) -> Sequence[Any]:
    """A ticket's participants, the requester first."""
    query = select(Participant.__table__).where(Participant.ticket_id == ticket_id)
    return connection.execute(query.order_by(Participant.role != "requester", Participant.address)).all()


def move(connection: Connection, from_ticket: int, to_ticket: int) -> list[str]:
    """Let every Message-ID and participant of one ticket be another's; who takes part there now, and did not before.

    Both keep the participants.
    """
    refs = connection.execute(select(ThreadRef.ref, ThreadRef.kind).where(ThreadRef.ticket_id == from_ticket)).all()
    if refs:
        moved = [{"ref": ref, "ticket_id": to_ticket, "kind": kind} for ref, kind in refs]
        _index.add(connection, moved)
    before = {person.address for person in participants(connection, to_ticket)}
    new = [
        {"address": p.address, "name": p.name, "role": p.role, "agreed": p.agreed, "created_at": p.created_at}
        for p in participants(connection, from_ticket) if p.address not in before
    ]  # fmt: skip
    add_participants(connection, to_ticket, new)
    connection.execute(update(Participant).where(Participant.ticket_id == to_ticket, Participant.role == "requester",
                       Participant.address != select(Ticket.requester).where(Ticket.id == to_ticket).scalar_subquery())
                       .values(role="participant"))  # fmt: skip
    connection.execute(delete(ThreadRef).where(ThreadRef.ticket_id == from_ticket))
    return [person["address"] for person in new]


def move_back(connection: Connection, from_ticket: int, to_ticket: int, people: Sequence[str]) -> None:
    """Undo `move`, once the messages are `to_ticket`'s again: what they bear and name goes with them, and `people` too.

    What the messages that stayed bear or name remains theirs as well, and who wrote one takes part still.
    """
    m = Message
    columns = select(m.email_message_id, m.references, m.author_address)
    gone, left = (
        connection.execute(columns.where(m.ticket_id == id_).order_by(m.id)).all() for id_ in (to_ticket, from_ticket)
    )
    sent = select(Delivery.email_message_id).where(Delivery.ticket_id == to_ticket).distinct()
    ours = [ref for ref in connection.execute(sent).scalars() if ref]
    moved = {*ours, *(ref for own, named, _ in gone for ref in (own, *named) if ref)}
    for start in range(0, len(some := sorted(moved)), SELECT_CHUNK):
        theirs = (ThreadRef.ticket_id == from_ticket, ThreadRef.ref.in_(some[start : start + SELECT_CHUNK]))
        connection.execute(delete(ThreadRef).where(*theirs))
    for own, named, _ in gone:
        add_refs(connection, to_ticket, own, named)
    for ref in ours:
        add_refs(connection, to_ticket, ref, ())
    for own, named, _ in left:
        add_refs(connection, from_ticket, own if own in moved else None, [ref for ref in named if ref in moved])
    parted = [address for address in people if address not in {author for *_, author in left}]
    his = (Participant.ticket_id == from_ticket, Participant.address.in_(parted))
    connection.execute(delete(Participant).where(*his))


def move_ref(connection: Connection, ref: str, from_ticket: int, to_ticket: int) -> None:
    """Let one Message-ID be another ticket's: answers to that message go there from now on."""
    old = (ThreadRef.ref == ref, ThreadRef.ticket_id == from_ticket)
    connection.execute(delete(ThreadRef).where(*old))
    connection.execute(
        insert(connection, ThreadRef).values(ref=ref, ticket_id=to_ticket, kind="message").on_conflict_do_nothing()
    )


def forget_ref(connection: Connection, ref: str) -> None:
    """Let a Message-ID point to no ticket: for a transaction that is taken back."""
    connection.execute(delete(ThreadRef).where(ThreadRef.ref == ref))


def bounded(refs: Sequence[str]) -> list[str]:
    """At most MAX_REFS of them, without repeats and those longer than a line: the root and the newest."""
    unique = list(dict.fromkeys(ref for ref in refs if 0 < len(ref) <= MAX_MESSAGE_ID))
    return unique if len(unique) <= MAX_REFS else [unique[0], *unique[1 - MAX_REFS :]]

"""Tickets: numbered one after the other, found by reference, redirected once merged.

A number is for people. What is signed into mail is the key, which is random: a database that was restored gives
numbers again, and an answer to an old mail must not reach whoever got the number since.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from postroom.store.engine import insert, insert_new
from postroom.store.prepared import Prepared, PreparedInsert
from postroom.store.tables import Sequence as SequenceTable
from postroom.store.tables import Ticket, TicketLink

TICKET_NUMBERS = "ticket"
KEY_BITS = 48  # of a ticket's key: short enough for an address, and of a million old keys none is a new one's
MAX_REDIRECTS = 20  # a chain of merges longer than this is a circle

_ticket = select(Ticket.__table__)
_by_id = Prepared(_ticket.where(Ticket.id == bindparam("id_")))
_change = Prepared(update(Ticket).where(Ticket.id == bindparam("id_")))  # sets the columns that it is executed with
_by_number = Prepared(_ticket.where(Ticket.number == bindparam("number")))
_by_key = Prepared(_ticket.where(Ticket.key == bindparam("key")))
_insert = PreparedInsert(  # nothing, where the key is another ticket's
    Ticket, lambda c: insert(c, Ticket).on_conflict_do_nothing(index_elements=["key"]).returning(Ticket.id)
)
_next = Prepared(
    update(SequenceTable).where(SequenceTable.name == bindparam("row_name"))
    .values(value=SequenceTable.value + 1).returning(SequenceTable.value)
)  # fmt: skip


def next_number(connection: Connection, first: int) -> int:
    """The next ticket number, `first` for the very first; given back if the transaction rolls back."""
    value = _next.scalar(connection, {"row_name": TICKET_NUMBERS})
    if value is not None:
        return int(value)
    start = insert(connection, SequenceTable).values(name=TICKET_NUMBERS, value=first)
    again = {"value": SequenceTable.value + 1}  # another daemon was first
    return int(
        connection.execute(
            start.on_conflict_do_update(index_elements=["name"], set_=again).returning(SequenceTable.value)
        ).scalar_one()
    )


def add(connection: Connection, values: dict[str, Any], random: Random) -> int:
    """Insert a ticket, with a key of its own; its id."""
    while True:
        row = {**values, "key": random.randrange(1, 1 << KEY_BITS)}  # 0 is no ticket's
        id_ = _insert.one(connection, row)
        if id_ is not None:
            return int(id_)


def get(connection: Connection, id_: int) -> Row[Any] | None:
    """The ticket's row, as it is, merged or not."""
    row: Row[Any] | None = _by_id.first(connection, {"id_": id_})
    return row


def by_number(connection: Connection, number: int) -> Row[Any] | None:
    """The ticket of that number, as it is, merged or not."""
    row: Row[Any] | None = _by_number.first(connection, {"number": number})
    return row


def by_key(connection: Connection, key: int) -> Row[Any] | None:
    """The ticket of that key, as it is, merged or not."""
    row: Row[Any] | None = _by_key.first(connection, {"key": key})
    return row


def by_ref(connection: Connection, ref: str) -> Row[Any] | None:
    """The ticket of that readable reference ("T-1042", in any case), merged or not."""
    return connection.execute(_ticket.where(Ticket.ref.in_({ref, ref.upper()}))).one_or_none()


def follow(connection: Connection, ticket: Row[Any]) -> Row[Any]:
    """The ticket that `ticket` was merged into, by way of others, or itself."""
    for _ in range(MAX_REDIRECTS):
        if ticket.merged_into is None:
            break
        [ticket] = _by_id.all(connection, {"id_": ticket.merged_into})
    return ticket


def change(connection: Connection, id_: int, values: dict[str, Any]) -> None:
    """Set columns of a ticket."""
    _change.run(connection, [{"id_": id_, **values}])


def link(connection: Connection, id_: int, others: Sequence[int], kind: str, reason: str) -> None:
    """Link a ticket to others, once."""
    rows = [{"ticket_id": id_, "other_id": other, "kind": kind, "reason": reason} for other in others if other != id_]
    if rows:
        connection.execute(insert_new(connection, TicketLink), rows)


def unlink(connection: Connection, id_: int, other: int, kind: str) -> None:
    """Take a link of that kind away."""
    t = TicketLink
    connection.execute(delete(t).where(t.ticket_id == id_, t.other_id == other, t.kind == kind))


def are_linked(connection: Connection, one: int, other: int, kind: str) -> bool:
    """Whether a link of that kind joins two tickets, from either side."""
    query = select(TicketLink.kind).where(
        TicketLink.ticket_id.in_((one, other)), TicketLink.other_id.in_((one, other)), TicketLink.kind == kind
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def links(connection: Connection, id_: int) -> list[tuple[str, str, str]]:
    """The tickets linked with this one, from either side: (ref, kind, reason)."""
    found = []
    for own, other in ((TicketLink.ticket_id, TicketLink.other_id), (TicketLink.other_id, TicketLink.ticket_id)):
        query = (
            select(Ticket.ref, TicketLink.kind, TicketLink.reason).join(Ticket, Ticket.id == other).where(own == id_)
        )
        found += [(row.ref, row.kind, row.reason) for row in connection.execute(query)]
    return found

"""The entries of tickets' conversations, their files, and the tickets' activity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from postroom.store.engine import insert
from postroom.store.inbound import SELECT_CHUNK
from postroom.store.prepared import PreparedIn, PreparedInsert
from postroom.store.tables import Attachment, Event, Message

_by_content_key = PreparedIn(
    Message.content_key.type,
    lambda keys: select(Message.content_key, Message.id, Message.ticket_id, Message.inbound_id).where(
        Message.content_key.in_(keys)
    ),
    by=Message.content_key,
)
_add = PreparedInsert(Message, lambda connection: insert(connection, Message).returning(Message.id))
_add_attachments = PreparedInsert(Attachment)
_add_events = PreparedInsert(Event)
_of_ticket = (
    select(Message.__table__).where(Message.ticket_id == bindparam("ticket_id")).order_by(Message.timestamp, Message.id)
)


def add(connection: Connection, values: dict[str, Any]) -> int:
    """Insert a message; its id. IntegrityError where its content key is known: the same mail came before."""
    return int(_add.one(connection, values))


def add_attachments(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that name the parts of a raw mail."""
    _add_attachments.add(connection, rows)


def add_event(
    connection: Connection, ticket_id: int, event: str, detail: dict[str, Any], actor: str, at: datetime
) -> None:
    """Append a line to a ticket's activity."""
    row = {"ticket_id": ticket_id, "at": at, "actor": actor, "event": event, "detail": detail}
    _add_events.add(connection, [row])


def by_content_key(connection: Connection, keys: Iterable[str]) -> dict[str, Row[Any]]:
    """The messages that bear these content keys: id, ticket_id, inbound_id."""
    wanted, found = list(keys), dict[str, Row[Any]]()
    for start in range(0, len(wanted), SELECT_CHUNK):
        for row in _by_content_key.all(connection, wanted[start : start + SELECT_CHUNK], {}):
            found[str(row.content_key)] = row
    return found


def ask_ahead(connection: Connection, keys: Sequence[str]) -> None:
    """Look up now, for all messages of a batch, the content keys that each of them will be asked for."""
    _by_content_key.ask_ahead(connection, list(dict.fromkeys(keys)))


def free_content_key(connection: Connection, key: str) -> None:
    """Let a mail that came before be taken anew: for a transaction that is taken back."""
    connection.execute(update(Message).where(Message.content_key == key).values(content_key=None))


def count_same(
    connection: Connection, ticket_id: int, author: str, text: str, since: datetime, most: int
) -> int:  # fmt: skip
    """How many public messages of an agent on a ticket have that text, since then; `most` is enough."""
    m = Message
    same = (m.ticket_id == ticket_id, m.author_type == "agent", m.author_address == author, m.visibility == "public")
    query = select(m.id).where(*same, m.created_at >= since, m.text == text).limit(most)
    return len(connection.execute(query).all())


def get(connection: Connection, id_: int) -> Row[Any] | None:
    """One message's row."""
    return connection.execute(select(Message.__table__).where(Message.id == id_)).one_or_none()


def of_ticket(connection: Connection, ticket_id: int) -> Sequence[Row[Any]]:
    """A ticket's conversation, oldest first."""
    return connection.execute(_of_ticket, {"ticket_id": ticket_id}).all()


def attachments(connection: Connection, message_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """The files of these messages, in their order."""
    query = select(Attachment.__table__).where(Attachment.message_id.in_(message_ids)).order_by(Attachment.id)
    return connection.execute(query).all()


def events(connection: Connection, ticket_id: int) -> Sequence[Row[Any]]:
    """A ticket's activity, oldest first."""
    return connection.execute(select(Event.__table__).where(Event.ticket_id == ticket_id).order_by(Event.id)).all()


def move(connection: Connection, from_ticket: int, to_ticket: int) -> list[int]:
    """Hand a ticket's messages to another; their ids. Its activity stays where it happened."""
    query = update(Message).where(Message.ticket_id == from_ticket).values(ticket_id=to_ticket).returning(Message.id)
    return list(connection.execute(query).scalars())


def move_back(connection: Connection, ids: Sequence[int], to_ticket: int) -> None:
    """Hand these messages to a ticket."""
    for start in range(0, len(ids), SELECT_CHUNK):
        some = Message.id.in_(ids[start : start + SELECT_CHUNK])
        connection.execute(update(Message).where(some).values(ticket_id=to_ticket))


def move_one(connection: Connection, id_: int, to_ticket: int) -> None:
    """Hand one message to another ticket."""
    connection.execute(update(Message).where(Message.id == id_).values(ticket_id=to_ticket))


def set_visibility(connection: Connection, id_: int, visibility: str) -> None:
    """Say who may read a message: `public` or `internal`."""
    connection.execute(update(Message).where(Message.id == id_).values(visibility=visibility))


def set_flags(connection: Connection, id_: int, flags: Sequence[str]) -> None:
    """Replace a message's flags."""
    connection.execute(update(Message).where(Message.id == id_).values(flags=list(flags)))

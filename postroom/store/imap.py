"""What we have taken from IMAP servers, by UID, and how each mailbox's watcher fares.

A row means: this message is ours by now (or was refused, with the reason). It is unsettled until the server has
been told (flagged, moved, deleted as configured), so that a crash in between costs one more flag, never one more fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, select, update

from postroom.store.engine import insert, insert_new
from postroom.store.tables import ImapMessage, MailboxState

CHUNK = 400  # UIDs in one query; databases bound the number of parameters

# In `reason` while a copy is on its way: after a crash it says that the copy may have been made.
COPYING = "copying"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in one life: with another UIDVALIDITY its UIDs mean other messages (RFC 3501 §2.3.1.1)."""

    account: str  # user@host:port
    name: str
    uidvalidity: int


def known(connection: Connection, folder: Folder, lowest: int) -> set[int]:
    """The UIDs from `lowest` on that we have taken or refused."""
    query = select(ImapMessage.uid).where(_in(folder), ImapMessage.uid >= lowest)
    return set(connection.execute(query).scalars())


def record(connection: Connection, folder: Folder, taken: Mapping[int, int], settled: bool) -> None:
    """Note, in the transaction that commits their bytes, the UIDs taken and the inbound row of each."""
    rows = [
        {**_columns(folder), "uid": uid, "inbound_id": inbound_id, "settled": settled}
        for uid, inbound_id in taken.items()
    ]
    if rows:
        connection.execute(insert_new(connection, ImapMessage), rows)


def refuse(connection: Connection, folder: Folder, uid: int, reason: str) -> None:
    """Note that a message stays on the server, and why."""
    row = {**_columns(folder), "uid": uid, "reason": reason, "settled": True}
    connection.execute(insert_new(connection, ImapMessage), [row])


def forget_refused(connection: Connection, account: str, name: str) -> None:
    """Have refused messages looked at again: another configuration may take them."""
    i = ImapMessage
    connection.execute(delete(i).where(i.account == account, i.folder == name, i.inbound_id.is_(None)))


def unsettled(connection: Connection, folder: Folder) -> dict[int, str | None]:
    """The UIDs of which the server has yet to be told, oldest first, and `COPYING` where that had begun."""
    query = select(ImapMessage.uid, ImapMessage.reason).where(_in(folder), ImapMessage.settled.is_(False))
    return {row.uid: row.reason for row in connection.execute(query.order_by(ImapMessage.uid))}


def mark_copying(connection: Connection, folder: Folder, uids: Sequence[int]) -> None:
    """Note that these are about to be copied; committed before the server is asked to."""
    _update(connection, folder, uids, {"reason": COPYING})


def unmark_copying(connection: Connection, folder: Folder, uids: Sequence[int]) -> None:
    """Note that these were not copied after all."""
    _update(connection, folder, uids, {"reason": None})


def settle(connection: Connection, folder: Folder, uids: Sequence[int], reason: str | None = None) -> None:
    """Note that the server has been told about these."""
    _update(connection, folder, uids, {"settled": True, "reason": reason})


def refused(connection: Connection) -> Sequence[Row[Any]]:
    """Every message left on its server because we do not take it: account, folder, UID and reason."""
    i = ImapMessage
    query = select(i.account, i.folder, i.uidvalidity, i.uid, i.reason).where(i.inbound_id.is_(None))
    return cast("Sequence[Row[Any]]", connection.execute(query.order_by(i.id)).all())


def note_success(connection: Connection, mailbox: str, uidvalidity: int, at: datetime, remark: str | None) -> None:
    """The mailbox was read to the end; `remark` is what could not be done beside that."""
    _note(connection, mailbox, uidvalidity=uidvalidity, last_success_at=at, failing_since=None, last_error=remark)


def note_failure(connection: Connection, mailbox: str, at: datetime, error: str) -> None:
    """The mailbox could not be read; the first of a row of failures says since when."""
    statement = insert(connection, MailboxState).values(mailbox=mailbox, failing_since=at, last_error=error)
    since = func.coalesce(MailboxState.failing_since, statement.excluded.failing_since)
    changed = {"last_error": error, "failing_since": since}
    connection.execute(statement.on_conflict_do_update(index_elements=["mailbox"], set_=changed))


def state(connection: Connection, mailbox: str) -> Row[Any] | None:
    """How a mailbox's watcher fares; None where it never ran."""
    query = select(MailboxState.__table__).where(MailboxState.mailbox == mailbox)
    return connection.execute(query).one_or_none()


def states(connection: Connection) -> Sequence[Row[Any]]:
    """How every mailbox's watcher fares, by the mailbox's name."""
    return connection.execute(select(MailboxState.__table__).order_by(MailboxState.mailbox)).all()


def _columns(folder: Folder) -> dict[str, Any]:
    return {"account": folder.account, "folder": folder.name, "uidvalidity": folder.uidvalidity}


def _in(folder: Folder) -> ColumnElement[bool]:
    i = ImapMessage
    return and_(i.account == folder.account, i.folder == folder.name, i.uidvalidity == folder.uidvalidity)


def _update(connection: Connection, folder: Folder, uids: Sequence[int], values: dict[str, Any]) -> None:
    for chunk in _chunks(uids):
        connection.execute(update(ImapMessage).where(_in(folder), ImapMessage.uid.in_(chunk)).values(values))


def _chunks(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[start : start + CHUNK] for start in range(0, len(uids), CHUNK))


def _note(connection: Connection, mailbox: str, **values: Any) -> None:
    statement = insert(connection, MailboxState).values(mailbox=mailbox, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["mailbox"], set_=values))

"""Mail received, looked up and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postroom.cli import output
from postroom.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


def as_object(row: Row[Any], refs: dict[int, str]) -> dict[str, Any]:
    """One mail as JSON."""
    r = row
    return {
        "id": r.id, "state": r.state, "reason": r.reason, "mailbox": r.mailbox, "recipient": r.recipient,
        "sender": r.sender, "receivedAt": output.utc(r.received_at), "processedAt": output.utc(r.processed_at),
        "source": r.source, "peer": r.peer, "size": r.size, "sha256": r.digest, "ticket": refs.get(r.ticket_id),
        "messageRow": r.message_id, "duplicateOf": r.duplicate_of, "attempts": r.attempts, "failures": r.failures,
        "nextAttemptAt": output.utc(r.next_attempt_at), "archive": r.archive, "quiet": r.quiet,
    }  # fmt: skip


def find(connection: Connection, id_: int) -> Row[Any]:
    """The mail of that id; UserError where there is none."""
    from postroom.store import inbound

    row = inbound.get(connection, id_)
    if row is None:
        raise UserError(f"there is no mail {id_}; `postroom inbound list` shows those there are")
    return row


def refs_of(connection: Connection, rows: Any) -> dict[int, str]:
    """The references of the tickets that these mails are on, by id."""
    from postroom.store import reports

    return reports.refs(connection, {row.ticket_id for row in rows if row.ticket_id is not None})

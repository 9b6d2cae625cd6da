"""Where a mail of ours stands in its reader's thread."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from postroom.desk.happened import Origin
from postroom.outbound.addresses import is_message_id
from postroom.outbound.headers import bounded_references
from postroom.outbound.letters import Thread
from postroom.outbound.outlook import marks_of_mail, marks_of_row

MADE_UP = ".invalid"  # how the Message-IDs end that we gave to mails without one; nobody else knows those
MAX_STRANGERS_ID = 250  # characters of a Message-ID that we repeat to one whom we do not know


def thread_of_mail(origin: Origin, repeats: bool, now: datetime) -> Thread:
    """The thread of the mail that is answered; to one whom we do not know its Message-ID alone is repeated."""
    id_ = origin.email.message_id
    if id_ is None or not is_message_id(id_):
        return Thread()
    if not repeats:
        return Thread(id_, (id_,)) if len(id_) <= MAX_STRANGERS_ID else Thread()
    return Thread(id_, bounded_references((*origin.email.references, id_)), marks_of_mail(origin.email, now))


def thread_of_row(row: Any | None, recipient: str | None, now: datetime) -> Thread:
    """The thread of a message of the ticket's conversation; Outlook's marks of it only where its author alone is the recipient."""
    if row is None or not row.email_message_id or not is_message_id(row.email_message_id):
        return Thread()
    outlook = marks_of_row(row, recipient, now) if recipient else ()
    if row.email_message_id.endswith(MADE_UP):
        return Thread(None, bounded_references(row.references), outlook)
    return Thread(row.email_message_id, bounded_references((*row.references, row.email_message_id)), outlook)

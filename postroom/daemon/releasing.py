"""A mail that no parser can read becomes a ticket all the same, because a person says so.

Nothing of it is parsed: a few header fields are looked for in its first octets, a beginning of its text is shown if it
is plain, and the whole mail hangs on the ticket as a file. It counts as damaged, so nothing is answered by itself.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

from sqlalchemy import Connection

from postroom.daemon.receive import Reception, Settled, receive
from postroom.errors import UserError
from postroom.parsers.attachments import WHOLE
from postroom.parsers.parsed import Address, Attachment, ParsedEmail
from postroom.store import inbound

HEAD_MAX = 64 << 10  # octets in which header fields are looked for
TEXT_MAX = 4_000  # characters of the body that are shown
LINE_MAX = 900  # characters of a field
PLAIN_LEAST = 0.9  # of a body, to be shown: what is less plain than this is encoded
FIELD = rb"(?im)^%s:[ \t]*([^\n]{1,%d})"
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")
ID = re.compile(r"<([^<>\s]{3,250})>")


def release(connection: Connection, reception: Reception, id_: int, who: str, now: datetime) -> Settled:
    """Make a ticket of a quarantined mail, or part of the ticket that it answers; UserError where it is not in quarantine."""
    row = inbound.get(connection, id_)
    if row is None or row.state != "quarantined":
        raise UserError(f"mail {id_} is {row.state if row else 'not there'}; only what is quarantined can be released")
    [claimed] = inbound.load_whole(connection, [id_])
    email = unparsed(claimed.raw, claimed.digest, claimed.sender or "", id_)
    settled = receive(connection, reception, claimed, email, now)
    settled.note("release", "released", "held", f"released by {who}, unread: {row.reason}")
    settled.reason = f"released by {who}; {settled.reason}"
    inbound.settle(connection, [settled.row(now)])
    return settled


def unparsed(raw: bytes, digest: str, sender: str, id_: int) -> ParsedEmail:
    """What can be said of a mail without parsing it."""
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    head = head[:HEAD_MAX]
    authors = ADDRESS.findall(_field(head, b"From"))
    author = authors[0] if len(authors) == 1 else sender
    ids = ID.findall(_field(head, b"Message-ID"))
    text = _plain(body[: 4 * TEXT_MAX].decode("utf-8", "replace"))[:TEXT_MAX]
    is_plain = body and sum(char.isprintable() or char == "\n" for char in text) >= PLAIN_LEAST * max(len(text), 1)
    note = f"(This mail could not be read. All of it is attached, as mail-{id_}.eml.)"
    words = f"{note}\n\n{text.strip()}" if is_plain and b" " in body[:TEXT_MAX] else note
    whole = Attachment(WHOLE, f"mail-{id_}.eml", "message/rfc822", len(raw), digest)
    return ParsedEmail(
        message_id=ids[0] if len(ids) == 1 else None,
        in_reply_to=tuple(ID.findall(_field(head, b"In-Reply-To")))[:1],
        references=tuple(ID.findall(_field(head, b"References")))[-10:],
        date=_date(_field(head, b"Date")), from_=(Address("", author),) if author else (),
        subject=_field(head, b"Subject") or "(unreadable mail)", text=words, reply_text=words, attachments=(whole,),
        defects=("it was released from quarantine, unread",), body_digest=digest,
    )  # fmt: skip


def _field(head: bytes, name: bytes) -> str:
    """The first line of a field, as plain text; "" where there is none."""
    found = re.search(FIELD % (name, LINE_MAX), head)
    return _plain(found[1].decode("utf-8", "replace")).strip() if found else ""


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else None

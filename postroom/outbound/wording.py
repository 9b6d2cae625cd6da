"""What templates are told: plain data made of rows and parsed mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from postroom.config import Config
from postroom.parsers.parsed import ParsedEmail
from postroom.parsers.subjects import has_reply_prefix

MAX_TOLD = 50_000  # characters of a message that a notice tells an agent
MAX_QUOTED = 200  # lines of the customer's last message that an answer quotes
MAX_BEGINNING = 12  # lines of an answer that its agent is shown again


def ticket_data(config: Config, case: Any) -> dict[str, Any]:
    """A ticket without a word of its requester's: what an automatic mail to a customer may know."""
    return {
        "ref": case.ref,
        "status": case.status,
        "priority": case.priority,
        "queue": queue_title(config, case.queue),
    }


def private_ticket_data(config: Config, case: Any) -> dict[str, Any]:
    """A ticket as agents may see it, and a customer in an agent's answer."""
    return {
        **ticket_data(config, case), "subject": untagged(case.subject, case.ref),
        "requester": case.requester, "requester_name": case.contact_name or "",
    }  # fmt: skip


def message_of_mail(email: ParsedEmail, received_at: datetime, zone: tzinfo) -> dict[str, Any]:
    """A message that has just come in; none of its files is attached yet."""
    sender = email.from_[0] if email.from_ else None
    files = ((a.filename, a.size) for a in email.attachments)
    author = author_line(sender.name, sender.address) if sender else "?"
    text = (
        f"{email.reply_text}\n\n{email.signature}" if email.signature else email.reply_text
    )  # agents want the phone number
    return _message(author, email.date or received_at, text, files, zone)


def message_of_row(row: Any, files: Iterable[Any], zone: tzinfo) -> dict[str, Any]:
    """A message of the ticket's conversation; none of its files is attached yet."""
    author = author_line(row.author_name, row.author_address)
    return _message(author, row.timestamp, row.text, ((f.filename, f.size) for f in files), zone)


def _message(author: str, date: datetime, text: str, files: Iterable[tuple[str, int]], zone: tzinfo) -> dict[str, Any]:
    if len(text) > MAX_TOLD:
        text = text[:MAX_TOLD] + " […]"
    listed = [{"filename": name, "size": size, "attached": False} for name, size in files]
    return {"author": author, "date": date.astimezone(zone), "text": text, "files": listed}


def quoted(row: Any | None, zone: tzinfo, most: int = MAX_QUOTED) -> dict[str, Any] | None:
    """The message that an answer quotes, up to so many lines."""
    if row is None:
        return None
    lines: Sequence[str] = row.text.splitlines()
    if len(lines) > most:
        lines = [*lines[:most], "[…]"]
    author = row.author_name or row.author_address
    return {"author": author, "date": row.timestamp.astimezone(zone), "lines": list(lines)}


def author_line(name: str, address: str) -> str:
    """`Ann <ann@example.org>`, or what there is of it."""
    return f"{name} <{address}>" if name and address else name or address or "?"


def zone_of(config: Config, queue: str) -> tzinfo:
    """Where a queue's clocks are: its times are written so."""
    settings = config.queue.get(queue)
    return ZoneInfo(settings.time_zone) if settings else UTC


def queue_title(config: Config, queue: str) -> str:
    """A queue's name as people read it."""
    settings = config.queue.get(queue)
    return (settings.title if settings else "") or queue.replace("_", " ").replace("-", " ").title()


def untagged(subject: str, ref: str) -> str:
    """The subject without the ticket's tag."""
    if f"[{ref}]".lower() not in subject.lower():
        return subject
    return re.sub(rf"\s*\[{re.escape(ref)}\]\s*", " ", subject, flags=re.IGNORECASE).strip()


def reply_subject(subject: str, ref: str) -> str:
    """The subject of an answer: the thread's own, with one prefix and without our tag."""
    plain = untagged(subject, ref)
    return plain if has_reply_prefix(plain) else f"Re: {plain}"

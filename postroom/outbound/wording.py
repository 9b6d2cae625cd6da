"""What templates are told: plain data made of rows and parsed mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from postroom.config import Config
from postroom.parsers.parsed import ParsedEmail
from postroom.parsers.subjects import has_reply_prefix

MAX_TOLD = 50_000  # characters of a message that a notice tells an agent
MAX_QUOTED = 200  # lines of the customer's last message that an answer quotes
DATES = {"en": "%Y-%m-%d %H:%M UTC", "de": "%d.%m.%Y %H:%M UTC"}
BINARY_UNIT = 1024


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


def message_of_mail(email: ParsedEmail, language: str, received_at: datetime) -> dict[str, Any]:
    """A message that has just come in."""
    sender = email.from_[0] if email.from_ else None
    files = ((a.filename, a.size) for a in email.attachments)
    author = author_line(sender.name, sender.address) if sender else "?"
    text = (
        f"{email.reply_text}\n\n{email.signature}" if email.signature else email.reply_text
    )  # agents want the phone number
    return _message(author, email.date or received_at, text, files, language)


def message_of_row(row: Any, files: Iterable[Any], language: str) -> dict[str, Any]:
    """A message of the ticket's conversation."""
    author = author_line(row.author_name, row.author_address)
    return _message(author, row.timestamp, row.text, ((f.filename, f.size) for f in files), language)


def _message(author: str, date: datetime, text: str, files: Iterable[tuple[str, int]], language: str) -> dict[str, Any]:
    if len(text) > MAX_TOLD:
        text = text[:MAX_TOLD] + " […]"
    listed = [{"filename": name, "size": size_in_words(size)} for name, size in files]
    return {"author": author, "date": date_in_words(date, language), "text": text, "files": listed}


def quoted(row: Any | None, language: str) -> dict[str, Any] | None:
    """The message that an answer quotes."""
    if row is None:
        return None
    lines: Sequence[str] = row.text.splitlines()
    if len(lines) > MAX_QUOTED:
        lines = [*lines[:MAX_QUOTED], "[…]"]
    author = row.author_name or row.author_address
    return {"author": author, "date": date_in_words(row.timestamp, language), "lines": list(lines)}


def author_line(name: str, address: str) -> str:
    """`Ann <ann@example.org>`, or what there is of it."""
    return f"{name} <{address}>" if name and address else name or address or "?"


def date_in_words(date: datetime, language: str) -> str:
    """When, in UTC, as the language writes it."""
    return date.astimezone(UTC).strftime(DATES.get(language, DATES["en"]))


def size_in_words(size: int) -> str:
    """Octets in the unit that a person would take."""
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if amount < BINARY_UNIT:
            break
        amount, unit = amount / BINARY_UNIT, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"


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

"""A message becomes part of a ticket: it opens one, or is added to one.

Everything here writes on the caller's connection, within the transaction that holds the message's whole
effect. What happened is returned, for others to be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config
from postroom.desk import workflow
from postroom.desk.author import Agent, Author
from postroom.desk.happened import NEWCOMER, Happened, Origin, What
from postroom.desk.mailboxes import Mailboxes
from postroom.parsers.parsed import Address, Kind, ParsedEmail
from postroom.parsers.subjects import normalise_subject
from postroom.store import messages, thread_index, tickets

NO_SUBJECT = "(no subject)"
SUBJECT_MAX = 500  # characters of a ticket's subject
DESCRIPTION_MAX = 20_000  # characters of its description
PARTICIPANTS_MAX = 100  # addresses of one message that become participants
CLOCK_SKEW = timedelta(days=1)  # a Date this far in the future is not believed


@dataclass(frozen=True, slots=True)
class Desk:
    """What the desk goes by: its settings, the addresses that are ours, and who answers."""

    config: Config
    mailboxes: Mailboxes
    agents: Mapping[str, Agent]  # by address, lower case


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message on its way into a ticket: what it says, how it came, and who wrote it."""

    inbound_id: int
    digest: str
    message_id: str  # the mail's own, or one made from its digest
    email: ParsedEmail
    author: Author
    origin: Origin
    received_at: datetime
    archive: bool
    now: datetime


def message_id_of(email: ParsedEmail, digest: str) -> str:
    """The mail's Message-ID, or one that is made from its bytes: the same mail always gets the same."""
    return email.message_id or f"{digest[:32]}@no-message-id.invalid"


def content_key(email: ParsedEmail, message_id: str) -> str:
    """What two copies of one mail have in common: Message-ID, From, Date and body, whatever way each came."""
    senders = ",".join(a.address for a in email.from_)
    what = "\0".join((message_id, senders, email.date.isoformat() if email.date else "", email.body_digest))
    return hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()


def open_ticket(connection: Connection, desk: Desk, incoming: Incoming) -> Happened:
    """Open a ticket with the message that asks for it."""
    email, author, settings = incoming.email, incoming.author, desk.config.tickets
    number = tickets.next_number(connection, settings.first_number)
    subject = email.subject[:SUBJECT_MAX] or NO_SUBJECT
    created = _believable(incoming) if incoming.archive else incoming.now
    ticket_id = tickets.add(connection, {
        "number": number, "ref": f"{settings.prefix}{number}",
        "subject": subject, "normal_subject": normalise_subject(subject)[:SUBJECT_MAX],
        "description": words_of(email)[:DESCRIPTION_MAX],
        "ticket_type": settings.default_type, "priority": settings.default_priority, "source": "email",
        "submitter_name": author.name, "submitter_email": author.address,
        "contact_name": author.name or None, "contact_email": author.address or None, "requester": author.address,
        "email_message_id": incoming.message_id, "email_thread_id": thread_id(email, incoming.message_id),
        "mailbox": incoming.origin.mailbox, "queue": desk.config.mailbox[incoming.origin.mailbox].queue,
        "status": workflow.NEW, "created_at": created, "updated_at": created,
    })  # fmt: skip
    _event(connection, incoming, ticket_id, "opened", {"subject": subject})
    message_id = _store(connection, desk, incoming, ticket_id, "user", "public", role="requester")
    return Happened(What.OPENED, ticket_id, author.label, message_id, incoming.origin)


def add_customer(connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, agreed: bool) -> Happened:
    """Add a customer's message; it reopens what waited for him. `agreed`: he takes part already, or is trusted."""
    flags = [] if agreed else [NEWCOMER]
    message_id = _store(connection, desk, incoming, ticket.id, "user", "public", flags)
    status = workflow.after_customer(ticket.status)
    _touch(connection, incoming, ticket, status, {})
    return Happened(
        What.CUSTOMER_REPLIED,
        ticket.id,
        incoming.author.label,
        message_id,
        incoming.origin,
        None,
        ticket.status,
        status,
    )


def add_agent(connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming) -> Happened:
    """Add a proven agent's answer; it is sent on to the customer."""
    message_id = _store(connection, desk, incoming, ticket.id, "agent", "public")
    agent = incoming.author.agent
    changes: dict[str, Any] = {}
    if ticket.first_responded_at is None:
        changes["first_responded_at"] = incoming.now
    if ticket.assigned_to is None and agent is not None:
        changes["assigned_to"] = agent.id
        _event(connection, incoming, ticket.id, "assigned", {"to": agent.name, "why": "first to answer"})
    status = workflow.after_agent(ticket.status)
    _touch(connection, incoming, ticket, status, changes)
    return Happened(
        What.AGENT_REPLIED, ticket.id, incoming.author.label, message_id, incoming.origin,
        agent.id if agent else None, ticket.status, status,
    )  # fmt: skip


def add_note(connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, flag: str) -> Happened:
    """Keep a message on a ticket as an internal note that changes nothing and is sent to nobody.

    `flag` says why: `unproven-agent`, `automatic`, `bounce` and kin.
    """
    kind = "system" if incoming.email.kind in (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT) else "user"
    message_id = _store(connection, desk, incoming, ticket.id, kind, "internal", [flag], joins=False)
    return Happened(What.NOTED, ticket.id, incoming.author.label, message_id, incoming.origin)


def thread_id(email: ParsedEmail, message_id: str) -> str:
    """The Message-ID of the thread's root, also where we never saw the root."""
    return next(iter((*email.references, *email.in_reply_to)), message_id)


def words_of(email: ParsedEmail) -> str:
    """What its author wrote now; of a mail that only hands another on, or only quotes, what there is to read."""
    forwarded = email.forwarded.text if email.forwarded else ""
    return email.reply_text or forwarded or email.text


def _store(
    connection: Connection, desk: Desk, incoming: Incoming, ticket_id: int, author_type: str, visibility: str,
    flags: list[str] | None = None, role: str = "participant", joins: bool = True,
) -> int:  # fmt: skip
    """The rows that every message brings: itself, its files, its Message-IDs, its people, a line of activity."""
    email = incoming.email
    references = thread_index.bounded([*email.references, *email.in_reply_to])
    id_ = messages.add(connection, {
        "ticket_id": ticket_id, "inbound_id": incoming.inbound_id, "digest": incoming.digest,
        "email_message_id": incoming.message_id, "references": references,
        "content_key": content_key(email, incoming.message_id),
        "author_type": author_type, "author_address": incoming.author.address, "author_name": incoming.author.name,
        "visibility": visibility, "subject": email.subject, "text": words_of(email), "flags": flags or [],
        "timestamp": _believable(incoming), "created_at": incoming.now,
    })  # fmt: skip
    messages.add_attachments(connection, [
        {"message_id": id_, "part": a.part, "filename": a.filename, "content_type": a.content_type, "size": a.size,
         "sha256": a.sha256, "inline": a.inline, "content_id": a.content_id}
        for a in email.attachments
    ])  # fmt: skip
    if joins:
        thread_index.add_refs(connection, ticket_id, incoming.message_id, references)
        thread_index.add_participants(
            connection, ticket_id, _people(desk, incoming, role, NEWCOMER not in (flags or []))
        )
    detail = {"messageId": incoming.message_id, "type": author_type, "visibility": visibility, "flags": flags or []}
    _event(connection, incoming, ticket_id, "message", detail)
    return id_


def _people(desk: Desk, incoming: Incoming, role: str, known: bool) -> list[dict[str, Any]]:
    """Who takes part by this message: its author, and whom it was sent to, without our own addresses."""
    author, email = incoming.author, incoming.email
    people: dict[str, dict[str, Any]] = {}

    def add(who: Address, role: str, agreed: bool) -> None:
        address = who.address.lower()
        if "@" in address and len(people) < PARTICIPANTS_MAX and not desk.mailboxes.is_ours(address):
            role = "agent" if address in desk.agents else role
            people.setdefault(address, {
                "address": address, "name": who.name, "role": role, "agreed": agreed, "created_at": incoming.now,
            })  # fmt: skip

    add(Address(author.name, author.address), role, known)
    if known:  # whom a stranger writes to does not join by his word
        for who in (*email.from_, *email.to, *email.cc):
            add(who, "participant", agreed=True)
    return list(people.values())


def _touch(connection: Connection, incoming: Incoming, ticket: Row[Any], status: str, changes: dict[str, Any]) -> None:
    if status != ticket.status:
        changes = {**changes, "status": status, **workflow.times_of(ticket.status, status, incoming.now)}
        _event(connection, incoming, ticket.id, "status", {"from": ticket.status, "to": status})
    tickets.change(connection, ticket.id, {**changes, "updated_at": incoming.now})


def _event(connection: Connection, incoming: Incoming, ticket_id: int, event: str, detail: dict[str, Any]) -> None:
    row = {"ticket_id": ticket_id, "at": incoming.now, "actor": incoming.author.label, "event": event, "detail": detail}
    messages.add_events(connection, [row])


def _believable(incoming: Incoming) -> datetime:
    """The mail's Date, unless it lies in the future; then when it was received."""
    date = incoming.email.date
    return incoming.received_at if date is None or date > incoming.received_at + CLOCK_SKEW else date

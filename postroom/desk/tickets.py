"""A message becomes part of a ticket: it opens one, or is added to one.

Everything here writes on the caller's connection, within the transaction that holds the message's whole
effect. What happened is returned, for others to be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config
from postroom.desk import workflow
from postroom.desk.author import Agent, Author, Standing
from postroom.desk.happened import NEWCOMER, Happened, Origin, What
from postroom.desk.mailboxes import Mailboxes
from postroom.parsers.content_language import language_of
from postroom.parsers.parsed import Address, Attachment, Kind, ParsedEmail
from postroom.parsers.subjects import normalise_subject
from postroom.store import messages, thread_index, tickets
from postroom.threading.tokens import ReplyToken

NO_SUBJECT = "(no subject)"
THREAD_INDEX_MAX = 500  # characters of Outlook's Thread-Index; who has answered more often begins a new one
SUBJECT_MAX = 500  # characters of a ticket's subject
DESCRIPTION_MAX = 20_000  # characters of its description
PARTICIPANTS_MAX = 100  # addresses of one message that become participants
CROWD = 20  # of one message: more people than these are nobody's colleagues, and an agent has to agree to them
UNSURE = frozenset({"unproven-agent", "automatic", *map(str, (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT))})
CLOCK_SKEW = timedelta(days=1)  # a Date this far in the future is not believed


@dataclass(frozen=True, slots=True)
class Desk:
    """What the desk goes by: its settings, the addresses that are ours, who answers, and what makes tickets' keys."""

    config: Config
    mailboxes: Mailboxes
    agents: Mapping[str, Agent]  # by address, lower case
    random: Random  # in service a `SystemRandom`


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
    personal: bool = False  # it came to a proven agent's own address, the one that belongs to no ticket
    recipient: str = ""  # the envelope's
    size: int = 0  # octets of the whole mail
    links: tuple[ReplyToken, ...] = ()  # what it says by the addresses that it was sent to
    own_words: str = ""  # what its author wrote beside what such a link had written for him
    content_key: str = ""  # of the mail as it came; "": not computed yet


@dataclass(frozen=True, slots=True)
class Words:
    """Who says what, in the row of a message: not always what the mail that brought it says of itself."""

    name: str
    address: str  # lower case
    subject: str
    text: str
    message_id: str | None
    references: Sequence[str]
    files: Sequence[Attachment] = ()

    @classmethod
    def of(cls, incoming: Incoming, text: str | None = None) -> Words:
        """What the mail says, or its author with another `text`."""
        email, author = incoming.email, incoming.author
        references = thread_index.bounded([*email.references, *email.in_reply_to])
        text = words_of(email) if text is None else text
        return cls(
            author.name, author.address, email.subject, text, incoming.message_id, references, email.attachments
        )  # fmt: skip


def message_id_of(email: ParsedEmail, digest: str) -> str:
    """The mail's Message-ID, or one that is made from its bytes: the same mail always gets the same."""
    return email.message_id or f"{digest[:32]}@no-message-id.invalid"


def content_key(email: ParsedEmail, message_id: str) -> str:
    """What two copies of one mail have in common: Message-ID, From, Date, thread and body, whatever way each came."""
    senders, thread = ",".join(a.address for a in email.from_), " ".join((*email.in_reply_to, *email.references))
    date = email.date.isoformat() if email.date else ""
    return _key(message_id, senders, date, thread, email.body_digest)


def key_of(incoming: Incoming) -> str:
    """The content key that a message takes; one without proof, which may be sent ahead, never takes the real mail's."""
    key = incoming.content_key or content_key(incoming.email, incoming.message_id)
    doubtful = incoming.origin.authenticated is False or incoming.author.standing is Standing.UNPROVEN_AGENT
    return _key(key, "unproven") if doubtful and not incoming.archive else key


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def open_ticket(connection: Connection, desk: Desk, incoming: Incoming, text: str | None = None) -> Happened:
    """Open a ticket with the message that asks for it. `text`: what it says, where that is not all of its words."""
    words = Words.of(incoming, text)
    ticket_id = _new_ticket(connection, desk, incoming, words)
    note_event(connection, incoming, ticket_id, "opened", {"subject": words.subject[:SUBJECT_MAX] or NO_SUBJECT})
    message_id = _store(connection, desk, incoming, ticket_id, "user", "public", role="requester", words=words)
    return Happened(What.OPENED, ticket_id, incoming.author.label, message_id, incoming.origin)


def open_for(connection: Connection, desk: Desk, incoming: Incoming, customer: Words) -> Happened:
    """Open a ticket for a customer whose mail an agent has forwarded; it is the agent's from the beginning.

    Of those whom the forwarded mail names only its sender takes part: the others did not write.
    """
    agent = incoming.author.agent
    assert agent is not None
    ticket_id = _new_ticket(connection, desk, incoming, customer, assigned_to=agent.id)
    subject = customer.subject[:SUBJECT_MAX] or NO_SUBJECT
    note_event(connection, incoming, ticket_id, "opened", {"subject": subject, "handed in for": customer.address})
    note_event(connection, incoming, ticket_id, "assigned", {"to": agent.name, "why": "handed it in"})
    message_id = _store(connection, desk, incoming, ticket_id, "user", "public", joins=False, words=customer)
    references = thread_index.bounded([*incoming.email.references, *incoming.email.in_reply_to])
    thread_index.add_refs(connection, ticket_id, incoming.message_id, references)
    thread_index.add_refs(connection, ticket_id, customer.message_id, ())
    people = [(customer.address, customer.name, "requester"), (agent.address, agent.title, "agent")]
    thread_index.add_participants(connection, ticket_id, [
        {"address": address, "name": name, "role": role, "agreed": True, "created_at": incoming.now}
        for address, name, role in people
    ])  # fmt: skip
    return Happened(What.HANDED_IN, ticket_id, agent.name, message_id, incoming.origin, agent.id)


def _new_ticket(
    connection: Connection, desk: Desk, incoming: Incoming, words: Words, assigned_to: int | None = None
) -> int:
    """The row of a ticket that asks what `words` say."""
    settings = desk.config.tickets
    number = tickets.next_number(connection, settings.first_number)
    subject = words.subject[:SUBJECT_MAX] or NO_SUBJECT
    created = _believable(incoming) if incoming.archive else incoming.now
    return tickets.add(connection, {
        "number": number, "ref": f"{settings.prefix}{number}",
        "subject": subject, "normal_subject": normalise_subject(subject)[:SUBJECT_MAX],
        "description": words.text[:DESCRIPTION_MAX],
        "ticket_type": settings.default_type, "priority": settings.default_priority, "source": "email",
        "submitter_name": words.name, "submitter_email": words.address,
        "contact_name": words.name or None, "contact_email": words.address or None, "requester": words.address,
        "email_message_id": incoming.message_id, "email_thread_id": thread_id(incoming.email, words.message_id or incoming.message_id),
        "mailbox": incoming.origin.mailbox, "queue": desk.config.mailbox[incoming.origin.mailbox].queue,
        "language": language_of(incoming.email), "status": workflow.NEW, "assigned_to": assigned_to, "created_at": created, "updated_at": created,
        # history is due no more: its clock stands still until somebody writes on it, and begins there
        "clock_stopped_at": created if incoming.archive else None,
    }, desk.random)  # fmt: skip


def add_customer(
    connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, agreed: bool, brings: bool = True
) -> Happened:
    """Add a customer's message; it reopens what waited for him.

    `agreed`: he takes part already, or is trusted. `brings`: so does whom he copied; else an agent has to agree first.
    """
    flags = [] if agreed else [NEWCOMER]
    message_id = _store(connection, desk, incoming, ticket.id, "user", "public", flags, brings=brings)
    status = workflow.after_customer(ticket.status, desk.config)
    _touch(connection, incoming, ticket, status, {})
    return Happened(
        What.CUSTOMER_REPLIED, ticket.id, incoming.author.label, message_id, incoming.origin, None, ticket.status,
        status, is_stranger=not agreed,
    )  # fmt: skip


def add_said(
    connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, flag: str, visibility: str
) -> Happened:
    """Add a customer's message that reopens nothing: what it says is said by its link, which `flag` names."""
    message_id = _store(connection, desk, incoming, ticket.id, "user", visibility, [flag], brings=False)
    tickets.change(connection, ticket.id, {"updated_at": incoming.now})
    return Happened(What.NOTED, ticket.id, incoming.author.label, message_id, incoming.origin)


def add_agent(
    connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, text: str,
    said: Collection[str] = (),
) -> Happened:  # fmt: skip
    """Add a proven agent's answer; it is sent on to the customer.

    `text`: what he wrote beside his commands. `said`: what those have settled (status, assignee) and this leaves alone.
    """
    words = Words.of(incoming, text)
    message_id = _store(connection, desk, incoming, ticket.id, "agent", "public", words=words)
    agent = incoming.author.agent
    changes: dict[str, Any] = {}
    if ticket.first_responded_at is None:
        changes["first_responded_at"] = incoming.now
    if ticket.assigned_to is None and agent is not None and "assignee" not in said:
        changes["assigned_to"] = agent.id
        note_event(connection, incoming, ticket.id, "assigned", {"to": agent.name, "why": "first to answer"})
    status = ticket.status if "status" in said else workflow.after_agent(ticket.status)
    _touch(connection, incoming, ticket, status, changes)
    return Happened(
        What.AGENT_REPLIED, ticket.id, incoming.author.label, message_id, incoming.origin,
        agent.id if agent else None, ticket.status, status,
    )  # fmt: skip


def add_note(
    connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, flag: str | None, text: str | None = None
) -> Happened:
    """Keep a message on a ticket as an internal note that changes nothing and is sent to nobody.

    `flag` says why: `unproven-agent`, `automatic`, `refused-command`, `bounce` and kin; None where an agent wanted a
    note. `text`: what it says, where that is not all of its words.
    """
    kind = "system" if incoming.email.kind in (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT) else "user"
    kind = "agent" if incoming.author.standing is Standing.AGENT and kind == "user" else kind
    key = None
    if flag in UNSURE:  # a copy that somebody sent ahead must not make the real mail, with its proof, a duplicate
        key = _key(content_key(incoming.email, incoming.message_id), str(ticket.id), str(flag))
        if (known := messages.by_content_key(connection, [key]).get(key)) is not None:
            return Happened(What.NOTED, ticket.id, incoming.author.label, known.id, incoming.origin)
    message_id = _store(
        connection, desk, incoming, ticket.id, kind, "internal", [flag] if flag else [], joins=False,
        words=Words.of(incoming, text), key=key,
    )  # fmt: skip
    return Happened(What.NOTED, ticket.id, incoming.author.label, message_id, incoming.origin)


def note_event(connection: Connection, incoming: Incoming, ticket_id: int, event: str, detail: dict[str, Any]) -> None:
    """Append a line to a ticket's activity, in the name of the mail's author."""
    messages.add_event(connection, ticket_id, event, detail, incoming.author.label, incoming.now)


def thread_id(email: ParsedEmail, message_id: str) -> str:
    """The Message-ID of the thread's root, also where we never saw the root."""
    return next(iter((*email.references, *email.in_reply_to)), message_id)


def words_of(email: ParsedEmail) -> str:
    """What its author wrote now; of a mail that only hands another on, or only quotes, what there is to read."""
    forwarded = email.forwarded.text if email.forwarded else ""
    return email.reply_text or forwarded or email.text


def _store(
    connection: Connection, desk: Desk, incoming: Incoming, ticket_id: int, author_type: str, visibility: str,
    flags: list[str] | None = None, role: str = "participant", joins: bool = True, words: Words | None = None,
    brings: bool = True, key: str | None = None,
) -> int:  # fmt: skip
    """The rows that every message brings: itself, its files, its Message-IDs, its people, a line of activity."""
    words = words or Words.of(incoming)
    id_ = messages.add(connection, {
        "ticket_id": ticket_id, "inbound_id": incoming.inbound_id, "digest": incoming.digest,
        "email_message_id": words.message_id, "references": list(words.references),
        "content_key": key or key_of(incoming),
        "author_type": author_type, "author_address": words.address, "author_name": words.name,
        "visibility": visibility, "subject": words.subject, "text": words.text, "flags": flags or [],
        **_outlook(incoming, author_type), "timestamp": _believable(incoming), "created_at": incoming.now,
    })  # fmt: skip
    messages.add_attachments(connection, [
        {"message_id": id_, "part": a.part, "filename": a.filename, "content_type": a.content_type, "size": a.size,
         "inline": a.inline, "content_id": a.content_id}
        for a in words.files
    ])  # fmt: skip
    if joins:
        thread_index.add_refs(connection, ticket_id, incoming.message_id, words.references)
        thread_index.add_participants(
            connection, ticket_id, _people(desk, incoming, role, NEWCOMER not in (flags or []), brings)
        )
    detail = {"messageId": incoming.message_id, "type": author_type, "visibility": visibility, "flags": flags or []}
    note_event(connection, incoming, ticket_id, "message", detail)
    return id_


def _outlook(incoming: Incoming, author_type: str) -> dict[str, str | None]:
    """Outlook's marks of the conversation, for our answers to the customer whose mail bears them."""
    index = incoming.email.header("thread-index") if author_type == "user" else None
    if index is None or len(index) > THREAD_INDEX_MAX:
        return {"thread_index": None, "thread_topic": None}
    topic = incoming.email.header("thread-topic")
    return {"thread_index": index, "thread_topic": topic and topic[:SUBJECT_MAX]}


def _people(desk: Desk, incoming: Incoming, role: str, known: bool, brings: bool) -> list[dict[str, Any]]:
    """Who takes part by this message: its author, and whom it was sent to, without our own addresses.

    `brings`: its author's word is enough for those; else, and for a crowd, an agent has to agree.
    """
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
        brings = brings and len({who.address for who in (*email.to, *email.cc)}) <= CROWD
        for who in (*email.from_, *email.to, *email.cc):
            add(who, "participant", agreed=brings)
    return list(people.values())


def _touch(connection: Connection, incoming: Incoming, ticket: Row[Any], status: str, changes: dict[str, Any]) -> None:
    if status != ticket.status:
        changes = {**changes, "status": status, **workflow.times_of(ticket.status, status, incoming.now)}
        note_event(connection, incoming, ticket.id, "status", {"from": ticket.status, "to": status})
    updated = max(ticket.updated_at, _believable(incoming)) if incoming.archive else incoming.now
    tickets.change(connection, ticket.id, {**changes, "updated_at": updated})


def _believable(incoming: Incoming) -> datetime:
    """The mail's Date, unless it lies in the future; then when it was received."""
    date = incoming.email.date
    return incoming.received_at if date is None or date > incoming.received_at + CLOCK_SKEW else date

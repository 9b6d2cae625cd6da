"""Every table, typed. Column names are the glossary's; what a ticket holds is in DESIGN's words.

The classes are definitions for SQLAlchemy Core: queries run on connections, in batches, and yield rows.
Times are aware and UTC. Uniqueness that a promise rests on is a constraint here, never a SELECT elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# What waits in a queue. Queries say it word for word, with no parameters in it; else no database sees that an index serves.
# The empty text keeps SQLite away from the index on `state`, which looks better to it, and after which it would have to sort.
NEW = "state || '' = 'pending' AND next_attempt_at IS NULL"
AGAIN = "next_attempt_at IS NOT NULL"
TIMES_KEPT = 64  # as SQLite's text: what a mail changes bears one time in a dozen rows
_WITHOUT_ZONE = 26  # characters of a time in SQLite
MAX_MESSAGE_ID = 998  # octets: one line (RFC 5322 §2.1.1)


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime, also on SQLite, which keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Ours alone, in place of SQLAlchemy's chain of three: a mail has dozens of times."""
        return _text_of if dialect.name == "sqlite" else _in_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """The way back."""
        return _time_of if dialect.name == "sqlite" else _in_utc


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive time has no place in the store")
    return value.astimezone(UTC)


@lru_cache(TIMES_KEPT)
def _text_of(value: datetime | None) -> str | None:
    """As SQLAlchemy writes it."""
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = cast(datetime, _in_utc(value))
    return value.isoformat(" ", "microseconds")[:_WITHOUT_ZONE]


def _time_of(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")  # a fifth of what replace() takes


Key = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER PRIMARY KEY by itself
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """The root of the tables; names of constraints are fixed, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        int: Key, str: Text, datetime: Utc, dict[str, Any]: Json, list[Any]: Json, bool: Boolean, bytes: LargeBinary,
    }  # fmt: skip


def _some(name: str, columns: str, which: str) -> Index:
    """An index of those rows alone: it costs nothing where they are not written, and of a queue it stays small."""
    return Index(name, *columns.split(", "), sqlite_where=text(which), postgresql_where=text(which))


class RawMail(Base):
    """The exact bytes of a mail, in or out: the only place where bytes live, or what says where they do."""

    __tablename__ = "raw_mail"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hex
    size: Mapped[int]  # octets
    place: Mapped[str | None]  # the object that holds them, in place of `content`
    content: Mapped[bytes | None]  # empty once they are erased
    __table_args__ = (_some("ix_raw_mail_place", "place", "place IS NOT NULL"),)


class RawTask(Base):
    """What is still to be done in the store of objects: an object to delete, a mail's bytes to put there."""

    __tablename__ = "raw_task"
    name: Mapped[str] = mapped_column(primary_key=True)  # the object's, or the mail's digest
    what: Mapped[str]  # delete, put
    since: Mapped[datetime]


class InboundEmail(Base):
    """A mail as received, for one recipient of ours, and what became of it."""

    __tablename__ = "inbound_email"
    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox: Mapped[str]
    recipient: Mapped[str]  # the envelope's, lower case
    digest: Mapped[str] = mapped_column(ForeignKey("raw_mail.digest"), index=True)
    size: Mapped[int]  # octets
    source: Mapped[str]  # smtp, imap, ingest
    sender: Mapped[str | None]  # the envelope's; "" is the null sender, None is unknown
    peer: Mapped[dict[str, Any]]  # who handed it to us: address, helo, tls, or account and UID
    received_at: Mapped[datetime]
    archive: Mapped[bool] = mapped_column(default=False)  # history: an archive's own threads are trusted
    quiet: Mapped[bool] = mapped_column(default=False)  # writes no outgoing mail
    state: Mapped[str] = mapped_column(default="pending")  # pending, processing, processed, duplicate, quarantined
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    failures: Mapped[int] = mapped_column(Integer, default=0)  # attempts that this very message broke
    next_attempt_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    outcome: Mapped[str | None]  # opened, added, settled, duplicate: what processing it came to
    reason: Mapped[str | None]  # why it is where it is, in words
    decision: Mapped[list[Any] | None]  # every rule that was tried, with its evidence
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id", use_alter=True))
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("inbound_email.id"))
    processed_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]  # since when its bytes are gone, by a person's or the configuration's word
    __table_args__ = (
        UniqueConstraint("mailbox", "recipient", "digest"),
        Index("ix_inbound_email_state_id", "state", "id"),
        _some("ix_inbound_email_new", "id", NEW),
        _some("ix_inbound_email_again", "next_attempt_at", AGAIN),
    )


class ImapMessage(Base):
    """A message on an IMAP server that we have taken, and whether the server has been told."""

    __tablename__ = "imap_message"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]  # user@host:port
    folder: Mapped[str]
    uidvalidity: Mapped[int]
    uid: Mapped[int]
    inbound_id: Mapped[int | None] = mapped_column(ForeignKey("inbound_email.id"))  # None: refused, see reason
    reason: Mapped[str | None]
    settled: Mapped[bool] = mapped_column(default=False)  # flagged, moved or deleted as configured
    __table_args__ = (UniqueConstraint("account", "folder", "uidvalidity", "uid"),)


class ImapLease(Base):
    """Which of the daemons on one database watches a folder."""

    __tablename__ = "imap_lease"
    account: Mapped[str] = mapped_column(primary_key=True)  # user@host:port
    folder: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]  # holds it as long as it lives
    since: Mapped[datetime]


class MailboxState(Base):
    """How a mailbox's watcher fares."""

    __tablename__ = "mailbox_state"
    mailbox: Mapped[str] = mapped_column(primary_key=True)
    uidvalidity: Mapped[int | None]
    last_success_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    last_error: Mapped[str | None]


class Ticket(Base):
    """A customer's request from start to finish."""

    __tablename__ = "ticket"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    key: Mapped[int] = mapped_column(unique=True)  # random; signed into reply addresses and Message-IDs
    ref: Mapped[str] = mapped_column(unique=True)  # "T-1042"
    subject: Mapped[str]
    normal_subject: Mapped[str]  # without prefixes, for rule `subject`
    description: Mapped[str]
    ticket_type: Mapped[str]
    category: Mapped[str | None]
    source: Mapped[str]  # manual, portal, email, api, web widget, phone, monitoring, internal, other
    submitter_name: Mapped[str]
    submitter_email: Mapped[str]
    email_message_id: Mapped[str | None]  # the message that opened it
    email_thread_id: Mapped[str | None] = mapped_column(
        index=True
    )  # its root's Message-ID, also where we never saw the root
    mailbox: Mapped[str | None]
    queue: Mapped[str]
    language: Mapped[str | None]  # that the mail which opened it names
    requester: Mapped[str]  # the customer's address, lower case
    contact_name: Mapped[str | None]
    contact_email: Mapped[str | None]
    contact_phone: Mapped[str | None]
    client: Mapped[str | None]
    site: Mapped[str | None]
    support_contract: Mapped[str | None]
    affected_asset: Mapped[str | None]
    related_system: Mapped[str | None]
    suppliers: Mapped[list[Any]] = mapped_column(default=list)
    status: Mapped[str]
    priority: Mapped[str]
    severity: Mapped[str | None]
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))
    further_users: Mapped[list[Any]] = mapped_column(default=list)
    escalated_to: Mapped[str | None]
    triage_notes: Mapped[str | None]
    estimated_hours: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    first_responded_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    follow_up_at: Mapped[datetime | None] = mapped_column(index=True)
    action_required_at: Mapped[datetime | None]
    sla_due_at: Mapped[datetime | None] = mapped_column(index=True)  # None while its clock stands still
    clock_stopped_at: Mapped[datetime | None]  # since when it does
    clock_stopped_seconds: Mapped[int] = mapped_column(Integer, default=0)  # working time that it stood still before
    escalated_at: Mapped[datetime | None]  # when somebody was told that it is overdue
    waiting_since: Mapped[datetime | None]  # since when it waits for its customer
    reminders: Mapped[int] = mapped_column(Integer, default=0)  # that he had meanwhile
    resolution_summary: Mapped[str | None]
    resolution_code: Mapped[str | None]
    root_cause: Mapped[str | None]
    feedback_due_at: Mapped[datetime | None] = mapped_column(index=True)  # since when its requester may be asked
    satisfaction_rating: Mapped[int | None] = mapped_column(Integer)  # 1 to 5
    satisfaction_notes: Mapped[str | None]
    tags: Mapped[list[Any]] = mapped_column(default=list)
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"))
    custom_fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    __table_args__ = (
        # as they are listed, the one touched last first: whatever a queue's or an agent's share of them, and in one status
        Index("ix_ticket_updated_at", "updated_at", "id", "queue", "assigned_to"),
        Index("ix_ticket_status_updated_at", "status", "updated_at", "id"),
        _some(
            "ix_ticket_unclosed", "assigned_to, queue, status", "closed_at IS NULL"
        ),  # what there is to do: few of all
        _some("ix_ticket_merged_into", "merged_into", "merged_into IS NOT NULL"),
        Index("ix_ticket_created_at", "created_at"),
        # somebody's tickets, and those of one subject that moved lately: a monitoring system has a million of the same
        Index("ix_ticket_requester_subject", "requester", "normal_subject", "updated_at"),
        _some("ix_ticket_answered", "requester, id", "first_responded_at IS NOT NULL"),
        _some("ix_ticket_first_responded_at", "first_responded_at", "first_responded_at IS NOT NULL"),
    )


class Solution(Base):
    """A way to solve a ticket that somebody proposed, and what became of it."""

    __tablename__ = "solution"
    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"))
    nonce: Mapped[int] = mapped_column(Integer)  # random; signed into its links
    state: Mapped[str]  # review, sent_back, proposed, solved, refused, withdrawn
    text: Mapped[str]
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))  # that says it
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))  # None: from the command line, by nobody
    proposed_at: Mapped[datetime]
    reviewed_by: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))
    reviewed_at: Mapped[datetime | None]
    customer: Mapped[str | None]  # lower case; whose links these are
    asked_at: Mapped[datetime | None]  # when it was sent to him
    expires_at: Mapped[datetime | None]  # until when his links count
    answered_at: Mapped[datetime | None]
    close_at: Mapped[datetime | None] = mapped_column(index=True)  # solved: when its ticket is to be closed
    __table_args__ = (UniqueConstraint("ticket_id", "nonce"),)


class Feedback(Base):
    """How a requester found what was done: asked once for each ticket."""

    __tablename__ = "feedback"
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    customer: Mapped[str]  # lower case; whose links these are
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # until when his links count
    answered_at: Mapped[datetime | None]


class TicketLink(Base):
    """Two tickets that belong together, and why."""

    __tablename__ = "ticket_link"
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    other_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # related, split_from
    reason: Mapped[str]


class Message(Base):
    """One entry of a ticket's conversation."""

    __tablename__ = "message"
    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    inbound_id: Mapped[int | None] = mapped_column(ForeignKey("inbound_email.id"))
    digest: Mapped[str | None] = mapped_column(
        ForeignKey("raw_mail.digest")
    )  # the mail that its attachments are parts of
    email_message_id: Mapped[str | None]
    references: Mapped[list[Any]] = mapped_column(default=list)  # as in the mail, oldest first
    content_key: Mapped[str | None] = mapped_column(unique=True)  # SHA-256 of Message-ID, From, Date and body
    author_type: Mapped[str]  # user, agent, system
    author_address: Mapped[str]
    author_name: Mapped[str]
    visibility: Mapped[str]  # public, internal
    subject: Mapped[str]
    text: Mapped[str]  # what the author wrote now
    thread_index: Mapped[str | None]  # Outlook's, of a customer's mail: for our answers to him, never to find a ticket
    thread_topic: Mapped[str | None]
    flags: Mapped[list[Any]] = mapped_column(default=list)  # unproven-agent, new-participant, automatic
    timestamp: Mapped[datetime]  # the mail's own Date where it is believable
    created_at: Mapped[datetime]


class Attachment(Base):
    """A file of a message: which part of which raw mail it is."""

    __tablename__ = "attachment"
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), index=True)
    part: Mapped[str]
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]  # octets
    inline: Mapped[bool]
    content_id: Mapped[str | None]


class ThreadRef(Base):
    """A Message-ID that points to a ticket."""

    __tablename__ = "thread_ref"
    ref: Mapped[str] = mapped_column(primary_key=True)  # bare Message-ID
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True, index=True)
    kind: Mapped[str]  # message (one of the ticket's messages bears it), reference (one names it)


class Participant(Base):
    """An address seen on the ticket."""

    __tablename__ = "participant"
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)  # lower case
    name: Mapped[str]
    role: Mapped[str]  # requester, participant, agent
    agreed: Mapped[bool]  # False: joined by a signed address; an agent has not agreed yet
    created_at: Mapped[datetime]


class Event(Base):
    """One line of a ticket's activity."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[str]  # an address, an agent's name, or "postroom"
    event: Mapped[str]  # opened, message, status, assigned, sent, merged, ...
    detail: Mapped[dict[str, Any]]
    __table_args__ = (_some("ix_event_status_at", "at", "event = 'status'"),)  # for reports: few of all lines


class Agent(Base):
    """One who answers."""

    __tablename__ = "agent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]  # as customers read it
    address: Mapped[str] = mapped_column(unique=True)  # lower case
    queues: Mapped[list[Any]] = mapped_column(default=list)
    source: Mapped[str]  # config, cli
    active: Mapped[bool]


class Delivery(Base):
    """One outgoing mail to one recipient: frozen bytes, a fixed Message-ID, a state."""

    __tablename__ = "delivery"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[int] = mapped_column(unique=True)  # random; signed into the bounce address
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))
    purpose: Mapped[str]  # confirmation, reply, status, new_ticket, assignment, ...
    automatic: Mapped[bool]
    mailbox: Mapped[str | None]
    recipient: Mapped[str]
    envelope_sender: Mapped[str]
    email_message_id: Mapped[str | None] = mapped_column(index=True)
    digest: Mapped[str | None] = mapped_column(
        ForeignKey("raw_mail.digest")
    )  # None where it was suppressed before composing
    subject: Mapped[str]
    state: Mapped[str]  # pending, sending, sent, retry, failed, cancelled, suppressed
    reason: Mapped[str | None]
    reported_by: Mapped[str | None]  # what vouched for the report that it failed: bounce-address, own-message-id
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    in_doubt_at: Mapped[
        datetime | None
    ]  # committed before the final dot; still set after a crash means: we do not know
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_delivery_state_id", "state", "id"),
        _some("ix_delivery_new", "automatic, id", NEW),
        _some("ix_delivery_again", "next_attempt_at", AGAIN),
    )


class Correspondent(Base):
    """An address that we write to: its language, and whether we may still write to it by ourselves."""

    __tablename__ = "correspondent"
    address: Mapped[str] = mapped_column(primary_key=True)  # lower case
    language: Mapped[str | None]  # in which he is written to: "de"
    hard_bounces: Mapped[int] = mapped_column(Integer, default=0)  # in a row, since `bounces_since`
    bounces_since: Mapped[datetime | None]
    held_at: Mapped[datetime | None]  # since when no automatic mail goes to it, because mail to it comes back
    held_why: Mapped[str | None]
    trusted_at: Mapped[datetime | None]  # when a mail that proves nothing last ended that; it may do so once in a while
    complained_at: Mapped[datetime | None]  # since when none goes to it, because its owner, or an operator, said so
    complained_why: Mapped[str | None]
    updated_at: Mapped[datetime]


class SmarthostState(Base):
    """How a smarthost fares with us."""

    __tablename__ = "smarthost_state"
    name: Mapped[str] = mapped_column(primary_key=True)  # the path of its table: outgoing.smtp, smarthost.NAME
    failing_since: Mapped[datetime | None]
    last_error: Mapped[str | None]
    next_probe_at: Mapped[datetime | None]  # when it is asked again
    last_success_at: Mapped[datetime | None]  # when it last came back


class Alarm(Base):
    """Something that the operator was told of, until it is over."""

    __tablename__ = "alarm"
    name: Mapped[str] = mapped_column(primary_key=True)  # "mailbox support", "disk"
    words: Mapped[str]
    since: Mapped[datetime]
    well_since: Mapped[datetime | None]  # None: it is not


class Counter(Base):
    """How often something happened in a window of time; counted in the transaction that it limits."""

    __tablename__ = "counter"
    scope: Mapped[str] = mapped_column(primary_key=True)  # "sender-hour:ann@example.org"
    window: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class Sequence(Base):
    """Numbers that are given out one after the other, within the transaction that uses them."""

    __tablename__ = "sequence"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class Forgetting(Base):
    """A person who is being forgotten: what is looked for, until nothing of it is left. Then this goes, too."""

    __tablename__ = "forgetting"
    address: Mapped[str] = mapped_column(primary_key=True)  # lower case
    sought: Mapped[dict[str, Any]]  # names, Message-IDs, and lines by ticket: what earlier steps erase, later ones need


class Recurring(Base):
    """A job of the calendar, and the moment of the calendar that it was last done for."""

    __tablename__ = "recurring"
    name: Mapped[str] = mapped_column(primary_key=True)  # "monthly report", "digest support"
    done_for: Mapped[datetime]
    last_run_at: Mapped[datetime | None]  # None: it was planned, and did not run yet


class Node(Base):
    """A process that works on a PostgreSQL store, and until when it is taken to live."""

    __tablename__ = "node"
    name: Mapped[str] = mapped_column(primary_key=True)  # "host:1234:a1b2c3"
    until: Mapped[datetime] = mapped_column(index=True)  # by the database's clock


class Compatibility(Base):
    """Which programs may work on this schema: those that know the step `since`, and later ones. One row, or none."""

    __tablename__ = "compatibility"
    since: Mapped[str] = mapped_column(primary_key=True)

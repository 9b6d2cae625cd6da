"""Who is to be told of a ticket, and what is known of them: the queries behind outgoing mail, each one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, and_, bindparam, cast, exists, or_, select
from sqlalchemy.orm import aliased

from postroom.store.prepared import Prepared, PreparedIn
from postroom.store.tables import Agent, Attachment, Correspondent, Delivery, Message, Participant, Ticket

REACHED = ("confirmation", "reply", "solution")  # what a requester gets first of us
NOT_SENT = ("suppressed", "failed", "cancelled")

_earlier = aliased(Ticket)
_case = Prepared(select(
    Ticket.id, Ticket.key, Ticket.ref, Ticket.subject, Ticket.status, Ticket.priority, Ticket.queue, Ticket.mailbox,
    Ticket.requester, Ticket.tags, Ticket.contact_name, Ticket.submitter_name, Ticket.assigned_to, Ticket.first_responded_at, Ticket.sla_due_at,
    Ticket.resolution_summary, Ticket.satisfaction_rating, Ticket.email_message_id, Ticket.language.label("opened_in"),
    Correspondent.language, Correspondent.held_at, Correspondent.held_why, Correspondent.trusted_at,
    Correspondent.complained_at, Correspondent.complained_why,
    # a From alone makes nobody known, or the second forged mail would be trusted: an agent has answered him
    exists().where(
        _earlier.requester == Ticket.requester, _earlier.id < Ticket.id, _earlier.first_responded_at.is_not(None)
    ).label("is_known"),
    exists().where(Delivery.ticket_id == Ticket.id, Delivery.purpose == "confirmation").label("is_confirmed"),
    exists().where(
        Delivery.ticket_id == Ticket.id, Delivery.recipient == Ticket.requester, or_(*(Delivery.purpose == purpose for purpose in REACHED)),
        # whoever knows a Message-ID can report a failure: that alone keeps no mail from anyone
        or_(and_(*(Delivery.state != state for state in NOT_SENT)), Delivery.reported_by == "own-message-id"),
    ).label("is_reached"),
).outerjoin_from(Ticket, Correspondent, Correspondent.address == Ticket.requester).where(Ticket.id == bindparam("ticket_id")), by=Delivery.ticket_id)  # fmt: skip
_agents = PreparedIn(
    Agent.active.type,
    lambda states: (
        select(Agent.id, Agent.name, Agent.title, Agent.address, Agent.queues, Agent.active)
        .where(Agent.active.in_(states)).order_by(Agent.id)
    ),
    by=Agent.active,
)  # fmt: skip
_message = Prepared(select(Message.__table__).where(Message.id == bindparam("message_id")))
_last_of_customer = Prepared(
    select(Message.__table__)
    .where(
        Message.ticket_id == bindparam("ticket_id"), Message.author_type == "user", Message.visibility == "public",
        # no agent has agreed to him: the others are not to read him, nor be threaded behind his mail
        cast(Message.flags, Text).not_like('%"new-participant"%'),
    ).order_by(Message.id.desc()).limit(1)
)  # fmt: skip
_last_of_agent: Any = (
    select(Message.__table__)
    .where(Message.ticket_id == bindparam("ticket_id"), Message.author_type == "agent", Message.visibility == "public")
    .order_by(Message.id.desc()).limit(1)
)  # fmt: skip
_files = Prepared(
    select(Attachment.filename, Attachment.size, Attachment.content_type, Attachment.part, Attachment.inline, Attachment.content_id)
    .where(Attachment.message_id == bindparam("message_id")).order_by(Attachment.id),
    by=Attachment.message_id,
)  # fmt: skip
_participants = Prepared(
    select(Participant.address, Participant.name)
    .where(Participant.ticket_id == bindparam("ticket_id"), Participant.agreed, Participant.role != "agent")
    .order_by(Participant.address),
    by=Participant.ticket_id,
)  # fmt: skip


def case(connection: Connection, ticket_id: int) -> Row[Any]:
    """The ticket as far as mail about it needs it, with `is_known`, `is_confirmed` and `is_reached`, and what is known of its requester.

    Known: an agent has answered an earlier ticket of this requester. Confirmed: a confirmation was decided on.
    Reached: the requester was sent a confirmation or a reply about this ticket.
    """
    row: Row[Any]
    [row] = _case.all(connection, {"ticket_id": ticket_id})
    return row


def agents(connection: Connection) -> Sequence[Row[Any]]:
    """Everyone who answers now: id, name, title, address, queues."""
    return _agents.all(connection, [True], {})


def ask_ahead(connection: Connection) -> None:
    """Ask now, for all messages of a batch, who answers."""
    _agents.ask_ahead(connection, [True])


def message(connection: Connection, message_id: int) -> Row[Any]:
    """One message's row."""
    row: Row[Any]
    [row] = _message.all(connection, {"message_id": message_id})
    return row


def last_of_customer(connection: Connection, ticket_id: int) -> Row[Any] | None:
    """The customer's last public message on a ticket, the one that an answer answers; no flagged newcomer's."""
    row: Row[Any] | None = _last_of_customer.first(connection, {"ticket_id": ticket_id})
    return row


def last_of_agent(connection: Connection, ticket_id: int) -> Row[Any] | None:
    """The last answer that an agent gave on a ticket."""
    row: Row[Any] | None = connection.execute(_last_of_agent, {"ticket_id": ticket_id}).one_or_none()
    return row


def files(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """A message's files: filename, size in octets, content_type, part."""
    return _files.all(connection, {"message_id": message_id})


def participants(connection: Connection, ticket_id: int) -> Sequence[Row[Any]]:
    """Who takes part and was agreed to, without agents: address, name."""
    return _participants.all(connection, {"ticket_id": ticket_id})


def was_reached(connection: Connection, address: str, before: datetime) -> bool:
    """Whether a mail about a ticket of his was sent to a requester before that time, and has not come back."""
    query = (
        select(Delivery.id).join(Ticket, Ticket.id == Delivery.ticket_id)
        .where(Ticket.requester == address, Delivery.recipient == address, Delivery.state == "sent", Delivery.sent_at < before)
        .limit(1)
    )  # fmt: skip
    return connection.execute(query).one_or_none() is not None

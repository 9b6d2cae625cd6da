"""What an agent may do to a ticket: assign, change its status, note, reply, tag, sort, agree to a newcomer.

Each writes on the caller's connection and returns what happened, for others to be told. They serve the
command line and commands by mail: both say the same words to the same desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config, Tickets
from postroom.desk import workflow
from postroom.desk.author import Agent
from postroom.desk.happened import NEWCOMER, Happened, What
from postroom.errors import UserError
from postroom.saying import Saying
from postroom.store import messages, thread_index, tickets

COMMAND_LINE = "command line"  # the actor where nobody said who he is
KINDS = {"priority": Saying("priority"), "type": Saying("type"), "category": Saying("category")}
NOBODY = Saying("nobody")


def find(connection: Connection, ref: str) -> Row[Any]:
    """The ticket of that reference, or the one it was merged into; UserError where there is none."""
    row = tickets.by_ref(connection, ref)
    if row is None:
        raise UserError(Saying("there is no ticket %(ref)s; `postroom tickets list` shows those there are", ref=ref))
    return tickets.follow(connection, row)


def assign(connection: Connection, ticket: Row[Any], agent: Agent | None, actor: str, now: datetime) -> list[Happened]:
    """Give the ticket to an agent, or to nobody."""
    wanted = agent.id if agent else None
    if ticket.assigned_to == wanted:
        return []
    tickets.change(connection, ticket.id, {"assigned_to": wanted, "updated_at": now})
    messages.add_event(connection, ticket.id, "assigned", {"to": agent.name if agent else None}, actor, now)
    return [Happened(What.ASSIGNED, ticket.id, actor, agent_id=agent.id)] if agent else []


def set_status(
    connection: Connection, config: Config, ticket: Row[Any], status: str, actor: str, now: datetime
) -> list[Happened]:
    """Change the status; UserError for one that does not exist, or that the present one cannot become."""
    workflow.check_status(status, config)
    if ticket.status == status:
        return []
    workflow.check_move(ticket.status, status, config)
    times = workflow.times_of(ticket.status, status, now)
    tickets.change(connection, ticket.id, {"status": status, "updated_at": now, **times})
    messages.add_event(connection, ticket.id, "status", {"from": ticket.status, "to": status}, actor, now)
    return [Happened(What.STATUS, ticket.id, actor, old_status=ticket.status, new_status=status)]


def add_note(
    connection: Connection, ticket: Row[Any], text: str, actor: str, now: datetime, address: str = ""
) -> list[Happened]:
    """Write an internal note, which no customer ever sees. `address`: its author's, where it is known."""
    message_id = write(connection, ticket, text, "internal", actor, address, now)
    return [Happened(What.NOTED, ticket.id, actor, message_id)]


def reply(
    connection: Connection, ticket: Row[Any], text: str, agent: Agent | None, actor: str, now: datetime
) -> list[Happened]:
    """Answer the customer in the ticket's thread."""
    if not ticket.requester:
        raise UserError(
            Saying("%(ref)s has no requester whose address is known: there is nobody to answer", ref=ticket.ref)
        )
    message_id = write(connection, ticket, text, "public", actor, agent.address if agent else "", now)
    status = workflow.after_agent(ticket.status)
    changes: dict[str, Any] = {"updated_at": now, "status": status}
    if ticket.first_responded_at is None:
        changes["first_responded_at"] = now
    tickets.change(connection, ticket.id, changes)
    if status != ticket.status:
        messages.add_event(connection, ticket.id, "status", {"from": ticket.status, "to": status}, actor, now)
    agent_id = agent.id if agent else None
    return [Happened(What.AGENT_REPLIED, ticket.id, actor, message_id, None, agent_id, ticket.status, status)]


def tag(
    connection: Connection, ticket: Row[Any], add: Sequence[str], remove: Sequence[str], actor: str, now: datetime
) -> list[Happened]:
    """Add and remove tags; they are kept in lower case, each once, in order."""
    tags = sorted({*ticket.tags, *(t.strip().lower() for t in add)} - {t.strip().lower() for t in remove} - {""})
    if tags != ticket.tags:
        tickets.change(connection, ticket.id, {"tags": tags, "updated_at": now})
        messages.add_event(connection, ticket.id, "tagged", {"tags": tags}, actor, now)
    return []


def sort(
    connection: Connection, settings: Tickets, ticket: Row[Any], what: str, wanted: str, actor: str, now: datetime
) -> list[Happened]:
    """Set the ticket's `priority`, `type` or `category`; UserError for one that the configuration does not name."""
    value = choice(settings, what, wanted)
    column = "ticket_type" if what == "type" else what
    before = getattr(ticket, column)
    if before != value:
        tickets.change(connection, ticket.id, {column: value, "updated_at": now})
        messages.add_event(connection, ticket.id, what, {"from": before, "to": value}, actor, now)
    return []


def choice(settings: Tickets, what: str, wanted: str) -> str:
    """The `priority`, `type` or `category` of that name, in whatever case; UserError where there is none."""
    allowed = {"priority": settings.priorities, "type": settings.types, "category": settings.categories}[what]
    found = next((one for one in allowed if one.casefold() == wanted.strip().casefold()), None)
    if found is None:
        kind, wanted = KINDS[what], wanted.strip()
        if not allowed:
            raise UserError(Saying(
                "there is no %(kind)s '%(wanted)s'; the configuration names none", kind=kind, wanted=wanted
            ))  # fmt: skip
        raise UserError(Saying(
            "there is no %(kind)s '%(wanted)s'; there are: %(names)s", kind=kind, wanted=wanted, names=", ".join(allowed)
        ))  # fmt: skip
    return found


def follow_up(
    connection: Connection, ticket: Row[Any], at: datetime | None, actor: str, now: datetime
) -> list[Happened]:
    """Have the ticket's agents told of it again at that time, or, with None, not any more."""
    if at is not None and at <= now:
        raise UserError(Saying("the time to look at it again has to lie ahead"))
    if ticket.follow_up_at != at:
        tickets.change(connection, ticket.id, {"follow_up_at": at, "updated_at": now})
        messages.add_event(
            connection, ticket.id, "follow up", {"at": at.isoformat(timespec="seconds") if at else None}, actor, now
        )
    return []


def say_how(
    connection: Connection, config: Config, ticket: Row[Any], said: dict[str, str | None], actor: str, now: datetime
) -> list[Happened]:
    """Say how it was resolved: `resolution_summary`, `resolution_code`, `root_cause`, those that are not None.

    UserError for a code that the configuration does not name.
    """
    changes = {column: words.strip() for column, words in said.items() if words is not None and words.strip()}
    code, codes = changes.get("resolution_code"), config.tickets.resolution_codes
    if code is not None and code not in codes:
        raise UserError(
            Saying("'%(code)s' is no resolution code; there are: %(names)s", code=code, names=", ".join(codes))
        )
    if changes:
        tickets.change(connection, ticket.id, {**changes, "updated_at": now})
        messages.add_event(connection, ticket.id, "solution", {"code": code} if code else {}, actor, now)
    return []


def agree(connection: Connection, ticket: Row[Any], address: str, actor: str, now: datetime) -> list[Happened]:
    """Let a newcomer take part: from now on he gets what goes to the customer, and his words are answered.

    UserError for an address that is not on the ticket.
    """
    person = participant(connection, ticket, address)
    if not person.agreed:
        thread_index.agree(connection, ticket.id, person.address)
        for message in messages.of_ticket(connection, ticket.id):
            if message.author_address == person.address and NEWCOMER in message.flags:
                messages.set_flags(connection, message.id, [flag for flag in message.flags if flag != NEWCOMER])
        messages.add_event(connection, ticket.id, "agreed", {"to": person.address}, actor, now)
    return []


def participant(connection: Connection, ticket: Row[Any], address: str) -> Any:
    """Who takes part under that address; UserError where nobody does."""
    people = {person.address: person for person in thread_index.participants(connection, ticket.id)}
    if address.lower() not in people:
        waiting = ", ".join(one.address for one in people.values() if not one.agreed) or NOBODY
        raise UserError(Saying(
            "%(address)s is not on %(ref)s; waiting there: %(names)s", address=address, ref=ticket.ref, names=waiting
        ))  # fmt: skip
    return people[address.lower()]


def write(
    connection: Connection, ticket: Row[Any], text: str, visibility: str, actor: str, address: str, now: datetime
) -> int:
    """Add a message of an agent's to the conversation, and nothing else; its row's id."""
    if not text.strip():
        raise UserError(Saying("there is nothing to write: the text is empty"))
    id_ = messages.add(connection, {
        "ticket_id": ticket.id, "author_type": "agent",
        "author_address": address, "author_name": actor, "visibility": visibility,
        "subject": ticket.subject, "text": text, "timestamp": now, "created_at": now,
    })  # fmt: skip
    detail = {"type": "agent", "visibility": visibility}
    messages.add_event(connection, ticket.id, "message", detail, actor, now)
    return id_

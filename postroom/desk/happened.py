"""What happened to a ticket: values that the desk hands on, for `outbound` to tell whoever should know."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from postroom.parsers.parsed import ParsedEmail


class What(StrEnum):
    """The kinds of things that somebody may be told of."""

    OPENED = "opened"  # a customer's mail opened a ticket
    CUSTOMER_REPLIED = "customer-replied"  # a customer's mail was added to a ticket
    AGENT_REPLIED = "agent-replied"  # an agent answered the customer
    NOTED = "noted"  # an agent wrote an internal note: told to nobody yet
    STATUS = "status"  # an agent changed the status
    ASSIGNED = "assigned"  # the ticket was given to an agent


@dataclass(frozen=True, slots=True)
class Origin:
    """The incoming mail that made it happen, with what the policy on automatic mail asks about it."""

    email: ParsedEmail
    sender: str | None  # the envelope's; "" is the null sender, None is unknown
    mailbox: str
    authenticated: bool | None  # None: nobody checked


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to one ticket."""

    what: What
    ticket_id: int
    actor: str  # an address, an agent's name, or "postroom"
    message_id: int | None = None  # the row of the message that it is about
    origin: Origin | None = field(default=None, repr=False)  # None: it was done from the command line
    agent_id: int | None = None  # who acted, or to whom it was given
    old_status: str | None = None
    new_status: str | None = None

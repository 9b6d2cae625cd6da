"""What happened to a ticket: values that the desk hands on, for `outbound` to tell whoever should know."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from postroom.parsers.parsed import ParsedEmail

NEWCOMER = "new-participant"  # flags a message of one who takes part, but to whom no agent has agreed


class What(StrEnum):
    """The kinds of things that somebody may be told of."""

    OPENED = "opened"  # a customer's mail opened a ticket
    CUSTOMER_REPLIED = "customer-replied"  # a customer's mail was added to a ticket
    AGENT_REPLIED = "agent-replied"  # an agent answered the customer
    NOTED = "noted"  # an internal note: told to the agents whom it names, or, where it claims an agent, to the ticket's
    STATUS = "status"  # an agent changed the status
    ASSIGNED = "assigned"  # the ticket was given to an agent
    HANDED_IN = "handed-in"  # an agent forwarded a customer's mail, which opened a ticket
    ESCALATED = "escalated"  # the ticket is overdue
    REMINDED = "reminded"  # it has waited for its customer so long that he is reminded
    FOLLOW_UP = "follow-up"  # the time has come at which it was to be looked at again
    SOLUTION = "solution"  # an agent's solution is put to the customer
    SOLUTION_TO_REVIEW = "solution-to-review"  # another agent has to see it before
    SOLUTION_SENT_BACK = "solution-sent-back"  # that one does not agree
    SOLUTION_APPROVED = "solution-approved"  # the customer says that it is solved
    SOLUTION_REFUSED = "solution-refused"  # the customer says that it is not
    FEEDBACK_ASKED = "feedback-asked"  # the ticket is closed: how was it?
    FEEDBACK_GIVEN = "feedback-given"  # the customer has said how it was
    REFUSED = "refused"  # an agent's mail held a wrong command, or no word: nothing was carried out or sent


@dataclass(frozen=True, slots=True)
class Origin:
    """The incoming mail that made it happen, with what the policy on automatic mail asks about it."""

    email: ParsedEmail
    sender: str | None  # the envelope's; "" is the null sender, None is unknown
    mailbox: str
    authenticated: bool | None  # None: nobody checked


@dataclass(frozen=True, slots=True)
class Wrong:
    """A command that could not be carried out."""

    line: str  # as it was written
    why: str  # a Saying, as is the other
    right: str  # what would be right


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
    wrong: tuple[Wrong, ...] = ()  # for REFUSED
    words: str = ""  # for SOLUTION_SENT_BACK: why
    reads_it: int | None = None  # for NOTED: the agent to whom its words go with SOLUTION_SENT_BACK
    is_stranger: bool = False  # for CUSTOMER_REPLIED: he holds a mail of the ticket, and no agent has agreed to him
    why: str = ""  # for NOTED: why a mail that claims an agent is no more than that; a Saying


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message went, by which rule, and why; and what happened, where somebody may be told."""

    outcome: str  # opened, added, settled
    rule: str
    why: str
    ticket_id: int | None = None
    happened: Happened | None = None
    also: tuple[Happened, ...] = ()  # what an agent's commands brought with them
    lines: tuple[dict[str, Any], ...] = ()  # of the decision: each command, and what came of it

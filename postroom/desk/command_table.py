"""What does each command mean? One row a command: its names, what would be right, the check, and what it does.

A check says with a UserError why the argument is wrong, or returns what the command then works with; it changes
nothing. All checks come before anything is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from postroom.desk import actions, merging, solution, workflow
from postroom.desk.author import Agent
from postroom.desk.happened import Happened, What
from postroom.desk.tickets import Desk
from postroom.errors import UserError
from postroom.saying import Saying
from postroom.store import messages, tickets

ME, NOBODY = "me", ("nobody", "none", "-")
PENDING = "pending"  # the status that people mean by it is workflow.PENDING_CUSTOMER
TAG_MAX = 50  # characters
SHOWN_MAX = 20  # agents that an error names
# in "Bob <bob@example.com>" too, and in what mail programs make of an address
ADDRESS = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")


@dataclass(slots=True)
class Doing:
    """Commands being carried out: by whom, on which ticket, and what came of it so far."""

    connection: Connection
    desk: Desk
    agent: Agent
    now: datetime
    ticket: Row[Any]  # as it is now; after a merge the other one
    text: str  # what the mail says beside its commands
    answers: bool  # that text would be sent to the customer
    opened: bool  # this very mail has just opened the ticket
    said: frozenset[str]  # what the mail's commands settle: status, assignee, text, ...
    refs: frozenset[str] = frozenset()  # Message-IDs that the mail answers
    happened: list[Happened] = field(default_factory=list)
    solution: int | None = None  # the one that its text proposes
    in_review: bool = False  # and which the customer does not get yet

    @property
    def actor(self) -> str:
        """How activity names the agent."""
        return self.agent.name

    def now_happened(self, happened: Sequence[Happened]) -> None:
        """Keep what somebody may be told of, and read the ticket again."""
        self.happened += happened
        row = tickets.get(self.connection, self.ticket.id)
        assert row is not None
        self.ticket = tickets.follow(self.connection, row)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a command means. `settles`: what it decides, and one mail can decide only once."""

    names: tuple[str, ...]
    right: str  # a Saying, where it has words
    check: Callable[[Doing, str], Any]
    do: Callable[[Doing, Any], str]  # says what was done
    settles: str = ""


def meaning_of(name: str) -> Meaning | None:
    """The row of a command; None where there is no such command."""
    return BY_NAME.get(name)


# -- checks: the argument in, what the command works with out


def _agent(doing: Doing, wanted: str) -> Agent | None:
    if not wanted:
        raise UserError(Saying("it does not say to whom"))
    if wanted.casefold() in NOBODY:
        return None
    return doing.agent if wanted.casefold() == ME else find_agent(doing.desk, wanted)


def find_agent(desk: Desk, wanted: str) -> Agent:
    """The agent of that name or address, or the one whose title holds it; UserError where it is none or not one."""
    address = ADDRESS.search(wanted)
    sought = (address[0] if address else wanted).casefold()
    agents = list(desk.agents.values())
    for agent in agents:
        if sought in (agent.name.casefold(), agent.address):
            return agent
    found = [agent for agent in agents if sought in agent.title.casefold()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{a.name} ({a.title})" for a in (found or agents)[:SHOWN_MAX])
    if found:
        raise UserError(Saying("several agents fit '%(wanted)s'; there fit: %(names)s", wanted=wanted, names=names))
    raise UserError(Saying("there is no agent '%(wanted)s'; there are: %(names)s", wanted=wanted, names=names))


def _status(doing: Doing, wanted: str) -> str:
    status = re.sub(r"[\s-]+", "_", wanted.strip().casefold())
    if not status:
        raise UserError(Saying("it does not say which status"))
    status = workflow.PENDING_CUSTOMER if status == PENDING else status
    return workflow.check_status(status, doing.desk.config)


def _always(status: str) -> Callable[[Doing, str], str]:
    def check(doing: Doing, argument: str) -> str:
        return _nothing_more(argument) or status

    return check


def _choice(what: str) -> Callable[[Doing, str], tuple[str, str]]:
    def check(doing: Doing, wanted: str) -> tuple[str, str]:
        return what, actions.choice(doing.desk.config.tickets, what, wanted)

    return check


def _tags(doing: Doing, wanted: str) -> list[str]:
    tags = [tag for word in wanted.replace(",", " ").split() if (tag := word.lstrip("#").lower())]
    if not tags:
        raise UserError(Saying("it names no tag"))
    if long := next((tag for tag in tags if len(tag) > TAG_MAX), None):
        raise UserError(Saying("the tag %(tag)s… is longer than %(most)s characters", tag=long[:TAG_MAX], most=TAG_MAX))
    return tags


def _words(doing: Doing, argument: str) -> None:
    if not doing.text:
        raise UserError(Saying("there is no text below it"))


def _solution(doing: Doing, argument: str) -> None:
    if doing.opened:
        raise UserError(Saying("this mail has only opened the ticket; answer the customer before, or with it"))
    _words(doing, argument)
    solution.check_proposal(doing.connection, doing.desk.config, doing.ticket, doing.text, doing.agent)


def _review(doing: Doing, argument: str) -> Row[Any]:
    return solution.under_review(doing.connection, doing.desk.config, doing.ticket, doing.agent, doing.refs)


def _refusal(doing: Doing, argument: str) -> Row[Any]:
    row = _review(doing, argument)
    if not doing.text:
        raise UserError(Saying("there is no word that says why"))
    return row


def _merge(doing: Doing, wanted: str) -> Row[Any]:
    prefix = re.escape(doing.desk.config.tickets.prefix)
    number = re.fullmatch(rf"\[?#?(?:{prefix})?(\d{{1,9}})\]?", wanted.strip(), re.IGNORECASE)
    row = tickets.by_number(doing.connection, int(number[1])) if number else None
    if row is None:
        if not wanted:
            raise UserError(Saying("it does not say into which ticket"))
        raise UserError(Saying("there is no ticket '%(wanted)s'", wanted=wanted))
    target = tickets.follow(doing.connection, row)
    if target.id == doing.ticket.id:
        raise UserError(Saying("%(wanted)s is this very ticket", wanted=wanted))
    if doing.opened and doing.ticket.requester == doing.agent.address:
        raise UserError(Saying(
            "this mail would be a customer's word on %(ref)s; answer one of its mails with #note instead", ref=target.ref
        ))  # fmt: skip
    if doing.answers and target.requester != doing.ticket.requester:
        raise UserError(Saying(
            "the customer of %(ref)s is %(whose)s, and your text would go to both; merge without a text, or write it below #note",
            ref=target.ref, whose=target.requester or actions.NOBODY,
        ))  # fmt: skip
    return target


def _split(doing: Doing, wanted: str) -> Row[Any]:
    conversation = messages.of_ticket(doing.connection, doing.ticket.id)
    if wanted:
        found = [message for message in conversation if str(message.id) == wanted.lstrip("#")]
        if not found:
            raise UserError(Saying("%(ref)s has no message %(wanted)s", ref=doing.ticket.ref, wanted=wanted))
    else:
        found = [m for m in conversation if m.author_type == "user" and m.visibility == "public"]
        if not found:
            raise UserError(Saying("%(ref)s has no message of a customer", ref=doing.ticket.ref))
    if doing.answers:
        raise UserError(Saying(
            "your text would go to the customer of the ticket that stays; split without a text, or write it below"
            " #note, and answer the new ticket when its mail comes"
        ))  # fmt: skip
    return max(found, key=lambda message: int(message.id))


def _participant(doing: Doing, wanted: str) -> str:
    found = ADDRESS.search(wanted.removeprefix("mailto:"))
    if found is None:
        raise UserError(Saying("it names no address"))
    return str(actions.participant(doing.connection, doing.ticket, found[0]).address)


def _nothing_more(argument: str) -> str:
    """Nothing; UserError where something follows a command that stands alone."""
    if argument:
        raise UserError(Saying("nothing may follow it, and there is '%(argument)s'", argument=argument))
    return ""


# -- what the commands do


def _do_assign(doing: Doing, agent: Agent | None) -> str:
    doing.now_happened(actions.assign(doing.connection, doing.ticket, agent, doing.actor, doing.now))
    return f"{doing.ticket.ref} is {agent.name}'s" if agent else f"{doing.ticket.ref} is nobody's"


def _do_status(doing: Doing, status: str) -> str:
    config = doing.desk.config
    doing.now_happened(actions.set_status(doing.connection, config, doing.ticket, status, doing.actor, doing.now))
    return f"the status of {doing.ticket.ref} is {status}"


def _do_sort(doing: Doing, wanted: tuple[str, str]) -> str:
    what, value = wanted
    settings = doing.desk.config.tickets
    doing.now_happened(actions.sort(doing.connection, settings, doing.ticket, what, value, doing.actor, doing.now))
    return f"the {what} of {doing.ticket.ref} is {value}"


def _do_tag(doing: Doing, tags: list[str]) -> str:
    doing.now_happened(actions.tag(doing.connection, doing.ticket, tags, (), doing.actor, doing.now))
    return f"tagged {', '.join(tags)}"


def _do_untag(doing: Doing, tags: list[str]) -> str:
    doing.now_happened(actions.tag(doing.connection, doing.ticket, (), tags, doing.actor, doing.now))
    return f"not tagged {', '.join(tags)} any more"


def _do_note(doing: Doing, _: None) -> str:
    return "the text is an internal note"


def _do_solve(doing: Doing, _: None) -> str:
    doing.solution, doing.in_review = solution.propose(
        doing.connection, doing.desk, doing.ticket, doing.text, doing.agent, doing.actor, doing.now,
        status_is_said="status" in doing.said,
    )  # fmt: skip
    doing.now_happened([])
    if doing.in_review:
        return "the text is the solution, and goes to those who review it"
    return "the text is the solution, and is sent to the customer"


def _do_approve(doing: Doing, row: Row[Any]) -> str:
    config = doing.desk.config
    doing.now_happened(solution.approve(doing.connection, config, doing.ticket, row, doing.agent, doing.now))
    return "the solution is sent to the customer"


def _do_send_back(doing: Doing, row: Row[Any]) -> str:
    doing.now_happened(solution.send_back(doing.connection, doing.ticket, row, doing.agent, doing.text, doing.now))
    return "the solution goes back to who proposed it"


def _do_merge(doing: Doing, target: Row[Any]) -> str:
    source, actor = doing.ticket, doing.actor
    merging.merge(doing.connection, source, target, f"merged by {actor}", actor, doing.now)
    doing.now_happened([])
    return f"{source.ref} is part of {target.ref}"


def _do_split(doing: Doing, message: Row[Any]) -> str:
    settings = doing.desk.config.tickets
    message = messages.get(doing.connection, message.id) or message  # a merge may have moved it
    random = doing.desk.random
    new = merging.split(doing.connection, settings, random, doing.ticket, message, doing.actor, doing.now)
    doing.now_happened([Happened(What.OPENED, new.id, doing.actor, message.id)])
    return f"message {message.id} opened {new.ref}"


def _do_agree(doing: Doing, address: str) -> str:
    doing.now_happened(actions.agree(doing.connection, doing.ticket, address, doing.actor, doing.now))
    return f"{address} takes part in {doing.ticket.ref}"


TABLE: tuple[Meaning, ...] = (
    Meaning(("assign",), Saying("#assign NAME, #assign me, #assign nobody"), _agent, _do_assign, "assignee"),
    Meaning(("status",), Saying("#status STATUS, such as #status pending_internal"), _status, _do_status, "status"),
    Meaning(("resolve", "resolved"), "#resolve", _always(workflow.RESOLVED), _do_status, "status"),
    Meaning(("close", "closed"), "#close", _always(workflow.CLOSED), _do_status, "status"),
    Meaning(("pending",), "#pending", _always(workflow.PENDING_CUSTOMER), _do_status, "status"),
    Meaning(("open", "reopen"), "#open", _always(workflow.OPEN), _do_status, "status"),
    Meaning(
        ("priority",), Saying("#priority PRIORITY, such as #priority high"), _choice("priority"), _do_sort, "priority"
    ),
    Meaning(("type",), Saying("#type TYPE, such as #type incident"), _choice("type"), _do_sort, "type"),
    Meaning(("category",), Saying("#category CATEGORY"), _choice("category"), _do_sort, "category"),
    Meaning(("tag", "tags"), Saying("#tag WORD, or several"), _tags, _do_tag),
    Meaning(("untag",), Saying("#untag WORD, or several"), _tags, _do_untag),
    Meaning(("note",), Saying("#note, and below it what only agents read"), _words, _do_note, "text"),
    Meaning(("solution",), Saying("#solution, and below it what the customer reads"), _solution, _do_solve, "text"),
    Meaning(
        ("approve",), Saying("#approve, in answer to the mail that asks for a review"), _review, _do_approve, "review"
    ),
    Meaning(("refuse",), Saying("#refuse, and below it why"), _refusal, _do_send_back, "review"),
    Meaning(("merge",), Saying("#merge TICKET, such as #merge T-1042"), _merge, _do_merge, "merge"),
    Meaning(("split",), Saying("#split, or #split NUMBER of a message"), _split, _do_split, "split"),
    Meaning(("agree",), Saying("#agree ADDRESS of one who is new on the ticket"), _participant, _do_agree),
)
BY_NAME = {name: meaning for meaning in TABLE for name in meaning.names}

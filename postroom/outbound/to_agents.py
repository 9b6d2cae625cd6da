"""Notices to those who answer: which agents, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection

from postroom.desk.happened import NEWCOMER, Happened, What
from postroom.desk.routing import SPAM
from postroom.outbound import wording
from postroom.outbound.causes import cause_of
from postroom.outbound.readers import readers
from postroom.outbound.told import Post, Told
from postroom.store import addressing, outbox


def tell_of_new_ticket(post: Post, told: Told) -> None:
    """A customer's mail opened a ticket: to its agent where it has one, else to the queue's."""
    if told.case.assigned_to is None:
        _tell_of_mail(post, told, "new_ticket", {})
        return
    # a customer's mail assigns nothing: the queue's turns, or a rule, did
    actor = "Postroom" if told.happened.origin is not None else told.happened.actor
    _tell_of_mail(post, told, "assignment", {"actor": actor, "last_answer": None})


def tell_of_customer_reply(post: Post, told: Told) -> None:
    """A customer's mail was added to a ticket; an automatic answer is told to nobody."""
    origin = told.happened.origin
    if origin is not None and origin.email.automatic.is_automatic:
        told.note("notify", "automatic", "suppressed", "an automatic answer is told to nobody")
        return
    _tell_of_mail(post, told, "customer_reply", {"is_stranger": _is_stranger(told)})


def _tell_of_mail(post: Post, told: Told, purpose: str, data: dict[str, Any]) -> None:
    """The assigned agent, or the queue's agents where nobody is; not the one who wrote it."""
    case, origin = told.case, told.happened.origin
    if SPAM in case.tags:
        told.note("notify", "spam", "suppressed", "its ticket is tagged spam: no agent is told")
        return
    if not is_on(post, told, purpose):
        return
    if origin is not None:
        message = wording.message_of_mail(origin.email, post.clock(), _zone(post, told))
    else:
        message = _last_message(post, told)
    agents = who_answers(told.connection, case, told.agents())
    tell(post, told, purpose, [a for a in agents if a.address != told.happened.actor], {"message": message, **data})


def _is_stranger(told: Told) -> bool:
    """Whether its writer had not taken part before: he holds a mail of the ticket, and no agent has agreed to him."""
    id_ = told.happened.message_id
    return id_ is not None and NEWCOMER in addressing.message(told.connection, id_).flags


def tell_of_assignment(post: Post, told: Told) -> None:
    """The agent to whom the ticket was given, unless he took it himself."""
    actor = told.happened.actor
    agents = [a for a in told.agents() if a.id == told.happened.agent_id and actor not in (a.name, a.address)]
    if is_on(post, told, "assignment") and agents:
        tell(post, told, "assignment", agents, _assignment(post, told))


def tell_of_handing_in(post: Post, told: Told) -> None:
    """Whoever has the ticket gets an address to answer from; its customer did not write to us and gets nothing."""
    case, happened = told.case, told.happened
    why = f"{case.requester} did not write to us, an agent handed his mail in: nothing is sent to him by ourselves"
    told.note("answer", "handed-in", "suppressed", why)
    purpose = "new_ticket" if case.assigned_to in (None, happened.agent_id) else "assignment"
    if is_on(post, told, purpose):
        tell(post, told, purpose, who_answers(told.connection, case, told.agents()), _assignment(post, told))


def _assignment(post: Post, told: Told) -> dict[str, Any]:
    row = addressing.last_of_agent(told.connection, told.case.id)
    last = wording.message_of_row(row, (), _zone(post, told)) if row is not None else None
    return {"message": _last_message(post, told), "actor": told.happened.actor, "last_answer": last}


def tell_of_escalation(post: Post, told: Told) -> None:
    """The agent whom the queue names; where it names none, the ticket's agent and the queue's others."""
    case = told.case
    if not is_on(post, told, "escalation"):
        return
    queue = post.config.queue.get(case.queue)
    named = [a for a in told.agents() if queue is not None and a.name == queue.escalate_to]
    agents = who_answers(told.connection, case, told.agents())
    others = [a for a in told.agents() if case.queue in a.queues and a not in agents]
    tell(post, told, "escalation", named or [*agents, *others], {
        "message": _last_message(post, told), "is_answered": bool(case.first_responded_at),
        "due": (case.sla_due_at or post.clock()).astimezone(_zone(post, told)),
        "assigned_to": next((a.title or a.name for a in told.agents() if a.id == case.assigned_to), ""),
    })  # fmt: skip


def tell_of_follow_up(post: Post, told: Told) -> None:
    """The ticket's agent: the day has come on which it was to be looked at again."""
    if is_on(post, told, "follow_up"):
        agents = who_answers(told.connection, told.case, told.agents())
        tell(post, told, "follow_up", agents, {"message": _last_message(post, told)})


def tell_of_refusal(post: Post, told: Told) -> None:
    """The agent alone gets each wrong line, and his words to send again. There is no switch for it."""
    happened, origin = told.happened, told.happened.origin
    agents = [agent for agent in told.agents() if agent.id == happened.agent_id]
    tell(post, told, "command_error", agents, {
        "wrong": [{"line": one.line, "why": one.why, "right": one.right} for one in happened.wrong],
        "lines": origin.email.reply_text[: wording.MAX_TOLD].splitlines() if origin else [],
    })  # fmt: skip


def undeliverable(post: Post, connection: Connection, delivery: Any, reason: str, ticket_id: int | None) -> None:
    """Tell the ticket's agents that a person's mail did not arrive: which, why, and what they can do."""
    if ticket_id is None or delivery.automatic or not post.config.notify.undeliverable:
        return
    told = Told(connection, Happened(What.NOTED, ticket_id, "postroom", delivery.message_id))
    agents = [a for a in who_answers(connection, told.case, told.agents()) if a.address != delivery.recipient]
    row = addressing.message(connection, delivery.message_id) if delivery.message_id is not None else None
    tell(post, told, "undeliverable", agents, {
        "recipient": delivery.recipient, "reason": reason, "cause": cause_of(reason),
        "answer": wording.quoted(row, _zone(post, told), wording.MAX_BEGINNING),
    })  # fmt: skip
    if told.mails:
        outbox.enqueue(connection, told.mails)


def held(
    post: Post, connection: Connection, ticket_id: int, address: str, because: str, why: str, *, is_answered: bool = False
) -> None:  # fmt: skip
    """Tell the ticket's agents that nothing goes to that address by itself any more. `is_answered`: an answer was sent all the same."""
    if not post.config.notify.held:
        return
    told = Told(connection, Happened(What.NOTED, ticket_id, "postroom"))
    agents = [a for a in who_answers(connection, told.case, told.agents()) if a.address != address]
    tell(post, told, "held", agents, {
        "recipient": address, "because": because, "reason": why, "is_answered": is_answered,
    })  # fmt: skip
    if told.mails:
        outbox.enqueue(connection, told.mails)


# -- for every notice


def is_on(post: Post, told: Told, purpose: str) -> bool:
    """Whether `[notify]` has it switched on; where not, the decision says so."""
    if getattr(post.config.notify, purpose):
        return True
    told.note("notify", "switched-off", "suppressed", f"notify.{purpose} is off in the configuration")
    return False


def tell(
    post: Post, told: Told, purpose: str, agents: Sequence[Any], data: dict[str, Any], is_internal: bool = False
) -> None:
    """A notice to each of them.

    `purpose` is the templates' folder, `data` what the templates are told besides the desk, the ticket and its readers.
    `is_internal`: nothing of an answer goes on to the customer.
    """
    if agents:
        people = [wording.author_line(person.name, person.address) for person in readers(post, told)]
        ticket = wording.private_ticket_data(post.config, told.case)
        data = {"ticket": ticket, "readers": people, **data}
        told.mails += post.letters.to_agents(told.case, agents, purpose, data, told.happened.message_id, is_internal)
    names = [agent.name for agent in agents]
    why = f"told {', '.join(names)}" if names else f"nobody answers for the queue {told.case.queue}"
    told.note("notify", purpose, "enqueued" if names else "nothing", why, agents=names)


def who_answers(connection: Connection, case: Any, agents: Sequence[Any] | None = None) -> list[Any]:
    """The assigned agent; where nobody is, or he is gone, the queue's agents."""
    everyone = addressing.agents(connection) if agents is None else agents
    assigned = [agent for agent in everyone if agent.id == case.assigned_to]
    return assigned or [agent for agent in everyone if case.queue in agent.queues]


def _last_message(post: Post, told: Told) -> dict[str, Any]:
    row = addressing.last_of_customer(told.connection, told.case.id)
    if row is None:
        return {"author": "?", "date": post.clock().astimezone(_zone(post, told)), "text": "", "files": []}
    files = addressing.files(told.connection, row.id)
    return wording.message_of_row(row, files, _zone(post, told))


def _zone(post: Post, told: Told) -> tzinfo:
    return wording.zone_of(post.config, told.case.queue)

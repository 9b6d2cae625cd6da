"""Notices to those who answer: what each is told. Who gets it is `recipients.py`'s to say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection

from postroom.desk.happened import Happened, What
from postroom.desk.routing import SPAM
from postroom.outbound import mentions, wording
from postroom.outbound.addresses import is_message_id
from postroom.outbound.causes import cause_of
from postroom.outbound.compose import File
from postroom.outbound.mentions import Colleague
from postroom.outbound.readers import readers
from postroom.outbound.recipients import chosen, others, who_answers
from postroom.outbound.told import Post, Told
from postroom.parsers.attachments import read_part
from postroom.saying import Saying
from postroom.store import addressing, outbox, raw_mail

UNPROVEN = "unproven-agent"  # flags the note that a mail became which claims an agent
UNPROVEN_EVERY = timedelta(hours=1)  # of one ticket: whoever forges many shall not flood its agents
EMPTY_EVERY = timedelta(hours=1)  # of one ticket: an agent's mail without a word
NAMES_MAX = 20  # names that a notice lists


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
    _tell_of_mail(post, told, "customer_reply", {"is_stranger": told.happened.is_stranger})


def _tell_of_mail(post: Post, told: Told, purpose: str, data: dict[str, Any]) -> None:
    """To those whom the configuration names; not the one who wrote it."""
    case, origin = told.case, told.happened.origin
    if SPAM in case.tags:
        told.note("notify", "spam", "suppressed", "its ticket is tagged spam: no agent is told")
        return
    if not is_on(post, told, purpose):
        return
    agents = who_answers(told) if purpose == "assignment" else chosen(post, told, purpose)
    if (
        not post.config.notify.own_actions
    ):  # by address alone: who opened it by a command needs the notice to answer from
        agents = [a for a in agents if a.address != told.happened.actor]
    if origin is not None:
        message = wording.message_of_mail(origin.email, post.clock(), _zone(post, told))
    else:
        message = _last_message(post, told)
    few = 0 < len(agents) <= post.config.notify.attach_readers
    files = _attach(post, told, message, told.happened.message_id) if few else []
    tell(post, told, purpose, agents, {"message": message, **data}, files=files)


def _attach(post: Post, told: Told, message: dict[str, Any], message_id: int | None) -> list[File]:
    """The message's files, as many as may come with a notice; `message` says which they are."""
    room = int(post.config.notify.attach_max)
    if message_id is None or not any(file["size"] <= room for file in message["files"]):
        return []
    digest = addressing.message(told.connection, message_id).digest
    rows = addressing.files(told.connection, message_id)
    if not digest or len(rows) != len(message["files"]):
        return []
    raw, files = raw_mail.read(told.connection, digest), []
    for row, named in zip(rows, message["files"], strict=True):
        if row.size <= room:
            room -= row.size
            named["attached"] = True
            files.append(File(row.filename, row.content_type, read_part(raw, row.part)))
    return files


def tell_of_assignment(post: Post, told: Told) -> None:
    """The agent to whom the ticket was given, unless he took it himself."""
    agents = others(post, told, [a for a in told.agents() if a.id == told.happened.agent_id])
    if is_on(post, told, "assignment") and agents:
        data = _assignment(post, told)
        last = addressing.last_of_customer(told.connection, told.case.id)
        files = _attach(post, told, data["message"], last.id if last is not None else None)
        tell(post, told, "assignment", agents, data, files=files)


def tell_of_handing_in(post: Post, told: Told) -> None:
    """Whoever has the ticket gets an address to answer from; its customer did not write to us and gets nothing."""
    case, happened = told.case, told.happened
    why = f"{case.requester} did not write to us, an agent handed his mail in: nothing is sent to him by ourselves"
    told.note("answer", "handed-in", "suppressed", why)
    purpose = "new_ticket" if case.assigned_to in (None, happened.agent_id) else "assignment"
    if is_on(post, told, purpose):
        tell(post, told, purpose, who_answers(told), _assignment(post, told))


def _assignment(post: Post, told: Told) -> dict[str, Any]:
    row = addressing.last_of_agent(told.connection, told.case.id)
    last = wording.message_of_row(row, (), _zone(post, told)) if row is not None else None
    return {"message": _last_message(post, told), "actor": told.happened.actor, "last_answer": last}


def tell_of_note(post: Post, told: Told) -> None:
    """The agents whom an internal note names; of a mail that claims an agent without proof, the ticket's and the one claimed."""
    happened = told.happened
    if happened.message_id is None:
        return
    row = addressing.message(told.connection, happened.message_id)
    message = wording.message_of_row(row, (), _zone(post, told))
    if UNPROVEN in row.flags:
        since = post.clock() - UNPROVEN_EVERY
        if outbox.has_any(told.connection, told.case.id, "unproven_agent", since):
            told.note("notify", "unproven_agent", "nothing", "its agents were told of another one within the hour")
        elif is_on(post, told, "unproven_agent"):
            agents = chosen(post, told, "unproven_agent")
            claimed = [a for a in told.agents() if a.address == row.author_address and a not in agents]
            why = happened.why or Saying("it did not come to the address that was signed for an agent")
            tell(post, told, "unproven_agent", [*claimed, *agents], {"message": message, "why": why})
        return
    if row.author_type != "agent" or row.visibility != "internal" or row.flags:
        return
    names = mentions.named(row.text)
    agents = others(post, told, [a for a in told.agents() if names & {a.name.lower(), a.address}])
    if agents and is_on(post, told, "note"):
        tell(post, told, "note", agents, {"message": message})
    tell_of_colleague(post, told, named=agents)
    colleagues = (Colleague(a.name, a.title, a.address) for a in told.agents())
    _tell_of_unknown_names(post, told, row, message, mentions.misnamed(row.text, colleagues))


def tell_of_colleague(post: Post, told: Told, named: Sequence[Any] = ()) -> None:
    """The ticket's agent: another one has answered its customer, or written a note; unless the note was told to him."""
    id_, happened = told.happened.message_id, told.happened
    mine = [a for a in told.agents() if a.id == told.case.assigned_to and a.id != happened.agent_id and a not in named]
    mine = [a for a in mine if happened.actor not in (a.name, a.address)]
    if post.config.notify.solution_refused:
        mine = [a for a in mine if a.id != happened.reads_it]
    if not mine or id_ is None or not is_on(post, told, "colleague"):
        return
    row = addressing.message(told.connection, id_)
    message = wording.message_of_row(row, addressing.files(told.connection, id_), _zone(post, told))
    tell(post, told, "colleague", mine, {"message": message, "is_note": row.visibility == "internal"})


def _tell_of_unknown_names(post: Post, told: Told, row: Any, message: dict[str, Any], names: Sequence[str]) -> None:
    """The note's writer: whom he named is no agent, so nobody of that name was told."""
    writer = [a for a in told.agents() if row.author_address == a.address or told.happened.actor == a.name]
    if names and writer and is_on(post, told, "note"):
        there_are = [f"@{a.name}" for a in told.agents()[:NAMES_MAX]]
        wrong = [f"@{name}" for name in names[:NAMES_MAX]]
        data = {"message": message, "names": wrong, "agents": there_are}
        tell(post, told, "unknown_name", writer[:1], data, is_internal=True)


def tell_of_escalation(post: Post, told: Told) -> None:
    """The agent whom the queue names; where it names none, whom `notify.to` does."""
    case = told.case
    if not is_on(post, told, "escalation"):
        return
    queue = post.config.queue.get(case.queue)
    named = [a for a in told.agents() if queue is not None and a.name == queue.escalate_to]
    tell(post, told, "escalation", named or chosen(post, told, "escalation"), {
        "message": _last_message(post, told), "is_answered": bool(case.first_responded_at),
        "due": (case.sla_due_at or post.clock()).astimezone(_zone(post, told)),
        "assigned_to": next((a.title or a.name for a in told.agents() if a.id == case.assigned_to), ""),
    })  # fmt: skip


def tell_of_follow_up(post: Post, told: Told) -> None:
    """The ticket's agent: the day has come on which it was to be looked at again."""
    if is_on(post, told, "follow_up"):
        tell(post, told, "follow_up", chosen(post, told, "follow_up"), {"message": _last_message(post, told)})


def tell_of_refusal(post: Post, told: Told) -> None:
    """The agent alone gets each wrong line, and his words to send again. There is no switch for it.

    Of a mail without a word he is told once an hour: what answers by itself must come to an end.
    """
    happened, origin = told.happened, told.happened.origin
    since = post.clock() - EMPTY_EVERY
    if not happened.wrong and outbox.has_any(told.connection, told.case.id, "command_error", since):
        told.note("notify", "command_error", "nothing", "its agent was told of another such mail within the hour")
        return
    agents = [agent for agent in told.agents() if agent.id == happened.agent_id]
    tell(post, told, "command_error", agents, {
        "wrong": [{"line": one.line, "why": one.why, "right": one.right} for one in happened.wrong],
        "lines": origin.email.reply_text[: wording.MAX_TOLD].splitlines() if origin else [],
    })  # fmt: skip


def undeliverable(
    post: Post, connection: Connection, delivery: Any, reason: str, ticket_id: int | None, held: str = ""
) -> None:
    """Tell the ticket's agents that a person's mail did not arrive: which, why, and what they can do."""
    if ticket_id is None or delivery.automatic or not post.config.notify.undeliverable:
        return
    told = Told(connection, Happened(What.NOTED, ticket_id, "postroom", delivery.message_id))
    agents = [a for a in chosen(post, told, "undeliverable") if a.address != delivery.recipient]
    row = addressing.message(connection, delivery.message_id) if delivery.message_id is not None else None
    own = row.email_message_id if row is not None and row.author_type == "agent" else None
    tell(post, told, "undeliverable", agents, {
        "recipient": delivery.recipient, "reason": reason, "cause": cause_of(reason),
        "is_ours": isinstance(reason, Saying), "held": held,
        "answer": wording.quoted(row, _zone(post, told), wording.MAX_BEGINNING),
    }, answers=own if own and is_message_id(own) else None)  # fmt: skip
    if told.mails:
        outbox.enqueue(connection, told.mails)


def held(
    post: Post, connection: Connection, ticket_id: int, address: str, because: str, why: str, *, is_answered: bool = False
) -> None:  # fmt: skip
    """Tell the ticket's agents that nothing goes to that address by itself any more. `is_answered`: an answer was sent all the same."""
    if not post.config.notify.held:
        return
    told = Told(connection, Happened(What.NOTED, ticket_id, "postroom"))
    agents = [a for a in chosen(post, told, "held") if a.address != address]
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
    post: Post, told: Told, purpose: str, agents: Sequence[Any], data: dict[str, Any], *, is_internal: bool = False,
    files: Sequence[File] = (), answers: str | None = None,
) -> None:  # fmt: skip
    """A notice to each of them.

    `purpose` is the templates' folder, `data` what the templates are told besides the desk, the ticket and its readers.
    `is_internal`: nothing of an answer goes on to the customer.
    """
    if agents:
        people = [wording.author_line(person.name, person.address) for person in readers(post, told)]
        ticket = wording.private_ticket_data(post.config, told.case)
        data = {"ticket": ticket, "readers": people, **data}
        about = told.happened.message_id
        told.mails += post.letters.to_agents(told.case, agents, purpose, data, about, is_internal, files, answers)
    names = [agent.name or agent.address for agent in agents]
    why = f"told {', '.join(names)}" if names else f"nobody is to be told, or answers for the queue {told.case.queue}"
    told.note("notify", purpose, "enqueued" if names else "nothing", why, agents=names)


def _last_message(post: Post, told: Told) -> dict[str, Any]:
    row = addressing.last_of_customer(told.connection, told.case.id)
    if row is None:
        return {"author": "?", "date": post.clock().astimezone(_zone(post, told)), "text": "", "files": []}
    files = addressing.files(told.connection, row.id)
    return wording.message_of_row(row, files, _zone(post, told))


def _zone(post: Post, told: Told) -> tzinfo:
    return wording.zone_of(post.config, told.case.queue)

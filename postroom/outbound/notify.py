"""Who is told of what happened to a ticket? Turns it into deliveries, in the caller's transaction.

    opened            → a confirmation to the requester (if the policy allows), a notice to the queue's agents
    customer replied  → a notice to the assigned agent, or to the queue's
    agent replied     → the answer, to the requester and whoever takes part
    handed in         → a notice to the agent who forwarded a customer's mail; nothing to the customer
    refused           → to the agent alone: the commands of his mail that were wrong
    status, assigned  → the requester, the agent

Each decision is returned as a line that is stored with the incoming mail; what is not sent is stored too,
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from random import Random
from typing import Any

import structlog
from sqlalchemy import Connection

from postroom.config import Config
from postroom.desk.happened import Happened, Origin, What
from postroom.desk.mailboxes import Mailboxes
from postroom.desk.routing import SPAM
from postroom.outbound import policy, wording
from postroom.outbound.addresses import is_message_id, is_sendable
from postroom.outbound.compose import File
from postroom.outbound.headers import bounded_references
from postroom.outbound.letters import GENERATED, REPLIED, Letters, Thread
from postroom.outbound.policy import BREAKER, Facts, Refusal
from postroom.outbound.templates import Templates
from postroom.parsers.attachments import read_part
from postroom.parsers.parsed import Address
from postroom.store import addressing, counters, outbox
from postroom.store.outbox import NewDelivery
from postroom.threading.tokens import Signer

Line = dict[str, Any]
TOLD_STATUSES = ("resolved", "closed", "pending_customer")
DONE = ("resolved", "closed")  # out of these, any other status is told as well
MADE_UP = ".invalid"  # how the Message-IDs end that we gave to mails without one; nobody else knows those
MAX_STRANGERS_ID = 250  # characters of a Message-ID that we repeat to one whom we do not know

log = structlog.get_logger("outbound")


class Notifier:
    """Writes to the outbox what has to be said. One for the process, safe to share between threads."""

    def __init__(
        self, config: Config, signer: Signer, templates: Templates, clock: Callable[[], datetime], random: Random
    ) -> None:
        """`random` makes nonces and delivery keys: in service a `SystemRandom`."""
        self._config, self._clock = config, clock
        self._letters = Letters(config, signer, templates, clock, random)
        self._mailboxes = Mailboxes(config)
        self._language = config.templates.language
        self._purged: datetime | None = None

    def enqueue(self, connection: Connection, happened: Happened) -> list[Line]:
        """Write the deliveries that `happened` calls for; the lines of the decision."""
        mails, lines = self.prepare(connection, happened)
        if mails:
            outbox.enqueue(connection, mails)
        return lines

    def prepare(self, connection: Connection, happened: Happened) -> tuple[list[NewDelivery], list[Line]]:
        """The deliveries that `happened` calls for, and the lines of the decision.

        What is counted is counted; the deliveries are the caller's to give to `outbox.enqueue` in the same
        transaction, those of many messages at once.
        """
        told = _Told(connection, addressing.case(connection, happened.ticket_id), happened)
        match happened.what:
            case What.OPENED:
                self._confirm(told)
                self._tell_of_mail(told, "new_ticket")
            case What.CUSTOMER_REPLIED:
                self._tell_of_mail(told, "customer_reply")
            case What.AGENT_REPLIED:
                self._reply(told)
            case What.STATUS:
                self._tell_of_status(told)
            case What.ASSIGNED:
                self._tell_of_assignment(told)
            case What.HANDED_IN:
                self._tell_of_handing_in(told)
            case What.ESCALATED:
                self._tell_of_due(told, "escalation")
            case What.FOLLOW_UP:
                self._tell_of_due(told, "follow_up")
            case What.REMINDED:
                self._remind(told)
            case What.REFUSED:
                self._tell_of_refusal(told)
        return told.mails, told.lines

    def undeliverable(self, connection: Connection, delivery: Any, reason: str) -> None:
        """Tell the ticket's agents that a person's mail did not arrive."""
        if delivery.ticket_id is None or delivery.automatic or not self._config.notify.undeliverable:
            return
        case = addressing.case(connection, delivery.ticket_id)
        agents = [a for a in self._who_answers(connection, case) if a.address != delivery.recipient]
        data = {
            "ticket": wording.private_ticket_data(self._config, case),
            "recipient": delivery.recipient, "purpose": delivery.purpose, "reason": reason,
        }  # fmt: skip
        mails = self._letters.to_agents(case, agents, "undeliverable", data, delivery.message_id)
        if mails:
            outbox.enqueue(connection, mails)

    # -- to the requester, by ourselves

    def _confirm(self, told: _Told) -> None:
        happened, case = told.happened, told.case
        origin = happened.origin
        if origin is None:
            told.note("answer", "not-by-mail", "suppressed", "it was not opened by a mail")
            return
        mailbox = self._config.mailbox.get(origin.mailbox)
        trusts_reply_to = mailbox is not None and mailbox.trust_reply_to
        switched_on = self._config.notify.confirmation and (mailbox is None or mailbox.confirm)
        facts = Facts(
            email=origin.email, sender=origin.sender, recipient=case.requester, authenticated=origin.authenticated,
            switched_on=switched_on, opens_ticket=happened.what is What.OPENED, is_confirmed=bool(case.is_confirmed),
            is_ours=self._mailboxes.is_ours(case.requester),
            is_agent=any(a.address == case.requester for a in told.agents()),
            names_us=any(self._mailboxes.is_ours(a.address) for a in (*origin.email.to, *origin.email.cc)),
            trusts_reply_to=trusts_reply_to, is_spam=SPAM in case.tags,
        )  # fmt: skip
        refusal = policy.refuse(facts) or self._limit(told.connection, case.requester)
        if refusal is not None:
            self._suppress(told, "confirmation", refusal)
            return
        proven = origin.authenticated is True and not trusts_reply_to  # it proves From, which then is not the recipient
        repeats = policy.may_repeat_subject(proven, bool(case.is_known))
        subject = wording.reply_subject(case.subject, case.ref) if repeats else None
        data = {"ticket": wording.ticket_data(self._config, case)}
        told.mails.append(self._letters.to_customer(
            case, "confirmation", data, subject=subject, thread=_thread_of_mail(origin, repeats), why=REPLIED,
            about=happened.message_id,
        ))  # fmt: skip
        told.note("answer", "confirmation", "enqueued", f"a confirmation to {case.requester}",
                  recipient=case.requester, subject="repeated" if repeats else "fixed")  # fmt: skip

    def _tell_of_status(self, told: _Told) -> None:
        case, happened = told.case, told.happened
        new, old = happened.new_status, happened.old_status
        if new not in TOLD_STATUSES and old not in DONE:
            told.note("answer", "status", "nothing", f"nobody is told of the status {new}")
            return
        refusal = self._refuse_status(told) or self._limit(told.connection, case.requester)
        if refusal is not None:
            self._suppress(told, "status", refusal)
            return
        last = addressing.last_of_customer(told.connection, case.id)
        answered = case.first_responded_at is not None  # by an agent: no stranger any more
        subject = wording.reply_subject(case.subject, case.ref) if answered or case.is_known else None
        ticket = {**wording.ticket_data(self._config, case), "status": new}
        data = {"ticket": ticket, "resolution": case.resolution_summary or ""}
        told.mails.append(self._letters.to_customer(
            case, "status", data, subject=subject, thread=_thread_of_row(last), why=GENERATED, about=None
        ))  # fmt: skip
        told.note("answer", "status", "enqueued", f"{new} to {case.requester}", recipient=case.requester)

    def _remind(self, told: _Told) -> None:
        case = told.case
        refusal = self._refuse_status(told, "reminder") or self._limit(told.connection, case.requester)
        if refusal is not None:
            self._suppress(told, "reminder", refusal)
            return
        last = addressing.last_of_customer(told.connection, case.id)
        subject = wording.reply_subject(case.subject, case.ref) if case.first_responded_at or case.is_known else None
        told.mails.append(self._letters.to_customer(
            case, "reminder", {"ticket": wording.ticket_data(self._config, case)}, subject=subject,
            thread=_thread_of_row(last), why=GENERATED, about=None,
        ))  # fmt: skip
        told.note("answer", "reminder", "enqueued", f"a reminder to {case.requester}", recipient=case.requester)

    def _refuse_status(self, told: _Told, purpose: str = "status") -> Refusal | None:
        case = told.case
        if not getattr(self._config.notify, purpose):
            return Refusal("switched-off", f"{purpose} mails are switched off in the configuration")
        if not is_sendable(case.requester):
            return Refusal("from-one-address", f"{case.requester[:100]!r} is no address that we write to")
        if policy.ROLE.fullmatch(case.requester.rpartition("@")[0]):
            return Refusal("role-address", f"nobody reads what is sent to {case.requester}")
        if self._mailboxes.is_ours(case.requester):
            return Refusal("our-address", f"{case.requester} is one of our own addresses")
        if any(agent.address == case.requester for agent in told.agents()):
            return Refusal("agent", f"{case.requester} is an agent")
        if not case.is_reached:
            return Refusal("never-reached", "neither a confirmation nor an answer went to this requester before")
        return None

    def _limit(self, connection: Connection, recipient: str) -> Refusal | None:
        """The limits, counted in the transaction."""
        now = self._clock()
        hour = counters.window_of(now, counters.HOUR)
        if self._purged != hour:
            counters.purge(connection, now)
            self._purged = hour
        reached = counters.take(connection, policy.limits(recipient, self._config.answers), now)
        if reached is None:
            return None
        if reached.limit.scope == BREAKER and reached.count == reached.limit.most + 1:
            log.error("breaker opened", answers=reached.limit.most, until=str(hour + counters.HOUR))
        return policy.over(reached.limit)

    def _suppress(self, told: _Told, purpose: str, refusal: Refusal) -> None:
        case = told.case
        told.mails.append(self._letters.suppressed(
            case, purpose, case.requester, f"{refusal.rule}: {refusal.why}", told.happened.message_id
        ))  # fmt: skip
        told.note("answer", refusal.rule, "suppressed", refusal.why, purpose=purpose)

    # -- an agent's answer

    def _reply(self, told: _Told) -> None:
        case, happened, connection = told.case, told.happened, told.connection
        if happened.message_id is None:
            return
        people = list(self._readers(told))
        if not people:
            why = f"{case.requester[:100]!r} is no address that we write to"
            self._suppress(told, "reply", Refusal("no-address", why))
            return
        message = addressing.message(connection, happened.message_id)
        files = addressing.files(connection, happened.message_id) if message.digest else []
        raw = addressing.raw_mail(connection, message.digest) if files else b""
        last = addressing.last_of_customer(connection, case.id)
        agent = next((a for a in told.agents() if a.id == happened.agent_id), None)
        author = (agent.title or agent.name) if agent else ""
        data = {
            "ticket": wording.private_ticket_data(self._config, case), "agent": {"name": author},
            "message": wording.message_of_row(message, files, self._language),
            "quoted": wording.quoted(last, self._language),
        }  # fmt: skip
        told.mails += self._letters.reply(
            case, people, author, data, subject=wording.reply_subject(case.subject, case.ref),
            thread=_thread_of_row(last), about=happened.message_id,
            files=[File(f.filename, f.content_type, read_part(raw, f.part)) for f in files],
        )  # fmt: skip
        to = [person.address for person in people]
        told.note("answer", "reply", "enqueued", f"the agent's answer to {', '.join(to)}", recipients=to)

    def _readers(self, told: _Told) -> Iterator[Address]:
        """The requester, then who takes part and was agreed to; no agent, none of our own addresses, each once."""
        case = told.case
        not_told = {a.address for a in told.agents()}
        people = [(case.requester, case.contact_name or "")]
        people += [(p.address, p.name) for p in addressing.participants(told.connection, case.id)]
        for address, name in people:
            if address not in not_told and is_sendable(address) and not self._mailboxes.is_ours(address):
                not_told.add(address)
                yield Address(name, address)

    # -- to agents

    def _tell_of_mail(self, told: _Told, purpose: str) -> None:
        """The assigned agent, or the queue's agents where nobody is; not the one who wrote it."""
        case, origin = told.case, told.happened.origin
        agents = self._who_answers(told.connection, case, told.agents())
        if purpose == "new_ticket" and case.assigned_to is not None:
            purpose = "assignment"
        if origin is not None and purpose == "customer_reply" and origin.email.automatic.is_automatic:
            told.note("notify", "automatic", "suppressed", "an automatic answer is told to nobody")
            return
        if SPAM in case.tags:
            told.note("notify", "spam", "suppressed", "its ticket is tagged spam: no agent is told")
            return
        if not self._is_on(told, purpose):
            return
        if origin is not None:
            message = wording.message_of_mail(origin.email, self._language, self._clock())
        else:
            message = self._last_message(told)
        data = {
            "ticket": wording.private_ticket_data(self._config, case), "message": message,
            # a customer's mail assigns nothing: the queue's turns, or a rule, did
            "actor": "Postroom" if purpose == "assignment" and origin is not None else told.happened.actor,
            "is_stranger": purpose == "customer_reply" and self._is_stranger(told),
        }  # fmt: skip
        self._tell(told, purpose, [a for a in agents if a.address != told.happened.actor], data)

    def _is_stranger(self, told: _Told) -> bool:
        """Whether its writer had not taken part before: he holds a mail of the ticket, and no agent has agreed to him."""
        id_ = told.happened.message_id
        return id_ is not None and "new-participant" in addressing.message(told.connection, id_).flags

    def _tell_of_assignment(self, told: _Told) -> None:
        actor = told.happened.actor
        agents = [a for a in told.agents() if a.id == told.happened.agent_id and actor not in (a.name, a.address)]
        if self._is_on(told, "assignment") and agents:
            data = {
                "ticket": wording.private_ticket_data(self._config, told.case), "message": self._last_message(told),
                "actor": actor,
            }  # fmt: skip
            self._tell(told, "assignment", agents, data)

    def _tell_of_handing_in(self, told: _Told) -> None:
        """Whoever has the ticket gets an address to answer from; its customer did not write to us and gets nothing."""
        case, happened = told.case, told.happened
        why = f"{case.requester} did not write to us, an agent handed his mail in: nothing is sent to him by ourselves"
        told.note("answer", "handed-in", "suppressed", why)
        purpose = "new_ticket" if case.assigned_to in (None, happened.agent_id) else "assignment"
        if self._is_on(told, purpose):
            data = {
                "ticket": wording.private_ticket_data(self._config, case), "message": self._last_message(told),
                "actor": happened.actor,
            }  # fmt: skip
            self._tell(told, purpose, self._who_answers(told.connection, case, told.agents()), data)

    def _tell_of_due(self, told: _Told, purpose: str) -> None:
        """The ticket's agent; of what is overdue the one whom the queue names, or its other agents too."""
        case = told.case
        if not self._is_on(told, purpose):
            return
        agents = self._who_answers(told.connection, case, told.agents())
        if purpose == "escalation":
            queue = self._config.queue.get(case.queue)
            named = [a for a in told.agents() if queue is not None and a.name == queue.escalate_to]
            others = [a for a in told.agents() if case.queue in a.queues and a not in agents]
            agents = named or [*agents, *others]
        data: dict[str, Any] = {
            "ticket": wording.private_ticket_data(self._config, case), "message": self._last_message(told),
        }  # fmt: skip
        if purpose == "escalation":
            due = case.sla_due_at or self._clock()
            data |= {"due": wording.date_in_words(due, self._language), "is_answered": bool(case.first_responded_at)}
        self._tell(told, purpose, agents, data)

    def _tell_of_refusal(self, told: _Told) -> None:
        """The agent alone gets each wrong line, and his words to send again. There is no switch for it."""
        happened, origin = told.happened, told.happened.origin
        agents = [agent for agent in told.agents() if agent.id == happened.agent_id]
        data = {
            "ticket": wording.private_ticket_data(self._config, told.case),
            "wrong": [{"line": one.line, "why": one.why, "right": one.right} for one in happened.wrong],
            "lines": origin.email.reply_text[: wording.MAX_TOLD].splitlines() if origin else [],
        }  # fmt: skip
        self._tell(told, "command_error", agents, data)

    def _is_on(self, told: _Told, purpose: str) -> bool:
        if getattr(self._config.notify, purpose):
            return True
        told.note("notify", "switched-off", "suppressed", f"notify.{purpose} is off in the configuration")
        return False

    def _tell(self, told: _Told, purpose: str, agents: Sequence[Any], data: dict[str, Any]) -> None:
        about = told.happened.message_id
        told.mails += self._letters.to_agents(told.case, agents, purpose, data, about)
        names = [agent.name for agent in agents]
        why = f"told {', '.join(names)}" if names else f"nobody answers for the queue {told.case.queue}"
        told.note("notify", purpose, "enqueued" if names else "nothing", why, agents=names)

    def _last_message(self, told: _Told) -> dict[str, Any]:
        row = addressing.last_of_customer(told.connection, told.case.id)
        if row is None:
            return {"author": "?", "date": "", "text": "", "files": []}
        return wording.message_of_row(row, addressing.files(told.connection, row.id), self._language)

    def _who_answers(self, connection: Connection, case: Any, agents: Sequence[Any] | None = None) -> list[Any]:
        """The assigned agent; where nobody is, or he is gone, the queue's agents."""
        everyone = addressing.agents(connection) if agents is None else agents
        assigned = [agent for agent in everyone if agent.id == case.assigned_to]
        return assigned or [agent for agent in everyone if case.queue in agent.queues]


class _Told:
    """What one thing that happened leads to: mails, and the lines of the decision."""

    def __init__(self, connection: Connection, case: Any, happened: Happened) -> None:
        self.connection, self.case, self.happened = connection, case, happened
        self.mails: list[NewDelivery] = []
        self.lines: list[Line] = []
        self._agents: Sequence[Any] | None = None

    def agents(self) -> Sequence[Any]:
        """Everyone who answers, asked for once."""
        if self._agents is None:
            self._agents = addressing.agents(self.connection)
        return self._agents

    def note(self, step: str, rule: str, outcome: str, why: str, **evidence: Any) -> None:
        """Add a line to the decision."""
        self.lines.append({"step": step, "rule": rule, "outcome": outcome, "why": why, "evidence": evidence})


def _thread_of_mail(origin: Origin, repeats: bool) -> Thread:
    """The thread of the mail that is answered; to one whom we do not know its Message-ID alone is repeated."""
    id_ = origin.email.message_id
    if id_ is None or not is_message_id(id_):
        return Thread()
    if not repeats:
        return Thread(id_, (id_,)) if len(id_) <= MAX_STRANGERS_ID else Thread()
    return Thread(id_, bounded_references((*origin.email.references, id_)))


def _thread_of_row(row: Any | None) -> Thread:
    """The thread of a message of the ticket's conversation."""
    if row is None or not row.email_message_id or not is_message_id(row.email_message_id):
        return Thread()
    if row.email_message_id.endswith(MADE_UP):
        return Thread(None, bounded_references(row.references))
    return Thread(row.email_message_id, bounded_references((*row.references, row.email_message_id)))

"""What comes back: a report about a mail of ours settles the delivery that it is about (RFC 3464, RFC 5965, RFC 8098).

    failed      → the delivery failed: noted on the ticket, told to its agents where a person wrote it
    delayed, delivered, relayed, expanded, a receipt → noted on the ticket
    complaint   → noted, told to its agents

What vouches for a report is a signed bounce address: the one that it was sent to, or that the copy in it went out with. One of
our Message-IDs is less: it is believed where only one recipient got that mail, as of several each could write a report in another's
name, and it settles the delivery, but holds no mail back (`holding.py`). Nothing of this opens a ticket or is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from postroom.config import Answers
from postroom.outbound import holding
from postroom.outbound.notify import Notifier
from postroom.outbound.renamed import by_copy, by_report
from postroom.parsers.email import body_digest
from postroom.parsers.parsed import BouncedRecipient, Kind, ParsedEmail, Reported
from postroom.parsers.status import explicit_status
from postroom.saying import Saying
from postroom.store import outbox, raw_mail, tickets
from postroom.threading.tokens import Signer

MAX_REASON = 500  # characters of a report's words that are kept
MAX_IDS = 50  # Message-IDs of one report that are looked for
ADDRESS, MESSAGE_ID = "bounce-address", "own-message-id"  # what vouches for a report


@dataclass(frozen=True, slots=True)
class Report:
    """What a report settled: the ticket that it belongs to, if any, and the lines of the decision."""

    ticket_id: int | None
    decision: list[dict[str, Any]] = field(default_factory=list)
    is_erased: bool = False  # the mail that it is about was erased: its words belong on no ticket


@dataclass(frozen=True, slots=True)
class Settling:
    """What settling a report needs besides the report."""

    connection: Connection
    signer: Signer
    answers: Answers
    now: datetime
    is_agent: Callable[[str], bool] = lambda address: False  # an agent is always told of tickets, whatever comes back
    notifier: Notifier | None = None  # None: nobody is told


def settle_report(settling: Settling, email: ParsedEmail, tags: Sequence[str]) -> Report:
    """Settle the delivery that a bounce, complaint or receipt is about.

    `tags`: what stands behind the `+` of the addresses of ours that it was sent to, or that the copy in it was sent from.
    """
    connection = settling.connection
    by_address = _by_address(connection, settling.signer, tags)
    deliveries = [by_address] if by_address is not None else _by_message_id(connection, email)
    if not deliveries:
        return Report(None, [_line("no-delivery", "nothing", "it is about none of our deliveries that we can tell")])
    delivery = deliveries[0]
    if "@" not in delivery.recipient:  # a report that comes late must not bring back what was forgotten
        return Report(None, [_line(MESSAGE_ID, "nothing", "the mail that it is about was erased")], True)
    ticket_id = _ticket_now(connection, delivery.ticket_id)
    if len(deliveries) > 1:
        why = f"{len(deliveries)} people got that mail, and each of them could have written this"
        return Report(ticket_id, [_line(MESSAGE_ID, "nothing", why)])
    rule = MESSAGE_ID if by_address is None else ADDRESS
    outcome, why = _Settled(settling, delivery, ticket_id, rule).by(email)
    decision = [_line(rule, outcome, why, delivery=delivery.id, recipient=delivery.recipient)]
    if rule == ADDRESS and (renamed := by_report(email, delivery.email_message_id, settling.signer)):
        outbox.index_renamed(connection, ticket_id, renamed)
        decision.append(_line("renamed", "held", "a relay gave our mail this Message-ID", messageId=renamed[0]))
    return Report(ticket_id, decision)


class _Settled:
    """One delivery, and what a report does to it."""

    def __init__(self, settling: Settling, delivery: Any, ticket_id: int | None, rule: str) -> None:
        self._settling, self._connection, self._now = settling, settling.connection, settling.now
        self._delivery, self._ticket_id, self._rule = delivery, ticket_id, rule

    def by(self, email: ParsedEmail) -> tuple[str, str]:
        """What the report says of the delivery, written down; outcome and reason."""
        if email.kind is Kind.COMPLAINT:
            return self._complained(email.reported or Reported())
        if email.kind is Kind.RECEIPT:
            self._note("receipt", None)
            return "receipt", f"a receipt about the mail to {self._delivery.recipient}"
        if email.kind is Kind.AUTO_REPLY:
            return "auto-reply", f"an automatic reply to the mail to {self._delivery.recipient}"
        if email.bounce is None:
            about = _by_words(email.text, self._delivery.recipient)
        else:
            about = _about(email.bounce.recipients, self._delivery.recipient)
            if not email.bounce.recipients and self._rule == ADDRESS:
                about = BouncedRecipient(self._delivery.recipient, "failed", None, False, None)
        if about is None:
            return "nothing", f"a delivery report that says nothing of {self._delivery.recipient}"
        words = " ".join(part for part in (about.status, about.diagnostic) if part)[:MAX_REASON]
        words = words or (Saying("the report does not say why") if about.action == "failed" else about.action)
        if about.action == "failed":
            return self._failed(about, words)
        self._note(about.action, words)
        return about.action, f"the mail to {self._delivery.recipient} was {about.action}: {words}"

    def _failed(self, about: BouncedRecipient, words: str) -> tuple[str, str]:
        delivery, notifier = self._delivery, self._settling.notifier
        reason = f"bounced: {words}"
        if not outbox.fail_delivered(self._connection, delivery, reason, self._now, self._ticket_id, self._rule):
            return "nothing", f"the delivery to {delivery.recipient} had ended before, as {delivery.state}"
        held = self._count(about, words)
        if notifier is not None and self._ticket_id is not None:
            if held and delivery.automatic:
                notifier.held(self._connection, self._ticket_id, delivery.recipient, "bounces", held)
            else:
                notifier.undeliverable(self._connection, delivery, words, self._ticket_id, held or "")
        why = f"the mail to {delivery.recipient} was not delivered: {words}"
        return "failed", f"{why}; automatic mail to it is held: {held}" if held else why

    def _count(self, about: BouncedRecipient, words: str) -> str | None:
        """Why mail to the recipient is held from now on; what is reported of another address, to which he forwards, holds nothing."""
        delivery, settling = self._delivery, self._settling
        if self._rule != ADDRESS or not about.permanent or settling.is_agent(delivery.recipient.lower()):
            return None
        if about.address.lower() != delivery.recipient.lower():
            return None
        held = holding.count_bounce(self._connection, settling.answers, delivery, about.status, words, self._now)
        if held:
            self._note("held", held)
        return held

    def _complained(self, reported: Reported) -> tuple[str, str]:
        delivery, settling = self._delivery, self._settling
        kind = reported.feedback or "abuse"
        self._note("complaint", kind)
        why = f"a complaint ({kind}) about the mail to {delivery.recipient}"
        if self._rule != ADDRESS:
            return "complaint", f"{why}; its Message-ID alone, which others know, stops no mail"
        if settling.is_agent(delivery.recipient.lower()):
            return "complaint", why
        held = holding.count_complaint(self._connection, delivery, reported.feedback, self._now)
        if held is None:
            return "complaint", why
        self._note("held", held)
        if settling.notifier is not None and self._ticket_id is not None:
            settling.notifier.held(self._connection, self._ticket_id, delivery.recipient, "complaint", held)
        return "complaint", f"{why}; automatic mail to it is held until an operator releases it"

    def _note(self, event: str, words: str | None) -> None:
        outbox.note(self._connection, self._delivery, event, self._now, words, self._ticket_id)


def _ticket_now(connection: Connection, ticket_id: int | None) -> int | None:
    """The ticket that a delivery belongs to now: the one that its own was merged into; None where there is none any more."""
    row = tickets.get(connection, ticket_id) if ticket_id is not None else None
    return None if row is None else int(tickets.follow(connection, row).id)


def is_own_mail(
    connection: Connection,
    signer: Signer,
    email: ParsedEmail,
    message_id: str,
    digest: str,
    is_ours: Callable[[str], bool],
) -> bool:
    """Whether it is a mail of ours that came back: our Message-ID alone proves nothing, others know it too.

    It is, where the bytes are those that we sent, or where From is ours and the body is.
    """
    if signer.read_message_id(message_id.partition("@")[0]) is None:
        return False
    sent = {row.digest for row in outbox.by_message_id(connection, message_id) if row.digest}
    if digest in sent:
        return True
    return all(is_ours(who.address) for who in email.from_) and email.body_digest in {
        body_digest(raw_mail.read(connection, one).partition(b"\r\n\r\n")[2]) for one in sent
    }


def settle_copy(
    connection: Connection, signer: Signer, email: ParsedEmail, tag_of: Callable[[str], str | None],
    is_ours: Callable[[str], bool], now: datetime,
) -> int | None:  # fmt: skip
    """The ticket whose mail came back to us under a relay's Message-ID (by Bcc to ourselves, say); it knows that id from now on."""
    key = by_copy(email, tag_of, is_ours, signer, now)
    row = tickets.by_key(connection, key) if key is not None else None
    if row is None or email.message_id is None:
        return None
    outbox.index_renamed(connection, row.id, [email.message_id])
    return int(tickets.follow(connection, row).id)


def _by_address(connection: Connection, signer: Signer, tags: Sequence[str]) -> Any | None:
    """The delivery whose signed bounce address it was sent to, or came from."""
    keys = (signer.read_bounce(tag) for tag in dict.fromkeys(tags))
    found = (outbox.by_key(connection, key) for key in keys if key is not None)
    return next((delivery for delivery in found if delivery is not None), None)


def _by_message_id(connection: Connection, email: ParsedEmail) -> list[Any]:
    """The deliveries of the mail of ours that it names."""
    named = [email.bounce.original_message_id] if email.bounce else []
    inside = email.reported.message_ids if email.reported else ()
    ids = dict.fromkeys(id_ for id_ in (*named, *inside, *email.in_reply_to, *reversed(email.references)) if id_)
    rows = outbox.by_message_ids(connection, list(ids)[:MAX_IDS])
    first = next((id_ for id_ in ids if any(row.email_message_id == id_ for row in rows)), None)
    found = [row for row in rows if row.email_message_id == first]
    reported = {r.address.lower() for r in email.bounce.recipients} if email.bounce else set()
    if reported and not any(row.recipient.lower() in reported for row in found):
        return []
    return found


def _about(recipients: Sequence[BouncedRecipient], recipient: str) -> BouncedRecipient | None:
    """What is reported of that recipient; where one alone is reported, it is he, under whatever address he was forwarded to."""
    same = [r for r in recipients if r.address.lower() == recipient.lower()]
    if same:
        return same[0]
    return recipients[0] if len(recipients) == 1 else None


def _by_words(text: str, recipient: str) -> BouncedRecipient | None:
    """What a notice whose form nobody knows says of the one mail that it can be about, by the code that stands in it."""
    status = explicit_status(text)
    if status is None:
        return None
    action = "failed" if status.startswith("5") else "delayed"
    return BouncedRecipient(recipient, action, status, action == "failed", " ".join(text.split())[:MAX_REASON])


def _line(rule: str, outcome: str, why: str, **evidence: Any) -> dict[str, Any]:
    return {"step": "settle", "rule": rule, "outcome": outcome, "why": why, "evidence": evidence}

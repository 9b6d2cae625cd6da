"""What comes back: a report about a mail of ours settles the delivery that it is about (RFC 3464, RFC 5965, RFC 8098).

The proof is a signed bounce address that it was sent to, or one of our Message-IDs where only one recipient got that mail:
of several, each could write a report in another's name.
Nothing of this opens a ticket or is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from postroom.outbound.notify import Notifier
from postroom.outbound.renamed import by_copy, by_report
from postroom.parsers.email import body_digest
from postroom.parsers.parsed import BouncedRecipient, Kind, ParsedEmail
from postroom.store import addressing, outbox, tickets
from postroom.threading.tokens import Signer

MAX_REASON = 500  # characters of a report's words that are kept


@dataclass(frozen=True, slots=True)
class Report:
    """What a report settled: the ticket that it belongs to, if any, and the lines of the decision."""

    ticket_id: int | None
    decision: list[dict[str, Any]] = field(default_factory=list)


def settle_report(
    connection: Connection, signer: Signer, email: ParsedEmail, tags: Sequence[str], now: datetime,
    notifier: Notifier | None = None,
) -> Report:  # fmt: skip
    """Settle the delivery that a bounce, complaint or receipt is about.

    `tags`: what stands behind the `+` of the addresses of ours that it was sent to. `notifier` tells the
    ticket's agents that a person's mail did not arrive.
    """
    by_address = _by_address(connection, signer, tags)
    deliveries = [by_address] if by_address is not None else _by_message_id(connection, email)
    if len(deliveries) > 1:
        why = f"{len(deliveries)} people got that mail, and each of them could have written this"
        return Report(deliveries[0].ticket_id, [_line("own-message-id", "nothing", why)])
    rule = "bounce-address" if by_address is not None else "own-message-id"
    if not deliveries:
        return Report(None, [_line("no-delivery", "nothing", "it is about none of our deliveries that we can tell")])
    decision = []
    for delivery in deliveries:
        outcome, why = _settle(connection, delivery, email, now, notifier)
        decision.append(_line(rule, outcome, why, delivery=delivery.id, recipient=delivery.recipient))
    if by_address is not None and (renamed := by_report(email, by_address.email_message_id, signer)):
        outbox.index_renamed(connection, by_address.ticket_id, renamed)
        decision.append(_line("renamed", "held", "a relay gave our mail this Message-ID", messageId=renamed[0]))
    return Report(deliveries[0].ticket_id, decision)


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
        body_digest(addressing.raw_mail(connection, one).partition(b"\r\n\r\n")[2]) for one in sent
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
    """The delivery whose signed bounce address it was sent to."""
    keys = (signer.read_bounce(tag) for tag in tags)
    found = (outbox.by_key(connection, key) for key in keys if key is not None)
    return next((delivery for delivery in found if delivery is not None), None)


def _by_message_id(connection: Connection, email: ParsedEmail) -> list[Any]:
    """The deliveries of the mail of ours that it names."""
    named = [email.bounce.original_message_id] if email.bounce else []
    for ref in dict.fromkeys(id_ for id_ in (*named, *email.in_reply_to, *reversed(email.references)) if id_):
        rows = outbox.by_message_id(connection, ref)
        if not rows:
            continue
        reported = {r.address.lower() for r in email.bounce.recipients} if email.bounce else set()
        if reported and not any(row.recipient.lower() in reported for row in rows):
            return []
        return list(rows)
    return []


def _settle(
    connection: Connection, delivery: Any, email: ParsedEmail, now: datetime, notifier: Notifier | None
) -> tuple[str, str]:
    """What the report says of one delivery, written down; outcome and reason."""
    if email.kind is not Kind.BOUNCE or email.bounce is None:
        event = "complaint" if email.kind is Kind.COMPLAINT else "receipt"
        outbox.note(connection, delivery, event, now, None)
        return event, f"a {event} about the mail to {delivery.recipient}"
    about = _about(email.bounce.recipients, delivery.recipient)
    if about is None:
        return "nothing", f"a delivery report that says nothing of {delivery.recipient}"
    words = " ".join(part for part in (about.status, about.diagnostic) if part)[:MAX_REASON] or about.action
    if about.action == "failed":
        if not outbox.fail_delivered(connection, delivery.id, f"bounced: {words}", now):
            return "nothing", f"the delivery to {delivery.recipient} had failed before"
        if notifier is not None:
            notifier.undeliverable(connection, delivery, words)
        return "failed", f"the mail to {delivery.recipient} was not delivered: {words}"
    outbox.note(connection, delivery, about.action, now, words)
    return about.action, f"the mail to {delivery.recipient} was {about.action}: {words}"


def _about(recipients: Sequence[BouncedRecipient], recipient: str) -> BouncedRecipient | None:
    """What is reported of that recipient; where one alone is reported, it is he, under whatever address he was forwarded to."""
    same = [r for r in recipients if r.address.lower() == recipient.lower()]
    if same:
        return same[0]
    return recipients[0] if len(recipients) == 1 else None


def _line(rule: str, outcome: str, why: str, **evidence: Any) -> dict[str, Any]:
    return {"step": "settle", "rule": rule, "outcome": outcome, "why": why, "evidence": evidence}

"""What a database holds after a measurement, and whether that is right: speed with a wrong outcome is worth nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from corpus import Mail
from sqlalchemy import func, select

from postroom.store.engine import Store
from postroom.store.tables import Delivery, InboundEmail, Message

# A desk with one mailbox, whose limits on clients and on automatic answers are out of the way: a day's mail comes within a minute
# here, and from one address.
CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{port}"]
connections = 1000
connections_per_client = 1000
[mailbox.support]
address = "support@example.com"
queue = "support"
[answers]
per_sender_hour = 1000000
per_sender_day = 1000000
per_domain_hour = 1000000
all_hour = 1000000
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the mail has come."""

    accepted: int
    settled: int  # in a final state
    states: dict[str, int]


def progress(store: Store) -> Progress:
    """Count the deliveries by their state."""
    with store.read() as connection:
        rows = connection.execute(select(InboundEmail.state, func.count()).group_by(InboundEmail.state)).tuples()
        states = dict(rows.all())
    settled = sum(count for state, count in states.items() if state not in {"pending", "processing"})
    return Progress(sum(states.values()), settled, states)


def mistakes(store: Store, mails: Iterable[Mail], confirmed: bool = True, after: tuple[int, int] = (0, 0)) -> list[str]:
    """What is not as the corpus says: each mail once, conversations as tickets, one confirmation for each; else empty.

    `after`: the ids of the last message and the last ticket that were there before.
    """
    mails = list(mails)
    with store.read() as connection:
        kept = connection.execute(
            select(Message.email_message_id, Message.ticket_id).where(
                Message.inbound_id.is_not(None), Message.id > after[0]
            )
        ).all()
        confirmations = Counter(
            connection.execute(select(Delivery.ticket_id).where(Delivery.purpose == "confirmation", Delivery.ticket_id > after[1], Delivery.state != "suppressed")).scalars()
        )  # fmt: skip
    found: list[str] = []
    times = Counter(row.email_message_id for row in kept)
    wrong = [mail.message_id for mail in mails if times[mail.message_id] != 1]
    if wrong or len(kept) != len(mails):
        found.append(f"{len(wrong)} of {len(mails)} mails are not there once, {len(kept)} are there: {wrong[:3]}")
    ticket_of = {row.email_message_id: row.ticket_id for row in kept}
    tickets: dict[str, set[int | None]] = defaultdict(set)
    for mail in mails:
        tickets[mail.conversation].add(ticket_of.get(mail.message_id))
    torn = [conversation for conversation, ids in tickets.items() if len(ids) != 1]
    if torn:
        found.append(f"{len(torn)} of {len(tickets)} conversations are torn: {torn[:3]}")
    if len(set(ticket_of.values())) < len(tickets):
        found.append(f"{len(tickets)} conversations are only {len(set(ticket_of.values()))} tickets")
    if confirmed and (set(confirmations.values()) - {1} or len(confirmations) != len(tickets)):
        found.append(f"{len(tickets)} conversations have {confirmations.total()} confirmations")
    return found

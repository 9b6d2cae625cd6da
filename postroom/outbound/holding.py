"""When does automatic mail to an address stop, and what lets it go out again?

    hard bounces in a row       → held until the address is heard from, or an operator releases it
    no such address, ever       → held at the first: who never got a mail of ours loses none by that
    a complaint                 → held until an operator releases it

Only a report that a signed bounce address vouches for, or our own server's refusal, counts: a Message-ID is known to
everybody whom that mail was answered to, forwarded to or copied to, and none of them is to silence another. What a person
writes is never held; he is told.

Mail that proves its sender (authenticated, or an answer to a mail of ours that went to him) ends a hold for bounces, and the count. A bare
From does so once in `hold_days`, and the count stays: a customer is not shut out by one bad day of his server, and who forges an
address that does not exist makes us write to it twice.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from postroom.config import Answers
from postroom.desk.happened import Origin
from postroom.outbound.policy import Refusal
from postroom.parsers.parsed import ParsedEmail
from postroom.saying import Saying, kept, recalled
from postroom.store import addressing, correspondents, outbox
from postroom.threading.tokens import Signer

REACHED_AFTER = timedelta(days=3)  # a mail that has not come back by then has arrived
REFS_READ = 20  # ids of one mail that may be ours
MAX_WHY = 200  # characters of a report's words that are kept

# RFC 3463 §3.2, RFC 7505: there is no such mailbox, or no such host, and no mail to it can ever arrive
NO_SUCH_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10")
# what class 5 says of the mail, of its sender, or of today, and not of the address: 5.1.7 and 5.1.8 bad sender, 5.2.2 full, 5.2.3
# and 5.3.4 too large, 5.4.6 loop, 5.4.7 expired, 5.6 content, 5.7 policy
NOT_THE_ADDRESS = re.compile(r"5\.(?:1\.[78]|2\.[23]|3\.4|4\.[67]|6\.\d+|7\.\d+)")
# RFC 5965 §7.3: what its recipient said; the others are of machines (auth-failure, virus), or the opposite (not-spam)
COMPLAINTS = (None, "abuse", "opt-out", "opt-out-list", "fraud", "other", "miscategorized")


def is_hard(status: str | None) -> bool:
    """Whether a failure with that status says that mail to the address is in vain."""
    return status is not None and status.startswith("5.") and not NOT_THE_ADDRESS.fullmatch(status)


def count_bounce(
    connection: Connection, answers: Answers, delivery: Any, status: str | None, words: str, now: datetime
) -> str | None:
    """Count a failure of that delivery that is proven; why mail to its recipient is held from now on, None where it is not."""
    if answers.hold_bounces == 0 or delivery.ticket_id is None or not is_hard(status):
        return None
    address, within = delivery.recipient.lower(), timedelta(days=answers.hold_days)
    known = correspondents.get(connection, address)
    count = correspondents.count_bounce(connection, address, now, within)
    if known is not None and known.held_at is not None:
        return None
    again = known is not None and known.trusted_at is not None and known.trusted_at >= now - within
    in_vain = status in NO_SUCH_ADDRESS and not addressing.was_reached(connection, address, now - REACHED_AFTER)
    if count < answers.hold_bounces and not again and not in_vain:
        return None
    words = words if isinstance(words, Saying) else words[:MAX_WHY]
    if count == 1:
        why = Saying("mail came back at the first time, with: %(words)s", words=words)
    else:
        why = Saying("mail came back %(count)s times, last with: %(words)s", count=count, words=words)
    correspondents.hold(connection, address, kept(why), now)
    return why


def count_complaint(connection: Connection, delivery: Any, feedback: str | None, now: datetime) -> str | None:
    """Keep a complaint that is proven; why mail to that delivery's recipient is held from now on, None where it was, or is not."""
    if feedback not in COMPLAINTS:
        return None
    known = correspondents.get(connection, delivery.recipient)
    if known is not None and known.complained_at is not None:
        return None
    why = Saying(
        "its owner complained about our mail of %(date)s (%(purpose)s; %(feedback)s)", date=delivery.created_at,
        purpose=delivery.purpose.replace("_", " "), feedback=feedback or "abuse",
    )  # fmt: skip
    correspondents.complain(connection, delivery.recipient, kept(why), now)
    return why


def why_held(case: Any) -> Refusal | None:
    """Why nothing goes to a ticket's requester by itself; None where nothing holds it."""
    if case.complained_at is not None:
        return Refusal("complained", in_words(case))
    return Refusal("bounces", in_words(case)) if case.held_at is not None else None


def in_words(known: Any) -> str:
    """Since when automatic mail to an address is held, and why; "" where it is not."""
    if known.complained_at is not None:
        return Saying("held since %(date)s: %(why)s", date=known.complained_at, why=recalled(known.complained_why))
    if known.held_at is not None:
        return Saying("held since %(date)s: %(why)s", date=known.held_at, why=recalled(known.held_why))
    return ""


def hear(
    connection: Connection, answers: Answers, signer: Signer, known: Any, address: str, origin: Origin, now: datetime
) -> str | None:
    """End a hold for bounces because of a mail from that address; what ended it, None where nothing did.

    `known`: what is known of the address.
    """
    email = origin.email
    if known.held_at is None or origin.authenticated is False or email.automatic.is_automatic:
        return None
    if email.automatic.unanswerable or [who.address.lower() for who in email.from_] != [address]:
        return None
    is_answer = _answers(connection, signer, email, address)
    if origin.authenticated or is_answer:
        correspondents.heard(connection, address, now, proven=True)
        return "an answer to a mail of ours came from it" if is_answer else "an authenticated mail came from it"
    if known.trusted_at is not None and known.trusted_at >= now - timedelta(days=answers.hold_days):
        return None
    correspondents.heard(connection, address, now, proven=False)
    return "a mail came from it"


def _answers(connection: Connection, signer: Signer, email: ParsedEmail, address: str) -> bool:
    """Whether a mail names one of ours that went to that address; one that went to somebody else, who may forge this, proves nothing."""
    refs = (*email.in_reply_to, *email.references[-REFS_READ:])[:REFS_READ]
    ours = [ref for ref in refs if signer.read_message_id(ref.partition("@")[0]) is not None]
    return any(row.recipient.lower() == address for row in outbox.by_message_ids(connection, ours))

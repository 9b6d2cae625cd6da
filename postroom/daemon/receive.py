"""What becomes of one message: from what it says to its whole effect, in the caller's transaction.

    seen before? → classify → identify the author → find the ticket → place it → tell who should know

Each step leaves a line in the decision, which `postroom inbound explain` shows. A crash leaves all of the
effect or none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from postroom.desk import tickets
from postroom.desk.authentication import Authentication, authenticated
from postroom.desk.author import Author, Standing, identify
from postroom.desk.happened import Origin, Placed
from postroom.desk.placing import keep_report, place
from postroom.desk.tickets import Desk, Incoming
from postroom.errors import PermanentFailure
from postroom.outbound.notify import Notifier
from postroom.outbound.returned import Settling, is_own_mail, settle_copy, settle_report
from postroom.parsers.parsed import Kind, ParsedEmail
from postroom.store import addressing, messages, thread_index
from postroom.store.inbound import Claimed
from postroom.store.thread_index import ThreadIndex
from postroom.threading.find import ask, best_first, find_ticket, read_tokens
from postroom.threading.match import Match, Question
from postroom.threading.rules import named
from postroom.threading.tokens import NO_TICKET, ReplyToken, Signer

REPORTS = (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT)


@dataclass(frozen=True, slots=True)
class Reception:
    """The desk, with everything that receiving a message needs."""

    desk: Desk
    signer: Signer
    notifier: Notifier


@dataclass(slots=True)
class Settled:
    """What became of a delivery: the columns of its row, and what a run counts it as."""

    id: int
    state: str = "processed"  # processed, duplicate
    outcome: str = "settled"  # opened, added, settled, duplicate
    reason: str = ""
    ticket_id: int | None = None
    message_id: int | None = None
    duplicate_of: int | None = None
    decision: list[dict[str, Any]] = field(default_factory=list)

    def row(self, now: datetime) -> dict[str, Any]:
        """The columns of the delivery's row that this settles."""
        return {
            "id": self.id, "state": self.state, "outcome": self.outcome, "reason": self.reason, "decision": self.decision,
            "ticket_id": self.ticket_id, "message_id": self.message_id, "duplicate_of": self.duplicate_of,
            "processed_at": now,
        }  # fmt: skip

    def note(self, step: str, rule: str, outcome: str, why: str, **evidence: Any) -> None:
        """Add a line to the decision."""
        self.decision.append({"step": step, "rule": rule, "outcome": outcome, "why": why, "evidence": evidence})


def receive(
    connection: Connection, reception: Reception, delivery: Claimed, email: ParsedEmail, now: datetime,
    checked: Authentication | None = None, key: str | None = None,
) -> Settled:  # fmt: skip
    """Give one message its whole effect, on `connection`; says what became of it and why.

    `checked` is what our own check found about its sender, where there was one. `key`: what `ask_ahead` has made of it.
    """
    receiving = _Receiving(connection, reception, delivery, email, now, checked, key)
    if receiving.seen_before(receiving.key):
        return receiving.settled
    receiving.classify()
    incoming, question = receiving.identify()
    key = tickets.key_of(incoming)
    if key != receiving.key and receiving.seen_before(key):
        return receiving.settled
    match = receiving.find(question)
    receiving.tell(receiving.place(incoming, match))
    return receiving.settled


def ask_ahead(connection: Connection, arrived: Iterable[tuple[Claimed, ParsedEmail]]) -> dict[int, str]:
    """Ask at once what `receive` will ask of each of these, in the transaction of all of them; their content keys, by delivery."""
    keys: dict[int, str] = {}
    refs: list[str] = []
    for delivery, email in arrived:
        keys[delivery.id] = tickets.content_key(email, tickets.message_id_of(email, delivery.digest))
        refs += named(email)
    messages.ask_ahead(connection, list(keys.values()))
    thread_index.ask_ahead(connection, refs)
    addressing.ask_ahead(connection)
    return keys


class _Receiving:
    """One message on its way: the steps of `receive`, in their order."""

    def __init__(
        self, connection: Connection, reception: Reception, delivery: Claimed, email: ParsedEmail, now: datetime,
        checked: Authentication | None, key: str | None,
    ) -> None:  # fmt: skip
        self.checked = checked
        self.connection, self.reception, self.now = connection, reception, now
        self.delivery, self.email = delivery, email
        self.message_id = tickets.message_id_of(email, delivery.digest)
        self.key = key or tickets.content_key(email, self.message_id)
        self.settled = Settled(delivery.id)

    def seen_before(self, key: str) -> bool:
        """Two copies of one mail, through two mailboxes or two ways, are one message."""
        known = messages.by_content_key(self.connection, [key]).get(key)
        if known is None:
            return False
        settled = self.settled
        settled.state = settled.outcome = "duplicate"
        settled.ticket_id, settled.message_id, settled.duplicate_of = known.ticket_id, known.id, known.inbound_id
        settled.reason = f"the same mail as delivery {known.inbound_id}: Message-ID, From, Date and body are equal"
        settled.note("seen before", "same-mail", "held", settled.reason, delivery=known.inbound_id)
        return True

    def classify(self) -> None:
        """Say what kind of mail it is; the parser knows."""
        automatic = self.email.automatic
        why = automatic.reason or automatic.unanswerable or "nothing says that a machine wrote it"
        self.settled.note("classify", self.email.kind, "held", why, defects=list(self.email.defects[:10]))

    def identify(self) -> tuple[Incoming, Question]:
        """Say who wrote it, and put the question for its ticket."""
        desk, signer, delivery = self.reception.desk, self.reception.signer, self.delivery
        mailbox = desk.config.mailbox.get(delivery.mailbox)
        if mailbox is None:
            why = f"the configuration has no [mailbox.{delivery.mailbox}] any more; put it back, and retry"
            raise PermanentFailure(why)
        proven, must = self._authenticate(mailbox.authserv_id)
        tokens = read_tokens(self.email, delivery.recipient, self._tag_of, signer, self.now)
        author = identify(self.email, tokens, desk.agents, proven, must, mailbox.trust_reply_to)
        self.settled.note("author", author.standing, "held", author.why, address=author.address, authenticated=proven)
        tokens = best_first(tokens, author.agent.id if author.agent else None)
        # one whose From is known to be forged takes part in nothing; what he holds is another matter
        claimed = "" if proven is False and not delivery.archive else author.address
        question = ask(self.email, claimed, tokens, signer, desk.config.tickets.prefix, self.now, delivery.archive)
        origin = Origin(self.email, delivery.sender, delivery.mailbox, proven)
        incoming = Incoming(
            delivery.id, delivery.digest, self.message_id, self.email, author, origin, delivery.received_at,
            delivery.archive, self.now, _is_personal(tokens, author), delivery.recipient, len(delivery.raw),
            *self._said(tokens), self.key,
        )  # fmt: skip
        return incoming, question

    def _authenticate(self, authserv_id: str) -> tuple[bool | None, bool]:
        """Whether From's domain is proven, and whether an agent's has to be; our own check is the second choice."""
        proven = authenticated(self.email, authserv_id)
        if proven is not None or self.delivery.archive:
            return proven, bool(authserv_id)
        ours = self.reception.desk.config.authentication.check == "smtp" and self.delivery.source == "smtp"
        checked = self.checked if ours else None
        if checked is None:
            return None, bool(authserv_id) or ours
        outcome = {True: "held", False: "failed", None: "unknown"}[checked.verdict]
        self.settled.note("author", "dmarc", outcome, checked.why, **checked.evidence)
        return checked.verdict, bool(authserv_id) or checked.must_pass

    def _said(self, tokens: tuple[ReplyToken, ...]) -> tuple[tuple[ReplyToken, ...], str]:
        """The links that it was sent to, and what is said beside them."""
        links = () if self.delivery.archive else tuple(token for token in tokens if token.link is not None)
        return links, self.reception.notifier.own_words(self.email.reply_text) if links else ""

    def _tag_of(self, address: str) -> str | None:
        served = self.reception.desk.mailboxes.find(address)
        return served.tag if served else None

    def find(self, question: Question) -> Match:
        """Find the ticket; every rule that was tried is noted with its evidence."""
        match = find_ticket(self.email, ThreadIndex(self.connection, named(self.email)), question)
        for finding in match.tried:
            self.settled.note("ticket", finding.rule, finding.outcome, finding.why, **finding.evidence)
        return match

    def place(self, incoming: Incoming, match: Match) -> Placed:
        """Let the desk give the message its place; reports settle the delivery that they are about instead."""
        is_ours, signer = self.reception.desk.mailboxes.is_ours, self.reception.signer
        if is_own_mail(self.connection, signer, self.email, self.message_id, self.delivery.digest, is_ours):
            placed = Placed("settled", "own-mail", "one of our own mails came back", match.ticket)
        elif (copied := settle_copy(self.connection, signer, self.email, self._tag_of, is_ours, self.now)) is not None:
            why = "one of our own mails came back, with the Message-ID that a relay gave it"
            placed = Placed("settled", "own-mail", why, copied)
        elif self._comes_back() and not incoming.archive:
            came_from = self.email.reported.senders if self.email.reported else ()
            to = (to.address for to in self.email.to)
            tags = [tag for a in (self.delivery.recipient, *to, *came_from) if (tag := self._tag_of(a))]
            settling = Settling(
                self.connection, signer, self.reception.desk.config.answers, self.now,
                self.reception.desk.agents.__contains__, None if self.delivery.quiet else self.reception.notifier,
            )  # fmt: skip
            report = settle_report(settling, self.email, tags)
            self.settled.decision += report.decision
            ticket = None if report.is_erased else report.ticket_id or match.ticket
            placed = keep_report(self.connection, self.reception.desk, incoming, ticket)
        else:
            placed = place(self.connection, self.reception.desk, incoming, match)
        self.settled.decision += placed.lines
        self.settled.note("place", placed.rule, "held", placed.why)
        self.settled.outcome, self.settled.reason, self.settled.ticket_id = placed.outcome, placed.why, placed.ticket_id
        self.settled.message_id = placed.happened.message_id if placed.happened else None
        return placed

    def _comes_back(self) -> bool:
        """Whether it is a report: by what it says, or because a machine sent it where nothing but reports is sent."""
        if self.email.kind in REPORTS:
            return True
        tag = self._tag_of(self.delivery.recipient) if self.delivery.sender == "" else None
        return tag is not None and self.reception.signer.read_bounce(tag) is not None

    def tell(self, placed: Placed) -> None:
        """Hand on what happened, unless history is being read or somebody asked for quiet."""
        happened = [*([placed.happened] if placed.happened else []), *placed.also]
        if happened and (self.delivery.quiet or self.delivery.archive):
            self.settled.note("answer", "quiet", "suppressed", "taken in with --quiet or --archive: nothing is sent")
            return
        for one in happened:
            self.settled.decision += self.reception.notifier.enqueue(self.connection, one)


def _is_personal(tokens: tuple[ReplyToken, ...], author: Author) -> bool:
    """Whether a proven agent wrote to the address that is signed for him alone, and for no ticket."""
    agent = author.agent if author.standing is Standing.AGENT else None
    return agent is not None and any(
        token.ticket == NO_TICKET and token.agent == agent.id and not token.expired for token in tokens
    )

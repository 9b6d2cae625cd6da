"""May we answer this mail by ourselves? Ordered rules, the first that forbids it wins, and its reason is stored.

The rules are pure. The limits come last, because asking them counts. What a rule lets through may still be
asked a second question: may the sender's own subject be repeated (`may_repeat_subject`)?
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from postroom.config import Answers
from postroom.outbound.addresses import domain_of, is_sendable
from postroom.parsers.parsed import Kind, ParsedEmail
from postroom.store.counters import DAY, HOUR, Limit

LOOP_MARK = "X-Postroom-Loop"  # on everything that we send by ourselves
BREAKER = "all-hour"  # the limit for all answers together; where it forbids, the breaker is open

# local parts behind which nobody reads, or a machine answers
ROLE = re.compile(
    r"mailer[-_.]?daemon|daemon|postmaster|abuse|root|nobody|listserv|majordomo|mailman|"
    r"(prvs=[^=]*=)?bounce.*|owner-.*|.*-(owner|request|bounces?)([-+=_.].*)?|"
    r".*\b(no|do[-_.]?not|dont)[-_.]?repl(y|ies)\b.*|(no|do[-_.]?not|dont)[-_.]?repl(y|ies).*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask about a mail, and about the one whom an answer would go to."""

    email: ParsedEmail
    sender: str | None  # the envelope's; "" is the null sender, None is unknown
    recipient: str  # whom an answer would go to; "" where the author is not known
    authenticated: bool | None  # None: nobody checked
    switched_on: bool = True
    opens_ticket: bool = True
    is_confirmed: bool = False  # this ticket had its confirmation
    is_ours: bool = False  # the recipient is one of our own addresses
    is_agent: bool = False  # the recipient is an agent
    names_us: bool = True  # one of our addresses is in To or Cc
    trusts_reply_to: bool = False  # the mailbox takes Reply-To for the author (contact forms)
    bounces: str | None = None  # why no mail of ours goes to the recipient by itself: it comes back
    complained: str | None = None  # or he does not want it
    is_spam: bool = False  # a rule, or an agent, has tagged the ticket so


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why we do not answer: the rule's name, and the reason in words."""

    rule: str
    why: str


def refuse(facts: Facts) -> Refusal | None:
    """The first rule that forbids an answer; None where only the limits are left to ask."""
    for name, rule in RULES:
        why = rule(facts)
        if why is not None:
            return Refusal(name, why)
    return None


def limits(recipient: str, answers: Answers) -> tuple[Limit, ...]:
    """The limits that an answer to `recipient` counts against, the narrowest first.

    A sender is counted without his subaddress: `ann+1@`, `ann+2@` are one.
    """
    local, _, domain = recipient.lower().rpartition("@")
    sender = f"{local.partition('+')[0] or local}@{domain}"
    return (
        Limit(f"sender-hour:{sender}", HOUR, answers.per_sender_hour),
        Limit(f"sender-day:{sender}", DAY, answers.per_sender_day),
        Limit(f"domain-hour:{domain_of(recipient)}", HOUR, answers.per_domain_hour),
        Limit(BREAKER, HOUR, answers.all_hour),
    )


def over(limit: Limit) -> Refusal:
    """The refusal that a limit means; its rule is the limit's kind."""
    rule, _, whom = limit.scope.partition(":")
    unit = "day" if limit.window == DAY else "hour"
    if rule == BREAKER:
        return Refusal(rule, f"the breaker is open: {limit.most} automatic answers to all senders in this {unit}")
    return Refusal(rule, f"{limit.most} automatic answers to {whom} in this {unit} are enough")


def may_repeat_subject(authenticated: bool | None, is_known: bool) -> bool:
    """Whether an automatic mail may bear the sender's subject: only to one who is authenticated or known.

    Else a stranger's words would go to whomever he named as the sender.
    """
    return authenticated is True or is_known


def _switched_off(facts: Facts) -> str | None:
    return None if facts.switched_on else "confirmations are switched off in the configuration"


def _spam(facts: Facts) -> str | None:
    return "its ticket is tagged spam" if facts.is_spam else None


def _follow_up(facts: Facts) -> str | None:
    return None if facts.opens_ticket else "a follow-up gets no confirmation"


def _null_sender(facts: Facts) -> str | None:
    if facts.sender:
        return None
    return "the envelope sender is unknown" if facts.sender is None else "the envelope sender is null"


def _report(kind: Kind) -> Callable[[Facts], str | None]:
    return lambda facts: f"it is a {kind}" if facts.email.kind is kind else None


def _loop_mark(facts: Facts) -> str | None:
    value = facts.email.header(LOOP_MARK)
    return None if value is None else f"a Postroom sent it by itself: {LOOP_MARK}: {value[:100]}"


def _automatic(facts: Facts) -> str | None:
    automatic = facts.email.automatic
    return (automatic.reason or "a machine wrote it") if automatic.is_automatic else None


def _unanswerable(facts: Facts) -> str | None:
    return facts.email.automatic.unanswerable


def _from_one_address(facts: Facts) -> str | None:
    count = len(facts.email.from_)
    if count != 1:
        return f"From holds {count} addresses, not one"
    return None if is_sendable(facts.recipient) else f"{facts.recipient[:100]!r} is no address that we write to"


def _role_address(facts: Facts) -> str | None:
    """A contact form's own addresses say nothing about the customer behind its Reply-To."""
    asked = [facts.recipient] if facts.trusts_reply_to else [facts.recipient, facts.sender or ""]
    found = next((a for a in asked if ROLE.fullmatch(a.rpartition("@")[0])), None)
    return None if found is None else f"nobody reads what is sent to {found}"


def _our_address(facts: Facts) -> str | None:
    return f"{facts.recipient} is one of our own addresses" if facts.is_ours else None


def _agent(facts: Facts) -> str | None:
    return f"{facts.recipient} is an agent" if facts.is_agent else None


def _complained(facts: Facts) -> str | None:
    return facts.complained


def _bounces(facts: Facts) -> str | None:
    return facts.bounces


def _damaged(facts: Facts) -> str | None:
    defects = facts.email.defects
    return f"the message is damaged: {defects[0][:200]}" if defects else None


def _not_addressed(facts: Facts) -> str | None:
    return None if facts.names_us else "none of our addresses is in To or Cc"


def _authentication_failed(facts: Facts) -> str | None:
    return "the sender's authentication failed" if facts.authenticated is False else None


def _already_confirmed(facts: Facts) -> str | None:
    return "this ticket had its confirmation" if facts.is_confirmed else None


RULES: tuple[tuple[str, Callable[[Facts], str | None]], ...] = (
    ("switched-off", _switched_off),
    ("spam", _spam),
    ("null-sender", _null_sender),
    ("bounce", _report(Kind.BOUNCE)),
    ("complaint", _report(Kind.COMPLAINT)),
    ("receipt", _report(Kind.RECEIPT)),
    ("loop-mark", _loop_mark),
    ("automatic", _automatic),
    ("unanswerable", _unanswerable),
    ("from-one-address", _from_one_address),
    ("role-address", _role_address),
    ("our-address", _our_address),
    ("agent", _agent),
    ("complained", _complained),
    ("bounces", _bounces),
    ("damaged", _damaged),
    ("not-addressed", _not_addressed),
    ("authentication-failed", _authentication_failed),
    ("follow-up", _follow_up),
    ("already-confirmed", _already_confirmed),
)

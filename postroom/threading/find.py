"""Finding the ticket that a message belongs to: the rules in their order, the first that holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import islice

from postroom.parsers.parsed import ParsedEmail
from postroom.parsers.subjects import has_reply_prefix, normalise_subject
from postroom.threading.match import Finding, Index, Match, Outcome, Question
from postroom.threading.rules import RULES, answered, shared_ancestor
from postroom.threading.tokens import NO_TICKET, ReplyToken, Role, Signer

RECIPIENT_HEADERS = ("delivered-to", "x-original-to", "envelope-to")
ADDRESS_IN_HEADER = re.compile(r"[^\s<>,;:\"()]{1,128}@[^\s<>,;:\"()]{1,255}")
MAX_TAGS = 10  # of one subject
MAX_REFUSED = 20  # tickets that a mail is linked with, because it may not join them
MAX_RECIPIENTS = 200  # addresses that are looked at for a signed one


def find_ticket(email: ParsedEmail, index: Index, question: Question) -> Match:
    """The ticket of `email` by the first rule that holds, with every rule tried before it and its evidence."""
    tried: list[Finding] = []
    refused: list[int] = []
    for rule in RULES:
        finding = rule(email, index, question)
        tried.append(finding)
        if finding.outcome is Outcome.REFUSED:
            refused += finding.tickets
        if finding.outcome is Outcome.HELD:
            also = _also(finding, email, index, question)
            return Match(
                finding.tickets[0], finding.rule, tuple(tried), finding.token, also, _distinct(refused)[:MAX_REFUSED]
            )
    return Match(None, None, tuple(tried), refused=_distinct(refused)[:MAX_REFUSED])


def ask(
    email: ParsedEmail,
    author: str,
    tokens: tuple[ReplyToken, ...],
    signer: Signer,
    prefix: str,
    now: datetime,
    archive: bool,
) -> Question:
    """The question that a message puts to the rules; `prefix` is that of ticket references ("T-")."""
    return Question(
        author=author,
        tokens=tokens,
        own_ids=dict(_own_ids(email, signer)),
        tags=tuple(_tags(email.subject, prefix)),
        subject=normalise_subject(email.subject),
        is_reply=has_reply_prefix(email.subject),
        now=now,
        archive=archive,
    )


def read_tokens(
    email: ParsedEmail, recipient: str, tag_of: Callable[[str], str | None], signer: Signer, now: datetime
) -> tuple[ReplyToken, ...]:
    """The good reply tokens among the addresses that a message was sent to, its envelope recipient's first.

    `tag_of` gives what stands behind the `+` of an address of ours, None for a stranger's address.
    """
    tokens = []
    for address in _recipients(email, recipient):
        tag = tag_of(address)
        token = signer.read_reply(tag, now) if tag else None
        if token is not None and token not in tokens:
            tokens.append(token)
    return tuple(tokens)


def best_first(tokens: tuple[ReplyToken, ...], agent_id: int | None) -> tuple[ReplyToken, ...]:
    """The author's own agent token first, then customers' tokens; other agents' tokens last."""

    def rank(token: ReplyToken) -> int:
        if token.role is Role.AGENT:
            return 0 if agent_id is not None and token.agent == agent_id else 2
        return 1

    return tuple(sorted(tokens, key=rank))


def _also(finding: Finding, email: ParsedEmail, index: Index, question: Question) -> tuple[int, ...]:
    """Other tickets that the references join with the one that was found, by the same right."""
    others = list(finding.tickets[1:])
    if finding.rule == "known-message-id":
        later = shared_ancestor(email, index, question)
        if later.outcome is Outcome.HELD:
            others += [ticket for ticket in later.tickets if ticket != finding.tickets[0]]
    return _distinct(others)


def _recipients(email: ParsedEmail, recipient: str) -> Iterator[str]:
    seen = {recipient.lower()}
    yield recipient
    listed = [a.address for a in (*email.to, *email.cc)]
    traced = (
        m for name in RECIPIENT_HEADERS for value in email.all_headers(name) for m in ADDRESS_IN_HEADER.findall(value)
    )
    for address in (*listed[:MAX_RECIPIENTS], *traced):
        if address.lower() not in seen and len(seen) <= MAX_RECIPIENTS:
            seen.add(address.lower())
            yield address


def _own_ids(email: ParsedEmail, signer: Signer) -> Iterator[tuple[str, int]]:
    for ref in answered(email):
        key = signer.read_message_id(ref.partition("@")[0])
        if key is not None and key != NO_TICKET:
            yield ref, key


def _tags(subject: str, prefix: str) -> Iterator[int]:
    if "[" in subject:
        yield from dict.fromkeys(int(match[1]) for match in islice(_tag(prefix).finditer(subject), MAX_TAGS))


@cache
def _tag(prefix: str) -> re.Pattern[str]:
    return re.compile(rf"\[{re.escape(prefix)}(\d{{1,9}})\]", re.IGNORECASE)


def _distinct(tickets: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(tickets))

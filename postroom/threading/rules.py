"""The six rules of POLICIES.md, each a small function: a question goes in, a `Finding` comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from postroom.parsers.parsed import ParsedEmail
from postroom.threading.match import Finding, Index, Outcome, Question
from postroom.threading.tokens import NO_TICKET

MAX_ANSWERED = 150  # Message-IDs of one message that are looked up
GONE = "belongs to a ticket that is not in this database: it is older than that mail, or another one"
SUBJECT_DAYS = 14  # how long an unresolved ticket may be silent and still be found by its subject


def reply_address(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 1: it was sent to a signed address of ours. Whoever holds the address may use it."""
    gone = False
    for token in question.tokens:
        if token.ticket == NO_TICKET:
            continue
        id_, ref = index.by_key(token.ticket) or (None, None)
        evidence = {"ticket": ref, "role": token.role.name.lower(), "agent": token.agent}
        if token.expired:
            return _not("reply-address", f"the signed address expired on {token.expires.date()}", **evidence)
        if id_ is not None:
            why = f"sent to the signed address of ticket {ref}, given to the {evidence['role']}"
            return Finding("reply-address", Outcome.HELD, why, evidence, (id_,), token)
        gone = True
    if gone:
        return _not("reply-address", f"the signed address that it was sent to {GONE}")
    if any(token.ticket == NO_TICKET for token in question.tokens):
        return _not(
            "reply-address", "the signed address that it was sent to is an agent's own and belongs to no ticket"
        )
    return _not("reply-address", "none of the addresses that it was sent to is a signed one")


def own_message_id(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 2: it answers a Message-ID that we signed. Whoever received that mail may use it."""
    for ref in answered(email):
        key = question.own_ids.get(ref)
        named = index.by_key(key) if key is not None else None
        if named is not None:
            id_, ticket = named
            why = f"answers a mail of ours about ticket {ticket}"
            return Finding("own-message-id", Outcome.HELD, why, {"messageId": ref, "ticket": ticket}, (id_,))
    if question.own_ids:
        return _not("own-message-id", f"the mail of ours that it answers {GONE}")
    return _not("own-message-id", "it answers no Message-ID that we signed")


def known_message_id(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 3: it answers a message of a ticket, and its author takes part in that ticket."""
    refs = answered(email)
    hits = index.by_refs(refs)
    pointed = [(ref, id_) for ref in refs for id_, kind in hits.get(ref, ()) if kind == "message"]
    return _authorised("known-message-id", "answers a message of the ticket", pointed, index, question)


def shared_ancestor(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 4: it names a message that the ticket names too, or is itself one that the ticket names.

    So a reply copied in mid-thread finds its ticket, and a reply that overtook its original is joined by it.
    """
    refs = named(email)
    hits = index.by_refs(refs)
    pointed = [(ref, id_) for ref in refs for id_, _ in hits.get(ref, ())]
    return _authorised("shared-ancestor", "names a message that the ticket names too", pointed, index, question)


def subject_tag(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 5: the subject bears the ticket's number, and its author takes part in that ticket.

    Not where it answers a mail of ours about a ticket that is gone: its number may be another's by now.
    """
    if question.tags and (question.own_ids or any(t.ticket != NO_TICKET and not t.expired for t in question.tokens)):
        return _not("subject-tag", f"not tried: the mail of ours that it answers {GONE}")
    pointed = [(str(tag), id_) for tag in question.tags if (id_ := index.by_number(tag)) is not None]
    return _authorised("subject-tag", "the subject names the ticket", pointed, index, question, trusted=False)


def subject(email: ParsedEmail, index: Index, question: Question) -> Finding:
    """Rule 6: a reply without any reference, of the same requester and subject, and one candidate only."""
    if question.archive or not question.author or not question.subject:
        return _not("subject", "not tried: no author, no subject, or an archive")
    if email.in_reply_to or email.references or not question.is_reply:
        return _not("subject", "only a reply that lost its references is looked for by its subject")
    since = question.now - timedelta(days=SUBJECT_DAYS)
    found = index.by_subject(question.subject, question.author, since)
    if len(found) != 1:
        return _not("subject", f"{len(found) or 'no'} unresolved tickets of this requester bear the subject")
    why = "a reply without references, by the requester of the one unresolved ticket of this subject"
    return Finding("subject", Outcome.HELD, why, {"subject": question.subject}, (found[0],))


def answered(email: ParsedEmail) -> list[str]:
    """What it answers, the nearest first: In-Reply-To, then References, newest first; of very many the nearest and the root."""
    refs = list(dict.fromkeys((*email.in_reply_to, *reversed(email.references))))
    return refs if len(refs) <= MAX_ANSWERED else [*refs[: MAX_ANSWERED - 1], refs[-1]]


def named(email: ParsedEmail) -> list[str]:
    """What it answers, and its own Message-ID: all that the rules look up."""
    return [*answered(email), *([email.message_id] if email.message_id else [])]


def _authorised(
    rule: str, why: str, pointed: Iterable[tuple[str, int]], index: Index, question: Question, trusted: bool = True
) -> Finding:
    """Of the tickets that evidence points to, those whose participant the author is (all, in an archive)."""
    by_ticket: dict[int, str] = {}
    for ref, ticket in pointed:
        by_ticket.setdefault(ticket, ref)
    everyone = question.archive and trusted
    own = (
        set(by_ticket)
        if everyone
        else index.taking_part(tuple(by_ticket), question.author)
        if question.author
        else set[int]()
    )
    allowed = {ticket: ref for ticket, ref in by_ticket.items() if ticket in own}
    refused = {ticket: ref for ticket, ref in by_ticket.items() if ticket not in own}
    if allowed:
        return Finding(rule, Outcome.HELD, why, {"messageId": next(iter(allowed.values()))}, tuple(allowed))
    if refused:
        stranger = f"{why}, but {question.author or 'its author'} does not take part in it"
        return Finding(rule, Outcome.REFUSED, stranger, {"messageId": next(iter(refused.values()))}, tuple(refused))
    return _not(rule, "nothing that it names is known" if rule != "subject-tag" else "the subject names no ticket")


def _not(rule: str, why: str, **evidence: object) -> Finding:
    return Finding(rule, Outcome.NOT, why, evidence)


RULES: Sequence = (reply_address, own_message_id, known_message_id, shared_ancestor, subject_tag, subject)  # type: ignore[type-arg]

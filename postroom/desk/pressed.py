"""A customer has written to a link's address: does that count, and what comes of it?

It counts once, until it expires, and from the one whom the link was sent to. What does not count is said in the
decision, and the mail is then what it is without the link: a message, by the right that its sender has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.desk import feedback, tickets, workflow
from postroom.desk.author import Standing
from postroom.desk.happened import Placed, What
from postroom.desk.tickets import Desk, Incoming
from postroom.store import solutions
from postroom.store import tickets as stored
from postroom.threading.tokens import ReplyToken, Says

SPENT = "spent-link"  # flags a message that says again what was said, or too late
RULES = {Says.SOLVED: "solved", Says.NOT_SOLVED: "not-solved"}
RATED = "feedback"
UNCOUNTED = "not counted"  # the outcome of what a link says, where it does not count
PAST = {
    solutions.SOLVED: "it was said before that this is solved", solutions.REFUSED: "it was said before that this is not solved",
    solutions.WITHDRAWN: "that solution was withdrawn since",
}  # fmt: skip

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a link: the message's place where it was given one, and the line of the decision."""

    placed: Placed | None
    line: Line


def press(connection: Connection, desk: Desk, incoming: Incoming, ticket: Row[Any]) -> Verdict:
    """Let what the link says count on `ticket`, if it may; else say why not."""
    token, others = incoming.links[0], incoming.links[1:]
    if why := _not_his(connection, incoming, token, ticket, len(others)):
        return Verdict(None, _line(token, UNCOUNTED, why))
    does = _rate if _says(token).rating is not None else _judge
    placed, why = does(connection, desk, incoming, token, ticket)
    if placed is not None:
        return Verdict(placed, _line(token, "held", placed.why))
    if not incoming.own_words and _says(token) is not Says.NOT_SOLVED:
        happened = tickets.add_said(connection, desk, ticket, incoming, SPENT, "internal")
        words = f"kept on {ticket.ref}, and nothing else: {why}"
        return Verdict(Placed("added", SPENT, words, ticket.id, happened), _line(token, UNCOUNTED, why))
    return Verdict(None, _line(token, UNCOUNTED, why))


def ignored(token: ReplyToken, why: str) -> Line:
    """The line of a decision where nobody was asked what the link says."""
    return _line(token, UNCOUNTED, why)


def _not_his(
    connection: Connection, incoming: Incoming, token: ReplyToken, ticket: Row[Any], others: int
) -> str | None:
    """Why the link is not for this sender to use."""
    author, email = incoming.author, incoming.email
    if others:
        return f"it was sent to {others + 1} links at once"
    if author.standing is not Standing.CUSTOMER:
        return f"no customer wrote it: {author.why}"
    if incoming.origin.authenticated is False:
        return "the authentication of its sender failed"
    own = stored.by_key(connection, token.ticket)
    if own is None or ticket.id != stored.follow(connection, own).id:
        return f"the link is of another ticket than {ticket.ref}"
    row = _question(connection, token, own, ticket)
    if row is None or row.customer is None:
        return "what it answers is not in this database"
    if [who.address.lower() for who in email.from_] != [row.customer] or author.address != row.customer:
        return "the link was given to somebody else"
    return None


def _question(connection: Connection, token: ReplyToken, own: Row[Any], ticket: Row[Any]) -> Row[Any] | None:
    """The solution or the question for feedback that a link belongs to; a merge may have taken it along."""
    assert token.link is not None
    if token.link.says.rating is not None:
        return solutions.feedback(connection, own.id)
    found = (solutions.by_nonce(connection, id_, token.link.nonce) for id_ in dict.fromkeys((ticket.id, own.id)))
    return next((row for row in found if row is not None), None)


def _judge(
    connection: Connection, desk: Desk, incoming: Incoming, token: ReplyToken, ticket: Row[Any]
) -> tuple[Placed | None, str]:
    """Solved, or not: the solution's last step."""
    own = stored.by_key(connection, token.ticket)
    assert own is not None
    row = _question(connection, token, own, ticket)
    assert row is not None
    if _says(token) is Says.NOT_SOLVED:
        return _refuse(connection, desk, incoming, row, ticket)
    hours = desk.config.tickets.close_solved_hours
    ends = ticket.status == workflow.RESOLVED or (own.id == ticket.id and ticket.status != workflow.CLOSED)
    close_at = incoming.now + timedelta(hours=hours) if hours and ends else None
    if not solutions.answer(connection, row.id, solutions.SOLVED, incoming.now, close_at):
        return None, _past(connection, row, incoming)
    happened = tickets.add_said(connection, desk, ticket, incoming, "solved", "public")
    status = (workflow.RESOLVED if hours else workflow.CLOSED) if ends else ticket.status
    tickets.note_event(
        connection, incoming, ticket.id, "solution", {"what": "solved", "close at": close_at and _written(close_at)}
    )
    if status != ticket.status:
        times = workflow.times_of(ticket.status, status, incoming.now)
        stored.change(connection, ticket.id, {"status": status, **times})
        tickets.note_event(connection, incoming, ticket.id, "status", {"from": ticket.status, "to": status})
    why = f"the customer says that {ticket.ref} is solved"
    return Placed("added", "solved", why, ticket.id, replace(happened, what=What.SOLUTION_APPROVED)), why


def _refuse(
    connection: Connection, desk: Desk, incoming: Incoming, row: Row[Any], ticket: Row[Any]
) -> tuple[Placed | None, str]:
    if not workflow.may_reopen(ticket.status, ticket.closed_at, incoming.now, desk.config.tickets):
        return None, f"{ticket.ref} has been closed for too long"
    if not solutions.answer(connection, row.id, solutions.REFUSED, incoming.now):
        return None, _past(connection, row, incoming)
    happened = tickets.add_customer(connection, desk, ticket, incoming, agreed=True)
    tickets.note_event(connection, incoming, ticket.id, "solution", {"what": "not solved"})
    why = f"the customer says that {ticket.ref} is not solved"
    return Placed("added", "not-solved", why, ticket.id, replace(happened, what=What.SOLUTION_REFUSED)), why


def _rate(
    connection: Connection, desk: Desk, incoming: Incoming, token: ReplyToken, ticket: Row[Any]
) -> tuple[Placed | None, str]:
    own, rating = stored.by_key(connection, token.ticket), _says(token).rating
    assert own is not None
    assert rating is not None
    if why := feedback.give(connection, own.id, ticket, rating, incoming):
        return None, why
    happened = tickets.add_said(connection, desk, ticket, incoming, RATED, "internal")
    tickets.note_event(connection, incoming, ticket.id, "feedback", {"rating": rating})
    why = f"the customer gave {ticket.ref} {rating} of 5"
    return Placed("added", RATED, why, ticket.id, replace(happened, what=What.FEEDBACK_GIVEN)), why


def _past(connection: Connection, row: Row[Any], incoming: Incoming) -> str:
    if row.state == solutions.PROPOSED and row.expires_at <= incoming.now:
        return f"the link expired on {row.expires_at:%Y-%m-%d}"
    return PAST.get(solutions.get(connection, row.id).state, "nobody is asked that any more")


def _says(token: ReplyToken) -> Says:
    assert token.link is not None
    return token.link.says


def _line(token: ReplyToken, outcome: str, why: str) -> Line:
    says = _says(token)
    evidence = {"rating": says.rating}
    return {"step": "link", "rule": RULES.get(says, RATED), "outcome": outcome, "why": why, "evidence": evidence}


def _written(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

"""Where a message goes: it opens a ticket, is added to one, or is kept without any effect.

The order of the questions is the rule: history, automatic mail, agents with and without proof, tickets
that were closed too long ago, customers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from postroom.desk import agents_mail, merging, tickets, workflow
from postroom.desk.author import Standing
from postroom.desk.due import follow_clock, has_targets
from postroom.desk.happened import Placed
from postroom.desk.opening import open_routed, why_blocked
from postroom.desk.pressed import ignored, press
from postroom.desk.routing import Route
from postroom.desk.tickets import Desk, Incoming
from postroom.parsers.parsed import Kind
from postroom.store import thread_index
from postroom.store import tickets as stored
from postroom.threading.match import Match

REPORTS = (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT)
HOLDERS = ("reply-address", "own-message-id")  # rules for those who hold a mail of ours


def place(connection: Connection, desk: Desk, incoming: Incoming, match: Match) -> Placed:
    """Give a message its place, with everything that this changes."""
    placed = _place(connection, desk, incoming, match)
    if not incoming.archive:  # history is due no more
        _follow_clocks(connection, desk, incoming, placed)
    return placed


def _place(connection: Connection, desk: Desk, incoming: Incoming, match: Match) -> Placed:
    if incoming.personal and match.token is None and not incoming.archive and not incoming.email.automatic.is_automatic:
        return agents_mail.open_by_agent(connection, desk, incoming, match)
    if blocked := why_blocked(desk, incoming):
        return Placed("settled", "blocked", blocked)
    ticket = _matched(connection, incoming, match)
    if incoming.archive:
        return (
            _open(connection, desk, incoming, match)
            if ticket is None
            else _customer(connection, desk, incoming, match, ticket)
        )
    if incoming.email.kind is Kind.AUTO_REPLY or (incoming.email.automatic.is_automatic and ticket is not None):
        return _unpressed(incoming, _automatic(connection, desk, incoming, ticket), "a machine wrote it")
    if ticket is None:
        return _unpressed(incoming, _open(connection, desk, incoming, match), "it found no ticket")
    if not incoming.links:
        return _by_author(connection, desk, incoming, match, ticket)
    pressed = press(connection, desk, incoming, ticket)
    placed = pressed.placed or _by_author(connection, desk, incoming, match, ticket)
    return replace(placed, lines=(pressed.line, *placed.lines))


def _by_author(connection: Connection, desk: Desk, incoming: Incoming, match: Match, ticket: Row[Any]) -> Placed:
    author = incoming.author
    if author.standing in (Standing.AGENT, Standing.UNPROVEN_AGENT):
        return _agent(connection, desk, incoming, match, ticket)
    if not workflow.may_reopen(ticket.status, ticket.closed_at, incoming.now, desk.config.tickets):
        return _follow_up(connection, desk, incoming, match, ticket)
    return _customer(connection, desk, incoming, match, ticket)


def _unpressed(incoming: Incoming, placed: Placed, why: str) -> Placed:
    """The same place, with a word on why its link says nothing."""
    lines = (ignored(token, why) for token in incoming.links[:1])
    return replace(placed, lines=(*lines, *placed.lines))


def keep_report(connection: Connection, desk: Desk, incoming: Incoming, ticket_id: int | None) -> Placed:
    """Keep a bounce, a complaint or a receipt on the ticket that it is about; it opens nothing."""
    kind = str(incoming.email.kind)
    row = stored.get(connection, ticket_id) if ticket_id is not None else None
    if row is None:
        return Placed("settled", kind, f"a {kind} about nothing of ours")
    ticket = stored.follow(connection, row)
    tickets.add_note(connection, desk, ticket, incoming, kind if incoming.email.kind in REPORTS else "automatic")
    return Placed("settled", kind, f"a {kind}, kept on {ticket.ref}", ticket.id)


def _follow_clocks(connection: Connection, desk: Desk, incoming: Incoming, placed: Placed) -> None:
    """Bring the due times of the tickets that it changed up to that."""
    if placed.outcome == "opened" and not placed.also and not has_targets(desk.config):
        return
    changed = {one.ticket_id for one in (placed.happened, *placed.also) if one is not None}
    for ticket_id in sorted(changed | ({placed.ticket_id} if placed.ticket_id and changed else set())):
        follow_clock(connection, desk.config, ticket_id, incoming.now)


def _matched(connection: Connection, incoming: Incoming, match: Match) -> Row[Any] | None:
    """The ticket that the match names, joined with those that the same evidence names too."""
    if match.ticket is None:
        return None
    if match.also:
        why = f"mail {incoming.message_id} belongs to both"
        return merging.join(connection, (match.ticket, *match.also), incoming.archive, why, incoming.now)
    return stored.get(connection, match.ticket)


def _open(connection: Connection, desk: Desk, incoming: Incoming, match: Match) -> Placed:
    happened, route = open_routed(connection, desk, incoming)
    if happened is None:
        return _ignored(route)
    lines, id_ = route.lines(), happened.ticket_id
    if not match.refused:
        return Placed("opened", "open", "no rule found a ticket: it opened one", id_, happened, lines=lines)
    why = next(f.why for f in match.tried if set(f.tickets) & set(match.refused))
    stored.link(connection, id_, match.refused, "related", why)
    return Placed("opened", "refused-match", f"opened a ticket of its own: {why}", id_, happened, lines=lines)


def _ignored(route: Route) -> Placed:
    return Placed("settled", "ignored", f"{route.ignore} (rule {route.ignored_by})", lines=route.lines())


def _follow_up(connection: Connection, desk: Desk, incoming: Incoming, match: Match, closed: Row[Any]) -> Placed:
    """A word on a ticket that has been closed for too long opens a new one, linked to it."""
    happened, route = open_routed(connection, desk, incoming)
    if happened is None:
        return _ignored(route)
    why = f"{closed.ref} has been closed since {closed.closed_at:%Y-%m-%d}, longer than {desk.config.tickets.reopen_days:g} days"
    stored.link(connection, happened.ticket_id, [closed.id], "related", why)
    words = f"opened a ticket: {why}"
    return Placed("opened", "reopen-days", words, happened.ticket_id, happened, lines=route.lines())


def _customer(connection: Connection, desk: Desk, incoming: Incoming, match: Match, ticket: Row[Any]) -> Placed:
    address = incoming.author.address
    agreed = incoming.archive or (bool(address) and thread_index.is_agreed(connection, ticket.id, address))
    # his From alone may be forged by whom he copies: a mail of ours, or a server, has to vouch for him
    brings = incoming.archive or match.rule in HOLDERS or incoming.origin.authenticated is True
    happened = tickets.add_customer(connection, desk, ticket, incoming, agreed, brings)
    why = f"added to {ticket.ref} by rule {match.rule}"
    if not agreed:
        why += "; its author is new there, and nothing is sent to him until an agent agrees"
    return Placed("added", "add", why, ticket.id, happened)


def _agent(connection: Connection, desk: Desk, incoming: Incoming, match: Match, ticket: Row[Any]) -> Placed:
    """A proven agent's mail, to the address that was signed for him, is an answer; everything else is a note."""
    author, token = incoming.author, match.token
    if author.standing is Standing.AGENT and author.agent and token is not None and token.agent == author.agent.id:
        return agents_mail.answer(connection, desk, incoming, ticket, token.is_internal)
    happened = replace(tickets.add_note(connection, desk, ticket, incoming, "unproven-agent"), why=author.why)
    return Placed(
        "added", "unproven-agent", f"kept on {ticket.ref} as an internal note: {author.why}", ticket.id, happened
    )


def _automatic(connection: Connection, desk: Desk, incoming: Incoming, ticket: Row[Any] | None) -> Placed:
    """An automatic reply is kept on its ticket; it changes no status and starts nothing."""
    why = incoming.email.automatic.reason or "an automatic reply"
    if ticket is None:
        return Placed("settled", "automatic", f"an automatic reply to nothing of ours: {why}")
    tickets.add_note(connection, desk, ticket, incoming, "automatic")
    return Placed("settled", "automatic", f"an automatic reply, kept on {ticket.ref}: {why}", ticket.id)

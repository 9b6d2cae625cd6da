"""A solution's way: an agent proposes it, another one reviews it where the queue wants that, the customer judges it.

Who may do what is decided here, and written on the caller's connection; what happened is returned, to be told.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.config import Config, Queue
from postroom.desk import actions, workflow
from postroom.desk.author import Agent
from postroom.desk.happened import Happened, What
from postroom.desk.tickets import Desk
from postroom.errors import UserError
from postroom.saying import Saying
from postroom.store import assigning, messages, solutions, tickets


def wants_review(config: Config, queue: str) -> bool:
    """Whether a solution of that queue goes to a reviewer before its customer gets it."""
    return (config.queue.get(queue) or Queue()).review_solutions == "always"


def reviewers(connection: Connection, config: Config, queue: str, proposer: int | None) -> list[Row[Any]]:
    """Who may review a solution of that queue: whom the configuration names, else the queue's agents; never its proposer."""
    named = (config.queue.get(queue) or Queue()).reviewers
    return [
        agent for agent in assigning.active(connection)
        if agent.id != proposer and (agent.name in named if named else queue in agent.queues)
    ]  # fmt: skip


def check_proposal(connection: Connection, config: Config, ticket: Row[Any], text: str, agent: Agent | None) -> None:
    """UserError where that agent cannot propose that text."""
    if not text.strip():
        raise UserError(Saying("there is no text that would be the solution"))
    proposer = agent.id if agent else None
    if wants_review(config, ticket.queue) and not reviewers(connection, config, ticket.queue, proposer):
        raise UserError(
            Saying("nobody else can review it: name somebody in queue.%(queue)s.reviewers", queue=ticket.queue)
        )


def propose(
    connection: Connection, desk: Desk, ticket: Row[Any], text: str, agent: Agent | None, actor: str, now: datetime,
    status_is_said: bool = False,
) -> tuple[int, bool]:  # fmt: skip
    """Propose a solution; its id, and whether it has to be reviewed. Without review it is the customer's to judge.

    An earlier one that is still open is withdrawn. `status_is_said`: leave the status as it is.
    """
    check_proposal(connection, desk.config, ticket, text, agent)
    id_ = solutions.add(connection, {
        "ticket_id": ticket.id, "nonce": desk.random.getrandbits(24), "state": solutions.REVIEW, "text": text.strip(),
        "proposed_by": agent.id if agent else None, "proposed_at": now,
    })  # fmt: skip
    in_review = wants_review(desk.config, ticket.queue)
    messages.add_event(connection, ticket.id, "solution", {"what": "proposed", "review": in_review}, actor, now)
    if not in_review:
        _put_to_customer(connection, desk.config, ticket, id_, actor, now, status_is_said)
    elif not status_is_said and workflow.phase(ticket.status, desk.config) not in (
        workflow.PENDING_INTERNAL, *workflow.DONE,
    ):  # fmt: skip
        _set_status(connection, ticket, workflow.PENDING_INTERNAL, actor, now)
    return id_, in_review


def say(connection: Connection, id_: int, in_review: bool, happened: Happened) -> Happened:
    """What happened by the message that says the solution, once that is written."""
    assert happened.message_id is not None
    solutions.set_message(connection, id_, happened.message_id)
    what = What.SOLUTION_TO_REVIEW if in_review else What.SOLUTION
    return Happened(
        what, happened.ticket_id, happened.actor, happened.message_id, happened.origin, happened.agent_id,
        happened.old_status, happened.new_status,
    )  # fmt: skip


def write(
    connection: Connection, desk: Desk, ticket: Row[Any], text: str, agent: Agent | None, actor: str, now: datetime
) -> list[Happened]:
    """Propose a solution from the command line, with the message that says it."""
    if not ticket.requester:
        raise UserError(
            Saying("%(ref)s has no requester whose address is known: there is nobody to ask", ref=ticket.ref)
        )
    id_, in_review = propose(connection, desk, ticket, text, agent, actor, now)
    visibility = "internal" if in_review else "public"
    message_id = actions.write(connection, ticket, text, visibility, actor, agent.address if agent else "", now)
    happened = Happened(What.NOTED, ticket.id, actor, message_id, None, agent.id if agent else None)
    return [say(connection, id_, in_review, happened)]


def under_review(
    connection: Connection, config: Config, ticket: Row[Any], agent: Agent | None, refs: Collection[str] | None
) -> Row[Any]:
    """The solution that `agent` may approve or send back now; UserError where there is none, or he may not.

    `refs`: the Message-IDs that his mail answers, None on the command line. Where an earlier solution went to review
    too, they must tell which one he has read.
    """
    row = solutions.latest(connection, ticket.id)
    if row is None or row.state != solutions.REVIEW:
        raise UserError(Saying("no solution of %(ref)s waits for a review", ref=ticket.ref))
    if agent is None:
        raise UserError(Saying("it has to be an agent who reviews it"))
    if agent.id == row.proposed_by:
        raise UserError(Saying("the solution is your own: somebody else has to review it"))
    allowed = reviewers(connection, config, ticket.queue, row.proposed_by)
    if agent.id not in {one.id for one in allowed}:
        names = ", ".join(one.name for one in allowed) or actions.NOBODY
        raise UserError(Saying("it is for %(names)s to review", names=names))
    if (
        refs is not None
        and solutions.was_reviewed_before(connection, ticket.id, row.id)
        and not solutions.is_notice_of(connection, row.message_id, refs)
    ):
        raise UserError(Saying("there is a newer solution since; answer the mail that asks for its review"))
    return row


def approve(
    connection: Connection, config: Config, ticket: Row[Any], row: Row[Any], agent: Agent, now: datetime
) -> list[Happened]:
    """Put a solution to the customer that `under_review` gave."""
    messages.add_event(connection, ticket.id, "solution", {"what": "approved"}, agent.name, now)
    solutions.move(
        connection, row.id, solutions.REVIEW, solutions.REVIEW, {"reviewed_by": agent.id, "reviewed_at": now}
    )
    _put_to_customer(connection, config, ticket, row.id, agent.name, now, status_is_said=False)
    if ticket.assigned_to is None and row.proposed_by is not None:
        tickets.change(connection, ticket.id, {"assigned_to": row.proposed_by})
    messages.set_visibility(connection, row.message_id, "public")
    return [Happened(What.SOLUTION, ticket.id, agent.name, row.message_id, None, row.proposed_by)]


def send_back(
    connection: Connection, ticket: Row[Any], row: Row[Any], agent: Agent, words: str, now: datetime
) -> list[Happened]:
    """Send a solution back to who proposed it, with the reviewer's words; the customer hears nothing of it."""
    reviewed = {"reviewed_by": agent.id, "reviewed_at": now}
    if not solutions.move(connection, row.id, solutions.REVIEW, solutions.SENT_BACK, reviewed):
        raise UserError(Saying("the solution of %(ref)s waits for a review no more", ref=ticket.ref))
    messages.add_event(connection, ticket.id, "solution", {"what": "sent back"}, agent.name, now)
    if ticket.status == workflow.PENDING_INTERNAL:
        _set_status(connection, ticket, workflow.OPEN, agent.name, now)
    return [
        Happened(What.SOLUTION_SENT_BACK, ticket.id, agent.name, row.message_id, None, row.proposed_by, words=words)
    ]


def follow_merge(connection: Connection, source: Row[Any], target: Row[Any]) -> list[int]:
    """What becomes of a merged ticket's open solution; the ids of those that are the other ticket's now.

    Where one person asked both, and the other has none, it is that one's; else it is withdrawn: nobody's word may end
    what another has asked.
    """
    row, other = solutions.latest(connection, source.id), solutions.latest(connection, target.id)
    if row is None or row.state not in solutions.OPEN:
        return []
    is_free = other is None or other.state not in solutions.OPEN
    if row.state == solutions.PROPOSED and is_free and source.requester == target.requester:
        solutions.give(connection, [row.id], target.id)
        return [int(row.id)]
    solutions.withdraw(connection, source.id)
    return []


def _put_to_customer(
    connection: Connection, config: Config, ticket: Row[Any], id_: int, actor: str, now: datetime, status_is_said: bool
) -> None:
    """From now on the customer may judge it."""
    row = solutions.get(connection, id_)
    asked = {
        "customer": ticket.requester, "asked_at": now, "expires_at": now + timedelta(days=config.tickets.link_days),
    }  # fmt: skip
    if not solutions.move(connection, id_, solutions.REVIEW, solutions.PROPOSED, asked):
        raise UserError(Saying("the solution of %(ref)s waits for a review no more", ref=ticket.ref))
    changes: dict[str, Any] = {"resolution_summary": row.text, "updated_at": now}
    if ticket.first_responded_at is None:
        changes["first_responded_at"] = now
    tickets.change(connection, ticket.id, changes)
    if not status_is_said:
        actions.set_status(connection, config, ticket, workflow.RESOLVED, actor, now)


def _set_status(connection: Connection, ticket: Row[Any], status: str, actor: str, now: datetime) -> None:
    """What follows by itself, which no transition forbids."""
    times = workflow.times_of(ticket.status, status, now)
    tickets.change(connection, ticket.id, {"status": status, "updated_at": now, **times})
    messages.add_event(connection, ticket.id, "status", {"from": ticket.status, "to": status}, actor, now)

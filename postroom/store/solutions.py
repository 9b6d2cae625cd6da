"""Solutions that were proposed, and what came of them; and how requesters found what was done.

    review → proposed → solved | refused          sent_back: by a reviewer; withdrawn: another took its place
       └──→ sent_back

Each step is one conditional UPDATE: of two who take it at the same time, one does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from postroom.store.engine import insert, insert_new
from postroom.store.tables import Agent, Delivery, Feedback, Solution, Ticket

REVIEW, SENT_BACK, PROPOSED, SOLVED, REFUSED, WITHDRAWN = (
    "review", "sent_back", "proposed", "solved", "refused", "withdrawn",
)  # fmt: skip
OPEN = (REVIEW, PROPOSED)  # something may still come of it

_latest = (
    select(Solution.__table__).where(Solution.ticket_id == bindparam("ticket_id")).order_by(Solution.id.desc()).limit(1)
)


def add(connection: Connection, values: dict[str, Any]) -> int:
    """Insert a solution; its id. Those of its ticket that were open are withdrawn."""
    withdraw(connection, int(values["ticket_id"]))
    row = insert(connection, Solution).values(values).returning(Solution.id)
    return int(connection.execute(row).scalar_one())


def withdraw(connection: Connection, ticket_id: int) -> list[int]:
    """Let nothing come of a ticket's open solutions any more; their ids."""
    some = (Solution.ticket_id == ticket_id, Solution.state.in_(OPEN))
    query = update(Solution).where(*some).values(state=WITHDRAWN).returning(Solution.id)
    return list(connection.execute(query).scalars())


def get(connection: Connection, id_: int) -> Row[Any]:
    """A solution's row."""
    row: Row[Any] = connection.execute(select(Solution.__table__).where(Solution.id == id_)).one()
    return row


def latest(connection: Connection, ticket_id: int) -> Row[Any] | None:
    """The solution of a ticket that was proposed last."""
    return connection.execute(_latest, {"ticket_id": ticket_id}).one_or_none()


def by_nonce(connection: Connection, ticket_id: int, nonce: int) -> Row[Any] | None:
    """The solution of a ticket whose links bear that nonce."""
    query = select(Solution.__table__).where(Solution.ticket_id == ticket_id, Solution.nonce == nonce)
    return connection.execute(query).one_or_none()


def of_tickets(connection: Connection, ticket_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Every solution of these tickets, oldest first, with `proposer` and `reviewer`, the agents' names."""
    proposer, reviewer = Agent.__table__.alias(), Agent.__table__.alias()
    query = (
        select(Solution.__table__, proposer.c.name.label("proposer"), reviewer.c.name.label("reviewer"))
        .outerjoin(proposer, proposer.c.id == Solution.proposed_by)
        .outerjoin(reviewer, reviewer.c.id == Solution.reviewed_by)
        .where(Solution.ticket_id.in_(ticket_ids)).order_by(Solution.id)
    )  # fmt: skip
    return connection.execute(query).all()


def set_message(connection: Connection, id_: int, message_id: int) -> None:
    """Say which message of the conversation says it."""
    connection.execute(update(Solution).where(Solution.id == id_).values(message_id=message_id))


def give(connection: Connection, ids: Collection[int], ticket_id: int) -> None:
    """Let these solutions be another ticket's."""
    connection.execute(update(Solution).where(Solution.id.in_(ids)).values(ticket_id=ticket_id))


def move(connection: Connection, id_: int, old: str, new: str, values: dict[str, Any]) -> bool:
    """Take a solution from one state to the next; False where it was not in that state any more."""
    query = update(Solution).where(Solution.id == id_, Solution.state == old).values(state=new, **values)
    return connection.execute(query.returning(Solution.id)).one_or_none() is not None


def answer(connection: Connection, id_: int, new: str, now: datetime, close_at: datetime | None = None) -> bool:
    """Keep what its customer says of a solution; False where he may not any more: it is answered, or too late."""
    query = update(Solution).where(Solution.id == id_, Solution.state == PROPOSED, Solution.expires_at > now)
    values = {"state": new, "answered_at": now, "close_at": close_at}
    return connection.execute(query.values(**values).returning(Solution.id)).one_or_none() is not None


def to_close(connection: Connection, resolved: str, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Tickets that are to be closed by now, since their customers found them solved; none of them is, later.

    Those alone that have been resolved ever since.
    """
    due = select(Solution.id).where(Solution.close_at <= now).order_by(Solution.close_at, Solution.id).limit(limit)
    query = (
        update(Solution).where(Solution.id.in_(due.with_for_update(skip_locked=True)), Solution.close_at <= now)
        .values(close_at=None).returning(Solution.ticket_id, Solution.answered_at)
    )  # fmt: skip
    answered = {row.ticket_id: row.answered_at for row in connection.execute(query)}
    if not answered:
        return []
    live = (Ticket.id.in_(answered), Ticket.status == resolved, Ticket.merged_into.is_(None))
    rows = connection.execute(select(Ticket.__table__).where(*live).order_by(Ticket.id)).all()
    return [row for row in rows if row.resolved_at is None or row.resolved_at <= answered[row.id]]


def was_reviewed_before(connection: Connection, ticket_id: int, id_: int) -> bool:
    """Whether an earlier solution of the ticket went to review, too."""
    s, d = Solution, Delivery
    query = (
        select(s.id).join(d, d.message_id == s.message_id)
        .where(s.ticket_id == ticket_id, s.id < id_, d.ticket_id == ticket_id, d.purpose == "solution_review").limit(1)
    )  # fmt: skip
    return connection.execute(query).one_or_none() is not None


def is_notice_of(connection: Connection, message_id: int | None, refs: Collection[str]) -> bool:
    """Whether one of these Message-IDs is that of a mail that asked for the review of that message's solution."""
    query = select(Delivery.id).where(
        Delivery.email_message_id.in_(refs), Delivery.message_id == message_id, Delivery.purpose == "solution_review"
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


# -- feedback


def to_ask(connection: Connection, closed: str, since: datetime, until: datetime, limit: int) -> Sequence[Row[Any]]:
    """Tickets that were closed between the two, whose requesters nobody has decided to ask; they are decided on now."""
    due = (Ticket.feedback_due_at > since, Ticket.feedback_due_at <= until)
    live = (*due, Ticket.status == closed, Ticket.merged_into.is_(None))
    ids = select(Ticket.id).where(*live).order_by(Ticket.feedback_due_at, Ticket.id).limit(limit)
    query = update(Ticket).where(Ticket.id.in_(ids.with_for_update(skip_locked=True)), *live)
    rows = connection.execute(query.values(feedback_due_at=None).returning(Ticket.__table__)).all()
    return sorted(rows, key=lambda row: int(row.id))


def ask_feedback(connection: Connection, values: dict[str, Any]) -> bool:
    """Note that a ticket's requester is asked; False where he was, before."""
    query = insert_new(connection, Feedback).returning(Feedback.ticket_id)
    return connection.execute(query, values).one_or_none() is not None


def feedback(connection: Connection, ticket_id: int) -> Row[Any] | None:
    """What is known of a ticket's feedback."""
    return connection.execute(select(Feedback.__table__).where(Feedback.ticket_id == ticket_id)).one_or_none()


def give_feedback(connection: Connection, ticket_id: int, now: datetime) -> bool:
    """Note that the requester has answered; False where he may not any more: he has, or it is too late."""
    f = Feedback
    query = update(f).where(f.ticket_id == ticket_id, f.answered_at.is_(None), f.expires_at > now)
    return connection.execute(query.values(answered_at=now).returning(f.ticket_id)).one_or_none() is not None

"""What became of mail that was taken from files: how much of it still waits, and how the rest ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, case, func, select

from postroom.store.inbound import SELECT_CHUNK
from postroom.store.tables import InboundEmail

WAITING = ("pending", "processing")


def waiting(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of these deliveries that wait for their processing."""
    query = select(InboundEmail.id).where(InboundEmail.state.in_(WAITING), InboundEmail.id.in_(ids))
    return set(connection.execute(query).scalars()) if ids else set()


def unsettled(connection: Connection, first: int, last: int) -> int:
    """How many deliveries from files wait for their processing, of those between two ids."""
    e = InboundEmail
    query = select(func.count()).where(e.state.in_(WAITING), e.id.between(first, last), e.source == "ingest")
    return int(connection.execute(query).scalar_one())


def outcomes(connection: Connection, ids: Sequence[int]) -> Counter[str]:
    """How these deliveries ended: opened a ticket, added to one, settled, duplicate, quarantined, or still pending."""
    e = InboundEmail
    outcome = case((e.state != "processed", e.state), else_=e.outcome)
    query = select(outcome, func.count())
    counts: Counter[str] = Counter()
    for start in range(0, len(ids), SELECT_CHUNK):
        chunk = list(ids[start : start + SELECT_CHUNK])
        for how, count in connection.execute(query.where(e.id.in_(chunk)).group_by(outcome)):
            counts[how] += count
    return counts

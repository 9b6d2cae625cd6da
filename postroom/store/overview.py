"""How do things stand? What waits, since when, and where it sticks. Cheap however much the store holds: only what waits is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from postroom.store import imap, inbound, outbox, smarthosts
from postroom.store.tables import Delivery, Event, InboundEmail, Ticket

WAITING_IN = ("pending", "processing", "quarantined")
WAITING_OUT = ("pending", "sending", "retry")
OPEN = ("new", "open", "pending_customer", "pending_internal")


@dataclass(frozen=True, slots=True)
class Overview:
    """A picture of one moment."""

    inbound: dict[str, int]  # by state, of those that are not settled
    outbox: dict[str, int]  # likewise
    oldest_unprocessed: datetime | None
    oldest_outgoing: datetime | None
    mailboxes: dict[str, Row[Any]]  # by name; those that were ever watched
    smarthosts: Sequence[Row[Any]]  # those that were ever in trouble


def look(connection: Connection) -> Overview:
    """How things stand now."""
    return Overview(
        inbound=_counts(connection, InboundEmail, WAITING_IN),
        outbox=_counts(connection, Delivery, WAITING_OUT),
        oldest_unprocessed=inbound.oldest_pending(connection),
        oldest_outgoing=outbox.oldest_waiting(connection),
        mailboxes={row.mailbox: row for row in imap.states(connection)},
        smarthosts=smarthosts.states(connection),
    )


def queues(connection: Connection) -> dict[str, dict[str, int]]:
    """How many tickets of each queue are in each status, closed ones left out."""
    query = (
        select(Ticket.queue, Ticket.status, func.count())
        .where(Ticket.closed_at.is_(None), Ticket.merged_into.is_(None))
        .group_by(Ticket.queue, Ticket.status)
    )
    found: dict[str, dict[str, int]] = {}
    for queue, status, count in connection.execute(query):
        found.setdefault(queue, {})[status] = count
    return found


def newest(connection: Connection) -> datetime | None:
    """The latest moment at which something is known to have happened: by each table's last row."""
    queries = [
        select(moment).order_by(table.id.desc()).limit(1)
        for table, moment in (
            (InboundEmail, InboundEmail.received_at), (Event, Event.at), (Delivery, Delivery.created_at),
        )
    ]  # fmt: skip
    found = [moment for query in queries if (moment := connection.execute(query).scalar_one_or_none()) is not None]
    return max(found, default=None)


def database_time(connection: Connection) -> datetime:
    """On PostgreSQL: what its clock says."""
    moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def forgetting(connection: Connection) -> list[str]:
    """On PostgreSQL: the settings that let it forget, with the machine's power, what it said was committed; none, it is to be hoped."""
    query = text(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name"
    )
    return list(connection.execute(query).scalars())


def daemons(connection: Connection, name: str) -> list[str]:
    """On PostgreSQL: who works on this database under a name that begins so, as each calls itself."""
    query = text(
        "SELECT DISTINCT application_name FROM pg_stat_activity "
        "WHERE datname = current_database() AND starts_with(application_name, :name) ORDER BY 1"
    )
    return list(connection.execute(query, {"name": name}).scalars())


def _counts(connection: Connection, table: Any, states: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(select(table.state, func.count()).where(table.state.in_(states)).group_by(table.state))
    found = {row[0]: row[1] for row in rows}
    return {state: found.get(state, 0) for state in states}

"""Who works on this PostgreSQL, and who has died at it.

Every daemon says so often that it lives; by the database's clock, since theirs may differ. One that has been silent for
LEASE is taken for dead, whatever became of it: another frees what it had claimed and the folders that it watched. Should it
live after all (it hung, its network was cut), it finds that what it claimed is not its own any more, and lets go.

Mail that a dead one may have been handing over in that moment is not freed here: whether it went out is not known, and a
daemon that is only cut off from the database may be about to hear that it did. It waits for its own lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from postroom.store import leases
from postroom.store.engine import daemon_name, insert
from postroom.store.tables import Delivery, ImapLease, InboundEmail, Node

LEASE = timedelta(seconds=10)  # a survivor takes over after so long: well above a slow commit, well below a stuck queue

_end = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :called "
    "AND state <> 'idle' AND EXISTS (SELECT FROM node WHERE name = :node AND until < clock_timestamp())"
)


def beat(connection: Connection, name: str, machine: datetime) -> None:
    """Say that `name` lives, from now on for LEASE; `machine` is the caller's own clock."""
    until = leases.until(connection, machine, LEASE)
    row = insert(connection, Node).values(name=name, until=until)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"until": until}))


def living(connection: Connection, machine: datetime) -> list[str]:
    """Who is taken to live."""
    query = select(Node.name).where(Node.until >= leases.now(connection, machine)).order_by(Node.name)
    return list(connection.execute(query).scalars())


def dead(connection: Connection, machine: datetime) -> list[str]:
    """Who has been silent for too long, and was not buried yet."""
    return list(connection.execute(select(Node.name).where(Node.until < leases.now(connection, machine))).scalars())


def end_sessions(connection: Connection, name: str) -> int:
    """End what a dead daemon has open at the database; how many sessions that were.

    One that hangs or is cut off keeps its transaction, with the desk's lock and its rows, for as long as the server
    thinks that it is there. Raises TemporaryFailure, by `write()`, where we may not: it logs in as another role than we.
    """
    return len(connection.execute(_end, {"node": name, "called": daemon_name(name)}).all())


def bury(connection: Connection, name: str, machine: datetime | None) -> tuple[int, int] | None:
    """Free what a dead daemon had: how many mails received, and how many to be sent. None where it is not dead, or is buried.

    `machine` is the caller's own clock; None where the daemon buries itself, at its end.
    """
    node = select(Node.name).where(Node.name == name).with_for_update(skip_locked=True)
    if machine is not None:
        node = node.where(Node.until < leases.now(connection, machine))
    if connection.execute(node).one_or_none() is None:
        return None
    received = connection.execute(
        update(InboundEmail).where(InboundEmail.state == "processing", _is_of(InboundEmail.claimed_by, name))
        .values(state="pending", claimed_by=None, claimed_until=None)
    )  # fmt: skip
    sending = connection.execute(
        update(Delivery)
        .where(Delivery.state == "sending", Delivery.in_doubt_at.is_(None), _is_of(Delivery.claimed_by, name))
        .values(state="pending", claimed_by=None, claimed_until=None, next_attempt_at=None)
    )
    connection.execute(delete(ImapLease).where(ImapLease.node == name))
    connection.execute(delete(Node).where(Node.name == name))
    return received.rowcount, sending.rowcount


def _is_of(claimed_by: InstrumentedAttribute[str | None], name: str) -> ColumnElement[bool]:
    """Whether a claim is a worker's of that node."""
    return or_(claimed_by == name, func.substr(claimed_by, 1, len(name) + 1) == f"{name} ")


def lease_folder(connection: Connection, account: str, folder: str, name: str, machine: datetime) -> str | None:
    """Have this folder for `name`, to watch it; None where that is so, else who has it.

    On SQLite nobody else can.
    """
    if connection.dialect.name == "sqlite":
        return None
    lease = and_(ImapLease.account == account, ImapLease.folder == folder)
    lives = ImapLease.node.in_(select(Node.name).where(Node.until >= leases.now(connection, machine)))
    holder = connection.execute(select(ImapLease.node).where(lease, or_(ImapLease.node == name, lives))).scalar()
    if holder is not None:
        return None if holder == name else str(holder)
    row = insert(connection, ImapLease).values(account=account, folder=folder, node=name, since=machine)
    changed = {"node": row.excluded.node, "since": row.excluded.since}
    taken = row.on_conflict_do_update(index_elements=["account", "folder"], set_=changed, where=~lives)
    if connection.execute(taken).rowcount:
        return None
    return str(connection.execute(select(ImapLease.node).where(lease)).scalar())  # another was faster


def give_folder_back(connection: Connection, account: str, folder: str, name: str) -> None:
    """Watch it no more."""
    l = ImapLease  # noqa: E741 - a row
    connection.execute(delete(l).where(l.account == account, l.folder == folder, l.node == name))


def watched(connection: Connection, machine: datetime) -> Sequence[tuple[str, str, str]]:
    """Account and folder of each that is watched now, and by whom."""
    query = select(ImapLease.account, ImapLease.folder, ImapLease.node).join(Node, Node.name == ImapLease.node)
    return [(a, f, n) for a, f, n in connection.execute(query.where(Node.until >= leases.now(connection, machine)))]

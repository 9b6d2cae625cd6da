"""Mail as received: taken once, claimed with a lease, and never without a visible state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, func, select, text, tuple_, update

from postroom.store import leases, news, raw_mail
from postroom.store.engine import insert_new
from postroom.store.prepared import Prepared, PreparedIn
from postroom.store.tables import AGAIN, NEW, InboundEmail, RawMail, Utc

OUTCOME = ("state", "outcome", "reason", "decision", "ticket_id", "message_id", "duplicate_of", "processed_at")
CLAIM_SIZE_MAX = 64 << 20  # octets of mail that are claimed, and so in memory, at once
SELECT_CHUNK = 400  # keys in one query; databases bound the number of parameters


_settle = Prepared(update(InboundEmail).where(InboundEmail.id == bindparam("id_")))
_UNCLAIMED: dict[str, Any] = {"claimed_by": None, "claimed_until": None, "next_attempt_at": None}


_free = select(InboundEmail.id, InboundEmail.attempts, InboundEmail.size).limit(bindparam("most", type_=Integer))
_free_new = Prepared(_free.where(text(NEW)).order_by(InboundEmail.id).with_for_update(skip_locked=True))
_free_again = Prepared(
    _free.where(
        text(AGAIN), text("state || '' = 'pending'"), InboundEmail.next_attempt_at <= bindparam("now", type_=Utc)
    ).order_by(InboundEmail.next_attempt_at).with_for_update(skip_locked=True)
)  # fmt: skip
_free_of_others = Prepared(
    lambda connection: _free.where(
        InboundEmail.state == "processing",
        InboundEmail.claimed_until < leases.now(connection, bindparam("now", type_=Utc)),
    ).order_by(InboundEmail.id).with_for_update(skip_locked=True)
)  # fmt: skip
_claim = PreparedIn(
    InboundEmail.id.type,
    lambda ids: lambda connection: (
        update(InboundEmail).where(InboundEmail.id.in_(ids)).values(
            state="processing", attempts=InboundEmail.attempts + 1, claimed_by=bindparam("worker"),
            claimed_until=leases.until_then(connection), next_attempt_at=None,
        ).returning(InboundEmail.id)
    ),
)  # fmt: skip
_load = PreparedIn(
    InboundEmail.id.type,
    lambda ids: (
        select(
            InboundEmail.id, InboundEmail.mailbox, InboundEmail.recipient, RawMail.content, InboundEmail.digest,
            InboundEmail.source, InboundEmail.sender, InboundEmail.peer, InboundEmail.received_at, InboundEmail.archive,
            InboundEmail.quiet, InboundEmail.attempts, InboundEmail.failures, RawMail.place,
        ).join(RawMail, RawMail.digest == InboundEmail.digest)
        .where(InboundEmail.id.in_(ids)).order_by(InboundEmail.id)
    ),
)  # fmt: skip
_held = PreparedIn(
    InboundEmail.id.type,
    lambda ids: select(InboundEmail.id).where(
        InboundEmail.id.in_(ids), InboundEmail.state == "processing", InboundEmail.claimed_by == bindparam("worker")
    ).with_for_update(),
)  # fmt: skip


_put_raw = Prepared(lambda connection: insert_new(connection, RawMail))
_put_inbound = Prepared(lambda connection: insert_new(connection, InboundEmail).returning(InboundEmail.id))
_put_inbounds = Prepared(lambda connection: insert_new(connection, InboundEmail))
_last = Prepared(select(func.max(InboundEmail.id)))
_since = Prepared(
    select(InboundEmail.id, InboundEmail.mailbox, InboundEmail.recipient, InboundEmail.digest)
    .where(InboundEmail.id > bindparam("last")).order_by(InboundEmail.id)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewInbound:
    """One delivery to be taken: raw bytes with envelope and mailbox."""

    mailbox: str
    recipient: str  # the envelope's, lower case
    raw: bytes = field(repr=False)
    digest: str  # SHA-256 of `raw`, hex
    source: str  # smtp, imap, ingest
    sender: str | None  # the envelope's; "" is the null sender, None is unknown
    received_at: datetime
    peer: dict[str, Any] = field(default_factory=dict)
    archive: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What taking one delivery came to."""

    id: int
    is_new: bool  # False: these bytes were taken before, for this mailbox and recipient


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker may process until its lease ends."""

    id: int
    mailbox: str
    recipient: str
    raw: bytes = field(repr=False)  # empty until it is fetched from its place
    digest: str
    source: str
    sender: str | None
    peer: dict[str, Any]
    received_at: datetime
    archive: bool
    quiet: bool
    attempts: int  # this one counted
    failures: int
    place: str | None = None  # the object in which its bytes lie


def accept(
    connection: Connection, deliveries: Sequence[NewInbound], places: Mapping[str, str] = raw_mail.IN_DATABASE
) -> list[Accepted]:
    """Insert raw bytes and envelopes, each once; answers in the order given. `places`: of bytes that were put aside before.

    The key is mailbox + recipient + SHA-256 of the bytes, by a unique constraint: the same delivery taken
    twice, also by two daemons at once, is one row.
    """
    raws = {d.digest: d.raw for d in deliveries}
    stored = _put_raw.count(connection, raw_mail.rows_of(raws, places))
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for d in deliveries:
        rows.setdefault(_key(d), {
            "mailbox": d.mailbox, "recipient": d.recipient, "digest": d.digest, "size": len(d.raw), "source": d.source,
            "sender": d.sender, "peer": d.peer, "received_at": d.received_at, "archive": d.archive, "quiet": d.quiet,
            "state": "pending", "attempts": 0, "failures": 0,
        })  # fmt: skip
    new = _put(connection, rows)
    if new:
        news.tell(connection, news.INBOUND)
    if stored != len(raws):  # some bytes were known, and may have been erased since
        raw_mail.restore(connection, {d.digest: d.raw for d in deliveries if _key(d) in new}, places)
    known = _ids(connection, [key for key in rows if key not in new])
    answers, fresh = [], set(new)
    for d in deliveries:
        key = _key(d)
        answers.append(Accepted(new.get(key) or known[key], is_new=key in fresh))
        fresh.discard(key)  # the same delivery twice in one batch is new once
    return answers


def _put(connection: Connection, rows: dict[tuple[str, str, str], dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """Insert these; the ids of those that were not there."""
    if len(rows) == 1:
        ids = {key: _put_inbound.scalar(connection, row, named=True) for key, row in rows.items()}
        return {key: id_ for key, id_ in ids.items() if id_ is not None}
    if connection.dialect.name == "sqlite":  # the only writer now: what is new is what has a higher id than all before
        last = _last.scalar(connection, {}) or 0
        _put_inbounds.run(connection, list(rows.values()))
        return {_key(row): row.id for row in _since.all(connection, {"last": last})}
    # to a server it is one statement, and one way there and back, for all of them
    columns = (InboundEmail.id, InboundEmail.mailbox, InboundEmail.recipient, InboundEmail.digest)
    taken = connection.execute(insert_new(connection, InboundEmail).returning(*columns), list(rows.values()))
    return {(mailbox, recipient, digest): id_ for id_, mailbox, recipient, digest in taken}


def _key(d: Any) -> tuple[str, str, str]:
    """What makes a delivery, or its row, the same as another."""
    return d.mailbox, d.recipient, d.digest


def _ids(connection: Connection, keys: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    columns = (InboundEmail.mailbox, InboundEmail.recipient, InboundEmail.digest)
    for start in range(0, len(keys), SELECT_CHUNK // 3):
        chunk = keys[start : start + SELECT_CHUNK // 3]
        for row in connection.execute(select(*columns, InboundEmail.id).where(tuple_(*columns).in_(chunk))):
            found[row[0], row[1], row[2]] = row[3]
    return found


def claim(connection: Connection, worker: str, now: datetime, lease: timedelta, limit: int) -> list[int]:
    """Take up to `limit` deliveries, oldest first, and count the attempt; their ids. The caller commits before he loads them.

    Pending ones whose time has come, and those whose worker's lease ran out. One that was attempted before
    comes alone, so that what breaks a worker breaks nothing beside itself.
    """
    free = (_free_new, _free_again, _free_of_others)  # each in the order of an index, however long the queue is
    found = [row for query in free for row in query.all(connection, {"most": limit, "now": now})]
    candidates = sorted(found, key=lambda row: row.id)[:limit]
    first: list[Any] = [row for row in candidates if row.attempts == 0]
    fresh = [row.id for row in _within(CLAIM_SIZE_MAX, first)]
    ids = [candidates[0].id] if candidates and candidates[0].attempts else fresh
    if not ids:
        return []
    _claim.all(connection, ids, {"worker": worker, "until": now + lease, "lease": lease})
    return ids


def _within(octets: int, rows: Sequence[Any]) -> Sequence[Any]:
    """The first of these rows, as many as have so few octets together; at least one."""
    total = 0
    for number, row in enumerate(rows):
        total += row.size
        if total > octets and number:
            return rows[:number]
    return rows


def load_whole(connection: Connection, ids: Sequence[int]) -> list[Claimed]:
    """The deliveries of these ids with their bytes, oldest first. Raises as `raw_mail.whole` does."""
    loaded = load_claimed(connection, ids)
    return [
        one if one.place is None else replace(one, raw=raw_mail.whole(connection, None, one.place)) for one in loaded
    ]


def load_claimed(connection: Connection, ids: Sequence[int]) -> list[Claimed]:
    """The deliveries of these ids with their bytes, or the place where they are to be fetched, oldest first."""
    rows = _load.all(connection, ids, {})
    return [Claimed(*row) if row.place is None else replace(Claimed(*row), raw=b"") for row in rows]


def held(connection: Connection, worker: str, ids: Sequence[int]) -> set[int]:
    """Those of these deliveries that are still this worker's; the others' lease ran out, and another took them."""
    return {row.id for row in _held.all(connection, ids, {"worker": worker})}


def settle(connection: Connection, outcomes: Sequence[dict[str, Any]]) -> None:
    """Write each delivery's outcome: `id`, `state`, `outcome`, `reason`, `decision`, `ticket_id`, `message_id`, `duplicate_of`, `processed_at`."""
    if outcomes:
        _settle.run(
            connection, [{"id_": o["id"], **{name: o.get(name) for name in OUTCOME}, **_UNCLAIMED} for o in outcomes]
        )


def release(connection: Connection, worker: str) -> None:
    """Give back what a worker claimed and did not finish, as if it had not been claimed."""
    connection.execute(
        update(InboundEmail).where(InboundEmail.state == "processing", InboundEmail.claimed_by == worker)
        .values(state="pending", attempts=InboundEmail.attempts - 1, claimed_by=None, claimed_until=None)
    )  # fmt: skip


def put_off(connection: Connection, ids: Sequence[int], reason: str, until: datetime) -> None:
    """Give claimed ones back until then, because their bytes cannot be had now; the attempt does not count."""
    connection.execute(
        update(InboundEmail).where(InboundEmail.id.in_(ids)).values(
            state="pending", attempts=InboundEmail.attempts - 1, reason=reason, next_attempt_at=until,
            claimed_by=None, claimed_until=None,
        )
    )  # fmt: skip


def fail(connection: Connection, id_: int, reason: str, retry_at: datetime) -> None:
    """Note that this message broke its attempt; it is tried again, alone, at `retry_at`."""
    connection.execute(
        update(InboundEmail).where(InboundEmail.id == id_).values(
            state="pending", failures=InboundEmail.failures + 1, reason=reason, next_attempt_at=retry_at,
            claimed_by=None, claimed_until=None,
        )
    )  # fmt: skip


def quarantine(connection: Connection, id_: int, reason: str, now: datetime) -> None:
    """Put a message where it waits for a person, as the raw bytes."""
    connection.execute(
        update(InboundEmail).where(InboundEmail.id == id_).values(
            state="quarantined", failures=InboundEmail.failures + 1, reason=reason, processed_at=now,
            claimed_by=None, claimed_until=None,
        )
    )  # fmt: skip


_ANEW: dict[str, Any] = {
    "state": "pending", "attempts": 0, "failures": 0, "outcome": None, "reason": None, "next_attempt_at": None,
    "processed_at": None,
}  # fmt: skip


def retry(connection: Connection, id_: int) -> bool:
    """Put a quarantined delivery back to the start of its way; False where it is not in quarantine."""
    result = connection.execute(
        update(InboundEmail).where(InboundEmail.id == id_, InboundEmail.state == "quarantined").values(**_ANEW)
    )
    news.tell(connection, news.INBOUND)
    return bool(result.rowcount)


def retry_all(connection: Connection) -> int:
    """Put everything in quarantine back to the start of its way; how many that were."""
    result = connection.execute(update(InboundEmail).where(InboundEmail.state == "quarantined").values(**_ANEW))
    news.tell(connection, news.INBOUND)
    return result.rowcount


def quarantined(connection: Connection, since: datetime | None = None, limit: int | None = None) -> Sequence[Row[Any]]:
    """What waits in quarantine, oldest first, without bytes; `since`: only what was put there after that."""
    query = select(InboundEmail.__table__).where(InboundEmail.state == "quarantined").order_by(InboundEmail.id)
    if since is not None:
        query = query.where(InboundEmail.processed_at > since)
    return connection.execute(query.limit(limit) if limit else query).all()


def recover(connection: Connection) -> int:
    """Make everything that a dead daemon had claimed claimable at once; only where no other daemon can live."""
    result = connection.execute(
        update(InboundEmail)
        .where(InboundEmail.state == "processing")
        .values(state="pending", claimed_by=None, claimed_until=None)
    )
    return result.rowcount


def get(connection: Connection, id_: int) -> Row[Any] | None:
    """One delivery's row, without its bytes."""
    return connection.execute(select(InboundEmail.__table__).where(InboundEmail.id == id_)).one_or_none()


def find(connection: Connection, state: str | None = None, limit: int | None = None) -> Sequence[Row[Any]]:
    """Rows of deliveries, newest first, without their bytes."""
    query = select(InboundEmail.__table__).order_by(InboundEmail.id.desc())
    if state:
        query = query.where(InboundEmail.state == state)
    return connection.execute(query.limit(limit) if limit else query).all()


def raw(connection: Connection, id_: int) -> bytes | None:
    """The exact bytes of a delivery. Raises as `raw_mail.whole` does."""
    query = select(RawMail.content, RawMail.place).join(InboundEmail, InboundEmail.digest == RawMail.digest)
    found = connection.execute(query.where(InboundEmail.id == id_)).one_or_none()
    return None if found is None else raw_mail.whole(connection, *found)


def count_by_state(connection: Connection) -> dict[str, int]:
    """How many deliveries are in each state."""
    rows = connection.execute(select(InboundEmail.state, func.count()).group_by(InboundEmail.state))
    return {row[0]: row[1] for row in rows}


def oldest_pending(connection: Connection) -> datetime | None:
    """When the oldest unprocessed delivery was received."""
    query = select(func.min(InboundEmail.received_at)).where(InboundEmail.state.in_(("pending", "processing")))
    return connection.execute(query).scalar_one_or_none()


def quarantined_since(connection: Connection, since: datetime) -> int:
    """How many went into quarantine since then."""
    query = select(func.count()).where(InboundEmail.state == "quarantined", InboundEmail.processed_at >= since)
    return connection.execute(query).scalar_one()

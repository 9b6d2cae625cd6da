"""Taking away what people wrote, and leaving numbers.

Bytes are emptied where they lie: their row stays with its digest and its size, so that the same mail, fetched again by
a server's new numbering, is known and does not come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from postroom.store.tables import InboundEmail, RawMail

DELETED = "deleted"  # the outcome of a mail that a person took out of quarantine for good


def empty_received(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Erase the bytes of received mails; how many octets those were. Bytes that another mail has too stay its own."""
    rows = connection.execute(
        update(InboundEmail).where(InboundEmail.id.in_(ids), InboundEmail.erased_at.is_(None))
        .values(erased_at=now).returning(InboundEmail.digest, InboundEmail.size)
    ).all()  # fmt: skip
    digests = {row.digest: row.size for row in rows}
    kept = select(InboundEmail.digest).where(InboundEmail.digest.in_(digests), InboundEmail.erased_at.is_(None))
    gone = digests.keys() - set(connection.execute(kept).scalars())
    empty(connection, sorted(gone))
    return sum(digests[digest] for digest in gone)


def empty(connection: Connection, digests: Sequence[str]) -> None:
    """Erase bytes, whoever refers to them."""
    if digests:
        connection.execute(update(RawMail).where(RawMail.digest.in_(digests)).values(content=b""))


def delete_quarantined(connection: Connection, id_: int, reason: str, now: datetime) -> bool:
    """Take a mail out of quarantine for good; its row stays, with the reason. False where it is not in quarantine."""
    result = connection.execute(
        update(InboundEmail).where(InboundEmail.id == id_, InboundEmail.state == "quarantined")
        .values(state="processed", outcome=DELETED, reason=reason, processed_at=now)
    )  # fmt: skip
    if result.rowcount:
        empty_received(connection, [id_], now)
    return bool(result.rowcount)

"""By which servers did a message come, and where did it wait? (RFC 5321 §4.4)

mail-parser reads `Received` lines of all makes; it is given those alone, as the rest of it costs more than all of `parse`.
Nothing is decided by them: any server on the way may have made up those below its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from postroom.parsers import headers, mime

MAX_HOPS = 100
TEXT_KEPT = 200  # characters of one server's name


@dataclass(frozen=True, slots=True)
class Hop:
    """One server that took the message over."""

    by: str
    sender: str  # who gave it the message
    at: datetime | None  # aware, UTC
    delay: float = 0.0  # seconds since the hop before; negative where clocks differ


def read_route(raw: bytes) -> tuple[Hop, ...]:
    """The hops of a message, the first one first; as far as they can be made out."""
    lines = mime.read_tree(raw).root.all_raw_headers("received")[:MAX_HOPS]
    if not lines:
        return ()
    import mailparser  # noqa: PLC0415 - 40 ms of start-up, for those who ask for the route

    block = b"".join(b"Received: " + headers.unfold(line[: headers.STRUCTURED_OCTETS]) + b"\n" for line in lines)
    logging.getLogger("mailparser").setLevel(logging.CRITICAL)  # it names on standard error what it cannot read
    try:
        found = mailparser.parse_from_bytes(block + b"\n").received
    except Exception:  # a step of reading that degrades: it raises on what it never saw
        return ()
    return tuple(_hop(entry) for entry in found)


def _hop(entry: dict[str, Any]) -> Hop:
    return Hop(
        by=_text(entry.get("by")),
        sender=_text(entry.get("from")),
        at=_moment(entry.get("date_utc")),
        delay=float(entry.get("delay") or 0),
    )


def _text(value: object) -> str:
    return headers.one_line(str(value or ""))[:TEXT_KEPT]


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

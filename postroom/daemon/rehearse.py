"""What would become of a mail? It is given its whole effect in a transaction that is then taken back.

So the answer is no second opinion: it is what would happen now, down to the limits on automatic answers.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from postroom.daemon.house import House, now
from postroom.daemon.ingest import Destination
from postroom.daemon.receive import Settled, receive
from postroom.desk.tickets import content_key, message_id_of
from postroom.errors import TemporaryFailure
from postroom.parsers.email import parse
from postroom.store import inbound, messages, thread_index, tickets

PATIENCE_SECONDS = 10.0  # for a daemon that is writing


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would become of a mail."""

    settled: Settled
    ticket: dict[str, Any] | None  # the columns of the ticket that it would open


def rehearse(house: House, destination: Destination, raw: bytes) -> Rehearsed:
    """What would become of `raw`, were it to come now; nothing is stored. Mail that is here already is taken anew.

    Raises TemporaryFailure where the database stays busy.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    found: list[Rehearsed] = []
    while not found:
        try:
            with suppress(_Undone), house.store.write(alone=True) as connection:
                found.append(_receive(house, connection, destination, raw))
                raise _Undone
        except TemporaryFailure:
            if time.monotonic() > deadline:
                raise
    return found[0]


class _Undone(Exception):
    """The rehearsal is over: its transaction is rolled back."""


def _receive(house: House, connection: Connection, destination: Destination, raw: bytes) -> Rehearsed:
    email, moment = parse(raw), now()
    [accepted] = inbound.accept(connection, [destination.delivery(raw)])
    [claimed] = inbound.load_whole(connection, [accepted.id])
    message_id = message_id_of(email, claimed.digest)
    messages.free_content_key(connection, content_key(email, message_id))
    thread_index.forget_ref(connection, message_id)
    settled = receive(connection, house.reception(connection), claimed, email, moment)
    row = tickets.get(connection, settled.ticket_id) if settled.outcome == "opened" and settled.ticket_id else None
    return Rehearsed(settled, row._asdict() if row is not None else None)

"""Waking the other daemons on a PostgreSQL: whoever commits mail to process or to send tells of it, and all who listen hear it.

What is told is told in the transaction itself (`NOTIFY`), once however often it says so; where it is lost, because nobody
listened just then, the daemons find the mail all the same: they look every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from postroom.errors import TemporaryFailure

if TYPE_CHECKING:
    from postroom.store.engine import Store

CHANNEL = "postroom"  # of the database
INBOUND, OUTBOX = "inbound", "outbox"  # there is mail to process, there is mail to send
CONNECT_SECONDS = 4
HEARD_SECONDS = 3.0  # a thousand times what it takes
SILENT_MS = 10_000  # for so long what we send may stay without an answer before the connection counts as dead

_KEY = "postroom_news"  # in a connection's own dictionary
_notify = text("SELECT pg_notify(:channel, :what)")


def tell(connection: Connection, what: str) -> None:
    """Have all daemons told of it when this transaction is committed; nothing on SQLite, which has one."""
    if connection.dialect.name != "sqlite":
        connection.info.setdefault(_KEY, set()).add(what)


def send(connection: Connection, node: str) -> None:
    """Say, in the transaction that is about to be committed, what was told in it; `node` is who says it."""
    for what in sorted(connection.info.pop(_KEY, ())):
        connection.execute(_notify, {"channel": CHANNEL, "what": f"{what} {node}"})


def forget(connection: Connection) -> None:
    """What was told in a transaction that came to nothing; with a connection that is gone, that is gone too."""
    if not connection.invalidated:
        connection.info.pop(_KEY, None)


@contextmanager
def listen(store: Store) -> Iterator[Listening]:
    """A connection of its own that hears what others tell. Raises TemporaryFailure where the database does not answer."""
    import psycopg  # noqa: PLC0415 - only who has a PostgreSQL has it

    arguments, found = store.engine.dialect.create_connect_args(store.listening_url)
    keywords: dict[str, Any] = {**found, "connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": SILENT_MS}
    keywords["application_name"] = f"postroom ear {store.node}"[:63]
    try:
        with psycopg.connect(*arguments, **keywords, autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            yield Listening(connection, store.node)
    except psycopg.Error as error:
        raise TemporaryFailure(f"database: {str(error).strip().partition(chr(10))[0]}") from error


def is_heard(store: Store) -> bool:
    """Whether what one connection tells is heard on the one that listens. Waits HEARD_SECONDS where it is not."""
    with listen(store) as ear:
        with store.write() as connection:
            connection.execute(_notify, {"channel": CHANNEL, "what": f"{OUTBOX} somebody"})
        return bool(ear.wait(HEARD_SECONDS))


class Listening:
    """What is heard."""

    def __init__(self, connection: Any, node: str) -> None:
        self._connection, self._node = connection, node

    def wait(self, seconds: float) -> set[str]:
        """What others told, as soon as one did, or nothing after so long."""
        heard = [note.payload for note in self._connection.notifies(timeout=seconds, stop_after=1)]
        told = (payload.partition(" ") for payload in heard)
        return {what for what, _, node in told if node != self._node}

    def check(self) -> None:
        """Ask the server something: a connection that is cut says nothing by itself."""
        self._connection.execute(b"SELECT 1")

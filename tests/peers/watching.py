"""A mailbox's watcher with a store and an intake of its own, for tests of what it does to both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from peers.processes import wait_until
from sqlalchemy import Row, select

from postroom.config import Config, parse
from postroom.daemon.imap import Watcher
from postroom.daemon.intake import Intake
from postroom.store import imap, inbound
from postroom.store.engine import Store
from postroom.store.tables import Base, ImapMessage, InboundEmail, RawMail

JOIN_SECONDS = 20.0


def configuration(folder: Path, host: str, port: int, /, max_size: str = "25 MiB", **imap_keys: Any) -> Config:
    """One mailbox, `support`, that is fetched from there; looked at often, and without IDLE unless `idle` is given."""
    table = {
        "host": host, "port": port, "security": "none", "user": "support", "password_env": "UNUSED",
        "poll_seconds": 0.1, "timeout_seconds": 10, "idle": False, **imap_keys,
    }  # fmt: skip
    mailbox = {"address": "support@example.com", "aliases": ["help@example.com"], "queue": "support", "imap": table}
    return parse({"smtp": {"max_size": max_size}, "mailbox": {"support": mailbox}}, folder)


class Watching:
    """The watcher runs while the `with` block does, or from `start()` to `stop()`."""

    def __init__(self, config: Config, password: str = "secret", url: str = "") -> None:
        """`url`: of the store; without it an SQLite file in the configuration's folder."""
        self.path = config.folder / "postroom.db"
        self.config = config
        self.password = password
        self.store = Store(url or f"sqlite:///{self.path}", busy_seconds=1)
        self._watcher: Watcher | None = None

    def __enter__(self) -> Self:
        Base.metadata.create_all(self.store.engine)  # what migrating comes to, and faster
        self.intake = Intake(self.store, lambda: None)
        self.intake.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.intake.stop()
            self.store.dispose()

    def start(self) -> None:
        """Start it; after a failure it tries again soon."""
        self._watcher = Watcher(self.config, "support", self.password, self.store, self.intake, chance=lambda: 0.03)
        self._watcher.start()

    def stop(self) -> None:
        """Stop it, and see that it ends."""
        if self._watcher is not None:
            self._watcher.stop()
            assert self._watcher.join(JOIN_SECONDS), "the watcher does not end"
            self._watcher = None

    def received(self) -> list[Row[Any]]:
        """Every inbound row, oldest first."""
        with self.store.read() as connection:
            return list(reversed(inbound.find(connection)))

    def raws(self) -> list[bytes]:
        """The bytes of everything received, oldest first."""
        query = select(RawMail.content).join(InboundEmail, InboundEmail.digest == RawMail.digest)
        with self.store.read() as connection:
            return [raw or b"" for raw in connection.execute(query.order_by(InboundEmail.id)).scalars()]

    def uids(self) -> Sequence[Row[Any]]:
        """Every row about a message on the server: uid, inbound_id, reason, settled, and more."""
        with self.store.read() as connection:
            return connection.execute(select(ImapMessage.__table__).order_by(ImapMessage.id)).all()

    def state(self) -> Row[Any] | None:
        """How it fares."""
        with self.store.read() as connection:
            return imap.state(connection, "support")

    def wait_for(self, count: int) -> None:
        """Wait until so many are received and the server has been told."""
        wait_until(
            lambda: len(self.received()) >= count and all(row.settled for row in self.uids()), f"{count} received"
        )

    def wait_for_error(self, words: str) -> str:
        """Wait until the mailbox's last error holds `words`; the error."""

        def error() -> str:
            state = self.state()
            return state.last_error if state and state.last_error and words in state.last_error else ""

        return wait_until(error, f"an error with {words!r}, not {self.state()}")

    def wait_for_first_look(self) -> None:
        """Wait until the folder has been read to its end."""
        wait_until(lambda: (state := self.state()) and state.last_success_at, "the first look")

    def wait_for_look(self) -> None:
        """Wait until the folder has been read to its end once more, twice over: one look may have begun before."""
        for _ in range(2):
            before = self.state()

            def looked(before: Row[Any] | None = before) -> bool:
                now = self.state()
                return bool(
                    now and now.last_success_at and (before is None or now.last_success_at != before.last_success_at)
                )

            wait_until(looked, f"another look, not {self.state()}")

"""What the courier writes down while it sends: gathered, so that deliveries in flight share their commits.

Whatever is asked for while a commit is under way goes into the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from postroom.errors import TemporaryFailure
from postroom.store import outbox
from postroom.store.engine import Store
from postroom.store.outbox import Outcome

MAX_GATHERED = 200  # notes in one commit


class Ledger:
    """Writes in-doubt marks and outcomes to the outbox, each answered once it is committed."""

    def __init__(
        self, store: Store, worker: str, clock: Callable[[], datetime],
        on_failed: Callable[[Connection, Outcome], None] = lambda connection, outcome: None,
    ) -> None:  # fmt: skip
        """`on_failed` is called in the transaction that writes a failure."""
        self._store, self._worker, self._clock, self._on_failed = store, worker, clock, on_failed
        self._waiting: list[tuple[int | Outcome, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def mark_in_doubt(self, id_: int) -> bool:
        """Commit that the peer may have taken this delivery from now on; False where it is no longer ours."""
        return await self._ask(id_)

    async def settle(self, outcome: Outcome) -> bool:
        """Commit what an attempt came to; False where the delivery is no longer ours."""
        return await self._ask(outcome)

    async def _ask(self, note: int | Outcome) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((note, answer))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        await asyncio.sleep(0)  # whoever is ready now comes along
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_GATHERED], self._waiting[MAX_GATHERED:]
            try:
                held = await asyncio.to_thread(self._write, [note for note, _ in batch])
            except Exception as error:  # whoever asked for it has to know
                await self._write_each(batch, error)
                continue
            for note, answer in batch:
                if not answer.done():
                    answer.set_result(_id(note) in held)

    async def _write_each(self, batch: list[tuple[int | Outcome, asyncio.Future[bool]]], error: Exception) -> None:
        """Answer a batch that could not be written: where it was one of its notes that broke it, only that one fails."""
        alone = len(batch) == 1 or isinstance(error, TemporaryFailure)
        for note, answer in batch:
            why: Exception | None = error if alone else None
            held: set[int] = set()
            if not alone:
                try:
                    held = await asyncio.to_thread(self._write, [note])
                except Exception as broken:
                    why = broken
            if answer.done():
                continue
            if why is None:
                answer.set_result(_id(note) in held)
            else:
                answer.set_exception(why)

    def _write(self, notes: list[int | Outcome]) -> set[int]:
        doubts = [note for note in notes if isinstance(note, int)]
        outcomes = [note for note in notes if isinstance(note, Outcome)]
        now = self._clock()
        held: set[int] = set()
        # who tells agents of a failure counts mail and writes on tickets, as those do who receive mail
        failed = any(outcome.state == "failed" for outcome in outcomes)
        with self._store.write(alone=failed) as connection:
            if doubts:
                held |= outbox.mark_in_doubt(connection, self._worker, doubts, now)
            if outcomes:
                for outcome in outbox.settle(connection, self._worker, outcomes, now):
                    held.add(outcome.id)
                    if outcome.state == "failed":
                        self._on_failed(connection, outcome)
        return held


def _id(note: int | Outcome) -> int:
    return note.id if isinstance(note, Outcome) else note

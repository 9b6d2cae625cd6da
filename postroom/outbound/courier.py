"""The courier: takes what is due from the outbox and has it carried, until it is told to stop.

    claim (committed) → carry, outside any transaction → settle (committed)

Under failure: an error that nobody classified is temporary. A refusal of class 5 fails the delivery at once.
A delivery whose peer may have taken it is in doubt: people's mail is sent again with identical bytes,
automatic mail is not. After the last attempt, and after a refusal, the ticket's agents are told.
Where nobody takes our mail at all (`ways`), it waits, and no attempt is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection

from postroom.config import Config
from postroom.errors import PermanentFailure, TemporaryFailure, described
from postroom.outbound.carriers import Carrier, InDoubt, LeaseLost, NotOpen
from postroom.outbound.ledger import Ledger
from postroom.outbound.notify import Notifier
from postroom.outbound.renamed import by_answer
from postroom.outbound.schedule import delay_after, is_given_up, jittered, rates_of
from postroom.outbound.smtp_auth import Credential
from postroom.outbound.ways import open_ways
from postroom.saying import Saying
from postroom.store import outbox, raw_mail
from postroom.store.engine import Store
from postroom.store.outbox import Claimed, Outcome

# renewed while a delivery is in flight; a daemon's death ends it, but for what is in doubt
LEASE = timedelta(minutes=5)
RENEW_SECONDS = 60.0
IDLE_SECONDS = 2.0  # how often it looks though nobody woke it: commands and other daemons enqueue too
BACKOFF_SECONDS = 5.0  # after trouble with the database
AWAY = timedelta(seconds=30)  # until a mail is tried again whose bytes could not be fetched
ATTEMPT_SECONDS = 3600.0  # all timeouts of one delivery together: whatever takes longer hangs
GRACE_SECONDS = 15.0  # how long deliveries in flight may take once it is to stop
MAX_REASON = 500  # characters of a peer's answer that are kept
DOUBT = Saying("in doubt: the connection ended before the answer; automatic mail is not sent twice")


class _Away(TemporaryFailure):
    """The bytes of a mail cannot be had now; no attempt was made."""


class Courier:
    """Sends what is in the outbox. `run` is a coroutine for ever; `wake` may be called from any thread."""

    def __init__(
        self, config: Config, store: Store, credentials: Mapping[str, Credential], clock: Callable[[], datetime], random: Random, log: Any, *,
        notifier: Notifier | None = None, carrier: Carrier | None = None, failpoint: Callable[[str], None] = lambda name: None,
        beat: Callable[[], None] = lambda: None, on_settled: Callable[[str, str, float], None] = lambda *_: None,
    ) -> None:  # fmt: skip
        """`credentials`: by the path of a smarthost's table; none where it wants no login. `notifier` tells agents of mail that could not be delivered.

        `carrier`: instead of the configured one. `failpoint` is where a test may have the process die.
        `beat` is called as it goes on, `on_settled` with each attempt's purpose, outcome and seconds.
        """
        self._beat, self._on_settled = beat, on_settled
        self.is_first = True  # False: another of this daemon's may still have mail in flight
        self.grace_seconds: float | None = GRACE_SECONDS  # None: as long as it takes, for there is no hurry
        self._config, self._store, self._clock, self._random, self._log = config, store, clock, random, log
        self._notifier, self._failpoint = notifier, failpoint
        self._worker = f"{store.node} {secrets.token_hex(3)}"
        self._ways = open_ways(config, credentials, carrier, clock, random, log, self._note)
        self._rates = rates_of(config.outgoing)
        self._ledger = Ledger(store, self._worker, clock, self._tell_agents)
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._began: dict[int, float] = {}  # monotonic, of each in flight
        self._awake, self._room = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def wake(self) -> None:
        """There may be mail to send. Safe from any thread, also before and after `run`."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._awake.set)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then finish what is in flight, and give the rest back."""
        self._loop, self._stop = asyncio.get_running_loop(), stop
        stopping = asyncio.create_task(stop.wait())
        renewing = asyncio.create_task(self._renew())
        try:
            await self._recover()
            while not stop.is_set():
                self._awake.clear()
                self._go_on()
                claimed = await self._claim()
                for delivery in claimed:
                    self._start(delivery)
                if not claimed:
                    await self._wait(stopping, self._awake)
                while not self._has_room and not stop.is_set():
                    self._go_on()
                    self._room.clear()
                    await self._wait(stopping, self._room)
        except TemporaryFailure as error:  # the database is in trouble, and we are to stop
            self._log.warning("stopped without the database", why=str(error))
        finally:
            await self._finish()
            stopping.cancel()
            renewing.cancel()
            await asyncio.gather(stopping, renewing, return_exceptions=True)
            self._loop = None

    def _go_on(self) -> None:
        """All is well, unless one delivery takes longer than all its timeouts together."""
        oldest = min(self._began.values(), default=None)
        if oldest is None or time.monotonic() - oldest < ATTEMPT_SECONDS:
            self._beat()

    async def deliver_due(self) -> None:
        """Send everything that is due now, and return: what a single command does."""
        await self._recover()
        while claimed := await self._claim():
            for delivery in claimed:
                self._start(delivery)
            await asyncio.gather(*self._in_flight.values())
        await self._finish()

    async def _recover(self) -> None:
        """Free what dead daemons had claimed; at the start of an SQLite store's only daemon, every claim is one's."""
        again, failed = await self._persist(
            lambda c: outbox.recover(c, self._clock(), self._store.is_sqlite and self.is_first)
        )
        if again or failed:
            self._log.info("recovered", again=again, failed=failed)

    async def _claim(self) -> list[Claimed]:
        """What is due, as far as there is room for it; one mail to try where every way was closed."""
        if self._ways.closed_for:
            return []
        limit = 1 if self._ways.are_closed else self._config.outgoing.batch - len(self._in_flight)
        if limit <= 0:
            return []
        claimed: list[Claimed] = await self._persist(  # synced, and with it all that told the outbox of this mail
            lambda c: outbox.claim(c, self._worker, self._clock(), LEASE, limit, self._rates)
        )
        if claimed:
            self._failpoint("courier-claimed")
        return claimed

    async def _wait(self, stopping: asyncio.Task[Any], event: asyncio.Event) -> None:
        """Until that happens, it is told to stop, or a retry may be due."""
        happened = asyncio.create_task(event.wait())
        try:
            await asyncio.wait([stopping, happened], timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()

    @property
    def _has_room(self) -> bool:
        """Whether it is worth while to claim more: half of the room at least is free."""
        return len(self._in_flight) <= self._config.outgoing.batch // 2

    def _start(self, delivery: Claimed) -> None:
        self._began[delivery.id] = time.monotonic()
        task = asyncio.create_task(self._attempt(delivery))
        self._in_flight[delivery.id] = task
        task.add_done_callback(lambda task: self._ended(delivery, task))

    def _ended(self, delivery: Claimed, task: asyncio.Task[None]) -> None:
        """What could not even be written down stays claimed: it is taken up again as after a crash."""
        self._in_flight.pop(delivery.id, None)
        self._began.pop(delivery.id, None)
        if self._has_room:
            self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("not settled", delivery=delivery.id, why=repr(error), exc_info=error)

    async def _attempt(self, delivery: Claimed) -> None:
        """One delivery from claim to outcome: the edge at which every error becomes a retry."""
        doubtful = False
        way = self._ways.of(delivery.mailbox)

        async def before_dot() -> None:
            nonlocal doubtful
            self._failpoint("courier-before-doubt")
            if not await self._ledger.mark_in_doubt(delivery.id):
                raise LeaseLost("another daemon took it over")
            doubtful = True
            self._failpoint("courier-in-doubt")

        try:
            if delivery.place is not None:
                delivery = await asyncio.to_thread(self._with_bytes, delivery)
            answer = await way.carry(delivery, before_dot)
            renamed = by_answer(answer, way.host, delivery.email_message_id)
            outcome = Outcome(delivery.id, "sent", answer[:MAX_REASON], renamed=renamed)
        except asyncio.CancelledError:
            outcome = self._unfinished(delivery, doubtful)
        except LeaseLost as error:
            self._log.warning("lease lost", delivery=delivery.id, why=str(error))
            return
        except NotOpen as error:
            reason = f"waits for {way.name}: {error}"[:MAX_REASON]
            outcome = Outcome(delivery.id, "pending", reason, self._clock() + timedelta(seconds=way.closed_for))
        except _Away as error:
            outcome = Outcome(delivery.id, "pending", str(error)[:MAX_REASON], self._clock() + AWAY)
        except PermanentFailure as error:
            outcome = Outcome(delivery.id, "failed", _bounded(error.said))
        except Exception as error:  # the edge: one attempt, whatever went wrong with it
            outcome = self._after(delivery, error)
        self._failpoint("courier-carried")
        await self._settle(delivery, outcome)

    def _with_bytes(self, delivery: Claimed) -> Claimed:
        [found] = raw_mail.fetched(self._store.objects, [delivery])
        if isinstance(found, TemporaryFailure):
            raise _Away(f"waits for its bytes: {found}")
        if isinstance(found, Exception):
            raise found
        return found

    def _after(self, delivery: Claimed, error: Exception) -> Outcome:
        """What a failure that is not final leads to."""
        if isinstance(error, TemporaryFailure):
            reason = error.said or type(error).__name__
        else:
            self._log.exception("attempt broke", delivery=delivery.id)
            reason = described(error)
        reason = _bounded(reason)
        if isinstance(error, InDoubt) and delivery.automatic:
            return Outcome(delivery.id, "failed", Saying("%(doubt)s (%(reason)s)", doubt=DOUBT, reason=reason))
        settings = self._config.outgoing
        if is_given_up(delivery.attempts, settings):
            why = Saying("gave up after %(count)s attempts: %(reason)s", count=delivery.attempts, reason=reason)
            return Outcome(delivery.id, "failed", why)
        later = self._clock() + jittered(delay_after(delivery.attempts, settings), self._random)
        return Outcome(delivery.id, "retry", reason, later)

    def _unfinished(self, delivery: Claimed, doubtful: bool) -> Outcome:
        """What becomes of a delivery that the end of the daemon interrupts."""
        if doubtful and delivery.automatic:
            return Outcome(delivery.id, "failed", DOUBT)
        return Outcome(delivery.id, "pending", "interrupted: the daemon was stopped")

    async def _settle(self, delivery: Claimed, outcome: Outcome) -> None:
        """Until it is written: what was sent must not be sent again because the database was busy, or worse.

        An SQLite store has nobody else who would take it up.
        """
        while True:
            try:
                written = await self._ledger.settle(outcome)
                break
            except TemporaryFailure as error:
                self._log.warning("deferred", delivery=delivery.id, why=str(error))
            except Exception as error:  # the edge of this attempt: its outcome comes before what hangs on it
                self._log.exception("not settled", delivery=delivery.id, why=repr(error))
                outcome = replace(outcome, renamed=())
            self._beat()
            await asyncio.sleep(BACKOFF_SECONDS)
        event = {"sent": "sent", "retry": "deferred", "failed": "gave up", "pending": "given back"}[outcome.state]
        self._on_settled(
            delivery.purpose, outcome.state, time.monotonic() - self._began.get(delivery.id, time.monotonic())
        )
        if written:
            log = self._log.debug if outcome.state == "pending" else self._log.info  # the way's end was said once
            log(
                event, delivery=delivery.id, ticket=delivery.ticket_id, purpose=delivery.purpose,
                attempt=delivery.attempts, why=outcome.reason,
            )  # fmt: skip

    async def _renew(self) -> None:
        """Hold the leases of what is in flight, and free those of daemons that died beside us."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(TemporaryFailure):  # it is tried again well before a lease ends
                await asyncio.to_thread(self._do, self._renew_now)

    def _renew_now(self, connection: Connection) -> None:
        now = self._clock()
        if ids := list(self._in_flight):
            outbox.renew(connection, self._worker, ids, now, LEASE)
        if not self._store.is_sqlite:
            outbox.recover(connection, now, alone=False)

    async def _finish(self) -> None:
        """Let what is in flight end; what takes too long is interrupted, and written down as such."""
        tasks = list(self._in_flight.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._ways.close()

    def _tell_agents(self, connection: Connection, outcome: Outcome) -> None:
        """In a savepoint: whatever breaks the notice, the outcome is written."""
        delivery = outbox.get(connection, outcome.id)
        if self._notifier is None or delivery is None:
            return
        try:
            with connection.begin_nested():
                self._notifier.refused(connection, delivery, outcome.reason or Saying("no reason was given"))
        except Exception:  # the edge of this attempt
            self._log.exception("nobody told", delivery=outcome.id)

    async def _persist(self, work: Callable[[Connection], Any]) -> Any:
        """Do it in a transaction; as often as it takes, while the database is in trouble and nobody wants us to stop."""
        while True:
            try:
                return await asyncio.to_thread(self._do, work)
            except TemporaryFailure as error:
                if self._stop.is_set():
                    raise
                self._log.warning("deferred", why=str(error))
                self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), BACKOFF_SECONDS)

    async def _note(self, work: Callable[[Connection], Any]) -> Any:
        """Do it in a transaction, once. Raises TemporaryFailure."""
        return await asyncio.to_thread(self._do, work)

    def _do(self, work: Callable[[Connection], Any]) -> Any:
        with self._store.write() as connection:
            return work(connection)


def _bounded(reason: str) -> str:
    """As much of a peer's words as is kept; a sentence of ours bounds what it quotes."""
    return reason if isinstance(reason, Saying) else reason[:MAX_REASON]

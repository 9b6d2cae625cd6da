"""The one way in: what arrives at the same moment is committed at once, then everybody is answered.

Whoever hands mail over gets an answer only after the commit, and a failure means that nothing was taken, or
that taking it again will be recognised. An idle intake commits at once; what comes while a commit runs
is gathered for the next one, so a busy disk is synced once for many mails and a lone client never waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from postroom.daemon.failpoint import failpoint
from postroom.daemon.metrics import Metrics
from postroom.errors import TemporaryFailure
from postroom.logger import structlog
from postroom.store import inbound, raw_mail
from postroom.store.engine import Store
from postroom.store.inbound import Accepted, NewInbound

GROUP_DELIVERIES = 200  # in one transaction; more would only hold other writers up
GROUP_OCTETS = 32 << 20  # likewise; a single submission may be larger
ANSWER_SECONDS = 4.5  # a sender hears within 5 s that we cannot take it now
RETRY_ALONE_SECONDS = 2.0  # after a failed group; who is left gets the group's error

BEAT_SECONDS = 5.0  # how often an idle intake shows that it lives

Also = Callable[[Connection, list[Accepted]], None]

log = structlog.get_logger()


@dataclass(slots=True)
class _Submission:
    deliveries: Sequence[NewInbound]
    also: Also | None
    waiter: asyncio.Future[None] | None = None  # of an event loop: woken when there is an answer
    answer: Future[list[Accepted]] = field(default_factory=Future)

    @property
    def octets(self) -> int:
        return sum(len(delivery.raw) for delivery in self.deliveries)


class Intake:
    """A thread that commits mail in groups. `submit()` may be called from any thread."""

    def __init__(
        self, store: Store, on_accepted: Callable[[], None], beat: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """`on_accepted` is called after each commit that took something new, on the intake's thread; `beat` as it goes on."""
        self._store = store
        self._beat, self._metrics = beat, metrics or Metrics()
        self._on_accepted = on_accepted
        self._waiting: deque[_Submission] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.groups = 0  # committed since the start

    def start(self) -> None:
        """Begin to commit, in a new thread."""
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float | None = None) -> None:
        """Finish what was submitted, then end; what comes later is refused as temporary.

        After `timeout` seconds a commit that hangs is left behind, as in a crash.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def submit(self, deliveries: Sequence[NewInbound], also: Also | None = None) -> Future[list[Accepted]]:
        """Take these deliveries, all or none; the future has one `Accepted` for each, in order.

        `also` writes more in the same transaction. It is called again, in a new one, where the first was rolled
        back because of somebody else's mail. The future raises TemporaryFailure where the store cannot take it now.
        """
        submission = _Submission(deliveries, also)
        self._enqueue(submission)
        return submission.answer

    def _enqueue(self, submission: _Submission) -> None:
        with self._changed:
            if self._stopping:
                submission.answer.set_exception(TemporaryFailure("shutting down"))
                return
            self._waiting.append(submission)
            self._changed.notify()

    def accept(self, deliveries: Sequence[NewInbound], also: Also | None = None) -> list[Accepted]:
        """`submit()`, waited for: at most ANSWER_SECONDS, then TemporaryFailure."""
        answer = self.submit(deliveries, also)
        try:
            return answer.result(ANSWER_SECONDS)
        except TimeoutError:
            answer.cancel()  # not begun: then it never will be
            raise TemporaryFailure("the store does not answer") from None

    async def accept_async(self, deliveries: Sequence[NewInbound], also: Also | None = None) -> list[Accepted]:
        """`accept()` for the event loop; a caller that is cancelled does not cancel a commit that has begun."""
        loop = asyncio.get_running_loop()
        submission = _Submission(deliveries, also, loop.create_future())
        answer, waiter = submission.answer, submission.waiter
        assert waiter
        self._enqueue(submission)
        if not answer.done():
            timer = loop.call_later(ANSWER_SECONDS, _wake, [waiter])
            try:
                await waiter
            finally:
                timer.cancel()
        if answer.done():
            return answer.result()
        answer.cancel()
        raise TemporaryFailure("the store does not answer")

    def _run(self) -> None:
        while group := self._next_group():
            begun = [s for s in group if s.answer.set_running_or_notify_cancel()]
            if begun:
                self._commit_group(begun)

    def _next_group(self) -> list[_Submission]:
        """What waits, within bounds; empty when it is time to end."""
        with self._changed:
            while not self._waiting and not self._stopping:
                self._beat()
                self._changed.wait(BEAT_SECONDS)
            self._beat()
            group: list[_Submission] = []
            count = octets = 0
            while self._waiting:
                submission = self._waiting[0]
                count += len(submission.deliveries)
                octets += submission.octets
                if group and (count > GROUP_DELIVERIES or octets > GROUP_OCTETS):
                    break
                group.append(self._waiting.popleft())
            return group

    def _commit_group(self, group: list[_Submission]) -> None:
        """Commit the group in one transaction, or each alone where that fails: one bad mail hurts only itself."""
        self._beat()
        deadline = time.monotonic() + RETRY_ALONE_SECONDS
        try:
            answers = self._commit(group)
        except Exception as error:  # every waiter hears of it
            if len(group) == 1:
                _fail(group, error)
                return
            for submission in group:
                if time.monotonic() < deadline:
                    self._commit_group([submission])
                else:
                    _fail([submission], error)
        else:
            self._answer(group, answers)

    def _commit(self, group: list[_Submission]) -> list[list[Accepted]]:
        answers: list[list[Accepted]] = []
        began = time.monotonic()
        deliveries = [d for s in group for d in s.deliveries]
        places = raw_mail.IN_DATABASE
        if self._store.objects is not None:  # before the transaction: no writer waits for a network
            places = raw_mail.put_aside(self._store.objects, {d.digest: d.raw for d in deliveries})
            failpoint("intake-aside")
        with self._store.write(urgent=any(submission.waiter for submission in group)) as connection:
            taken = inbound.accept(connection, deliveries, places)
            for submission in group:
                mine, taken = taken[: len(submission.deliveries)], taken[len(submission.deliveries) :]
                if submission.also:
                    submission.also(connection, mine)
                answers.append(mine)
            failpoint("intake-written")
        failpoint("intake-committed")
        self._metrics.took("commit_seconds", [time.monotonic() - began])
        return answers

    def _answer(self, group: list[_Submission], answers: list[list[Accepted]]) -> None:
        self.groups += 1
        ways: Counter[tuple[str, str]] = Counter()
        for submission, accepted in zip(group, answers, strict=True):
            submission.answer.set_result(accepted)
        _wake_all(group)
        for submission, accepted in zip(group, answers, strict=True):
            for delivery, one in zip(submission.deliveries, accepted, strict=True):
                ways["accepted" if one.is_new else "accepted_again", delivery.source] += 1
        for (name, way), count in ways.items():
            self._metrics.count(name, way, by=count)
        if any(accepted.is_new for answer in answers for accepted in answer):
            try:
                self._on_accepted()
            except Exception:  # this thread must live: without it nobody is answered
                log.exception("nobody was told of new mail")


def _fail(group: Sequence[_Submission], error: Exception) -> None:
    for submission in group:
        log.warning("not accepted", deliveries=len(submission.deliveries), error=str(error).partition("\n")[0])
        submission.answer.set_exception(error)
    _wake_all(group)


def _wake_all(group: Sequence[_Submission]) -> None:
    """Wake those who wait on an event loop: each loop once for all of its own."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for submission in group:
        if submission.waiter is not None:
            loops.setdefault(submission.waiter.get_loop(), []).append(submission.waiter)
    for loop, waiters in loops.items():
        with suppress(RuntimeError):  # it is closed, and nobody waits any more
            loop.call_soon_threadsafe(_wake, waiters)


def _wake(waiters: Sequence[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)

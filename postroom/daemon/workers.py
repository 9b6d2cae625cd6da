"""Parsing apart from the daemon: worker processes with limits on time and memory.

Mail is handed over in small bundles, since one message is cheaper to parse than to hand over. Where a
bundle breaks its worker, each of its messages is tried alone: so one bad message hurts only itself.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool
from pebble.pool.process import WorkerManager

from postroom.config import Processing
from postroom.daemon.metrics import Metrics
from postroom.errors import TemporaryFailure, described
from postroom.parsers.parsed import ParsedEmail

BUNDLE_COUNT = 16  # messages handed over at once
BUNDLE_SIZE = 1 << 20  # octets handed over at once; a larger message goes alone
TASKS_PER_WORKER = 2000  # bundles, after which a worker is replaced: whatever leaks, ends
WORKERS_MAX = 4
PRELOADED = ["postroom.daemon.workers", "postroom.parsers.email"]  # read once; the workers share what that takes
SECONDS_MIN = 0.05  # what any work is given
NICENESS = 5  # a third of a core's time where the daemon wants it too: whoever waits on the wire comes first
GRACE_SECONDS = 0.2  # for taking the mail over, beyond the time that parsing may take
LOOK_SECONDS = 0.5  # between two looks at whether the pool still lives
LOST_TIMES = 3  # the time that parsing may take: another's, its own, and one more
START_SECONDS = 20  # of workers, on a machine with much else to do
UNTOLD = 255  # the fork server is gone, and nobody knows how its workers ended (multiprocessing.popen_forkserver)


@dataclass(frozen=True, slots=True)
class Broken:
    """A message that its worker did not survive, and how that ended."""

    reason: str
    by_mail: bool = True  # rather than, maybe, by what befell the workers


Parse = Callable[[bytes], ParsedEmail]
T = TypeVar("T")


class Workers:
    """A pool of parse workers; use it as a context manager."""

    def __init__(self, settings: Processing, parse: Parse | None = None, metrics: Metrics | None = None) -> None:
        """`parse` is for tests that need a worker to die; it must be importable by name."""
        self._metrics = metrics or Metrics()
        self.beat: Callable[[], None] = lambda: None  # called at each outcome
        self._seconds = settings.parse_seconds
        self._memory = int(settings.parse_memory)
        self._parse = parse or _parse
        self._count = settings.workers or min(os.cpu_count() or 1, WORKERS_MAX)
        self._opening = threading.Lock()
        self._pool = self._open()

    def parse_all(self, mails: Sequence[bytes]) -> list[ParsedEmail | Broken]:
        """Parse each mail; a `Broken` stands for one that ran over its limits or broke its worker.

        Raises TemporaryFailure where no worker does anything: then no mail is at fault.
        """
        results: list[ParsedEmail | Broken | None] = [None] * len(mails)
        running = [(where, *self._schedule([mails[i] for i in where])) for where in _bundles(mails)]
        for where, pool, future in running:
            outcome = self._outcome(pool, future)
            if isinstance(outcome, Broken) and (len(where) > 1 or not outcome.by_mail):
                outcome = [self._alone(mails[i]) for i in where]
            parsed = [outcome] if isinstance(outcome, Broken) else outcome
            for i, result in zip(where, parsed, strict=True):
                results[i] = result
        return [result for result in results if result is not None]

    def run(self, work: Callable[..., T], arguments: Sequence[Any], seconds: float) -> T | Broken:
        """Do other work in a worker, `work(*arguments)` within `seconds`; a `Broken` where it did not come to its end.

        `work` must be importable by name. May be called from any thread.
        """
        self._see_to_it_that_it_is_open()
        seconds = max(seconds, SECONDS_MIN)
        future = self._pool.schedule(work, args=list(arguments), timeout=seconds)
        try:
            result: T = future.result(seconds + GRACE_SECONDS)
        except TimeoutError:
            future.cancel()  # type: ignore[no-untyped-call]
            return Broken(f"it took longer than {seconds:.1f} s")
        except ProcessExpired as error:
            return Broken(f"its worker died ({_how(error.exitcode)})")
        except CancelledError:
            return Broken("its worker was stopped")
        except Exception as error:  # the edge: whatever one message does, the next flows on
            return Broken(f"it failed: {described(error)}")
        return result

    def _alone(self, mail: bytes, tries: int = 2) -> ParsedEmail | Broken:
        outcome = self._outcome(*self._schedule([mail]))
        if not isinstance(outcome, Broken):
            return outcome[0]
        return outcome if outcome.by_mail or tries == 1 else self._alone(mail, tries - 1)

    def _schedule(self, mails: list[bytes]) -> tuple[ProcessPool, Future[Any]]:
        self._see_to_it_that_it_is_open()
        pool = self._pool
        return pool, pool.schedule(_parse_bundle, args=[self._parse, mails], timeout=self._seconds + GRACE_SECONDS)

    def _outcome(self, pool: ProcessPool, future: Future[Any]) -> list[ParsedEmail | Broken] | Broken:
        try:
            timed: list[tuple[ParsedEmail | Broken, float]] = self._result(pool, future)
        except TimeoutError:
            self._metrics.count("worker_deaths")
            return Broken(f"parsing took longer than {self._seconds:g} s")
        except ProcessExpired as error:
            self._metrics.count("worker_deaths")
            return Broken(f"the parse worker died ({_how(error.exitcode)})", by_mail=error.exitcode != UNTOLD)
        except CancelledError:
            return Broken("the parse worker was stopped")
        except Exception as error:  # the edge: the pool itself is broken, and is opened anew
            self._try_without_mail()
            return Broken(f"the parse worker could not be used: {type(error).__name__}", by_mail=False)
        finally:
            self.beat()
        self._metrics.took("parse_seconds", [seconds for _, seconds in timed])
        return [result for result, _ in timed]

    def _result(self, pool: ProcessPool, future: Future[Any]) -> Any:
        """What came of it. Raises BrokenProcessPool where the pool has lost it: then nobody would ever say what came of it.

        It is lost where the pool broke just before it was handed over, or where a worker ended between taking it and
        saying so. What is before it in the pool ends within its time, and so must this.
        """
        lost_at = time.monotonic() + LOST_TIMES * (self._seconds + GRACE_SECONDS) + START_SECONDS
        while not wait([future], LOOK_SECONDS).done:
            if pool.active and time.monotonic() < lost_at:
                continue
            pool.stop()  # type: ignore[no-untyped-call]
            if not wait([future], LOOK_SECONDS).done:
                raise BrokenProcessPool
        return future.result()

    def _try_without_mail(self) -> None:
        """TemporaryFailure where a worker cannot do even nothing: no process or no memory is to be had."""
        try:
            self._result(*self._schedule([]))
        except Exception as error:
            raise TemporaryFailure(f"no parse worker can be started: {described(error)}") from None

    def _see_to_it_that_it_is_open(self) -> None:
        """Open the pool anew where it broke, and end what is left of the old one: its workers would wait for ever."""
        with self._opening:
            if not self._pool.active:
                self.close()
                self._pool = self._open()

    def _open(self) -> ProcessPool:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        pool = ProcessPool(
            max_workers=self._count, max_tasks=TASKS_PER_WORKER, initializer=_limit, initargs=[self._memory],
            context=context,
        )  # fmt: skip
        manager = pool._pool_manager
        manager.worker_manager = _Hearing(pool._context.workers, pool._context.worker_parameters, context)
        return pool

    def close(self) -> None:
        """Stop every worker."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Hearing(WorkerManager):
    """Hears what a worker said before it counts as dead, and that it is dead before it counts as slow.

    Pebble looks for both in threads of their own. Where it finds a worker dead before it has read which mail that took,
    the mail seems to take too long, as one does whose time is over before anybody has looked at its worker.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._dead: set[int | None] = set()

    def inspect_workers(self) -> tuple[Any, ...]:
        """Those that were dead at the last look already, once nothing is left of what they said."""
        assert self.pool_channel is not None
        dead = {worker.pid for worker in tuple(self.workers.values()) if not worker.is_alive()}
        if dead and (dead - self._dead or self.pool_channel.poll(0)):
            self._dead = dead
            return ()
        self._dead = set()
        return super().inspect_workers()

    def maybe_stop_worker(self, worker_id: int) -> bool:
        """Whether it was stopped; not where it is dead, and will be found."""
        worker = self.workers.get(worker_id)
        return (worker is None or worker.is_alive()) and bool(super().maybe_stop_worker(worker_id))


def _bundles(mails: Sequence[bytes]) -> list[list[int]]:
    """Which mails go together: neighbours, within both bounds."""
    bundles: list[list[int]] = []
    size = BUNDLE_SIZE + 1
    for i, mail in enumerate(mails):
        if size + len(mail) > BUNDLE_SIZE or len(bundles[-1]) >= BUNDLE_COUNT:
            bundles.append([])
            size = 0
        bundles[-1].append(i)
        size += len(mail)
    return bundles


def _parse_bundle(parse: Parse, mails: list[bytes]) -> list[tuple[ParsedEmail | Broken, float]]:
    """Each mail's outcome, and the seconds that it took."""
    timed = []
    for mail in mails:
        began = time.perf_counter()
        timed.append((_parse_one(parse, mail), time.perf_counter() - began))
    return timed


def _parse_one(parse: Parse, mail: bytes) -> ParsedEmail | Broken:
    try:
        return parse(mail)
    except MemoryError:
        return Broken("parsing needed more memory than it may have")
    except Exception as error:  # the edge: whatever one message does, the next flows on
        return Broken(f"parsing failed: {described(error)}")


def _parse(mail: bytes) -> ParsedEmail:
    from postroom.parsers.email import parse  # noqa: PLC0415 - in the worker, not in the daemon

    return parse(mail, brief=True)


def _limit(memory: int) -> None:
    """Bound what this worker may allocate beyond what it has now, leave signals to the daemon, and the processors first to it."""
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(PermissionError):  # where a unit forbids it: it is a courtesy
        os.nice(NICENESS)
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _how(exitcode: int | None) -> str:
    return f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit {exitcode}"

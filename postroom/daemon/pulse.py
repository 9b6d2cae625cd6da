"""Does everything still turn? Each component beats where it makes progress, also when there is nothing to do.

The watchdog watches from a thread of its own, so that a loop that hangs is seen and named too, with where it hangs.
systemd is told `WATCHDOG=1` only while everything is fresh; when it hears nothing it ends us and starts us anew, which
loses nothing. A database that does not answer is no hang, for starting anew would not mend it: it is said, and waited for.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import text

from postroom.daemon import systemd
from postroom.errors import PostroomError
from postroom.logger import structlog
from postroom.store.engine import Store

# How long each may be without progress, in seconds; each is well above what its slowest honest step takes.
LOOP = 30.0  # the event loop: SMTP, and whatever else must not wait
INTAKE = 60.0  # a commit: 4 s for a lock, and a disk that is slow to sync
PROCESS = 120.0  # one mail parsed, or a batch written; processing.parse_seconds comes on top, six times
COURIER = 120.0  # a look into the outbox; a smarthost that is slow is waited for elsewhere
SCHEDULE = 300.0  # a sweep of what is due, by transactions
IMAP = 180.0  # beyond the longest wait that is meant: a poll, IDLE, a pause after failures

LOOK_SECONDS = 5.0  # between two looks; less where systemd wants to hear more often
DATABASE_SECONDS = 15.0  # without an answer: it does not answer
FRAMES = 6  # of a hanging thread's stack, the innermost
VARIABLE = "POSTROOM_PULSE_SECONDS"  # a test's: nothing may be without progress longer than this

log = structlog.get_logger()
Beat = Callable[[], None]


@dataclass(slots=True)
class _Heart:
    within: float
    last: float
    thread: int | None = None


class Pulses:
    """The last progress of each component. Any thread may beat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hearts: dict[str, _Heart] = {}
        self._most = float(os.environ.get(VARIABLE, "inf"))

    def begin(self, name: str, within: float) -> Beat:
        """From now on `name` beats at least once `within` so many seconds, by calling what this returns."""
        heart = self._hearts[name] = _Heart(min(within, self._most), self._clock())

        def beat() -> None:
            heart.last = self._clock()
            heart.thread = threading.get_ident()

        return beat

    def end(self, name: str) -> None:
        """Nothing more is expected of `name`."""
        self._hearts.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Seconds since each component's last progress."""
        now = self._clock()
        return {name: now - heart.last for name, heart in list(self._hearts.items())}

    def stale(self) -> dict[str, float]:
        """Those that are silent for longer than they may be, and for how many seconds."""
        ages = self.ages()
        hearts = dict(self._hearts)
        return {name: age for name, age in ages.items() if name in hearts and age > hearts[name].within}

    def where(self, name: str) -> str:
        """Where the thread that beat last for `name` is now, innermost last; "" where it is gone."""
        heart = self._hearts.get(name)
        frame = sys._current_frames().get(heart.thread) if heart and heart.thread else None
        stack = traceback.extract_stack(frame)[-FRAMES:] if frame else []
        return " > ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in stack)


class Database:
    """Asks the database, from a thread of its own, whether it answers."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._answered = clock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._run, name="database", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()

    @property
    def answers(self) -> bool:
        """Whether it did so lately."""
        return self._clock() - self._answered < DATABASE_SECONDS

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(PostroomError), self._store.read() as connection:
                connection.execute(text("SELECT 1"))
                self._answered = self._clock()
            self._stopping.wait(LOOK_SECONDS)


class Watchdog:
    """Looks at every pulse, says what hangs, and tells systemd that all is well only while it is."""

    def __init__(self, pulses: Pulses, database: Database, describe: Callable[[], str]) -> None:
        """`describe` says in some words how the daemon fares, for `systemctl status`."""
        self._pulses, self._database, self._describe = pulses, database, describe
        self._stopping = threading.Event()
        self._hanging: set[str] = set()
        self._is_waiting = False
        self._status = ""
        self._is_asked = systemd.watchdog_seconds() is not None
        self._every = min(LOOK_SECONDS, (systemd.watchdog_seconds() or 3 * LOOK_SECONDS) / 3)

    @property
    def hanging(self) -> set[str]:
        """What hangs, by its name."""
        return set(self._hanging)

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more; the end has a limit of its own."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception:  # this thread must live: without it a healthy daemon would be killed
                log.exception("failed", job="watchdog")
            self._stopping.wait(self._every)

    def look(self) -> None:
        """One look."""
        stale = self._pulses.stale()
        waits = bool(stale) and not self._database.answers
        if waits and not self._is_waiting:
            log.warning("waiting for the database", components=sorted(stale))
        self._is_waiting = waits
        hanging = {} if waits else stale
        for name in sorted(hanging.keys() - self._hanging):
            log.error(
                "component hangs", component=name, silent_for=round(hanging[name]), where=self._pulses.where(name)
            )
        for name in sorted(self._hanging - stale.keys()):
            log.warning("component goes on", component=name)
        self._hanging = set(hanging)
        if self._is_asked and not hanging:
            systemd.notify("WATCHDOG=1")
        self._tell_status(hanging, waits)

    def _tell_status(self, hanging: dict[str, float], waits: bool) -> None:
        status = "waiting for the database" if waits else self._describe()
        if hanging:
            status = f"HANGS: {', '.join(sorted(hanging))}; {status}"
        if status != self._status:
            self._status = status
            systemd.notify(f"STATUS={status}")

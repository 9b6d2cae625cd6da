"""Hearing what the other daemons on a PostgreSQL have to tell, in a thread of its own, for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from postroom.errors import PostroomError
from postroom.logger import structlog
from postroom.store import news
from postroom.store.engine import Store

LOOK_SECONDS = 1.0  # how soon it notices that it is to stop
CHECK_SECONDS = 30.0  # of silence, before the server is asked whether it is there
RETRY_FIRST_SECONDS = 0.5
RETRY_MAX_SECONDS = 30.0

log = structlog.get_logger("listener")


class Listener:
    """Calls `on_news` with `news.INBOUND` or `news.OUTBOX`, on a thread of its own. Nothing on SQLite."""

    def __init__(self, store: Store, on_news: Callable[[str], None]) -> None:
        self._store, self._on_news = store, on_news
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to listen."""
        if not self._store.is_sqlite:
            threading.Thread(target=self._run, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; returns at once."""
        self._stopping.set()

    def _run(self) -> None:
        pause = RETRY_FIRST_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except PostroomError as error:
                log.warning("not listening", why=str(error), retry_in=pause)
            except Exception:  # it must live; without it mail waits for the next look
                log.exception("failed", job="listener")
            if time.monotonic() - began > RETRY_MAX_SECONDS:
                pause = RETRY_FIRST_SECONDS
            self._stopping.wait(pause)
            pause = min(2 * pause, RETRY_MAX_SECONDS)

    def _listen(self) -> None:
        with news.listen(self._store) as listening:
            for what in (news.INBOUND, news.OUTBOX):  # what was told while we did not listen
                self._on_news(what)
            heard_at = time.monotonic()
            while not self._stopping.is_set():
                for what in listening.wait(LOOK_SECONDS):
                    self._on_news(what)
                    heard_at = time.monotonic()
                if time.monotonic() - heard_at > CHECK_SECONDS:
                    listening.check()
                    heard_at = time.monotonic()

"""Whose turn is it to write? SQLite has one writer; those of one process queue up here instead of sleeping on its lock.

Who waits on the wire comes first, the others in the order in which they came. A turn is handed over: else whoever ends
one and asks for the next would have it again before the one that waits has woken up.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """One turn at a time. `take()` and `hand_over()` may be called from any thread."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._is_taken = False
        self._urgent: deque[threading.Lock] = deque()
        self._others: deque[threading.Lock] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody urgent waits."""
        return bool(self._urgent)

    def take(self, seconds: float, urgent: bool = False) -> bool:
        """Wait until it is our turn, for so many seconds at most; whether it is.

        One thread of a process may be urgent: two that are would take turns among themselves.
        """
        queue = self._urgent if urgent else self._others
        with self._changing:
            if not self._is_taken:
                self._is_taken = True
                return True
            waiter = threading.Lock()
            waiter.acquire()
            queue.append(waiter)
        is_ours = False
        try:
            is_ours = waiter.acquire(timeout=seconds)
        finally:
            if not is_ours:  # too late, or interrupted; in between it may have been handed to us all the same
                with self._changing:
                    if waiter in queue:
                        queue.remove(waiter)
                    else:
                        self._pass_on()
        return is_ours

    def hand_over(self) -> None:
        """Our turn has ended."""
        with self._changing:
            self._pass_on()

    def _pass_on(self) -> None:
        queue = self._urgent or self._others
        if queue:
            queue.popleft().release()
        else:
            self._is_taken = False

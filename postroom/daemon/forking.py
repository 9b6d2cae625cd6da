"""Where parse workers come from: a process that this one forks early, while it holds nothing but what they need.

The standard library's fork server is a new interpreter that imports everything again: a quarter of what the start of
`postroom ingest` cost. Forked from a process that has the parser, has one thread and no database yet, it costs nothing,
and shares the memory of what was imported. What it does, and how workers are asked of it, stays the standard library's.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, util
from typing import Any, NoReturn

from postroom.daemon import workers
from postroom.parsers import email

SHARED = (workers, email)  # what workers need, imported before they are forked
STANDARD_STREAMS = 3


def fork_early() -> None:
    """Fork the process that workers are forked from: to be called before threads, sockets, locks and the database are there.

    With threads there already, or should it ever die, the standard library starts its own.
    """
    if threading.active_count() == 1:
        with _forked_instead_of_started():
            forkserver.ensure_running()


@contextmanager
def _forked_instead_of_started() -> Iterator[None]:
    """Let the standard library's helpers (its fork server, its resource tracker) begin as copies of this process."""
    start: Any = vars(util)["spawnv_passfds"]

    def fork(path: bytes, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        if arguments[-2] != "-c":
            return int(start(path, arguments, descriptors))
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fork() or _become(arguments[-1], descriptors)

    vars(util)["spawnv_passfds"] = fork
    try:
        yield
    finally:
        vars(util)["spawnv_passfds"] = start


def _become(program: str, descriptors: Sequence[int]) -> NoReturn:
    """In the child: what a new interpreter would do with these descriptors, and no others."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # workers are ended by it
        after = STANDARD_STREAMS
        for kept in sorted(descriptors):
            os.closerange(after, kept)
            after = kept + 1
        os.closerange(after, os.sysconf("SC_OPEN_MAX"))
        gc.freeze()  # what was imported is no garbage, and looking at it would make a copy of its pages
        exec(program, {"__name__": "__main__"})  # noqa: S102 - the standard library's own words
    finally:
        os._exit(0)

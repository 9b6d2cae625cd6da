"""A real Processor in a process of its own: ready, told to go, and its counts as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from peers.zygote import shared

DRAIN_SECONDS = 600.0
STDERR = 2


class Draining:
    """One of them, for the time of a `with` block."""

    def __init__(self, config: Path) -> None:
        its_input, words = os.pipe()
        answers, its_output = os.pipe()
        self._words, self._answers = os.fdopen(words, "w"), os.fdopen(answers)
        streams = its_input, its_output, STDERR
        self._child = shared().start(
            [str(config)], cwd=Path.cwd(), env=os.environ, streams=streams, program="peers.processor:main"
        )
        os.close(its_input)
        os.close(its_output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()
        self._words.close()
        self._answers.close()

    def wait_until_ready(self) -> None:
        """Raises AssertionError where it ends instead."""
        assert self._answers.readline() == "ready\n"

    def go(self) -> None:
        """Let it begin."""
        self._words.write("go\n")
        self._words.flush()

    def answer(self) -> dict[str, Any]:
        """What it did. Raises AssertionError where it failed, or took too long."""
        ending = threading.Timer(DRAIN_SECONDS, self._child.kill)
        ending.start()
        try:
            answer = self._answers.read()
        finally:
            ending.cancel()
        assert self._child.wait() == 0
        found: dict[str, Any] = json.loads(answer)
        return found


def drain_together(
    configs: Sequence[Path],
    seconds: list[float] | None = None,
    settled: list[set[int]] | None = None,
    cpu_seconds: list[float] | None = None,
) -> list[dict[str, int]]:
    """Let a Processor for each configuration drain what is pending, all at the same time; what each of them counted.

    `seconds` gets how long that took, `settled` the ids of what each one settled, `cpu_seconds` what each took with its workers.
    """
    with ExitStack() as stack:
        running = [stack.enter_context(Draining(config)) for config in configs]
        for process in running:
            process.wait_until_ready()
        for process in running:
            process.go()
        began = time.monotonic()
        ended = [process.answer() for process in running]
        if seconds is not None:
            seconds.append(time.monotonic() - began)
        if cpu_seconds is not None:
            cpu_seconds += [one["cpu"] for one in ended]
        if settled is not None:
            settled += [set(one["settled"]) for one in ended]
        return [one["counts"] for one in ended]


def main() -> None:
    """What it does, in the process of its own."""
    import structlog

    from postroom import config
    from postroom.daemon import house
    from postroom.daemon.forking import fork_early
    from postroom.daemon.process import Processor
    from postroom.daemon.workers import Workers

    fork_early()
    settled: list[int] = []

    def note(_logger: Any, level: str, event: Any) -> Any:
        """Of each mail that is settled the log has a line; what is worse is shown."""
        if level == "info":
            settled.extend([event["inbound"]] if "inbound" in event else [])
            raise structlog.DropEvent
        return event

    render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([note, render], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = config.load(sys.argv[1])
    with house.open_house(settings) as opened, Workers(settings.processing) as workers:
        workers.parse_all([b"Subject: wake up\r\n\r\n"])  # what they import is imported now
        print("ready", flush=True)
        sys.stdin.readline()
        before = _cpu_seconds()
        counts = Processor(settings, opened.store, workers, opened.reception, house.now).drain()
        print(json.dumps({"counts": counts, "settled": settled, "cpu": _cpu_seconds() - before}), flush=True)


def _cpu_seconds() -> float:
    """What the processes of this session have taken by now, with their children that have ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == os.getsid(0):
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")

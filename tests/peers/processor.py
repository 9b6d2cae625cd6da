"""A real Processor in a process of its own: `python processor.py CONFIG`, ready, told to go, and its counts as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import postroom

DRAIN_SECONDS = 600.0


@contextmanager
def _running(config: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, str(config)]
    env = {**os.environ, "PYTHONPATH": str(Path(postroom.__file__).parent.parent)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def drain_together(
    configs: Sequence[Path], seconds: list[float] | None = None, settled: list[set[int]] | None = None
) -> list[dict[str, int]]:
    """Let a Processor for each configuration drain what is pending, all at the same time; what each of them counted.

    `seconds` gets how long that took, `settled` the ids of what each one settled.
    """
    with ExitStack() as stack:
        running = [stack.enter_context(_running(config)) for config in configs]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        began = time.monotonic()
        answers = [process.communicate(timeout=DRAIN_SECONDS)[0] for process in running]
        if seconds is not None:
            seconds.append(time.monotonic() - began)
        assert [process.returncode for process in running] == [0] * len(running)
        ended = [json.loads(answer) for answer in answers]
        if settled is not None:
            settled += [set(one["settled"]) for one in ended]
        return [one["counts"] for one in ended]


def _main(path: str) -> None:
    import structlog

    from postroom import config
    from postroom.daemon import house
    from postroom.daemon.process import Processor
    from postroom.daemon.workers import Workers

    settled: list[int] = []

    def note(_logger: Any, level: str, event: Any) -> Any:
        """Of each mail that is settled the log has a line; what is worse is shown."""
        if level == "info":
            settled.extend([event["inbound"]] if "inbound" in event else [])
            raise structlog.DropEvent
        return event

    render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([note, render], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = config.load(path)
    with house.open_house(settings) as opened, Workers(settings.processing) as workers:
        workers.parse_all([b"Subject: wake up\r\n\r\n"])  # what they import is imported now
        print("ready", flush=True)
        sys.stdin.readline()
        counts = Processor(settings, opened.store, workers, opened.reception, house.now).drain()
        print(json.dumps({"counts": counts, "settled": settled}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])

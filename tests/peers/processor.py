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


def drain_together(configs: Sequence[Path], seconds: list[float] | None = None) -> list[dict[str, int]]:
    """Let a Processor for each configuration drain what is pending, all at the same time; what each of them counted.

    `seconds` gets how long that took.
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
        return [json.loads(answer) for answer in answers]


def _main(path: str) -> None:
    import structlog

    from postroom import config
    from postroom.daemon import house
    from postroom.daemon.process import Processor
    from postroom.daemon.workers import Workers

    quiet = structlog.make_filtering_bound_logger("warning")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=quiet)
    settings = config.load(path)
    with house.open_house(settings) as opened, Workers(settings.processing) as workers:
        workers.parse_all([b"Subject: wake up\r\n\r\n"])  # what they import is imported now
        print("ready", flush=True)
        sys.stdin.readline()
        counts = Processor(settings, opened.store, workers, opened.reception, house.now).drain()
        print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])

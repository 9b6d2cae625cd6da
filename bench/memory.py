"""What the daemon and its workers hold while much small mail goes through: is it bounded, and does it stay so?

Plain mails of 2 to 5 KB are imported by `postroom ingest`, and, into another store, taken by a running daemon over SMTP. Each second
the proportional memory (PSS: shared pages counted once) of all of its processes is added up.

    python bench/memory.py [--count 5000] [--only ingest|smtp]     # the long form, for "flat": --count 100000, an hour or more

Prints a table, with the most that was held until a tenth, a half and all of the mail was on its ticket, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

from archive import held
from corpus import SEED, Mail, make_corpus, write_mbox
from end_to_end import SECONDS_MAX, compiled, expect_exit, open_store, prepared
from outcome import mistakes, progress
from peers.processes import Program, wait_until
from smtp_load import Parcel, send

from postroom.store.engine import Store

ORDINARY = {"plain": 1.0}
CLIENTS = 8
ROUND = 1000  # mails that the clients have in memory at once
MARKS = (0.1, 0.5, 1.0)
BOUND_MIB = 200
URL = "sqlite:///postroom.db"


@dataclass(slots=True)
class Weights:
    """What was held, by how much of the mail was settled."""

    way: str
    start_mib: float = 0.0
    most_mib: dict[float, float] = field(default_factory=dict)  # until each mark
    seconds: float = 0.0
    mistakes: list[str] = field(default_factory=list)


class Scales:
    """Weighs processes each second, in a thread of its own, while a `with` block runs."""

    def __init__(self, weights: Weights, pids: Callable[[], Sequence[int]], store: Store, count: int) -> None:
        self._weights, self._pids, self._store, self._count = weights, pids, store, count
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._weights.seconds = round(time.monotonic() - self._began, 1)

    def _run(self) -> None:
        while not self._ends.wait(1.0):
            done = progress(self._store).settled / self._count
            now = sum(map(held, self._pids())) / 2**20
            mark = next(mark for mark in MARKS if done <= mark)
            self._weights.most_mib[mark] = round(max(now, self._weights.most_mib.get(mark, 0.0)), 1)


def imported(count: int) -> Weights:
    """`postroom ingest` of an mbox."""
    weights = Weights("ingest")
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        write_mbox(folder / "mails.mbox", ordinary(count))
        config = prepared(folder, URL).path
        store = open_store(URL, folder)
        command = [sys.executable, "-m", "postroom", "-c", str(config), "ingest", str(folder / "mails.mbox")]
        program = Program(command, folder / "log")
        try:
            with Scales(weights, program.group, store, count):
                wait_until(lambda: program.exit_status is not None, "the end of the import", count)
            expect_exit(program.exit_status or 0, program.output())
        finally:
            program.stop()
        weights.mistakes = mistakes(store, light(count))
        store.dispose()
    return weights


def received(count: int) -> Weights:
    """A daemon with all that it does, from eight SMTP clients."""
    weights = Weights("SMTP")
    with tempfile.TemporaryDirectory(prefix="bench.") as name, prepared(Path(name), URL) as daemon:
        store = open_store(URL, Path(name))
        weights.start_mib = round(sum(map(held, daemon.processes())) / 2**20, 1)
        mails = ordinary(count)
        with Scales(weights, daemon.processes, store, count):
            while part := list(islice(mails, ROUND)):
                lanes: list[list[Parcel]] = [[] for _ in range(CLIENTS)]
                for mail in part:
                    content = mail.raw.replace(b"\r\n.", b"\r\n..") + b".\r\n"
                    lane = lanes[zlib.crc32(mail.conversation.encode()) % CLIENTS]
                    lane.append(Parcel(mail.sender, mail.recipient, content))
                weights.mistakes += send(daemon.smtp_port, lanes).refused
            wait_until(lambda: progress(store).settled >= count, "every mail on its ticket", SECONDS_MAX)
        weights.mistakes += mistakes(store, light(count))
        store.dispose()
    return weights


def ordinary(count: int) -> Iterator[Mail]:
    """Plain mails, made as they are asked for."""
    return make_corpus(count, SEED, kinds=ORDINARY)


def light(count: int) -> Iterator[Mail]:
    """The same without their bytes: what the outcome is compared with."""
    return (replace(mail, raw=b"") for mail in ordinary(count))


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=5000)
    options.add_argument("--only", choices=("ingest", "smtp"))
    given = options.parse_args()
    compiled()
    ways = {"ingest": imported, "smtp": received}
    found = [measure(given.count) for way, measure in ways.items() if given.only in (None, way)]
    print(f"{given.count} mails{'':<8}" + "".join(f"{f'until {mark:.0%}':>14}" for mark in MARKS) + "   MiB at most")
    for one in found:
        print(f"{one.way:<18}" + "".join(f"{one.most_mib.get(mark, 0.0):>14.1f}" for mark in MARKS))
    wrong = [mistake for one in found for mistake in one.mistakes]
    print("outcome: " + ("right" if not wrong else "WRONG: " + "; ".join(wrong)))
    print(json.dumps({"benchmark": "memory", "messages": given.count, "boundMiB": BOUND_MIB, "ways": [asdict(one) for one in found]}))  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

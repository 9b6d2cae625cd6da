"""The kill sweep: the daemon is killed at every system call that matters, and the ledgers of all parties are compared.

    python tests/chaos/sweep.py --points 1000 --database both --lanes 2

k goes up until a run outlives it, and then begins again with another way of working, until so many points are done.
Prints a table and one JSON line; exits 1 where a mail was lost, doubled or stuck.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parent.parent),
    str(Path(__file__).parent.parent.parent),
]  # as a program it has to find them

from chaos import ledger  # noqa: E402
from chaos.stage import Stage  # noqa: E402

FAILPOINTS = (
    "intake-written", "intake-committed", "smtp-answered", "imap-fetched", "after-imap-commit", "imap-told",
    "process-claimed", "process-between", "process-written", "process-committed", "courier-claimed", "courier-before-doubt",
    "courier-in-doubt", "courier-carried",
)  # fmt: skip
LOG_LINES = 40  # of a faulty point's log that are shown
SILENCE_SECONDS = 300.0  # after which a lane is given up


@dataclass(frozen=True, slots=True)
class Point:
    """What one kill came to."""

    database: str
    after: str
    at: str  # the call or the failpoint
    k: int
    seconds: float
    faults: tuple[str, ...]
    log: str = ""  # where there are faults


def strike(stage: Stage, k: int, failpoint: str = "", number: signal.Signals = signal.SIGKILL) -> Point | None:
    """One point; None where the daemon outlived it. One that was only told to stop has to end well by itself."""
    began = time.monotonic()
    with stage.play() as play:
        before = len(stage.smarthost.messages)
        found: list[str] = []
        struck = None
        try:
            struck, _ = stage.strike(play, k, failpoint, number)
            if number == signal.SIGTERM and stage.last_status != 0:
                found.append(f"stuck: told to stop, it ended with {stage.last_status}")
            stage.recover(play)
        except TimeoutError as error:
            found.append(f"stuck: {error}")
        left, moved = stage.seen_by_dovecot(play)
        found += ledger.faults(play, stage.smarthost.messages[before:], left, moved)
        log = "\n".join(play.log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]) if found else ""
        if struck is None and not found:
            return None
        at = struck.call if struck else "outlived"
        return Point(stage.database, stage.after, at, k, time.monotonic() - began, tuple(found), log)


def sweep(stage: Stage, first: int, step: int) -> Iterator[Point]:
    """Points at k = first, first + step, ... until the daemon outlives k."""
    k = first
    while (point := strike(stage, k)) is not None:
        yield point
        k += step


def failpoints(stage: Stage, names: Sequence[str] = FAILPOINTS) -> Iterator[Point]:
    """A point at each named place; a place that is not reached is a fault."""
    for name in names:
        point = strike(stage, 1, name)
        yield point or Point(stage.database, stage.after, name, 1, 0.0, ("stuck: the failpoint was not reached",))


def lane(number: int, lanes: int, databases: Sequence[str], points: int, begin: int, told: Any) -> None:
    """One process's share, with peers of its own; round after round, each another way of working, until it has so many points.

    The first round begins at k = `begin`; where that is not 1, it leaves out the named places and is not brought to its end.
    Where there are as many lanes as databases, each has its own; lanes of one database share its k.
    """
    count = len(databases)
    mine, first, step = (
        (databases, number + 1, lanes)
        if lanes % count
        else (databases[number % count :][:1], number // count + 1, lanes // count)
    )
    done = rounds = 0
    try:
        while done < points:
            for database in mine:
                with Stage(database, ("flag", "move")[rounds % 2]) as stage:
                    if first == 1 and (begin == 1 or rounds):
                        for point in failpoints(stage):
                            told.put(asdict(point))
                            done += 1
                    for point in sweep(stage, first if rounds else first + begin - 1, step):
                        told.put(asdict(point))
                        done += 1
                        if done >= points and (rounds or begin > 1):
                            break
            rounds += 1
    finally:
        told.put(None)


def table(points: Sequence[Point]) -> str:
    """What was struck how often, and what came of it."""
    lines = [f"{'database':<12}{'killed at':<24}{'points':>8}{'lost':>6}{'double':>8}{'stuck':>7}{'s/point':>9}"]
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.database, point.at), []).append(point)
    for (database, at), some in sorted(groups.items()):
        lines.append(_line(database, at, some))
    lines.append(_line("all", "", points))
    return "\n".join(lines)


def counts(points: Sequence[Point]) -> dict[str, int]:
    """How many points there are, and how often something was lost, doubled, stuck."""
    kinds = Counter(fault.partition(":")[0] for point in points for fault in point.faults)
    return {"points": len(points), "lost": kinds["lost"], "double": kinds["double"], "stuck": kinds["stuck"]}


def _line(database: str, at: str, some: Sequence[Point]) -> str:
    c = counts(some)
    seconds = sum(point.seconds for point in some) / max(len(some), 1)
    return f"{database:<12}{at:<24}{c['points']:>8}{c['lost']:>6}{c['double']:>8}{c['stuck']:>7}{seconds:>9.2f}"


def main() -> int:
    """The long form."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument(
        "--points", type=int, default=1000, help="at least so many (each sweep is brought to its end once)"
    )
    arguments.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    arguments.add_argument("--lanes", type=int, default=2, help="processes beside each other")
    arguments.add_argument("--first", type=int, default=1, help="k to begin at, where another sweep was cut off")
    arguments.add_argument("--ledger", type=Path, help="where each point is written, one JSON line each")
    asked = arguments.parse_args()
    databases = ["sqlite", "postgresql"] if asked.database == "both" else [asked.database]
    if asked.ledger:
        asked.ledger.parent.mkdir(parents=True, exist_ok=True)
    points = run(databases, asked.points, asked.lanes, asked.first, asked.ledger)
    print(table(points))
    for point in points:
        if point.faults:
            print(f"\n{point.database} {point.at} k={point.k}: {'; '.join(point.faults)}\n{point.log}")
    print(json.dumps(counts(points)))
    return 1 if any(point.faults for point in points) or len(points) < asked.points else 0


def run(databases: Sequence[str], wanted: int, lanes: int, begin: int, path: Path | None) -> list[Point]:
    """Every point of every lane."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # or the lanes would go on
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    share = -(-wanted // lanes)
    running = [context.Process(target=lane, args=(i, lanes, databases, share, begin, told)) for i in range(lanes)]
    for process in running:
        process.start()
    points: list[Point] = []
    ended = 0
    try:
        while ended < lanes:
            try:
                found = told.get(timeout=SILENCE_SECONDS)
            except Empty:
                break
            if found is None:
                ended += 1
                continue
            point = Point(**{**found, "faults": tuple(found["faults"])})
            points.append(point)
            if path:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
            if point.faults or len(points) % 50 == 0:
                print(
                    f"{time.monotonic() - began:6.0f} s: {len(points)} points; k={point.k} {point.database} {'; '.join(point.faults)}",
                    flush=True,
                )
    finally:
        for process in running:
            process.terminate()
            process.join()
    return points


if __name__ == "__main__":
    sys.exit(main())

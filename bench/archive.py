"""An import of history: how many mails a second, and what each costs, beside what this machine and other parsers can do.

`postroom ingest --archive` takes an mbox of the corpus into an empty store, then the same mbox again, which must change nothing.
In the same run: syncs and commits a second of this disk, and the standard library's and mail-parser's rates on the same bytes.

    python bench/archive.py [--count 2000] [--runs 1] [--postgresql]

Prints a table, then one JSON line. CPU is that of all of Postroom's processes (and PostgreSQL's), its start in it; memory is what
they hold together at most, shared pages counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from corpus import SEED, Mail, describe, make_corpus, write_mbox
from end_to_end import LOOK_SECONDS, Processors, bare_commits, compiled, expect_exit, open_store, prepared
from grow import Server
from outcome import mistakes
from parse import _read_with_mail_parser, _read_with_stdlib
from peers.postgresql import PostgreSQL
from peers.processes import Program
from sqlalchemy import func, select

from postroom.store.tables import Message, Ticket

SYNCS = 200
BLOCK = b"x" * 4096
WEIGH_SECONDS = 0.25  # between two looks at the memory: each makes the kernel walk through all pages
PARSED = 300  # mails that the other parsers read


def take(mails: Sequence[Mail], url: str, server: Server | None) -> dict[str, object]:
    """Import the mails into an empty store, and again."""
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        write_mbox(folder / "corpus.mbox", mails)
        config = prepared(folder, url).path
        command = [
            sys.executable,
            "-m",
            "postroom",
            "-c",
            str(config),
            "ingest",
            "--archive",
            "--json",
            str(folder / "corpus.mbox"),
        ]
        wall, cpu, memory, summary = run(command, folder, server)
        store = open_store(url, folder)
        wrong = mistakes(store, mails, confirmed=False)
        with store.read() as connection:
            before = [
                connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (Ticket, Message)
            ]
        again_wall, _, _, again = run(command, folder, server)
        with store.read() as connection:
            after = [
                connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (Ticket, Message)
            ]
        store.dispose()
    if before != after or again["duplicate"] != len(mails):
        wrong.append(f"taking all of it again changed {before} to {after}: {again}")
    return {
        "mailsPerSecond": round(len(mails) / wall, 1), "cpuMs": round(1000 * cpu / len(mails), 3), "peakMiB": round(memory / 2**20, 1),
        "againPerSecond": round(len(mails) / again_wall, 1), "summary": summary, "mistakes": wrong,
    }  # fmt: skip


def run(command: Sequence[str], folder: Path, server: Server | None) -> tuple[float, float, int, dict[str, int]]:
    """Seconds that passed, CPU seconds, the most octets held at once, and what the command printed."""
    cpu, memory, weighed = Processors(), 0, 0.0
    before, start = server.seconds() if server else 0.0, time.monotonic()
    program = Program(list(command), folder / "log")
    try:
        while program.exit_status is None:
            pids = program.group()
            cpu.look(pids)
            if time.monotonic() - weighed > WEIGH_SECONDS:
                memory, weighed = max(memory, sum(map(held, pids))), time.monotonic()
            time.sleep(LOOK_SECONDS)
        wall = time.monotonic() - start
        expect_exit(program.exit_status, program.output())
        summary: dict[str, int] = json.loads(program.output().strip().splitlines()[-1])
    finally:
        program.stop()
    return wall, cpu.seconds + (server.seconds() - before if server else 0.0), memory, summary


def held(pid: int) -> int:
    """The octets of memory that are a process's, and its part of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def limits(mails: Sequence[Mail]) -> dict[str, float]:
    """What else could be done in a second: syncs, commits of the same bytes, mails read by others' parsers (of a CPU second)."""
    with tempfile.NamedTemporaryFile(prefix="bench.") as file:
        start = time.monotonic()
        for _ in range(SYNCS):
            file.write(BLOCK)
            file.flush()
            os.fdatasync(file.fileno())
        syncs = SYNCS / (time.monotonic() - start)
    found = {"syncs": syncs, "bare commits": bare_commits(mails[:500])}
    for name, read in (("standard library's parser", _read_with_stdlib), ("mail-parser", _read_with_mail_parser)):
        began = time.process_time()
        for mail in mails[:PARSED]:
            read(mail.raw)
        found[name] = min(PARSED, len(mails)) / (time.process_time() - began)
    return {name: round(rate, 1) for name, rate in found.items()}


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--runs", type=int, default=1, help="the least costly counts")
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    compiled()
    mails = list(make_corpus(given.count, SEED))
    beside = limits(mails)
    with ExitStack() as running:
        peer = running.enter_context(PostgreSQL(durable=True)) if given.postgresql else None
        server = Server(peer.pid) if peer else None
        runs = [
            take(mails, peer.create_database() if peer else "sqlite:///postroom.db", server) for _ in range(given.runs)
        ]
    best = min(runs, key=lambda one: float(str(one["cpuMs"])))
    rate = float(str(best["mailsPerSecond"]))
    print(
        f"{given.count} mails: {rate:.0f}/s, {best['cpuMs']} ms of CPU each, {best['peakMiB']} MiB at most; again: {best['againPerSecond']}/s"
    )
    for name, other in beside.items():
        print(f"{name:<28}{other:>10.0f}/s   import is {rate / other:.2f} of that")
    wrong = [mistake for one in runs for mistake in one["mistakes"]]  # type: ignore[attr-defined]
    print("outcome: " + ("right" if not wrong else "WRONG: " + "; ".join(wrong)))
    database = "postgresql" if given.postgresql else "sqlite"
    print(
        json.dumps(
            {
                "benchmark": "archive",
                "database": database,
                "corpus": describe(mails),
                **best,
                "limits": beside,
                "runs": runs,
            }
        )
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

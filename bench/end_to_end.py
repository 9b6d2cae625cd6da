"""How many messages a second, and how soon: from SMTP's final dot, and from an mbox, to a processed ticket with its confirmation in the outbox.

The real daemon (or `postroom ingest`) runs beside clients on this machine, on the corpus of corpus.py; the outcome is checked.
SMTP is measured with few and many clients, which keep their connection or open one for each mail. As a measure of the
machine itself, the same bytes are committed one by one into a bare SQLite file that syncs each commit.

    python bench/end_to_end.py [--count 500] [--clients 1,20,100] [--postgresql]

Prints a table, then one JSON line. CPU is that of Postroom's processes, not of the clients. The wait for a ticket is from the daemon's
own stamp at the final dot to the end of its transaction's work, as the database has them. Memory is what all processes
had at most, each for itself: pages that they share count for each.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from corpus import SEED, Mail, describe, make_corpus, write_mbox
from outcome import CONFIG, mistakes, progress

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.daemon import Daemon
from peers.postgresql import PostgreSQL
from peers.processes import Program, wait_until
from smtp_load import Load, Parcel
from smtp_load import send as send_all
from sqlalchemy import select

import postroom
from postroom.store.engine import Store
from postroom.store.tables import InboundEmail

SECONDS_MAX = 600.0
LOOK_SECONDS = 0.1  # each look walks through the list of processes, on the same cores


@dataclass(slots=True)
class Figures:
    """One way that mail took."""

    way: str
    messages: int
    accepted_seconds: float  # until the last mail was on disk and answered for
    settled_seconds: float  # until the last one was on its ticket
    cpu_seconds: float  # of Postroom's processes
    mistakes: list[str] = field(default_factory=list)
    dot_ms: tuple[float, float] = (0.0, 0.0)  # from the final dot to its 250: p50, p99
    ticket_ms: tuple[float, float] = (0.0, 0.0)  # from the final dot to the ticket: p50, p99
    peak_mib: float = 0.0

    @property
    def settled_per_second(self) -> float:
        """Messages a second, from the first octet to the processed ticket."""
        return self.messages / self.settled_seconds

    @property
    def accepted_per_second(self) -> float:
        """Messages a second that were on disk and answered for."""
        return self.messages / self.accepted_seconds


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=500)
    options.add_argument("--clients", default="1,20,100")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    compiled()
    mails = list(make_corpus(given.count, given.seed))
    with ExitStack() as running:
        server = running.enter_context(PostgreSQL(durable=True)) if given.postgresql else None
        new_url = server.create_database if server else lambda: "sqlite:///postroom.db"
        figures = [
            over_smtp(mails, new_url(), int(clients), keep)
            for clients in given.clients.split(",")
            for keep in (True, False)
        ]
        figures.append(from_mbox(mails, new_url()))
    machine = bare_commits(mails)
    show(figures, machine, given.count)
    summary = {
        "benchmark": "end_to_end", "database": "postgresql" if given.postgresql else "sqlite", "corpus": describe(mails),
        "bareCommitsPerSecond": round(machine, 1),
        "ways": [
            asdict(one) | {
                "acceptedPerSecond": round(one.accepted_per_second, 1), "settledPerSecond": round(one.settled_per_second, 1),
                "settledToBareCommits": round(one.settled_per_second / machine, 3),
                "settledToMbox": round(one.settled_per_second / figures[-1].settled_per_second, 3),
            }
            for one in figures
        ],
    }  # fmt: skip
    print(json.dumps(summary))
    return 1 if any(one.mistakes for one in figures) else 0


def compiled() -> None:
    """Have the bytecode beside the sources, as an installation has: else each start, in some environments, compiles it all again."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(postroom.__file__).parent, quiet=2)


def over_smtp(mails: Sequence[Mail], url: str, clients: int, keep: bool) -> Figures:
    """The daemon takes the mail from so many clients at once; conversations keep to one, so that replies follow what they answer."""
    lanes: list[list[Parcel]] = [[] for _ in range(clients)]
    for mail in mails:
        content = mail.raw.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        lanes[zlib.crc32(mail.conversation.encode()) % clients].append(Parcel(mail.sender, mail.recipient, content))
    with tempfile.TemporaryDirectory(prefix="bench.") as folder, prepared(Path(folder), url) as daemon:
        store = open_store(url, Path(folder))
        before, after = Processors(), Processors()
        before.look(daemon.processes())
        start = time.monotonic()
        load = send_all(daemon.smtp_port, lanes, keep)
        accepted = time.monotonic() - start
        wait_until(lambda: progress(store).settled >= len(mails), "every mail on its ticket", SECONDS_MAX)
        settled = time.monotonic() - start
        after.look(daemon.processes())
        peak = sum(peak_kib(pid) for pid in daemon.processes()) / 1024
        tickets = Load(waits=seconds_to_ticket(store))
        wrong = [*load.refused[:3], *mistakes(store, mails)]
        store.dispose()
    return Figures(
        f"SMTP, {clients} {'kept' if keep else 'new'}", len(mails), accepted, settled, after.seconds - before.seconds, wrong,
        _middle_and_worst(load), _middle_and_worst(tickets), round(peak, 1),
    )  # fmt: skip


def _middle_and_worst(load: Load) -> tuple[float, float]:
    return round(load.quantile_ms(0.5), 2), round(load.quantile_ms(0.99), 2)


def seconds_to_ticket(store: Store) -> list[float]:
    """From the moment that each mail was received to the one when it was processed."""
    with store.read() as connection:
        rows = connection.execute(select(InboundEmail.received_at, InboundEmail.processed_at)).all()
    return [(done - came).total_seconds() for came, done in rows if done]


def peak_kib(pid: int) -> int:
    """The most memory that a process had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def from_mbox(mails: Sequence[Mail], url: str) -> Figures:
    """`postroom ingest` takes the mail from a file; its own start is part of it."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        write_mbox(Path(folder) / "corpus.mbox", mails)
        config = prepared(Path(folder), url).path
        store = open_store(url, Path(folder))
        cpu = Processors()
        command = [sys.executable, "-m", "postroom", "-c", str(config), "ingest", str(config.with_name("corpus.mbox"))]
        start = time.monotonic()
        accepted = 0.0
        ingest = Program(command, Path(folder) / "log")
        try:
            while ingest.exit_status is None:
                cpu.look(ingest.group())
                if not accepted and progress(store).accepted >= len(mails):
                    accepted = time.monotonic() - start
                time.sleep(LOOK_SECONDS)
            settled = time.monotonic() - start
            expect_exit(ingest.exit_status, ingest.output())
        finally:
            ingest.stop()
        wrong = mistakes(store, mails)
        store.dispose()
    return Figures("an mbox", len(mails), accepted or settled, settled, cpu.seconds, wrong)


def expect_exit(status: int, why: str) -> None:
    """Raise where a command failed."""
    if status != 0:
        raise RuntimeError(f"a command exited {status}: {why}")


def prepared(folder: Path, url: str) -> Daemon:
    """The daemon with its configuration and an empty schema, not started."""
    daemon = Daemon(folder, CONFIG.replace("{url}", url))
    ran = daemon.cli("migrate")
    expect_exit(ran.exit, ran.err)
    return daemon


def open_store(url: str, folder: Path) -> Store:
    """The database that the daemon in `folder` uses."""
    return Store(url.replace("sqlite:///", f"sqlite:///{folder}/"))


class Processors:
    """The processor time of processes, those that ended meanwhile with what they had used when last looked at."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}

    def look(self, pids: Sequence[int]) -> None:
        """Take note of what these have used so far."""
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._ticks[pid] = int(values[11]) + int(values[12])

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")


def bare_commits(mails: Sequence[Mail]) -> float:
    """Commits a second of the same bytes, one mail a commit, each synced: what this disk and this Python can do."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        connection = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE mail (id INTEGER PRIMARY KEY, content BLOB)")
        start = time.monotonic()
        for mail in mails:
            connection.execute("INSERT INTO mail (content) VALUES (?)", (mail.raw,))
        seconds = time.monotonic() - start
        connection.close()
    return len(mails) / seconds


def show(figures: Sequence[Figures], machine: float, count: int) -> None:
    """Print the table."""
    print(f"{count} messages; bare synced commits of the same bytes: {machine:.0f}/s")
    print(
        f"{'way':<16}{'taken/s':>9}{'tickets/s':>11}{'of mbox':>9}{'of commits':>12}{'CPU ms':>8}{'250 p50':>9}{'p99 ms':>8}"
        f"{'ticket p50':>12}{'p99 ms':>8}{'MiB':>6}  outcome"
    )
    for one in figures:
        print(
            f"{one.way:<16}{one.accepted_per_second:>9.0f}{one.settled_per_second:>11.0f}"
            f"{one.settled_per_second / figures[-1].settled_per_second:>9.2f}{one.settled_per_second / machine:>12.2f}"
            f"{1000 * one.cpu_seconds / one.messages:>8.2f}{one.dot_ms[0]:>9.1f}{one.dot_ms[1]:>8.1f}"
            f"{one.ticket_ms[0]:>12.0f}{one.ticket_ms[1]:>8.0f}{one.peak_mib:>6.0f}"
            f"  {'right' if not one.mistakes else 'WRONG: ' + '; '.join(one.mistakes)}"
        )


if __name__ == "__main__":
    sys.exit(main())

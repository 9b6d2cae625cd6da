"""Does a mail cost more in a large store? The same mails are taken into stores that hold more and more tickets.

`filling.py` fills each store: tickets of two messages with their Message-IDs, participants, activity, deliveries and received mail.
Half of them are by the very people who write the mails that are measured, all but one in twenty of them closed. `looks.py` has an
operator's commands and the daemon's rounds look around in it. Then `postroom ingest` takes new mails, with confirmations, and as
many again with `--archive`. Every round takes other mails, into each of the stores in turn. What its processes cost to start is
measured with a single mail, and taken off for the second ratio.

    python bench/grow.py [--sizes 0,10000,100000,1000000] [--rounds 3] [--count 2000] [--postgresql]

Prints two tables, then one JSON line. CPU is that of all of Postroom's processes, and of PostgreSQL's; ratios are the middle one of
the rounds, each to the first store in its round. A million tickets take some 7 GB of disk, and minutes to make.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from corpus import SEED, SENDERS, Mail, make_corpus, write_mbox
from end_to_end import LOOK_SECONDS, Processors, expect_exit, open_store, prepared
from filling import fill
from looks import Look, look_around, show_looks
from outcome import mistakes
from peers.postgresql import PostgreSQL
from peers.processes import Program
from sqlalchemy import func, select

from postroom.daemon.keys import load_signer
from postroom.store.tables import Message, Ticket

SIZES = (0, 10_000)
ROUNDS = 1
WAYS = ("ingest", "archive")
# enough for the indexes of a million tickets, as a server of that size has; PostgreSQL's own default is for a small machine
SERVER = "shared_buffers = 1GB\nmax_wal_size = 8GB"


@dataclass(slots=True)
class Figures:
    """What mails cost in a store of one size, in one round."""

    round: int
    tickets: int
    way: str
    messages: int
    wall_seconds: float
    cpu_seconds: float
    start_seconds: float  # CPU of the same command with a single mail
    mistakes: list[str] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """CPU of one mail, in milliseconds, the start of the processes included."""
        return 1000 * self.cpu_seconds / self.messages

    @property
    def further_ms(self) -> float:
        """CPU of one mail more, in milliseconds."""
        return 1000 * (self.cpu_seconds - self.start_seconds) / (self.messages - 1)


class Filled:
    """A desk whose store holds so many tickets."""

    def __init__(self, size: int, folder: Path, url: str, people: Sequence[str]) -> None:
        self.size = size
        self._folder = folder
        self.config = prepared(folder, url).path
        load_signer(folder / "var" / "signing-keys")  # as it was made with the first ticket
        began = time.monotonic()
        fill(url.replace("sqlite:///", f"sqlite:///{folder}/"), size, people, Random(size))
        print(f"{size} tickets made in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        self._store = open_store(url, folder)

    def close(self) -> None:
        """Close its store."""
        self._store.dispose()

    def take(self, round_: int, way: str, mails: Sequence[Mail], server: Server | None) -> Figures:
        """Let `postroom ingest` take these mails, the first one alone, for what the start costs."""
        with self._store.read() as connection:
            last = connection.execute(select(func.coalesce(func.max(Message.id), 0))).scalar_one()
            last_ticket = connection.execute(select(func.coalesce(func.max(Ticket.id), 0))).scalar_one()
        _, start = self._ingest(way, mails[:1], server)
        wall, cpu = self._ingest(way, mails[1:], server)
        wrong = mistakes(self._store, mails, confirmed=way != "archive", after=(last, last_ticket))
        return Figures(round_, self.size, way, len(mails) - 1, wall, cpu, start, wrong)

    def look(self, server: Server | None) -> list[Look]:
        """Look around in it, as an operator and as the daemon."""
        with self._store.read() as connection:
            ref, who = connection.execute(select(Ticket.ref, Ticket.requester).order_by(Ticket.id)).first() or ("", "")
        return list(look_around(self.size, self.config, who, ref, server.seconds if server else lambda: 0.0))

    def _ingest(self, way: str, mails: Sequence[Mail], server: Server | None) -> tuple[float, float]:
        write_mbox(self._folder / "corpus.mbox", mails)
        command = [sys.executable, "-m", "postroom", "-c", str(self.config), "ingest"]
        archive = ["--archive"] if way == "archive" else []
        return run([*command, *archive, str(self._folder / "corpus.mbox")], self._folder, server)


def run(command: list[str], folder: Path, server: Server | None) -> tuple[float, float]:
    """Seconds that passed, and CPU seconds of all of the command's processes and of the database server."""
    cpu, before, start = Processors(), server.seconds() if server else 0.0, time.monotonic()
    program = Program(command, folder / "log")
    try:
        while program.exit_status is None:
            cpu.look(program.group())
            time.sleep(LOOK_SECONDS)
        wall = time.monotonic() - start
        expect_exit(program.exit_status, program.output())
    finally:
        program.stop()
    return wall, cpu.seconds + (server.seconds() - before if server else 0.0)


class Server:
    """The processor time of a PostgreSQL server: its own, of those that it has reaped, and of those that live."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def seconds(self) -> float:
        """All of it, until now."""
        ticks = 0
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if pid == self._pid:
                ticks += sum(map(int, values[11:15]))
            elif int(values[1]) == self._pid:
                ticks += int(values[11]) + int(values[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--sizes", default=",".join(map(str, SIZES)), help="tickets, from small to large")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="with other mails each")
    options.add_argument("--count", type=int, default=2000, help="mails that are measured, each way")
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    figures: list[Figures] = []
    looks: list[Look] = []
    with ExitStack() as running:
        peer = running.enter_context(PostgreSQL(durable=True, settings=SERVER)) if given.postgresql else None
        server = Server(peer.pid) if peer else None
        new_url: Callable[[], str] = peer.create_database if peer else lambda: "sqlite:///postroom.db"
        people = sorted({mail.sender for mail in make_corpus(given.count, SEED)})
        desks = []
        for size in map(int, given.sizes.split(",")):
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench.")))
            desks.append(Filled(size, folder, new_url(), people))
            running.callback(desks[-1].close)
            looks += desks[-1].look(server)
            show_looks(looks)
        for round_ in range(given.rounds):
            for nth, way in enumerate(WAYS):
                mails = list(make_corpus(given.count + 1, SEED + len(WAYS) * round_ + nth))
                for desk in desks if round_ % 2 == 0 else reversed(desks):
                    figures.append(desk.take(round_, way, mails, server))
                    print(figures[-1], file=sys.stderr, flush=True)
    show(figures)
    summary = {
        "benchmark": "grow", "database": "postgresql" if given.postgresql else "sqlite", "senders": SENDERS,
        "figures": [asdict(one) | {"cpuMs": round(one.cpu_ms, 3), "furtherMs": round(one.further_ms, 3)} for one in figures],
        "looks": [asdict(one) for one in looks],
    }  # fmt: skip
    print(json.dumps(summary))
    return 1 if any(one.mistakes for one in figures) or any(one.mistake for one in looks) else 0


def ratio(figures: Sequence[Figures], size: int, way: str, cost: Callable[[Figures], float]) -> float:
    """The middle one of the rounds' ratios of a store's cost to that of the first store."""
    by_round: dict[int, dict[int, float]] = {}
    for one in figures:
        if one.way == way:
            by_round.setdefault(one.round, {})[one.tickets] = cost(one)
    first = figures[0].tickets if figures[0].round == 0 else size
    return statistics.median(costs[size] / costs[first] for costs in by_round.values())


def show(figures: Sequence[Figures]) -> None:
    """Print the table."""
    print(f"{'tickets':>9} {'way':<8}{'mails/s':>9}{'CPU ms/mail':>13}{'ratio':>8}{'without start':>15}  outcome")
    for size, way in dict.fromkeys((one.tickets, one.way) for one in figures):
        these = [one for one in figures if (one.tickets, one.way) == (size, way)]
        wrong = [mistake for one in these for mistake in one.mistakes]
        rate = statistics.median(one.messages / one.wall_seconds for one in these)
        cpu = statistics.median(one.cpu_ms for one in these)
        all_, further = (
            ratio(figures, size, way, cost) for cost in (lambda one: one.cpu_ms, lambda one: one.further_ms)
        )
        outcome = "right" if not wrong else "WRONG: " + "; ".join(wrong)
        print(f"{size:>9} {way:<8}{rate:>9.0f}{cpu:>13.2f}{all_:>8.2f}{further:>15.2f}  {outcome}")


if __name__ == "__main__":
    sys.exit(main())

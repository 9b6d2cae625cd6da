"""How long a sender waits for his 250 while the daemon is at work on a backlog, and how long his mail for its ticket.

The real daemon finds a backlog when it starts, taken and not yet on tickets; into that work one client sends small mails, one
after the other. Beside it stand the machine's own: one fsync, and aiosmtpd with an empty handler.

    python bench/smtp_busy.py [--backlog 3000] [--count 200] [--rounds 3]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from outcome import CONFIG, progress
from smtp_accept import SIZES, make_parcels, measure, measure_limits
from smtp_load import Load, Parcel, send

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.daemon import Daemon
from peers.processes import wait_until
from sqlalchemy import select

from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound
from postroom.store.tables import InboundEmail

SECONDS_MAX = 600.0


@dataclass(frozen=True, slots=True)
class Round:
    """One run."""

    sync_ms: float  # one fsync
    empty_p50_ms: float  # aiosmtpd with an empty handler, one client
    idle_p50_ms: float  # the daemon, with nothing else to do, from the final dot to its 250
    idle_p99_ms: float
    busy_p50_ms: float  # the daemon, at work on its backlog
    busy_p99_ms: float
    ticket_p50_ms: float  # from the commit of a mail that came to an idle daemon to its ticket
    ticket_p99_ms: float
    backlog_left: int  # when the last of these mails was taken: above 0 it was at work all the time
    peak_mib: float  # of all its processes together
    mistakes: tuple[str, ...]

    @property
    def unit_ms(self) -> float:
        """What a durable 250 has to take on this machine."""
        return self.sync_ms + self.empty_p50_ms


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--backlog", type=int, default=3000)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    rounds = [one_round(given.backlog, given.count) for _ in range(given.rounds)]
    middle = {name: median(getattr(one, name) for one in rounds) for name in Round.__slots__ if name != "mistakes"}
    ratios = {
        "idleP50ToLimit": round(median(one.idle_p50_ms / one.unit_ms for one in rounds), 2),
        "busyP50ToLimit": round(median(one.busy_p50_ms / one.unit_ms for one in rounds), 2),
        "busyP99ToLimit": round(median(one.busy_p99_ms / one.unit_ms for one in rounds), 2),
    }
    for name, value in {**middle, **ratios}.items():
        print(f"{name:<20}{value:>10.2f}")
    wrong = [words for one in rounds for words in one.mistakes]
    print("outcome: " + ("; ".join(wrong) if wrong else "right"))
    print(json.dumps({"benchmark": "smtp_busy", "ratios": ratios, "rounds": [asdict(one) for one in rounds]}))
    return 1 if wrong else 0


def one_round(backlog: int, count: int) -> Round:
    """The limits, then the daemon idle, then busy."""
    parcels = make_parcels(SIZES["small"], backlog + 2 * count)
    quiet, middle, loud = parcels[:count], parcels[count : 2 * count], parcels[2 * count :]
    limits = measure_limits()
    empty = measure("empty", "small", parcels[: count + 1], 1, True)
    with (
        tempfile.TemporaryDirectory(prefix="bench.") as name,
        Daemon(Path(name), CONFIG.replace("{url}", "sqlite:///postroom.db")) as daemon,
    ):
        store = Store(f"sqlite:///{name}/postroom.db")
        idle = alone(daemon.smtp_port, quiet, 0.01)
        wait_until(lambda: progress(store).settled >= count, "the first mails on their tickets", SECONDS_MAX)
        tickets = seconds_to_ticket(store)
        daemon.stop()
        pile_up(store, loud)
        daemon.start()
        wait_until(lambda: progress(store).settled > count, "it is at work", SECONDS_MAX)
        busy = alone(daemon.smtp_port, middle, 0.0)
        now = progress(store)
        wait_until(lambda: progress(store).settled >= len(parcels), "every mail on its ticket", SECONDS_MAX)
        peak = sum(peak_kib(pid) for pid in daemon.processes()) / 1024
        wrong = [words for load in (idle, busy) for words in load.refused]
        if progress(store).states != {"processed": len(parcels)}:
            wrong.append(f"{progress(store).states}")
        store.dispose()
    return Round(
        limits.sync_ms, empty.p50_ms, idle.quantile_ms(0.5), idle.quantile_ms(0.99), busy.quantile_ms(0.5),
        busy.quantile_ms(0.99), 1000 * tickets[len(tickets) // 2], 1000 * tickets[int(len(tickets) * 0.99)],
        now.accepted - now.settled, round(peak, 1), tuple(wrong),
    )  # fmt: skip


def pile_up(store: Store, parcels: Sequence[Parcel]) -> None:
    """Take these mails without a daemon, as one that ended behind its 250s would have left them."""
    now = datetime.now(UTC)
    raws = [(parcel, parcel.content[:-3]) for parcel in parcels]
    with store.write() as connection:
        inbound.accept(connection, [
            NewInbound("support", one.recipient, raw, hashlib.sha256(raw).hexdigest(), "smtp", one.sender, now)
            for one, raw in raws
        ])  # fmt: skip


def alone(port: int, parcels: Sequence[Parcel], pause: float) -> Load:
    """One client, whose connection is kept; with pauses each mail is on its ticket before the next one comes."""
    if not pause:
        return send(port, [parcels])
    whole = Load()
    for parcel in parcels:
        one = send(port, [[parcel]])
        whole.waits += one.waits
        whole.refused += one.refused
        time.sleep(pause)
    return whole


def seconds_to_ticket(store: Store) -> list[float]:
    """From the moment that each mail was received to the one when it was processed, the shortest first."""
    with store.read() as connection:
        rows = connection.execute(select(InboundEmail.received_at, InboundEmail.processed_at)).all()
    return sorted((done - came).total_seconds() for came, done in rows if done)


def peak_kib(pid: int) -> int:
    """The most memory that a process had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.exit(main())

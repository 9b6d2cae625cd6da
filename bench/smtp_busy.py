"""How long a sender waits for his 250 while the daemon is at work on a backlog, and what is left of that work while senders keep coming.

The real daemon finds a backlog when it starts, taken and not yet on tickets; into that work one client sends small mails, one
after the other, then many at once; then nobody does. Beside it stand the machine's own: one fsync, and aiosmtpd with an empty
handler. Idle, each mail comes a moment after the one before is on its ticket, and says how long that takes.

    python bench/smtp_busy.py [--backlog 1500] [--count 200] [--rounds 2]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

from end_to_end import peak_kib, seconds_to_ticket
from outcome import CONFIG, progress
from smtp_accept import SIZES, make_parcels, measure, measure_limits
from smtp_load import Load, Parcel, dealt, send

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.daemon import Daemon
from peers.processes import wait_until

from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound

SECONDS_MAX = 600.0
CROWD = 20  # clients

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Round:
    """One run."""

    sync_ms: float  # one fsync
    empty_p50_ms: float  # aiosmtpd with an empty handler, one client
    idle_p50_ms: float  # the daemon, with nothing else to do, from the final dot to its 250
    idle_p99_ms: float
    busy_p50_ms: float  # the daemon, at work on its backlog
    busy_p99_ms: float
    crowd_p50_ms: float  # the same, of many clients at once
    crowd_p99_ms: float
    ticket_p50_ms: float  # from the final dot of a mail that came to an idle daemon to its ticket
    ticket_p99_ms: float
    processed_beside_one: float  # mails a second, while one client sends
    processed_beside_crowd: float
    processed_alone: float
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
    options.add_argument("--backlog", type=int, default=1500)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    rounds = [one_round(given.backlog, given.count) for _ in range(given.rounds)]
    middle = {name: median(getattr(one, name) for one in rounds) for name in Round.__slots__ if name != "mistakes"}
    ratios = {
        "idleP50ToLimit": round(median(one.idle_p50_ms / one.unit_ms for one in rounds), 2),
        "busyP50ToLimit": round(median(one.busy_p50_ms / one.unit_ms for one in rounds), 2),
        "busyP99ToLimit": round(median(one.busy_p99_ms / one.unit_ms for one in rounds), 2),
        "processedBesideOneToAlone": round(median(one.processed_beside_one / one.processed_alone for one in rounds), 2),
        "processedBesideCrowdToAlone": round(
            median(one.processed_beside_crowd / one.processed_alone for one in rounds), 2
        ),
    }
    for name, value in {**middle, **ratios}.items():
        print(f"{name:<28}{value:>10.2f}")
    wrong = [words for one in rounds for words in one.mistakes]
    print("outcome: " + ("; ".join(wrong) if wrong else "right"))
    print(json.dumps({"benchmark": "smtp_busy", "ratios": ratios, "rounds": [asdict(one) for one in rounds]}))
    return 1 if wrong else 0


def one_round(backlog: int, count: int) -> Round:
    """The limits, then the daemon idle, then busy."""
    parcels = make_parcels(SIZES["small"], backlog + 5 * count)
    quiet, single, crowd = parcels[:count], parcels[count : 2 * count], parcels[2 * count : 5 * count]
    limits = measure_limits()
    empty = measure("empty", "small", parcels[: count + 1], 1, True)
    with (
        tempfile.TemporaryDirectory(prefix="bench.") as name,
        Daemon(Path(name), CONFIG.replace("{url}", "sqlite:///postroom.db")) as daemon,
    ):
        store = Store(f"sqlite:///{name}/postroom.db")
        idle = one_by_one(daemon.smtp_port, quiet, store)
        tickets = Load(waits=seconds_to_ticket(store))
        daemon.stop()
        pile_up(store, parcels[5 * count :])
        daemon.start()
        wait_until(lambda: progress(store).settled > count, "it is at work", SECONDS_MAX)
        busy, beside_one = meanwhile(store, lambda: send(daemon.smtp_port, [single]))
        many, beside_crowd = meanwhile(store, lambda: send(daemon.smtp_port, dealt(crowd, CROWD)))
        now = progress(store)
        _, by_itself = meanwhile(
            store,
            lambda: wait_until(
                lambda: progress(store).settled >= len(parcels), "every mail on its ticket", SECONDS_MAX
            ),
        )
        peak = sum(peak_kib(pid) for pid in daemon.processes()) / 1024
        wrong = [words for load in (idle, busy, many) for words in load.refused]
        if progress(store).states != {"processed": len(parcels)}:
            wrong.append(f"{progress(store).states}")
        store.dispose()
    return Round(
        limits.sync_ms, empty.p50_ms, idle.quantile_ms(0.5), idle.quantile_ms(0.99), busy.quantile_ms(0.5),
        busy.quantile_ms(0.99), many.quantile_ms(0.5), many.quantile_ms(0.99), tickets.quantile_ms(0.5),
        tickets.quantile_ms(0.99), beside_one, beside_crowd, by_itself, now.accepted - now.settled, round(peak, 1), tuple(wrong),
    )  # fmt: skip


def meanwhile(store: Store, work: Callable[[], T]) -> tuple[T, float]:
    """What `work` comes to, and how many mails a second are processed as it goes on."""
    before, began = progress(store).settled, time.monotonic()
    result = work()
    seconds = time.monotonic() - began
    return result, round((progress(store).settled - before) / seconds, 1)


def pile_up(store: Store, parcels: Sequence[Parcel]) -> None:
    """Take these mails without a daemon, as one that ended behind its 250s would have left them."""
    now = datetime.now(UTC)
    raws = [(parcel, parcel.content[:-3]) for parcel in parcels]
    with store.write() as connection:
        inbound.accept(connection, [
            NewInbound("support", one.recipient, raw, hashlib.sha256(raw).hexdigest(), "smtp", one.sender, now)
            for one, raw in raws
        ])  # fmt: skip


def one_by_one(port: int, parcels: Sequence[Parcel], store: Store) -> Load:
    """One client, each of whose mails comes when the one before is on its ticket."""
    whole = Load()
    for number, parcel in enumerate(parcels, 1):
        one = send(port, [[parcel]])
        whole.waits += one.waits
        whole.refused += one.refused
        wait_until(lambda number=number: progress(store).settled >= number, "the mail on its ticket", SECONDS_MAX)  # type: ignore[misc]
    return whole


if __name__ == "__main__":
    sys.exit(main())

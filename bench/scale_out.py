"""How much do more daemons on one PostgreSQL do? 1, 2 and 4 of them process the same mail, which lies there when they begin.

Each is a Processor in a process of its own, with a parse worker of its own. The outcome is checked each time: expected tickets, each
reply in its thread, one confirmation for each.

    python bench/scale_out.py [--count 2000] [--daemons 1,2,4]

Prints a table, then one JSON line. On a machine of few cores the question is whether they hinder each other: effects are written one
daemon after the other, everything else side by side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from corpus import SEED, Mail, make_corpus
from outcome import CONFIG, mistakes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.postgresql import PostgreSQL
from peers.processor import drain_together

from postroom.store.engine import Store
from postroom.store.inbound import NewInbound, accept
from postroom.store.migrate import upgrade

GROUP = 100  # mails in a commit while the store is filled
MORE = "[processing]\nworkers = 1\nbatch = {batch}\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """So many daemons, and what they did."""

    daemons: int
    messages: int
    seconds: float
    per_second: float
    cpu_ms_per_message: float  # of the daemons and their workers, without PostgreSQL
    shares: list[int]  # messages that each of them processed
    mistakes: list[str]


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--batch", type=int, default=50)
    options.add_argument("--daemons", default="1,2,4")
    given = options.parse_args()
    mails = list(make_corpus(given.count, given.seed))
    with PostgreSQL(durable=True) as server:
        figures = [measure(server, mails, int(n), given.batch) for n in given.daemons.split(",")]
    print(f"{'daemons':>8} {'msg/s':>8} {'CPU ms/msg':>11}  shares")
    for one in figures:
        print(f"{one.daemons:>8} {one.per_second:>8.0f} {one.cpu_ms_per_message:>11.2f}  {one.shares}")
        for mistake in one.mistakes:
            print(f"         WRONG: {mistake}")
    ratio = figures[-1].per_second / figures[0].per_second
    print(
        f"{figures[-1].daemons} daemons do {ratio:.2f} times what {figures[0].daemons} does, on {os.cpu_count()} cores"
    )
    print(json.dumps({"figures": [asdict(one) for one in figures], "ratio": ratio, "cores": os.cpu_count()}))
    return 1 if any(one.mistakes for one in figures) else 0


def measure(server: PostgreSQL, mails: Sequence[Mail], daemons: int, batch: int) -> Figures:
    """Fill a new database, and have it processed."""
    url = server.create_database()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "postroom.toml"
        path.write_text(CONFIG.format(url=url, port=1) + MORE.format(batch=batch))
        store = Store(url)
        try:
            upgrade(store)
            fill(store, mails)
            took: list[float] = []
            spent: list[float] = []
            counts = drain_together([path] * daemons, took, cpu_seconds=spent)
            [seconds] = took
            shares = [sum(one.values()) for one in counts]
            return Figures(
                daemons, len(mails), round(seconds, 2), round(len(mails) / seconds, 1),
                round(1000 * sum(spent) / len(mails), 3), shares, mistakes(store, mails),
            )  # fmt: skip
        finally:
            store.dispose()


def fill(store: Store, mails: Sequence[Mail]) -> None:
    """Take all this mail, as the intake does."""
    for start in range(0, len(mails), GROUP):
        with store.write() as connection:
            accept(connection, [
                NewInbound("support", "support@example.com", m.raw, hashlib.sha256(m.raw).hexdigest(), "smtp", m.sender, datetime.now(UTC))
                for m in mails[start : start + GROUP]
            ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

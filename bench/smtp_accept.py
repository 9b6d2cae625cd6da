"""How fast mail is taken by SMTP, each on disk before its 250, beside servers that keep less and the machine's own limits.

Every round measures all servers one after the other on the same mails, so that what disturbs the machine disturbs all;
shown are medians over the rounds, and the medians of each round's ratios. Afterwards what Postroom took is compared with what
was sent, octet by octet, and handed over once more: nothing may be there twice.

    python bench/smtp_accept.py [--count 300] [--rounds 1] [--clients 1,20,100] [--only small]

Prints a table, then one JSON line. CPU is that of the server, its start in it: with few mails that is most of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from smtp_load import Parcel, dealt, send
from smtp_peers import KINDS

SIZES = {"small": 4_500, "large": 300_000}  # octets
LARGE_SHARE = 20  # of so many small mails, one large
SYNCS = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """One server in one round."""

    server: str
    size: str
    clients: int
    connections: str  # kept, new
    per_second: float
    p50_ms: float  # from the final dot to its 250
    p99_ms: float
    cpu_ms: float  # of the server, for each mail it took
    peak_mib: float
    mistakes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine can do."""

    sync_ms: float  # one fsync of 4 KiB, median
    commits_per_second: float  # of a small mail into SQLite, each synced


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--rounds", type=int, default=1, help="more of them, where others use the machine")
    options.add_argument("--clients", default="1,20,100")
    options.add_argument("--only", choices=sorted(SIZES))
    options.add_argument("--kept", action="store_true", help="no new connections")
    given = options.parse_args()
    cases = [
        (size, int(clients), keep)
        for size in ([given.only] if given.only else SIZES)
        for clients in given.clients.split(",")
        for keep in ((True,) if given.kept else (True, False))
    ]
    figures: list[Figure] = []
    limits: list[Limits] = []
    for _ in range(given.rounds):
        limits.append(measure_limits())
        for size, clients, keep in cases:
            count = given.count if size == "small" else max(clients, given.count // LARGE_SHARE)
            parcels = make_parcels(SIZES[size], count + clients)
            figures += [measure(kind, size, parcels, clients, keep) for kind in KINDS]
    show(figures, limits, cases)
    print(json.dumps(summary(figures, limits, cases)))
    return 1 if any(one.mistakes for one in figures) else 0


def make_parcels(octets: int, count: int) -> list[Parcel]:
    """Mails of about that size, no two alike."""
    chance = random.Random(count)
    line = b"A line of an ordinary mail, as people write them to a help desk.\r\n"
    parcels = []
    for number in range(count):
        head = (
            f"From: Ann <ann{number}@example.org>\r\nTo: support@example.com\r\nSubject: number {number}\r\n"
            f"Message-ID: <{chance.getrandbits(64):x}@client.example>\r\n\r\n"
        )
        body = line * ((octets - len(head)) // len(line))
        parcels.append(Parcel(f"ann{number}@example.org", "support@example.com", head.encode() + body + b".\r\n"))
    return parcels


def measure(kind: str, size: str, parcels: Sequence[Parcel], clients: int, keep: bool) -> Figure:
    """One server, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        script = str(Path(__file__).with_name("smtp_peers.py"))
        with subprocess.Popen(
            [sys.executable, script, kind, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        ) as server:  # fmt: skip
            assert server.stdin
            assert server.stdout
            port = int(server.stdout.readline())
            send(port, dealt(parcels[:clients], clients))  # warm
            load = send(port, dealt(parcels[clients:], clients), keep)
            wrong = [*load.refused[:3], *(lost_or_doubled(Path(folder), port, parcels) if kind == "postroom" else ())]
            server.stdin.close()
            peak, cpu = server.stdout.readline().split()
    count = len(parcels) - clients
    return Figure(
        kind, size, clients, "kept" if keep else "new", round(count / load.seconds, 1), round(load.quantile_ms(0.5), 3),
        round(load.quantile_ms(0.99), 3), round(1000 * float(cpu) / len(parcels), 3), round(int(peak) / 1024, 1), tuple(wrong),
    )  # fmt: skip


def lost_or_doubled(folder: Path, port: int, parcels: Sequence[Parcel]) -> list[str]:
    """What is wrong in the store: each mail there once with its exact octets, also when some are handed over again."""
    send(port, dealt(parcels[:20], 4))
    store = sqlite3.connect(f"file:{folder}/postroom.db?mode=ro", uri=True)
    rows = store.execute("SELECT r.content, r.digest FROM inbound_email i JOIN raw_mail r ON r.digest = i.digest")
    kept = [hashlib.sha256(content).hexdigest() for content, _ in rows]
    store.close()
    sent = {hashlib.sha256(parcel.content[:-3]).hexdigest() for parcel in parcels}
    found = [] if len(kept) == len(sent) else [f"{len(sent)} were sent, {len(kept)} are kept"]
    return found if set(kept) == sent else [*found, f"{len(sent - set(kept))} are not kept as they were sent"]


def measure_limits() -> Limits:
    """The machine's own: what one fsync takes, and how often SQLite can commit."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        times = []
        with open(f"{folder}/sync", "wb", buffering=0) as file:
            for _ in range(SYNCS):
                file.write(b"x" * 4096)
                began = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
        bare = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
            bare.execute(f"PRAGMA {pragma}")
        bare.execute("CREATE TABLE mail (id INTEGER PRIMARY KEY, content BLOB)")
        began = time.perf_counter()
        for _ in range(SYNCS):
            bare.execute("INSERT INTO mail (content) VALUES (?)", (b"x" * SIZES["small"],))
        commits = SYNCS / (time.perf_counter() - began)
        bare.close()
    return Limits(round(1000 * median(times), 3), round(commits, 1))


Case = tuple[str, int, bool]


def of(figures: Sequence[Figure], server: str, case: Case) -> list[Figure]:
    """That server's figures, one a round."""
    size, clients, keep = case
    wanted = (server, size, clients, "kept" if keep else "new")
    return [one for one in figures if (one.server, one.size, one.clients, one.connections) == wanted]


def ratio(figures: Sequence[Figure], other: str, case: Case) -> float:
    """Ours to another's, the median over the rounds."""
    pairs = zip(of(figures, "postroom", case), of(figures, other, case), strict=True)
    return round(median(ours.per_second / theirs.per_second for ours, theirs in pairs), 2)


def of_limit(figures: Sequence[Figure], limits: Sequence[Limits], case: Case) -> float:
    """Our p50 to one fsync plus the empty handler's p50, the median over the rounds."""
    rounds = zip(of(figures, "postroom", case), of(figures, "empty", case), limits, strict=True)
    return round(median(ours.p50_ms / (limit.sync_ms + empty.p50_ms) for ours, empty, limit in rounds), 2)


def summary(figures: Sequence[Figure], limits: Sequence[Limits], cases: Sequence[Case]) -> dict[str, object]:
    """All of it, for machines."""
    return {
        "benchmark": "smtp_accept",
        "limits": [asdict(one) for one in limits],
        "ratios": [
            {
                "size": case[0], "clients": case[1], "connections": "kept" if case[2] else "new",
                "toEmpty": ratio(figures, "empty", case), "toMaildir": ratio(figures, "maildir", case),
                "p50ToSyncAndEmpty": of_limit(figures, limits, case),
            }
            for case in cases
        ],
        "figures": [asdict(one) for one in figures],
    }  # fmt: skip


def show(figures: Sequence[Figure], limits: Sequence[Limits], cases: Sequence[Case]) -> None:
    """Print the table."""
    print(
        f"one fsync: {median(one.sync_ms for one in limits):.2f} ms; SQLite commits, each synced: "
        f"{median(one.commits_per_second for one in limits):.0f}/s"
    )
    print(
        f"{'mail':<7}{'clients':>8} {'conns':<6}{'server':<10}{'mails/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>8}{'MiB':>7}  Postroom to it"
    )
    for case in cases:
        for kind in KINDS:
            mine = of(figures, kind, case)
            columns = [
                median(getattr(one, name) for one in mine)
                for name in ("per_second", "p50_ms", "p99_ms", "cpu_ms", "peak_mib")
            ]
            wrong = "; ".join(words for one in mine for words in one.mistakes)
            words = (
                f"p50 {of_limit(figures, limits, case):.2f} of fsync + empty"
                if kind == "postroom"
                else f"{ratio(figures, kind, case):.2f}"
            )
            print(
                f"{case[0]:<7}{case[1]:>8} {'kept' if case[2] else 'new':<6}{kind:<10}{columns[0]:>9.0f}{columns[1]:>9.2f}"
                f"{columns[2]:>9.2f}{columns[3]:>8.2f}{columns[4]:>7.0f}  {words}{'  WRONG: ' + wrong if wrong else ''}"
            )


if __name__ == "__main__":
    sys.exit(main())

"""What it costs to take large mail whose bytes go into a store of objects, beside the database alone: moto's server, on this machine.

moto is a test server in Python, on the same cores: its time is no S3's. What is ours is the CPU of this process a mail, and
what the database grows by. Groups of 20, as an intake has with 20 clients. Every mail is read back and compared.

    python bench/objects.py [--count 200] [--octets 100000]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.s3 import ACCESS, BUCKET, S3, SECRET

from postroom.config import RawMail
from postroom.store import inbound, raw_mail
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound
from postroom.store.migrate import upgrade
from postroom.store.objects import Objects

GROUP = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """One place for bytes."""

    place: str
    mails_per_second: float
    mib_per_second: float
    cpu_ms_per_mail: float  # of this process, without the server of objects
    database_octets_per_mail: int


def measure(place: str, mails: list[bytes], objects: Objects | None) -> Figure:
    """Take them all, in groups; raises AssertionError where one reads back as another."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        store = Store(f"sqlite:///{folder}/postroom.db", objects=objects)
        upgrade(store)
        began, cpu = time.perf_counter(), time.process_time()
        ids: list[int] = []
        for start in range(0, len(mails), GROUP):
            group = mails[start : start + GROUP]
            new = [
                NewInbound(
                    "support", "a@b.example", raw, hashlib.sha256(raw).hexdigest(), "smtp", "", datetime.now(UTC)
                )
                for raw in group
            ]
            places = raw_mail.put_aside(objects, {one.digest: one.raw for one in new})
            with store.write() as connection:
                ids += [accepted.id for accepted in inbound.accept(connection, new, places)]
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        for id_, raw in zip(ids, mails, strict=True):
            with store.read() as connection:
                assert inbound.raw(connection, id_) == raw
        store.dispose()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    octets = sum(map(len, mails))
    return Figure(
        place, round(len(mails) / seconds, 1), round(octets / seconds / (1 << 20), 1), round(1000 * cpu / len(mails), 2),
        size // len(mails),
    )  # fmt: skip


def main() -> None:
    """Both places, in turn, twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--octets", type=int, default=100_000)
    options = parser.parse_args()
    chance = random.Random(7)
    print(f"{'place':<10} {'mails/s':>8} {'MiB/s':>7} {'CPU ms/mail':>12} {'database octets/mail':>21}")
    figures = []
    with S3() as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        objects = Objects(RawMail(url=f"s3://{BUCKET}/bench", endpoint=endpoint, access_key=ACCESS), SECRET)
        for _ in range(2):
            mails = [b"Subject: x\r\n\r\n" + chance.randbytes(options.octets) for _ in range(options.count)]
            for place, where in (("database", None), ("objects", objects)):
                figure = measure(place, mails, where)
                figures.append(asdict(figure))
                print(
                    f"{place:<10} {figure.mails_per_second:>8} {figure.mib_per_second:>7} {figure.cpu_ms_per_mail:>12} "
                    f"{figure.database_octets_per_mail:>21}"
                )
    print(json.dumps({"cores": os.cpu_count(), "count": options.count, "octets": options.octets, "figures": figures}))


if __name__ == "__main__":
    main()

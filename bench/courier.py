"""How many mails a second leave the outbox, into an SMTP sink on this machine: with and without PIPELINING, near and far.

The sink is a process of its own that takes everything and waits `delay` before each answer, as a distant server does.
Beside it, over as many connections to the same sink, a bare aiosmtplib loop that keeps no books: no outbox, no commit, no
answer written down. What arrived is compared with what was put in, and the outbox with both.

    python bench/courier.py [--count 1000] [--connections 4] [--postgresql]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from random import Random

import aiosmtplib
import structlog
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.postgresql import PostgreSQL

from postroom.config import parse
from postroom.outbound.courier import Courier
from postroom.store import outbox
from postroom.store.engine import Store
from postroom.store.migrate import upgrade
from postroom.store.outbox import NewDelivery

BODY = b"A line of an ordinary answer, as people write them.\r\n" * 60  # 3 KB
DELAYS = (0.0, 0.005)  # seconds before each answer: this machine, and a server not far away
WARNING = 30  # the level of logging: no line for each mail


@dataclass(frozen=True, slots=True)
class Figure:
    """One way of sending."""

    way: str
    pipelining: bool
    delay_ms: float
    per_second: float
    cpu_ms_per_mail: float  # of the sender
    of_bare: float | None  # the ratio to the bare loop on the same sink
    mistakes: tuple[str, ...]


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--connections", type=int, default=4)
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(WARNING))
    figures: list[Figure] = []
    with ExitStack() as closing:
        server = closing.enter_context(PostgreSQL()) if given.postgresql else None
        for delay in DELAYS:
            bare = measure("bare aiosmtplib", True, delay, given, None)
            figures.append(bare)
            figures += [measure("courier", pipelining, delay, given, bare, server) for pipelining in (False, True)]
    show(figures, given)
    print(json.dumps({"bench": "courier", **vars(given), "figures": [asdict(one) for one in figures]}))
    return 1 if any(one.mistakes for one in figures) else 0


def measure(
    way: str,
    pipelining: bool,
    delay: float,
    given: argparse.Namespace,
    bare: Figure | None,
    server: PostgreSQL | None = None,
) -> Figure:
    """Send `count` mails one way."""
    unsettled: tuple[str, ...]
    mails = [f"Message-ID: <{n}@example.com>\r\nSubject: {n}\r\n\r\n".encode() + BODY for n in range(given.count)]
    ours, theirs = multiprocessing.Pipe()
    sink = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, pipelining, delay), daemon=True)
    sink.start()
    try:
        port = ours.recv()
        if way == "courier":
            wall, cpu, unsettled = by_courier(mails, port, given.connections, server)
        else:
            unsettled = ()
            wall, cpu = timed(lambda: asyncio.run(by_aiosmtplib(mails, port, given.connections)))
        ours.send("how many?")
        arrived = ours.recv()
    finally:
        sink.terminate()
        sink.join()
    wanted = sorted(hashlib.sha256(mail).hexdigest() for mail in mails)
    mistakes = (
        *unsettled,
        *(() if sorted(arrived) == wanted else (f"{len(arrived)} of {len(wanted)} arrived, or not as they were",)),
    )
    rate = len(mails) / wall
    return Figure(
        way, pipelining, 1000 * delay, rate, 1000 * cpu / len(mails), rate / bare.per_second if bare else None, mistakes
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and seconds of this process's work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def by_courier(
    mails: Sequence[bytes], port: int, connections: int, server: PostgreSQL | None
) -> tuple[float, float, tuple[str, ...]]:
    """Put mails into an outbox, and have them sent; what is wrong with the outbox afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        settings = {"courier": "smtp", "smtp": {"port": port, "connections": connections}}
        config = parse({"outgoing": settings}, Path(folder))
        store = Store(server.create_database() if server else f"sqlite:///{folder}/postroom.db")
        upgrade(store)
        now = datetime.now(UTC)
        with store.write() as connection:
            outbox.enqueue(connection, [
                NewDelivery(n, None, None, "reply", n % 2 == 0, "support", f"{n}@example.org", now, "s", "support@example.com",
                            f"{n}@example.com", hashlib.sha256(raw).hexdigest(), raw)
                for n, raw in enumerate(mails)
            ])  # fmt: skip
        left, stop = list(mails), asyncio.Event()

        def settled(*_: object) -> None:
            left.pop()
            if not left:
                stop.set()

        log = structlog.get_logger()
        courier = Courier(config, store, {}, lambda: datetime.now(UTC), Random(1), log, on_settled=settled)
        wall, cpu = timed(lambda: asyncio.run(courier.run(stop)))
        with store.read() as connection:
            counts = outbox.count_by_state(connection)
            doubt = connection.execute(text("SELECT count(*) FROM delivery WHERE in_doubt_at IS NOT NULL")).scalar_one()
        store.dispose()
    return (
        wall,
        cpu,
        () if counts == {"sent": len(mails)} and not doubt else (f"the outbox: {counts}, {doubt} in doubt",),
    )


async def by_aiosmtplib(mails: Sequence[bytes], port: int, connections: int) -> None:
    """Send mails over kept connections, and forget them."""
    left = list(enumerate(mails))

    async def send() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
            while left:
                number, raw = left.pop()
                await client.sendmail("support@example.com", [f"{number}@example.org"], raw)

    await asyncio.gather(*(send() for _ in range(connections)))


def serve(pipe: Pipe, pipelining: bool, delay: float) -> None:
    """The sink: say the port, take mail until it is asked what came, say their digests."""
    asyncio.run(_serve(pipe, pipelining, delay))


async def _serve(pipe: Pipe, pipelining: bool, delay: float) -> None:
    digests: list[str] = []
    greeting = b"250-sink\r\n250-SIZE 0\r\n" + (b"250-PIPELINING\r\n" if pipelining else b"") + b"250 8BITMIME\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"DATA") or not reader._buffer:  # type: ignore[attr-defined]  # a group is answered at once
                await asyncio.sleep(delay)
            if verb == b"EHLO":
                writer.write(greeting)
            elif verb == b"DATA":
                writer.write(b"354 go ahead\r\n")
                content = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                digests.append(hashlib.sha256(content.replace(b"\r\n..", b"\r\n.")).hexdigest())
                await asyncio.sleep(delay)
                writer.write(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 24)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    pipe.send(digests)


def show(figures: Sequence[Figure], given: argparse.Namespace) -> None:
    """Print the table."""
    print(
        f"{given.count} mails of {len(BODY)} octets over {given.connections} connections, {'PostgreSQL' if given.postgresql else 'SQLite'}"
    )
    print(
        f"{'way':<18}{'answers after':>14}{'pipelining':>12}{'mails/s':>10}{'CPU ms/mail':>13}{'of bare':>9}  outcome"
    )
    for one in figures:
        pipelining = "no" if not one.pipelining else "yes" if one.way == "courier" else "not able"
        ratio = f"{one.of_bare:.0%}" if one.of_bare else ""
        outcome = "right" if not one.mistakes else "WRONG: " + "; ".join(one.mistakes)
        print(
            f"{one.way:<18}{one.delay_ms:>11.0f} ms{pipelining:>12}{one.per_second:>10.0f}"
            f"{one.cpu_ms_per_mail:>13.2f}{ratio:>9}  {outcome}"
        )


if __name__ == "__main__":
    sys.exit(main())

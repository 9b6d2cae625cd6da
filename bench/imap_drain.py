"""A full IMAP folder at the daemon's first start: how fast does it become tickets, beside an import of the same mails?

A real Dovecot holds the corpus. The daemon (`run --only imap,work`) takes it until every mail is on its ticket, with its confirmation in
the outbox, and flagged on the server; then Dovecot gets the same mails again under new UIDs, which must change nothing. Beside it, in
turn, `postroom ingest` takes them from an mbox, with the same work. Both begin with their own start.

    python bench/imap_drain.py [--count 2000] [--runs 1] [--postgresql]

Prints a table, then one JSON line: mails a second, CPU ms a mail of Postroom's processes (and of Dovecot's, apart), and both ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from corpus import SEED, Mail, describe, make_corpus
from end_to_end import LOOK_SECONDS, SECONDS_MAX, Processors, compiled, expect_exit, from_mbox, open_store
from outcome import CONFIG, mistakes, progress
from peers.daemon import Daemon
from peers.dovecot import Dovecot
from peers.postgresql import PostgreSQL
from peers.processes import wait_until
from sqlalchemy import func, select

from postroom.store.engine import Store
from postroom.store.tables import Message, Ticket

IMAP = """
[mailbox.support.imap]
host = "127.0.0.1"
port = {imap}
security = "none"
user = "support"
password_file = "password"
"""


@dataclass(frozen=True, slots=True)
class Drain:
    """One folder that was emptied into tickets."""

    accepted_seconds: float  # until the last mail was on disk
    seconds: float  # until the last one was on its ticket, and flagged
    again_seconds: float  # all of them again, under new UIDs
    cpu_seconds: float  # of Postroom's processes, their start in it
    server_cpu_seconds: float  # Dovecot's
    mistakes: list[str]


def drain(mails: Sequence[Mail], url: str) -> Drain:
    """Let the daemon take a folder that holds these."""
    with (
        tempfile.TemporaryDirectory(prefix="bench.") as name,
        Dovecot(users=["support"]) as dovecot,
    ):
        folder = Path(name)
        for number, mail in enumerate(mails):
            delivered = f"Return-Path: <{mail.sender}>\r\n".encode() + mail.raw
            dovecot.deliver("support", delivered, f"{1_700_000_000 + number}.{number}.bench")
        with dovecot.client("support") as client:  # it makes its own index now, once
            client.select_folder("INBOX")
        daemon = Daemon(folder, CONFIG.replace("{url}", url) + IMAP.replace("{imap}", str(dovecot.port)))
        (folder / "password").write_text(dovecot.password)
        (folder / "password").chmod(0o600)
        daemon.arguments = ["--only", "imap,work"]
        ran = daemon.cli("migrate")
        expect_exit(ran.exit, ran.err)
        store = open_store(url, folder)
        ours, theirs = Processors(), Processors()
        theirs.look(dovecot.processes())
        before, accepted = theirs.seconds, 0.0
        start = time.monotonic()
        daemon.start(wait=False)
        try:
            while unflagged(dovecot) or progress(store).settled < len(mails):
                ours.look(daemon.processes())
                theirs.look(dovecot.processes())
                if not accepted and progress(store).accepted >= len(mails):
                    accepted = time.monotonic() - start
                if time.monotonic() - start > SECONDS_MAX or daemon.exit_status is not None:
                    raise RuntimeError(daemon.log()[-2000:])
                time.sleep(LOOK_SECONDS)
            seconds = time.monotonic() - start
            ours.look(daemon.processes())
            wrong = mistakes(store, mails)
            held, start = count(store), time.monotonic()
            with dovecot.client("support") as client:
                client.select_folder("INBOX")
                client.copy(client.search("ALL"), "INBOX")
                client.remove_flags(client.search("ALL")[len(mails) :], [b"\\Seen"])
            wait_until(lambda: not unflagged(dovecot), "the copies are flagged", SECONDS_MAX)
            wait_until(lambda: not waiting(store), "the copies are settled", SECONDS_MAX)
            again = time.monotonic() - start
        finally:
            daemon.stop()
        if (now := count(store)) != held:
            wrong.append(f"taking all of it again changed {held} to {now}")
        store.dispose()
    return Drain(accepted or seconds, seconds, again, ours.seconds, theirs.seconds - before, wrong)


def unflagged(dovecot: Dovecot) -> int:
    """How many mails the server has not been told of yet; Dovecot keeps a letter for \\Seen in a Maildir's file names."""
    inbox = dovecot.folder / "mail" / "support"
    names = [path.name for part in ("new", "cur") for path in (inbox / part).iterdir()]
    return sum("S" not in name.rpartition(":2,")[2] or ":2," not in name for name in names)


def waiting(store: Store) -> int:
    """How many deliveries are on their way."""
    found = progress(store)
    return found.accepted - found.settled


def count(store: Store) -> list[int]:
    """Tickets and messages."""
    with store.read() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (Ticket, Message)]


def main() -> int:
    """Measure, print, and say by the exit status whether every outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--runs", type=int, default=1, help="in turn; the fastest of each counts")
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    compiled()
    mails = list(make_corpus(given.count, SEED))
    with ExitStack() as running:
        server = running.enter_context(PostgreSQL(durable=True)) if given.postgresql else None
        new_url = server.create_database if server else lambda: "sqlite:///postroom.db"
        pairs = [(drain(mails, new_url()), from_mbox(mails, new_url())) for _ in range(given.runs)]
    drained = min((pair[0] for pair in pairs), key=lambda one: one.seconds)
    imported = min((pair[1] for pair in pairs), key=lambda one: one.settled_seconds)
    rate, beside = given.count / drained.seconds, imported.settled_per_second
    cpu = [1000 * min(one.cpu_seconds for one in column) / given.count for column in zip(*pairs, strict=True)]
    print(f"{given.count} mails            on tickets/s   CPU ms each")
    print(f"IMAP, flagged           {rate:>12.0f}{cpu[0]:>14.2f}")
    print(f"an import of the same   {beside:>12.0f}{cpu[1]:>14.2f}")
    print(f"IMAP's rate is {rate / beside:.2f} of the import's; its CPU {cpu[0] / cpu[1]:.2f} times as much")
    wrong = [mistake for drained_, imported_ in pairs for mistake in (*drained_.mistakes, *imported_.mistakes)]
    print("outcome: " + ("right" if not wrong else "WRONG: " + "; ".join(wrong)))
    print(
        json.dumps(
            {
                "benchmark": "imap_drain", "database": "postgresql" if given.postgresql else "sqlite",
                "corpus": describe(mails), "imapPerSecond": round(rate, 1), "importPerSecond": round(beside, 1),
                "imapToImport": round(rate / beside, 3), "imapCpuMs": round(cpu[0], 3), "importCpuMs": round(cpu[1], 3),
                "runs": [{"imap": asdict(a), "import": asdict(b)} for a, b in pairs],
            }
        )
    )  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

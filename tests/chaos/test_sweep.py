"""The short form of the kill sweep (`make chaos` is the long one), and the syncs that stand before every acknowledgement."""

import re
import signal
import smtplib

import pytest
from chaos.stage import Stage
from chaos.sweep import FAILPOINTS, failpoints, strike
from peers.house import mail
from peers.processes import need, wait_until

from postroom.store.engine import Store
from postroom.store.migrate import upgrade

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.servers]

KILLS = {"sqlite": 3, "postgresql": 5}  # system calls, spread evenly over all that the daemon makes
PLACES = {"sqlite": FAILPOINTS, "postgresql": ("process-between", "courier-in-doubt")}
CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{{port}}"]
min_free_disk = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.support.imap]
host = "127.0.0.1"
port = {imap}
security = "none"
user = "support"
password_env = "IMAP_PASSWORD"
"""
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_wherever_the_daemon_is_killed_nothing_is_lost_doubled_or_stuck(database):
    with Stage(database) as stage:
        with stage.play() as play:
            struck, killer = stage.strike(play)
        assert struck is None
        assert stage.last_status == 0
        step = killer.count // (KILLS[database] + 1)
        points = [strike(stage, step * n) for n in range(1, KILLS[database] + 1)]
        points += failpoints(stage, PLACES[database])
    assert None not in points
    assert [(point.at, point.k, point.faults, point.log) for point in points if point.faults] == []


def test_whenever_it_is_told_to_stop_it_ends_well_and_nothing_is_lost():
    with Stage("sqlite") as stage:
        points = [strike(stage, k, number=signal.SIGTERM) for k in (2, 90, 150, 300, 450, 600)]
    assert [(point.at, point.k, point.faults, point.log) for point in points if point and point.faults] == []
    assert len([point for point in points if point]) >= 4  # the last may come after its end


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_commit_stands_before_every_acknowledgement(kind, start_daemon, dovecot, tmp_path, request):
    """In the trace of system calls: what came in, then a sync (or the server's word of its commit), then our 250 or STORE."""
    url = "sqlite:///var/postroom.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        store = Store(url)
        upgrade(store)
        store.dispose()
    dovecot.append("support", mail("i@customer.example", text="came-by-imap\n"))
    trace = tmp_path / "trace"
    strace = [
        need("strace", "strace"), "-f", "-y", "-s", "4096", "-o", str(trace),
        "-e", "trace=fdatasync,fsync,sendto,recvfrom",
    ]  # fmt: skip
    config = CONFIG.format(url=url, imap=dovecot.port)
    daemon = start_daemon(config, env={"IMAP_PASSWORD": dovecot.password}, prefix=strace)
    for n in range(3):
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
            client.sendmail(f"s{n}@customer.example", ["support@example.com"], mail(text=f"came-by-smtp-{n}\n"))
    wait_until(lambda: all("\\Seen" in m.flags for m in dovecot.messages("support")), "the mail is flagged")
    daemon.kill()
    lines = trace.read_text("utf-8", "replace").splitlines()
    came = [(f"came-by-smtp-{n}", "250 2.0.0 accepted") for n in range(3)] + [("came-by-imap", "UID STORE")]
    for words, told in came:
        arrived = first(lines, 0, "recvfrom", words)
        synced = first(lines, arrived, "recvfrom", "COMMIT") if kind == "postgresql" else first_sync(lines, arrived)
        assert arrived < synced < first(lines, arrived, "sendto", told), words


def first(lines, start, call, words):
    """Which line from `start` on first shows that call (begun or ended) with these words."""
    for at in range(start, len(lines)):
        found = CALL.match(lines[at])
        if found and found[2] == call and words in lines[at]:
            return at
    raise AssertionError(f"no {call} with {words!r}")


def first_sync(lines, start):
    """Which line from `start` on first tells that the write-ahead log was synced, from beginning to end."""
    begun = set()
    for at in range(start, len(lines)):
        found = CALL.match(lines[at])
        if not found or found[2] not in ("fdatasync", "fsync"):
            continue
        if "resumed>" in lines[at]:
            if found[1] in begun:
                return at
        elif "postroom.db-wal>" in lines[at]:
            begun.add(found[1])
            if "= 0" in lines[at]:
                return at
    raise AssertionError("no sync")

"""The machine's clock is set while the daemon runs: a day on, and two days back."""

import os
import smtplib
import sqlite3
from contextlib import closing

from peers.house import mail
from peers.processes import wait_until
from peers.smarthost import STALL

CONFIG = """
[smtp]
listen = ["127.0.0.1:{{port}}"]
min_free_disk = 1
[processing]
workers = 1
[outgoing]
courier = "smtp"
retry_first_seconds = 3600
[outgoing.smtp]
port = {smarthost}
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


# What Python runs at its start, in the daemon as in its workers: a thread that sets the clock of the day as a file says. (libfaketime breaks
# sleeping until a moment of the monotonic clock, which is how Python sleeps.)
SITECUSTOMIZE = """
import os, threading, time
import time_machine

path, sleep, said, travel = os.environ["CLOCK"], time.sleep, 0.0, None

def follow():
    global said, travel
    while True:
        wanted = float(open(path).read())
        if wanted != said:
            base = time.time() - said
            if travel:
                travel.stop()
            travel = time_machine.travel(base + wanted, tick=True)
            travel.start()
            said = wanted
        sleep(0.01)

threading.Thread(target=follow, daemon=True).start()
"""
DAY = 86400  # seconds


def write(daemon, name):
    sender = f"{name}@customer.example"
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.sendmail(sender, ["support@example.com"], mail(sender, Message_ID=f"<{name}@customer.example>", Date=""))


def rows(daemon, query):
    with closing(sqlite3.connect(f"file:{daemon.folder}/var/postroom.db?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def test_a_clock_that_jumps_loses_no_lease_and_lets_no_mail_go_twice(start_daemon, smarthost, tmp_path):
    """Of time that passes the daemon asks a clock that nobody sets; the other one is set."""
    clock = tmp_path / "clock"

    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)

    def set_clock(seconds):
        (tmp_path / "new").write_text(str(seconds))
        (tmp_path / "new").rename(clock)

    set_clock(0)
    daemon = start_daemon(
        CONFIG.format(smarthost=smarthost.port),
        env={"CLOCK": str(clock), "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )
    smarthost.on("RCPT", "450 4.2.1 busy", match="later@", times=1)
    write(daemon, "later")
    daemon.wait_for_log("deferred")
    smarthost.on("DOT", STALL, match="slow@", times=1)
    write(daemon, "slow")
    wait_until(lambda: rows(daemon, "SELECT 1 FROM delivery WHERE in_doubt_at IS NOT NULL"), "one is on its way")
    set_clock(DAY)  # every lease and every retry is due
    write(daemon, "tomorrow")
    wait_until(lambda: smarthost.to("tomorrow@customer.example"), "mail flows on tomorrow")
    wait_until(lambda: smarthost.to("later@customer.example"), "the retry is due")
    set_clock(-DAY)
    write(daemon, "yesterday")
    wait_until(lambda: smarthost.to("yesterday@customer.example"), "mail flows on yesterday")
    smarthost.release()
    wait_until(lambda: {r[0] for r in rows(daemon, "SELECT state FROM delivery")} == {"sent"}, "all is sent")
    assert daemon.stop() == 0
    assert {r[0] for r in rows(daemon, "SELECT state FROM inbound_email")} == {"processed"}
    names = sorted(recipient for taken in smarthost.messages for recipient in taken.recipients)
    assert names == [f"{name}@customer.example" for name in ("later", "slow", "tomorrow", "yesterday")]

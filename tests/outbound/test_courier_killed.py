"""The real program, killed by SIGKILL at each step of a delivery: people's mail arrives, automatic mail at most once."""

import asyncio
import os
import signal
import smtplib
import subprocess
import sys

import pytest
from peers.courier import courier_of, put, settings, state
from peers.outgoing import desk_in
from peers.smarthost import CUT

CONFIG = """
[smtp]
listen = ["127.0.0.1:{{port}}"]
min_free_disk = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
[outgoing]
courier = "smtp"
[outgoing.smtp]
port = {port}
[notify]
confirmation = {confirmation}
"""
MAIL = b"From: ann@example.org\r\nTo: support@example.com\r\nSubject: printer\r\nMessage-ID: <1@example.org>\r\n\r\nfire\r\n"
STEPS = ["courier-in-doubt", "courier-carried"]  # where they differ; all of them: test_courier.py


def write_to(daemon):
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.sendmail("ann@example.org", ["support@example.com"], MAIL)


def start_again(daemon):
    assert daemon.wait() == -signal.SIGKILL
    daemon.env.clear()
    daemon.start()


@pytest.mark.parametrize("step", STEPS)
def test_an_agents_answer_arrives_whenever_the_daemon_is_killed(start_daemon, smarthost, step):
    daemon = start_daemon(CONFIG.format(port=smarthost.port, confirmation="false"), env={"POSTROOM_FAILPOINT": step})
    write_to(daemon)
    daemon.wait_for_log("opened")
    ran = daemon.cli("tickets", "reply", "T-1001", "Turn it off.")
    assert ran.exit == 0, ran.err
    start_again(daemon)
    smarthost.wait_for(2 if step == "courier-carried" else 1)
    daemon.stop()
    assert len({taken.content for taken in smarthost.messages}) == 1
    assert len(smarthost.messages) == (2 if step == "courier-carried" else 1)
    assert [row["state"] for row in daemon.json("outbox", "list") if row["purpose"] == "reply"] == ["sent"]


@pytest.mark.parametrize("step", STEPS)
def test_a_confirmation_goes_out_at_most_once(start_daemon, smarthost, step):
    daemon = start_daemon(CONFIG.format(port=smarthost.port, confirmation="true"), env={"POSTROOM_FAILPOINT": step})
    write_to(daemon)
    start_again(daemon)
    daemon.wait_for_log("recovered")
    daemon.stop()
    assert len(smarthost.messages) == (0 if step == "courier-in-doubt" else 1)
    states = [row["state"] for row in daemon.json("outbox", "list") if row["purpose"] == "confirmation"]
    assert states == ["failed"]


@pytest.mark.parametrize(
    ("verb", "action", "automatic", "arrivals", "end"),
    [
        ("CONNECT", None, False, 1, "sent"), ("EHLO", None, True, 1, "sent"),
        *((verb, None, automatic, 1, "sent") for verb in ("MAIL", "RCPT", "DATA") for automatic in (False, True)),
        ("CONTENT", CUT, False, 1, "sent"), ("CONTENT", CUT, True, 0, "failed"),  # the mark of doubt was set: nobody knows
        ("DOT", CUT, False, 1, "sent"), ("DOT", CUT, True, 0, "failed"),
        ("DOT", None, False, 2, "sent"), ("DOT", None, True, 1, "failed"),
    ],
)  # fmt: skip
def test_killed_at_each_verb_people_get_their_mail_and_machines_at_most_once(
    tmp_path, smarthost, verb, action, automatic, arrivals, end
):
    file = tmp_path / "postroom.toml"
    file.write_text(f"[store]\nurl = 'sqlite:///postroom.db'\n{settings(smarthost, connections=1)}")
    with desk_in(tmp_path, settings(smarthost, connections=1)) as desk:
        put(desk, automatic=automatic, raw=b"Message-ID: <1@example.com>\r\n\r\n" + b"Hello. " * 20 + b"\r\n")
        child = subprocess.Popen([sys.executable, "-m", "postroom", "-c", str(file), "outbox", "send"], cwd=tmp_path)
        smarthost.on(verb, action, call=lambda: os.kill(child.pid, signal.SIGKILL), times=1)
        assert child.wait(60) == -signal.SIGKILL
        assert state(desk).state == "sending"
        send_again(desk)
        assert (state(desk).state, len(smarthost.messages)) == (end, arrivals)
        assert len({taken.content for taken in smarthost.messages}) <= 1


def send_again(desk):
    """As the next daemon does."""
    asyncio.run(courier_of(desk).deliver_due())

"""The real daemon, killed by SIGKILL at each step of a delivery: people's mail arrives, automatic mail at most once."""

import signal
import smtplib

import pytest

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
STEPS = ["courier-claimed", "courier-before-doubt", "courier-in-doubt", "courier-carried"]


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
    if step in ("courier-claimed", "courier-before-doubt"):
        smarthost.wait_for(1)
    else:
        daemon.wait_for_log("recovered")
    daemon.stop()
    assert len(smarthost.messages) == (0 if step == "courier-in-doubt" else 1)
    states = [row["state"] for row in daemon.json("outbox", "list") if row["purpose"] == "confirmation"]
    assert states == ["failed" if step in ("courier-in-doubt", "courier-carried") else "sent"]

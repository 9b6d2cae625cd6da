"""The real daemon keeps due times, also those that passed while it was down."""

import smtplib
from datetime import UTC, datetime

import pytest
from peers.house import mail
from peers.processes import wait_until

from postroom.parsers.email import parse

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[queue.support]
agents = ["ann"]
assign = "round_robin"
first_response_hours = 0.0001
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


def sent(daemon):
    return [parse(path.read_bytes()) for path in (daemon.folder / "var/outgoing/new").glob("*")]


def test_what_became_due_while_the_daemon_was_down_is_told_once(start_daemon, store):
    daemon = start_daemon(CONFIG + store)
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=10) as client:
        client.sendmail("cy@customer.example", ["support@example.com"], mail())
    wait_until(lambda: daemon.json("tickets", "list"), "the mail is a ticket")
    daemon.stop()
    [ticket] = daemon.json("tickets", "export")
    assert ticket["assignedTo"] == "ann"
    wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(ticket["slaDueAt"]), "it is overdue")
    for _ in range(2):
        daemon.start()
        wait_until(lambda: [m for m in sent(daemon) if "is overdue" in m.text], "ann is told that it is overdue")
        daemon.stop()
    assert len([m for m in sent(daemon) if "is overdue" in m.text]) == 1
    [ticket] = daemon.json("tickets", "export")
    assert [event["event"] for event in ticket["activity"]].count("escalated") == 1

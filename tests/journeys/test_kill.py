"""SIGKILL while mail flows in, becomes tickets and flows out: nothing is lost, nothing is there twice."""

import contextlib
import random
import smtplib
import threading
from collections import Counter

import pytest
from peers.house import answer, mail
from peers.processes import wait_until

from postroom.parsers.email import parse

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[answers]
per_sender_hour = 1000
per_sender_day = 1000
per_domain_hour = 1000
all_hour = 10000
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
KILLS = 8
MAILS = 160


def persistent(daemon, raws, sender, gone):
    """Send each mail until it is acknowledged, as a real mail server does."""
    for raw, recipient in raws:
        while not gone.is_set():
            with contextlib.suppress(smtplib.SMTPException, OSError):
                with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=5) as client:
                    client.sendmail(sender, [recipient], raw)
                break
            gone.wait(0.05)


def delivered(daemon):
    return [parse(path.read_bytes()) for path in (daemon.folder / "var/outgoing/new").glob("*")]


def idle(daemon):
    states = {row["state"] for row in daemon.json("inbound", "list")}
    going = {row["state"] for row in daemon.json("outbox", "list")}
    return states == {"processed"} and not going & {"pending", "sending", "retry"}


def test_no_mail_is_lost_or_doubled_however_often_the_daemon_is_killed(start_daemon, store):
    chance = random.Random(7)
    daemon = start_daemon(CONFIG + store)
    raws = [
        (mail(f"c{n}@customer.example", Message_ID=f"<kill-{n}@customer.example>"), "support@example.com")
        for n in range(MAILS)
    ]
    gone = threading.Event()
    clients = [
        threading.Thread(target=persistent, args=(daemon, raws[k::4], f"c{k}@customer.example", gone)) for k in range(4)
    ]
    try:
        for client in clients:
            client.start()
        for _ in range(KILLS):
            gone.wait(chance.uniform(0.05, 0.6))  # kills fall where they fall; nothing is expected to be done by then
            daemon.kill()
            daemon.start()
        wait_until(lambda: not any(client.is_alive() for client in clients), "every mail is acknowledged", 60)
    finally:
        gone.set()
        for client in clients:
            client.join()
    wait_until(lambda: idle(daemon), "everything is processed and sent", 60)
    tickets = Counter(t["emailMessageId"] for t in daemon.json("tickets", "export"))
    assert tickets == Counter({f"kill-{n}@customer.example": 1 for n in range(MAILS)})
    mails = delivered(daemon)
    assert max(Counter(m.message_id for m in mails).values()) == 1  # no automatic mail twice
    assert max(Counter(m.to[0].address for m in mails if m.to[0].address != "ann@example.com").values()) == 1

    # people's mail arrives at least once: answers to every tenth ticket, and more kills
    notices = [m for m in mails if m.to[0].address == "ann@example.com"][::10]
    answers = [
        (answer(notice, Message_ID=f"<answer-{n}@example.com>"), notice.reply_to[0].address)
        for n, notice in enumerate(notices)
    ]
    gone.clear()
    client = threading.Thread(target=persistent, args=(daemon, answers, "ann@example.com", gone))
    try:
        client.start()
        for _ in range(3):
            gone.wait(chance.uniform(0.05, 0.4))
            daemon.kill()
            daemon.start()
        client.join(60)
    finally:
        gone.set()
        client.join()
    wait_until(lambda: idle(daemon), "everything is processed and sent", 60)
    replies = [row for row in daemon.json("outbox", "list") if row["purpose"] == "reply"]
    assert len(replies) == len(answers)
    arrived = {m.message_id for m in delivered(daemon)}
    assert {row["messageId"] for row in replies} <= arrived

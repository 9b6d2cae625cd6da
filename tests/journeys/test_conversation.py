"""A customer, an agent and a mail program: one conversation, seen from all three sides."""

import smtplib

import pytest
from peers.house import answer, mail
from peers.mailclients import notmuch_threads
from peers.processes import wait_until

from postroom.parsers.email import parse

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[queue.support]
agents = ["ann"]
[agent.ann]
name = "Ann Agent"
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
CY = "cy@customer.example"


def send(daemon, raw, sender, *recipients):
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=30) as client:
        client.sendmail(sender, recipients, raw)


def outgoing(daemon, recipient, subject=""):
    """What was delivered to a person, oldest first."""
    mails = [parse(path.read_bytes()) for path in sorted((daemon.folder / "var/outgoing/new").glob("*"))]
    mails = [m for m in mails if any(a.address == recipient for a in m.to) and subject in m.subject]
    return sorted(mails, key=lambda m: m.date or 0)


def arrived(daemon, recipient, count, subject=""):
    return wait_until(
        lambda: (m := outgoing(daemon, recipient, subject)) and len(m) >= count and m, f"{count} to {recipient}"
    )


def test_a_real_mail_program_shows_confirmation_answer_and_question_as_one_thread(start_daemon, store, tmp_path):
    daemon = start_daemon(CONFIG + store)
    first = mail(Message_ID="<first@customer.example>")
    send(daemon, first, CY, "support@example.com")
    confirmation = arrived(daemon, CY, 1)[0]
    notice = arrived(daemon, "ann@example.com", 1)[0]
    send(daemon, answer(notice), "ann@example.com", notice.reply_to[0].address)
    reply = next(m for m in arrived(daemon, CY, 2) if m.message_id != confirmation.message_id)
    again = answer(reply, "It still burns.\n", CY, Message_ID="<second@customer.example>")
    send(daemon, again, CY, reply.reply_to[0].address)
    arrived(daemon, "ann@example.com", 2)

    inbox = tmp_path / "customer"
    for part in ("cur", "new", "tmp"):
        (inbox / part).mkdir(parents=True)
    seen = [
        path.read_bytes() for path in (daemon.folder / "var/outgoing/new").glob("*") if b"\nTo: " in path.read_bytes()
    ]
    for number, raw in enumerate([first, again, *(r for r in seen if any(a.address == CY for a in parse(r).to))]):
        (inbox / "new" / f"{number}.mail").write_bytes(raw)
    expected = {"first@customer.example", "second@customer.example", confirmation.message_id, reply.message_id}
    assert [set(thread) for thread in notmuch_threads(inbox)] == [expected]
    (ticket,) = daemon.json("tickets", "export")
    assert [m["type"] for m in ticket["messages"]] == ["user", "agent", "user"]


def test_the_same_bytes_again_change_nothing(start_daemon, store):
    daemon = start_daemon(CONFIG + store)
    raw = mail()
    for _ in range(3):
        send(daemon, raw, CY, "support@example.com")
    arrived(daemon, CY, 1)
    arrived(daemon, "ann@example.com", 1)
    before = daemon.json("tickets", "export")
    send(daemon, raw, CY, "support@example.com")
    send(daemon, mail(subject="another"), CY, "support@example.com")
    wait_until(lambda: len(daemon.json("tickets", "export")) == 2, "the other ticket")
    assert daemon.json("tickets", "export")[:1] == before
    wait_until(lambda: len(outgoing(daemon, CY)) == 2, "a confirmation for each ticket, and no more")

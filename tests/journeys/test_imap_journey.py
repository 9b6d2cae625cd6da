"""The daemon, two mailboxes on a real Dovecot, and a thousand mails that arrive while one or the other is away."""

import pytest
from peers.processes import wait_until

from postroom.daemon import house

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = []
[queue.support]
[queue.sales]
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.support.imap]
host = "127.0.0.1"
port = PORT
security = "none"
user = "support"
password_env = "IMAP_PASSWORD"
poll_seconds = 2
timeout_seconds = 10
[mailbox.sales]
address = "sales@example.com"
queue = "sales"
[mailbox.sales.imap]
host = "127.0.0.1"
port = PORT
security = "none"
user = "sales"
password_env = "IMAP_PASSWORD"
after = "leave"
poll_seconds = 2
timeout_seconds = 10
"""
USERS = ("support", "sales")


def letter(user: str, number: int) -> bytes:
    return (
        f"From: Customer {number} <c{number}@customer.example>\r\nTo: {user}@example.com\r\nSubject: Question {number}\r\n"
        f"Date: {house.now():%a, %d %b %Y %H:%M:%S +0000}\r\nMessage-ID: <{user}-{number}@customer.example>\r\n\r\n"
        f"This is question {number}.\r\n"
    ).encode()


def wanted(numbers):
    return {f"{user}-{n}@customer.example" for user in USERS for n in numbers}


def opened(daemon):
    return [t["emailMessageId"] for t in daemon.json("tickets", "export")]


def test_a_thousand_mails_become_tickets_exactly_once_whoever_is_away_in_between(start_daemon, dovecot):
    config = CONFIG.replace("PORT", str(dovecot.port))
    for user in USERS:
        dovecot.append_all(user, [letter(user, n) for n in range(100)])  # before it is started
    daemon = start_daemon(config, env={"IMAP_PASSWORD": dovecot.password})
    for user in USERS:
        dovecot.append_all(user, [letter(user, n) for n in range(100, 200)])  # while it runs
        uids = dovecot.append_all(user, [letter(user, n) for n in range(200, 250)])
        dovecot.set_flags(user, uids, ["\\Seen", "\\Flagged"])  # a person was faster
    daemon.stop()
    for user in USERS:
        uids = dovecot.append_all(
            user, [letter(user, n) for n in range(250, 350)], flags=["\\Seen"]
        )  # while it is stopped
    daemon.start()
    dovecot.stop()
    for user in USERS:
        for n in range(350, 450):
            dovecot.deliver(user, letter(user, n))  # while Dovecot is down
    dovecot.start()
    for user in USERS:
        dovecot.append_all(user, [letter(user, n) for n in range(450, 500)])
    wait_until(lambda: set(opened(daemon)) >= wanted(range(500)), "1,000 tickets", 60)
    for user in USERS:
        dovecot.set_uidvalidity(user, dovecot.uidvalidity(user) + 1000)
        dovecot.append(user, letter(user, 500))
        dovecot.kick(user)
    wait_until(lambda: set(opened(daemon)) >= wanted(range(501)), "the mails after UIDVALIDITY changed", 60)

    assert sorted(opened(daemon)) == sorted(wanted(range(501)))
    states = {row["state"] for row in daemon.json("inbound", "list")}
    assert states == {"processed"}
    wait_until(
        lambda: all("\\Seen" in m.flags for m in dovecot.messages("support")), "every mail of support is flagged", 30
    )
    assert not any("\\Seen" in m.flags for m in dovecot.messages("sales")[:100])  # left as configured


def test_a_daemon_that_is_killed_again_and_again_takes_every_mail_once(start_daemon, dovecot, store):
    config = CONFIG.replace("PORT", str(dovecot.port)) + store
    daemon = start_daemon(config, env={"IMAP_PASSWORD": dovecot.password})
    for round_ in range(6):
        for user in USERS:
            dovecot.append_all(user, [letter(user, n) for n in range(round_ * 20, round_ * 20 + 20)])
        if round_ % 2:
            wait_until(lambda: opened(daemon), "some tickets")
        daemon.kill()
        daemon.start()
    wait_until(lambda: set(opened(daemon)) >= wanted(range(120)), "240 tickets", 60)
    assert sorted(opened(daemon)) == sorted(wanted(range(120)))

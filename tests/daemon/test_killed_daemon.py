"""Real daemons on one PostgreSQL, one of which is killed, or hangs: the others go on with what it had."""

import hashlib
import random
import signal
import time
from contextlib import ExitStack

import pytest
from peers import threads
from peers.daemon import Daemon
from peers.house import CONFIG, SUPPORT, TestHouse
from peers.processes import wait_until
from sqlalchemy import func, select

from postroom import config as settings
from postroom.daemon import house
from postroom.store import inbound, nodes
from postroom.store.tables import InboundEmail, Message

pytestmark = pytest.mark.xdist_group("journeys")

MAILS = 1000
TOML = """
[store]
url = "{url}"
[smtp]
listen = []
[keys]
file = "{folder}/keys"
[processing]
workers = 1
batch = 20
[queue.support]
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


def states(desk):
    with desk.store.read() as connection:
        query = select(InboundEmail.state, func.count()).group_by(InboundEmail.state)
        return dict(connection.execute(query).all())


def test_what_a_killed_and_a_stopped_daemon_had_in_hand_is_done_by_the_third_and_nobody_waits_for_long(
    migrated_url, tmp_path, postgresql
):
    """One hangs in the middle of its transaction, with the desk's lock, and is stopped; one is killed as it waits for that."""
    letters = threads.conversations(random.Random(5), threads=100, mails=MAILS)
    toml = TOML.replace("{url}", migrated_url).replace("{folder}", str(tmp_path))
    config = settings.parse({**CONFIG, "store": {"url": migrated_url}, "keys": {"file": "keys"}}, tmp_path)
    with house.open_house(config) as opened:
        desk = TestHouse(opened)
        with desk.store.write() as connection:
            inbound.accept(connection, [
                inbound.NewInbound("support", SUPPORT, one.raw, hashlib.sha256(one.raw).hexdigest(), "smtp", "cy@cy.example", house.now())
                for one in letters
            ])  # fmt: skip
        hangs = {"POSTROOM_FAILPOINT": "process-between:hang"}
        with ExitStack() as running:
            stopped = running.enter_context(Daemon(tmp_path / "stopped", toml, env=hangs))
            name = wait_until(lambda: _named(desk, stopped), "it is known", 60)
            wait_until(lambda: name in _holders(postgresql, migrated_url), "it has the lock", 60)
            killed = running.enter_context(Daemon(tmp_path / "killed", toml))
            other = wait_until(lambda: _named(desk, killed), "it is known", 60)
            wait_until(lambda: _count(desk, InboundEmail.claimed_by.startswith(f"{other} ")), "it has mail in hand", 60)
            running.enter_context(Daemon(tmp_path / "survivor", toml))
            stopped.send(signal.SIGSTOP)
            killed.kill()
            began = time.monotonic()
            assert states(desk).get("processed", 0) == 0
            wait_until(lambda: states(desk).get("processed"), "the third goes on", 120)
            stalled = time.monotonic() - began
            wait_until(lambda: states(desk) == {"processed": MAILS}, f"all are processed, not {states(desk)}", 300)
            with desk.store.read() as connection:
                assert not {name, other} & set(nodes.living(connection, house.now()))
            stopped.send(signal.SIGCONT)
            stopped.kill()
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )
        with desk.store.read() as connection:
            messages = select(func.count(), func.count(Message.inbound_id.distinct())).select_from(Message)
            assert connection.execute(messages).one() == (MAILS, MAILS)
    print(f"stalled for {stalled:.1f} s; a lease is {nodes.LEASE.total_seconds():g} s")


def _named(desk, daemon):
    """The name that a daemon has among the others; "" before it has said that it lives."""
    with desk.store.read() as connection:
        return next((n for n in nodes.living(connection, house.now()) if f":{daemon.pid}:" in n), "")


def _holders(postgresql, url):
    """Who has an advisory lock, by the end of the name that it gives to PostgreSQL."""
    query = "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND granted"
    return {name.rpartition(" ")[2] for (name,) in postgresql.query(query, url.rpartition("/")[2])}


def _count(desk, condition):
    with desk.store.read() as connection:
        return connection.execute(select(func.count()).select_from(InboundEmail).where(condition)).scalar_one()


IMAP = """
[mailbox.support.imap]
host = "127.0.0.1"
port = {port}
security = "none"
user = "support"
password_env = "IMAP_PASSWORD"
poll_seconds = 1
timeout_seconds = 10
"""


def letter(number):
    return (
        f"From: c{number}@customer.example\r\nTo: {SUPPORT}\r\nSubject: Question {number}\r\n"
        f"Date: {house.now():%a, %d %b %Y %H:%M:%S +0000}\r\nMessage-ID: <{number}@customer.example>\r\n\r\nHello.\r\n"
    ).encode()


def held_by(daemon):
    [state] = daemon.json("status")
    return state["mailboxes"][0]["watchedBy"] or ""


def opened(daemon):
    return sorted(t["emailMessageId"] for t in daemon.json("tickets", "export"))


def test_a_folder_is_watched_by_one_daemon_and_by_the_other_when_that_one_is_killed_or_stopped(
    migrated_url, tmp_path, dovecot
):
    toml = TOML.replace("{url}", migrated_url).replace("{folder}", str(tmp_path)) + IMAP.replace(
        "{port}", str(dovecot.port)
    )
    env = {"IMAP_PASSWORD": dovecot.password}
    dovecot.append_all("support", [letter(n) for n in range(20)])
    with Daemon(tmp_path / "one", toml, env=env) as one:
        one.wait_for_log("watching")
        with Daemon(tmp_path / "two", toml, env=env) as two:
            two.wait_for_log("watched elsewhere")
            assert f":{one.pid}:" in held_by(two)
            wait_until(lambda: len(opened(two)) == 20, "the mail of the first", 60)
            one.kill()
            dovecot.append_all("support", [letter(n) for n in range(20, 40)])
            two.wait_for_log("watching", 60)
            wait_until(lambda: len(opened(two)) == 40, "the mail after the kill", 60)
            one.start()
            one.wait_for_log("watched elsewhere")
            two.stop()
            one.wait_for_log("watching")
            dovecot.append_all("support", [letter(n) for n in range(40, 50)])
            wait_until(lambda: len(opened(one)) == 50, "the mail after the stop", 60)
            assert opened(one) == sorted(f"{n}@customer.example" for n in range(50))

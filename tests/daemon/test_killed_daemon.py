"""Two real daemons on one PostgreSQL, a thousand mails of a hundred threads, and one of the two is killed on the way."""

import hashlib
import random

import pytest
from peers import threads
from peers.daemon import Daemon
from peers.house import CONFIG, SUPPORT, TestHouse
from peers.processes import wait_until
from sqlalchemy import func, select

from postroom import config as settings
from postroom.daemon import house
from postroom.store import inbound, nodes
from postroom.store.engine import Store
from postroom.store.migrate import upgrade
from postroom.store.tables import InboundEmail, Message

pytestmark = pytest.mark.xdist_group("journeys")

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


def test_a_daemon_that_is_killed_among_a_thousand_mails_loses_nothing_and_stalls_nothing_for_long(
    postgresql_url, tmp_path
):
    letters = threads.conversations(random.Random(5), threads=100, mails=1000)
    toml = TOML.replace("{url}", postgresql_url).replace("{folder}", str(tmp_path))
    config = settings.parse({**CONFIG, "store": {"url": postgresql_url}, "keys": {"file": "keys"}}, tmp_path)
    store = Store(postgresql_url)
    upgrade(store)
    store.dispose()
    with house.open_house(config) as opened:
        desk = TestHouse(opened)
        with Daemon(tmp_path / "survivor", toml), Daemon(tmp_path / "victim", toml) as victim:
            with desk.store.write() as connection:
                inbound.accept(connection, [
                    inbound.NewInbound("support", SUPPORT, one.raw, hashlib.sha256(one.raw).hexdigest(), "smtp", "cy@cy.example", house.now())
                    for one in letters
                ])  # fmt: skip
            wait_until(lambda: states(desk).get("processed", 0) > 60, "both are at it", 60)
            with desk.store.read() as connection:
                [name] = [n for n in nodes.living(connection, house.now()) if f":{victim.pid}:" in n]
                claimed = InboundEmail.claimed_by.startswith(f"{name} ")
            wait_until(lambda: _count(desk, claimed), "the victim has mail in hand", 60)
            victim.kill()
            left = _count(desk, claimed)
            wait_until(lambda: states(desk) == {"processed": 1000}, f"all are processed, not {states(desk)}", 120)
            with desk.store.read() as connection:
                assert name not in nodes.living(connection, house.now()), f"it had {left} in hand"
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )
        with desk.store.read() as connection:
            messages = select(func.count(), func.count(Message.inbound_id.distinct())).select_from(Message)
            assert connection.execute(messages).one() == (1000, 1000)


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
    postgresql_url, tmp_path, dovecot
):
    toml = TOML.replace("{url}", postgresql_url).replace("{folder}", str(tmp_path)) + IMAP.replace(
        "{port}", str(dovecot.port)
    )
    env = {"IMAP_PASSWORD": dovecot.password}
    store = Store(postgresql_url)
    upgrade(store)
    store.dispose()
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

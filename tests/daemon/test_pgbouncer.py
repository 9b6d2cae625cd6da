"""PgBouncer between the daemons and PostgreSQL: by session all is as without it, by transaction with the URL of PostgreSQL beside it."""

import json
import random
import smtplib

import pytest
from peers import threads
from peers.commandline import Desk
from peers.daemon import Daemon
from peers.house import CONFIG as HOUSE
from peers.house import SUPPORT, TestHouse
from peers.pgbouncer import PgBouncer
from peers.processes import wait_until

from postroom import config as settings
from postroom.daemon import house
from postroom.store import inbound, news, overview
from postroom.store.engine import Store

CONFIG = """
[store]
url = "{url}"
direct_url = "{direct_url}"
[smtp]
listen = ["127.0.0.1:{port}"]
[keys]
file = "../keys"
[processing]
workers = 1
batch = 5
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


@pytest.fixture
def pooler(postgresql, migrated_url):
    with PgBouncer(postgresql, migrated_url) as running:
        yield running


def config(url, direct_url=""):
    return CONFIG.replace("{url}", url).replace("{direct_url}", direct_url)


def test_a_pooler_that_lends_connections_by_transaction_is_refused_and_one_by_session_is_not(pooler, migrated_url):
    found = {}
    for mode, url in {"none": migrated_url, **{mode: pooler.url(mode) for mode in ("session", "transaction")}}.items():
        store = Store(url)
        found[mode] = store.is_lent_by_transaction()
        store.dispose()
    assert found == {"none": False, "session": False, "transaction": True}


def test_a_daemon_behind_such_a_pooler_says_what_to_set_and_exits_78(pooler, tmp_path):
    daemon = Daemon(tmp_path / "daemon", config(pooler.url("transaction")))
    daemon.start(wait=False)
    assert daemon.wait() == 78
    assert "store.direct_url" in daemon.log()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_what_is_told_is_heard_behind_a_pooler(pooler, migrated_url, mode):
    direct_url = migrated_url if mode == "transaction" else ""
    store = Store(pooler.url(mode), direct_url=direct_url)
    try:
        assert news.is_heard(store)
    finally:
        store.dispose()


def test_check_says_what_a_pooler_does_to_the_store(pooler, migrated_url, tmp_path, monkeypatch):
    monkeypatch.setattr(news, "HEARD_SECONDS", 0.5)
    monkeypatch.setattr(overview, "forgetting", lambda _connection: [])  # the server of the tests syncs nothing
    said = {}
    for name, urls in {
        "by session": (pooler.url("session"), ""),
        "by transaction": (pooler.url("transaction"), ""),
        "by transaction, and past it": (pooler.url("transaction"), migrated_url),
        "past it through it": (pooler.url("transaction"), pooler.url("transaction")),
    }.items():
        desk = Desk(tmp_path, config(*urls).replace('"127.0.0.1:{port}"', ""))
        lines = map(json.loads, desk("check", "--json").out.splitlines())
        [found] = [line for line in lines if line["check"] == "store.url"]
        said[name] = (found["state"], "direct_url" in found["detail"])
    assert said == {
        "by session": ("ok", False),
        "by transaction": ("failed", True),
        "by transaction, and past it": ("ok", False),
        "past it through it": ("warning", True),
    }


@pytest.mark.xdist_group("journeys")
def test_two_daemons_behind_a_pooler_by_transaction_take_mail_and_make_one_ticket_of_each_thread(
    pooler, migrated_url, start_daemon, tmp_path
):
    """On four connections, which are lent in turn: nothing rests on a session."""
    letters = threads.conversations(random.Random(3), threads=10, mails=120)
    toml = config(pooler.url("transaction"), migrated_url)
    one, two = (start_daemon(toml, name=name) for name in ("one", "two"))
    for daemon, part in ((one, letters[::2]), (two, letters[1::2])):
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=60) as client:
            for letter in part:
                client.sendmail("cy@cy.example", [SUPPORT], letter.raw)
    parsed = settings.parse({**HOUSE, "store": {"url": migrated_url}, "keys": {"file": "keys"}}, tmp_path)
    with house.open_house(parsed) as opened:
        desk = TestHouse(opened)

        def states():
            with desk.store.read() as connection:
                return {row.state for row in inbound.find(connection)}

        wait_until(lambda: states() == {"processed"}, "all are processed", 120)
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )
    assert "failed" not in one.log() + two.log()
    assert "not listening" not in one.log() + two.log()
    assert (one.stop(), two.stop()) == (0, 0)

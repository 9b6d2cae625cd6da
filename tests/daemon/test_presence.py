"""Daemons on one PostgreSQL know who lives, and take over from who does not."""

import hashlib
from datetime import timedelta

import pytest
from peers.house import CONFIG, SUPPORT, mail
from peers.processes import wait_until
from sqlalchemy import select, text, update

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.presence import Presence
from postroom.errors import TemporaryFailure
from postroom.store import inbound, nodes, outbox
from postroom.store.engine import Store, daemon_name
from postroom.store.outbox import NewDelivery
from postroom.store.tables import Delivery, ImapLease, InboundEmail, Node

LONG = timedelta(minutes=10)
FOLDER = ("support@imap.example.com:993", "INBOX")


@pytest.fixture
def stores(migrated_url):
    """Two processes' stores on one database."""
    opened = [Store(migrated_url), Store(migrated_url)]
    yield opened
    for store in opened:
        store.dispose()


def fall_silent(store, name):
    with store.write() as connection:
        connection.execute(update(Node).where(Node.name == name).values(until=house.now() - timedelta(seconds=1)))


def accept(store, raw):
    with store.write() as connection:
        new = inbound.NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "", house.now())
        inbound.accept(connection, [new])


def enqueue(store, key, automatic=True):
    raw = b"Subject: %d\r\n\r\n" % key
    with store.write() as connection:
        digest = hashlib.sha256(raw).hexdigest()
        outbox.enqueue(connection, [
            NewDelivery(key, None, None, "reply", automatic, "support", "cy@cy.example", house.now(), digest=digest, raw=raw)
        ])  # fmt: skip


def received(store):
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(select(InboundEmail.state, InboundEmail.claimed_by))]


def deliveries(store):
    with store.read() as connection:
        return dict(connection.execute(select(Delivery.key, Delivery.state)).all())


def test_what_a_dead_daemon_had_in_hand_is_free_but_for_what_may_have_gone_out(stores):
    one, two = stores
    accept(one, mail())
    enqueue(one, 1)
    enqueue(one, 2)
    freed = []
    survivor = Presence(two, lambda: freed.append(1))
    with one.write() as connection:
        nodes.beat(connection, one.node, house.now())
        inbound.claim(connection, f"{one.node} aaa", house.now(), LONG, 10)
        outbox.claim(connection, f"{one.node} bbb", house.now(), LONG, 10)
        in_doubt = connection.execute(select(Delivery.id).where(Delivery.key == 2)).scalar_one()
        assert outbox.mark_in_doubt(connection, f"{one.node} bbb", [in_doubt], house.now()) == {in_doubt}
        assert nodes.lease_folder(connection, *FOLDER, one.node, house.now()) is None
    survivor.look()
    survivor._steady_since -= 2 * nodes.LEASE.total_seconds()
    survivor.look()
    assert [state for state, _ in received(two)] == ["processing"], "it lives"
    fall_silent(two, one.node)
    survivor.look()
    assert received(two) == [("pending", None)]
    assert deliveries(two) == {1: "pending", 2: "sending"}
    assert freed == [1]
    with two.write() as connection:
        assert nodes.living(connection, house.now()) == [two.node]
        assert nodes.lease_folder(connection, *FOLDER, two.node, house.now()) is None


def test_a_worker_of_a_daemon_with_a_longer_name_is_another_one(stores):
    one, two = stores
    accept(one, mail())
    with one.write() as connection:
        nodes.beat(connection, "host:1", house.now())
        inbound.claim(connection, "host:12 aaa", house.now(), LONG, 10)
    fall_silent(one, "host:1")
    with two.write() as connection:
        assert nodes.bury(connection, "host:1", house.now()) == (0, 0)
        assert nodes.bury(connection, "host:1", house.now()) is None
    assert received(two) == [("processing", "host:12 aaa")]


def test_who_could_not_reach_the_database_himself_buries_nobody_until_all_could_speak(stores):
    one, two = stores
    with one.write() as connection:
        nodes.beat(connection, one.node, house.now())
    fall_silent(one, one.node)
    survivor = Presence(two)
    survivor.look()
    with two.read() as connection:
        assert nodes.dead(connection, house.now()) == [one.node]
    survivor._steady_since -= 2 * nodes.LEASE.total_seconds()
    survivor._last -= 2 * nodes.LEASE.total_seconds()  # its own last word is older than a lease
    survivor.look()
    with two.read() as connection:
        assert nodes.dead(connection, house.now()) == [one.node]


def test_a_daemon_that_hangs_lock_and_rows_in_hand_loses_them_as_soon_as_it_is_dead(stores):
    """As one that is stopped (SIGSTOP), or whose network is cut: to the server it is still there."""
    one, two = stores
    accept(one, mail())
    for store in stores:
        store.call_itself(daemon_name(store.node))
    with one.write() as connection:
        nodes.beat(connection, one.node, house.now())
        inbound.claim(connection, f"{one.node} aaa", house.now(), LONG, 10)
    survivor = Presence(two)
    survivor.look()
    survivor._steady_since -= 2 * nodes.LEASE.total_seconds()

    def outlive():
        with one.write(alone=True) as hanging:
            assert len(inbound.held(hanging, f"{one.node} aaa", [1])) == 1
            survivor.look()
            assert received(two) == [("processing", f"{one.node} aaa")], "it lives"
            fall_silent(two, one.node)
            survivor.look()
            assert received(two) == [("pending", None)]
            with two.write(alone=True):
                pass
            inbound.held(hanging, f"{one.node} aaa", [1])

    with pytest.raises(TemporaryFailure):
        outlive()
    with two.read() as connection:
        assert nodes.living(connection, house.now()) == [two.node], "which ended no session of its own"


def test_who_may_not_end_anothers_sessions_takes_over_all_the_same(stores, postgresql, migrated_url):
    """Where each daemon logs in as a role of its own."""
    one, two = stores
    one.call_itself(daemon_name(one.node))
    database = migrated_url.rpartition("/")[2]
    postgresql.query("CREATE ROLE other LOGIN")
    other = Store(migrated_url.replace("postgres@", "other@"))
    try:
        postgresql.query("GRANT ALL ON ALL TABLES IN SCHEMA public TO other", database)
        with one.write() as connection:
            nodes.beat(connection, one.node, house.now())
        fall_silent(two, one.node)
        survivor = Presence(other)
        survivor.look()
        survivor._steady_since -= 2 * nodes.LEASE.total_seconds()
        with one.write(alone=True) as hanging:
            hanging.execute(text("SELECT 1"))
            survivor.look()
        with two.read() as connection:
            assert nodes.living(connection, house.now()) == [other.node]
    finally:
        other.dispose()
        postgresql.query("DROP OWNED BY other", database)
        postgresql.query("DROP ROLE other")


def test_a_daemon_that_ends_frees_what_it_has_and_is_known_no_more(stores):
    one, two = stores
    accept(one, mail())
    with Presence(one):
        with one.write() as connection:
            inbound.claim(connection, f"{one.node} aaa", house.now(), LONG, 10)
            nodes.lease_folder(connection, *FOLDER, one.node, house.now())
        with two.read() as connection:
            assert nodes.living(connection, house.now()) == [one.node]
            assert nodes.watched(connection, house.now()) == [(*FOLDER, one.node)]
    assert received(two) == [("pending", None)]
    with two.read() as connection:
        assert nodes.living(connection, house.now()) == []
        assert connection.execute(select(ImapLease.node)).all() == []


def test_a_daemon_that_cannot_speak_goes_on_trying(stores):
    one, two = stores
    with Presence(one, every=0.05) as presence:
        with two.write() as connection:
            connection.execute(text("ALTER TABLE node RENAME TO gone"))
        try:
            wait_until(lambda: presence._steady_since is None, "it noticed")
        finally:  # the next test has this database too
            with two.write() as connection:
                connection.execute(text("ALTER TABLE gone RENAME TO node"))
        wait_until(lambda: presence._steady_since is not None, "it speaks again")


def test_one_daemon_watches_a_folder_and_the_next_when_it_is_dead(stores):
    one, two = stores
    with one.write() as connection:
        nodes.beat(connection, one.node, house.now())
        assert nodes.lease_folder(connection, *FOLDER, one.node, house.now()) is None
        assert nodes.lease_folder(connection, *FOLDER, one.node, house.now()) is None
    with two.write() as connection:
        nodes.beat(connection, two.node, house.now())
        assert nodes.lease_folder(connection, *FOLDER, two.node, house.now()) == one.node
    fall_silent(two, one.node)
    with two.write() as connection:
        assert nodes.lease_folder(connection, *FOLDER, two.node, house.now()) is None
    with one.write() as connection:
        nodes.beat(connection, one.node, house.now())
        assert nodes.lease_folder(connection, *FOLDER, one.node, house.now()) == two.node
        nodes.give_folder_back(connection, *FOLDER, one.node)  # which is not its own any more
        assert nodes.lease_folder(connection, FOLDER[0], "Other", one.node, house.now()) is None
        watched = {folder: node for _, folder, node in nodes.watched(connection, house.now())}
    assert watched == {"INBOX": two.node, "Other": one.node}


def test_an_sqlite_store_has_one_daemon_and_needs_no_word(tmp_path):
    with house.open_house(settings.parse(CONFIG, tmp_path)) as opened:
        with Presence(opened.store) as presence:
            assert presence.is_alive
        with opened.store.read() as connection:
            assert connection.execute(select(Node.name)).all() == []

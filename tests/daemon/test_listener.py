"""Daemons on one PostgreSQL wake each other, and each does what it was started for."""

import hashlib

import pytest
from peers.house import SUPPORT, mail
from peers.processes import wait_until
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from postroom.daemon import house
from postroom.daemon.listener import Listener
from postroom.daemon.roles import ALL, read_roles
from postroom.errors import UserError
from postroom.store import inbound, news
from postroom.store.engine import Store


@pytest.fixture
def stores(migrated_url):
    opened = [Store(migrated_url), Store(migrated_url)]
    yield opened
    for store in opened:
        store.dispose()


def accept(store, raw):
    with store.write() as connection:
        new = inbound.NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "", house.now())
        return inbound.accept(connection, [new])


def come_to_nothing(store):
    with store.write() as connection:
        news.tell(connection, news.OUTBOX)
        connection.execute(text("INSERT INTO ticket_link (ticket_id, other_id, kind, reason) VALUES (1, 2, '', '')"))


def test_what_is_committed_is_told_to_the_others_once_and_not_to_oneself(stores):
    one, two = stores
    with news.listen(one) as ear_one, news.listen(two) as ear_two:
        raw = mail()
        accept(one, raw)
        assert ear_two.wait(10) == {news.INBOUND}
        assert ear_one.wait(10) == set()
        accept(one, raw)  # which is known: nothing to tell
        with pytest.raises(IntegrityError):
            come_to_nothing(one)
        with one.write() as connection:  # on the same pooled connection: nothing is left over
            news.tell(connection, news.INBOUND)
        assert ear_two.wait(10) == {news.INBOUND}
        assert ear_two.wait(0.2) == set()


def test_a_listener_whose_connection_is_cut_listens_again_and_looks_for_what_it_missed(stores, postgresql):
    one, two = stores
    heard = []
    listener = Listener(two, heard.append)
    listener.start()
    try:
        wait_until(lambda: news.OUTBOX in heard, "it listens")
        heard.clear()
        postgresql.query(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postroom ear {two.node}'"
        )
        wait_until(lambda: news.OUTBOX in heard, "it listens again")
        heard.clear()
        accept(one, mail())
        wait_until(lambda: heard == [news.INBOUND], "it hears")
    finally:
        listener.stop()


def test_roles_are_named_and_a_wrong_one_is_an_error():
    assert read_roles("smtp, work") == {"smtp", "work"}
    assert read_roles(",".join(ALL)) == ALL
    for words in ("smtp,web", "", " , "):
        with pytest.raises(UserError, match="--only"):
            read_roles(words)


CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{port}"]
[keys]
file = "../keys"
[mailbox.support]
address = "support@example.com"
queue = "support"
[queue.support]
[outgoing]
maildir = "out"
"""


@pytest.mark.xdist_group("journeys")
def test_one_daemon_takes_mail_another_makes_tickets_and_a_third_sends(start_daemon, stores, migrated_url, tmp_path):
    import smtplib

    config = CONFIG.replace("{url}", migrated_url)
    from peers.daemon import Daemon

    door, desk, post = (Daemon(tmp_path / name, config) for name in ("door", "desk", "post"))
    door.arguments, desk.arguments, post.arguments = ["--only", "smtp"], ["--only", "work,schedule"], ["--only", "send"]
    with door, desk, post:
        with smtplib.SMTP("127.0.0.1", door.smtp_port, timeout=30) as client:
            client.sendmail("cy@cy.example", ["support@example.com"], mail(sender="cy@cy.example"))
        desk.wait_for_log("opened")
        post.wait_for_log("sent")
        assert "opened" not in door.log() + post.log()
        assert "sent" not in door.log() + desk.log()
        assert len(list((tmp_path / "post" / "out" / "new").iterdir())) == 1
        with pytest.raises(OSError):
            smtplib.SMTP("127.0.0.1", desk.smtp_port, timeout=5)

"""PostgreSQL ends, refuses or tires of us while mail comes in: senders are told to come again, and all is as it was by itself."""

import smtplib
import threading
from collections import Counter

import pytest
from peers.daemon import Daemon
from peers.house import mail
from peers.processes import wait_until
from peers.stores import migrate

pytestmark = pytest.mark.xdist_group("postgresql faults")  # they share a daemon

CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{port}"]
[processing]
workers = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
ROLE = "desk"  # no superuser: those have connections kept for them
LATER = {421, 451}


class Server:
    """The database of one daemon, and what can befall it."""

    def __init__(self, postgresql):
        self._postgresql = postgresql
        self.url = postgresql.create_database()
        self._name = self.url.rpartition("/")[2]
        migrate(self.url)
        postgresql.query(f"CREATE ROLE {ROLE} LOGIN")
        postgresql.query(f"ALTER ROLE {ROLE} SET synchronous_commit = on")  # which is off for the other tests' speed
        self.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
        self.query(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")

    def close(self):
        self._postgresql.drop_database(self.url)
        self._postgresql.query(f"DROP ROLE {ROLE}")

    def query(self, sql):
        return self._postgresql.query(sql, self._name)

    def stop(self):
        self._postgresql.stop()

    def crash(self):
        self._postgresql.kill()

    def start(self):
        self._postgresql.start()

    def set(self, what):
        """Change the role, from its next session on, which is soon."""
        self.query(f"ALTER ROLE {ROLE} {what}")
        self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")


@pytest.fixture(scope="module")
def server(postgresql):
    made = Server(postgresql)
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    config = CONFIG.replace("{url}", server.url.replace("postgres@", f"{ROLE}@"))
    with Daemon(tmp_path_factory.mktemp("faults") / "daemon", config) as running:
        yield running


class Sender(threading.Thread):
    """Sends mail after mail until it is told to end, each as often as it takes, as mail servers do."""

    def __init__(self, port, name):
        super().__init__()
        self._port, self._name, self._ending = port, name, threading.Event()
        self.taken = []
        self.codes = Counter()

    def run(self):
        while not self._ending.is_set():
            id_ = f"{self._name}-{len(self.taken)}@customer.example"
            raw = mail(Message_ID=f"<{id_}>")
            while self.attempt(raw) != 250:
                self._ending.wait(0.05)
            self.taken.append(id_)

    def attempt(self, raw):
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as client:
                client.sendmail("cy@customer.example", ["support@example.com"], raw)
        except smtplib.SMTPResponseException as error:
            code = error.smtp_code
        except smtplib.SMTPRecipientsRefused as error:
            [(code, _)] = error.recipients.values()
        else:
            code = 250
        self.codes[code] += 1
        return code

    def end(self):
        self._ending.set()
        self.join(60)


FAULTS = {
    "it is restarted": (Server.stop, Server.start),
    "it crashes": (Server.crash, Server.start),
    "it is read-only, as a standby is": (
        lambda server: server.set("SET default_transaction_read_only = on"),
        lambda server: server.set("RESET default_transaction_read_only"),
    ),
    "it has no connection left": (
        lambda server: server.set("CONNECTION LIMIT 0"),
        lambda server: server.set("CONNECTION LIMIT -1"),
    ),
    "it ends each statement": (
        lambda server: server.set("SET statement_timeout = 1"),
        lambda server: server.set("RESET statement_timeout"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_senders_come_again_nothing_is_lost_and_it_goes_on_by_itself_when(daemon, server, fault):
    begin, end = FAULTS[fault]
    sender = Sender(daemon.smtp_port, fault.replace(" ", "-").replace(",", ""))
    sender.start()
    try:
        wait_until(lambda: len(sender.taken) >= 5, "mail is taken")
        begin(server)
        try:
            wait_until(lambda: set(sender.codes) & LATER, "the sender is told to come again", 60)
        finally:
            end(server)
        before = len(sender.taken)
        wait_until(lambda: len(sender.taken) >= before + 5, "mail is taken again", 60)
    finally:
        sender.end()
    assert set(sender.codes) <= {250, *LATER}
    is_everyones(server, sender)
    assert daemon.exit_status is None


def test_sessions_that_the_server_ends_when_they_are_idle_cost_no_mail(daemon, server):
    server.set("SET idle_session_timeout = '1s'")
    sender = Sender(daemon.smtp_port, "idle")
    try:
        wait_until(lambda: sender.attempt(mail(Message_ID="<idle-0@customer.example>")) == 250, "mail is taken", 60)
        sender.taken.append("idle-0@customer.example")
        sender.codes.clear()
        ours = f"SELECT pid FROM pg_stat_activity WHERE usename = '{ROLE}'"
        for number in range(1, 3):
            known = set(server.query(ours))
            wait_until(lambda known=known: not known & set(server.query(ours)), "its sessions are ended")
            assert sender.attempt(mail(Message_ID=f"<idle-{number}@customer.example>")) == 250
            sender.taken.append(f"idle-{number}@customer.example")
    finally:
        server.set("RESET idle_session_timeout")
    is_everyones(server, sender)


def is_everyones(server, sender):
    """Every mail that was taken is one ticket."""
    prefix = sender.taken[0].rpartition("-")[0]
    ids = f"SELECT email_message_id FROM ticket WHERE email_message_id LIKE '{prefix}-%'"
    wait_until(
        lambda: server.query("SELECT state FROM inbound_email WHERE state IN ('pending', 'processing')") == [],
        "all is processed",
        60,
    )
    assert sorted(id_ for (id_,) in server.query(ids)) == sorted(sender.taken)
    assert server.query("SELECT reason FROM inbound_email WHERE state NOT IN ('processed', 'duplicate')") == []

"""`postroom check` names what is wrong and what to do; `postroom status` says how things stand; `postroom migrate`."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from peers import nameserver
from peers.certificates import make_certificate
from peers.commandline import CONFIG, Desk
from peers.dovecot import Dovecot
from peers.postgresql import PostgreSQL
from peers.processes import free_port
from peers.smarthost import Smarthost
from sqlalchemy import update

from postroom.store import alarms, imap, migrate
from postroom.store.engine import Store
from postroom.store.tables import InboundEmail


def findings(ran) -> dict[str, tuple[bool, str]]:
    import json

    return {one["check"]: (one["ok"], one["detail"]) for one in map(json.loads, ran.out.splitlines())}


def test_all_is_well_on_a_new_desk_and_nothing_is_made(bare_desk):
    ran = bare_desk("check")
    assert (ran.status, ran.err) == (0, "")
    assert all(line.startswith("ok") for line in ran.out.splitlines())
    assert not (bare_desk.folder / "var").exists()


def test_a_database_in_use_is_well(desk):
    assert findings(desk("check", "--json"))["store.url"][0]


def test_a_port_that_another_holds_is_named(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        desk = Desk(tmp_path, CONFIG.replace("listen = []", f'listen = ["127.0.0.1:{port}"]'))
        ran = desk("check", "--json")
    ok, words = findings(ran)[f"smtp.listen 127.0.0.1:{port}"]
    assert (ran.status, ok, "address already in use" in words) == (1, False, True), words


@pytest.mark.parametrize(
    ("more", "what", "words", "status"),
    [
        (
            '[mailbox.support.imap]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nuser = "u"\npassword_env = "SECRET"',
            "mailbox.support.imap", "refused", 1,
        ),
        (
            '[mailbox.support.imap]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nuser = "u"\npassword_file = "none"',
            "mailbox.support.imap", "No such file", 78,
        ),
        ('[outgoing]\ncourier = "smtp"\n[outgoing.smtp]\nport = {port}', "outgoing.smtp", "connect", 1),
        ('[templates]\nfolder = "none"', "templates", "there is no such folder", 78),
        ('[store]\nurl = "postgresql+psycopg://nobody@127.0.0.1:{port}/none"', "store.url", "refused", 1),
        ('[store]\nurl = "sqlite:///postroom.toml/x.db"', "store.url", "is no directory", 1),
    ],
)  # fmt: skip
def test_what_does_not_work_is_named_with_its_key(tmp_path, monkeypatch, more, what, words, status):
    monkeypatch.setenv("SECRET", "secret")
    desk = Desk(tmp_path, CONFIG + more.replace("{port}", str(free_port())))
    ran = desk("check", "--json")
    ok, detail = findings(ran)[what]
    assert (ok, words.lower() in detail.lower(), ran.status) == (False, True, status), ran.out
    assert "Traceback" not in ran.err
    assert [line for line in desk("check").out.splitlines() if line.startswith("failed") and what in line]


def state(ran, what: str) -> tuple[str, str]:
    """The state and the words of one check."""
    import json

    return next((one["state"], one["detail"]) for one in map(json.loads, ran.out.splitlines()) if one["check"] == what)


@pytest.fixture
def store(desk):
    opened = Store(f"sqlite:///{desk.folder}/var/postroom.db")
    yield opened
    opened.dispose()


def test_whether_a_daemon_runs_is_said(desk, store):
    ran = desk("check", "--json")
    found, words = state(ran, "daemon")
    assert (ran.status, found, "none runs" in words) == (0, "warning", True)
    assert [line for line in desk("check").out.splitlines() if line.startswith("warning  daemon: none runs")]
    with store.daemon_lock("daemon"):
        assert state(desk.program("check", "--json"), "daemon") == ("ok", f"process {os.getpid()}")


def test_a_clock_that_lies_before_what_is_stored_is_wrong(desk, store):
    assert state(desk("check", "--json"), "clock")[0] == "ok"
    with store.write() as connection:
        connection.execute(update(InboundEmail).values(received_at=datetime.now(UTC) + timedelta(days=1)))
    ran = desk("check", "--json")
    found, words = state(ran, "clock")
    assert (ran.status, found, "happened as late as" in words) == (1, "failed", True)


def test_a_clock_that_differs_from_the_databases_is_a_warning(tmp_path, postgresql_url):
    desk = Desk(tmp_path, f'{CONFIG}[store]\nurl = "{postgresql_url}"\n')
    assert desk("migrate").status == 0
    assert state(desk("check", "--json"), "clock")[0] == "ok"
    assert state(desk("check", "--json"), "daemon")[0] == "warning"
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=3), tick=True):
        ran = desk("check", "--json")
    found, words = state(ran, "clock")
    assert (ran.status, found, "ahead of the database's" in words) == (0, "warning", True), words


def test_a_postgresql_that_may_forget_what_it_promised_is_a_warning(tmp_path, postgresql_url, start_daemon):
    # the server of the tests syncs nothing, for speed
    settings = f'[store]\nurl = "{postgresql_url}"\n'
    desk = Desk(tmp_path, CONFIG + settings)
    assert desk("migrate").status == 0
    found, words = state(desk("check", "--json"), "store.url")
    assert (found, "fsync, full_page_writes, synchronous_commit are off" in words) == ("warning", True), words
    assert "the store may forget" in start_daemon(CONFIG + settings, name="forgetful").log()


def test_a_postgresql_that_keeps_its_promises_is_no_warning(tmp_path):
    with PostgreSQL(durable=True) as server:
        desk = Desk(tmp_path, f'{CONFIG}[store]\nurl = "{server.create_database()}"\n')
        assert desk("migrate").status == 0
        assert state(desk("check", "--json"), "store.url")[0] == "ok"
        server.query("ALTER ROLE postgres SET synchronous_commit = off")
        found, words = state(desk("check", "--json"), "store.url")
    assert (found, "synchronous_commit is off" in words) == ("warning", True), words


def test_a_damaged_or_locked_database_is_named(desk):
    path = desk.folder / "var" / "postroom.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert "locked" in state(desk("check", "--json"), "store.url")[1]
    holder.execute("ROLLBACK")
    holder.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    holder.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 9] = os.urandom(4096 * 6)
    path.write_bytes(content)
    ran = desk("check", "--json")
    found, words = state(ran, "store.url")
    assert (ran.status, found, "postroom rescue" in words) == (78, "failed", True), words


def test_a_disk_with_little_room_is_a_warning_and_with_less_a_failure(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    for floor, wanted, status in ((free * 2, "failed", 1), (free * 2 // 3, "warning", 0), (free // 8, "ok", 0)):
        desk = Desk(tmp_path, CONFIG.replace("listen = []", f"listen = []\nmin_free_disk = {floor}"))
        ran = desk("check", "--json")
        assert (state(ran, "disk")[0], ran.status) == (wanted, status)


def test_files_that_others_can_read_or_change_are_named_each_with_what_to_do(desk):
    assert state(desk("check", "--json"), "permissions")[0] == "ok"
    secret = desk.folder / "password"
    secret.write_text("secret")
    secret.chmod(0o640)
    (desk.folder / "var" / "postroom.db").chmod(0o644)
    desk.config.write_text(CONFIG + '[outgoing.smtp]\npassword_file = "password"\n')
    desk.config.chmod(0o666)
    found, words = state(desk("check", "--json"), "permissions")
    assert found == "warning"
    for path in (secret, desk.folder / "var" / "postroom.db"):
        assert f"others can read {path}: chmod 600 {path}" in words
    assert f"others can change {desk.config}: chmod go-w {desk.config}" in words
    desk.config.write_text(CONFIG + '[store]\nurl = "postgresql+psycopg://u:secret@127.0.0.1:1/x"\n')
    desk.config.chmod(0o644)
    ran = desk("check", "--json")
    assert "others can read the password in store.url" in state(ran, "permissions")[1]
    assert "secret@" not in ran.out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_store_of_another_user_is_named(desk):
    os.chown(desk.folder / "var" / "postroom.db", 65534, 65534)
    found, words = state(desk("check", "--json"), "permissions")
    assert (found, "belongs to nobody" in words) == ("warning", True)


@pytest.mark.parametrize(("days", "wanted", "words"), [(1, "warning", "have it renewed"), (90, "ok", "valid until")])
def test_until_when_each_certificate_is_valid_is_said(tmp_path, monkeypatch, days, wanted, words):
    monkeypatch.setenv("SECRET", "secret")
    made = make_certificate(tmp_path, days)
    with Dovecot(certificate=made) as imap, Smarthost(certificate=made, logins={"support": "secret"}) as smtp:
        text = f"""
[mailbox.support.imap]
host = "localhost"
port = {imap.tls_port}
user = "support"
ca_file = "certificate.pem"
password_env = "SECRET"
[outgoing]
courier = "smtp"
[outgoing.smtp]
host = "localhost"
port = {smtp.port}
security = "starttls"
user = "support"
ca_file = "certificate.pem"
password_env = "SECRET"
"""
        ours = 'listen = []\ntls = "starttls"\ntls_certificate = "certificate.pem"\ntls_key = "key.pem"'
        ran = Desk(tmp_path, CONFIG.replace("listen = []", ours) + text)("check", "--json")
    assert ran.status == 0, ran.out
    for what in ("mailbox.support.imap", "outgoing.smtp", "smtp.tls_certificate"):
        assert (state(ran, what)[0], words in state(ran, what)[1]) == (wanted, True), state(ran, what)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=days + 1), tick=True):
        ran = Desk(tmp_path, CONFIG.replace("listen = []", ours))("check", "--json")
    assert "expired on" in state(ran, "smtp.tls_certificate")[1]


def test_ports_and_health_of_our_own_daemon_are_well(start_daemon, certificate):
    port = free_port()
    daemon = start_daemon(
        f"""
[smtp]
listen = ["127.0.0.1:{{port}}"]
tls = "implicit"
tls_certificate = "{certificate.certificate}"
tls_key = "{certificate.key}"
min_free_disk = 1
[health]
listen = "127.0.0.1:{port}"
"""
    )
    ran = daemon.cli("check", "--json")
    assert state(ran, f"smtp.listen 127.0.0.1:{daemon.smtp_port}") == ("ok", "in use, by Postroom itself")
    assert state(ran, "health.listen")[0] == "ok"
    assert state(ran, "daemon")[0] == "ok"
    assert ran.exit == 0, ran.out


NAMES = {
    ("example.com.", "MX"): ["10 mx.example.com."],
    ("mx.example.com.", "A"): ["192.0.2.1"],
    ("example.com.", "TXT"): ['"v=spf1 mx -all"', '"else"'],
    ("_dmarc.example.com.", "TXT"): ['"v=DMARC1; p=reject"'],
}


@pytest.mark.parametrize(
    ("record", "published", "what", "wanted", "words"),
    [
        (("example.com.", "MX"), ["10 mx.example.com."], "MX", "ok", "goes to mx.example.com"),
        (("example.com.", "MX"), ["0 ."], "MX", "failed", "takes no mail at all"),
        (("example.com.", "MX"), ["10 gone.example.com."], "MX", "failed", "gone.example.com has no address"),
        (("example.com.", "MX"), [], "MX", "failed", "does not arrive"),
        (("example.com.", "TXT"), ['"v=spf1 mx -all"'], "SPF", "ok", "v=spf1 mx -all"),
        (("example.com.", "TXT"), ['"v=spf1 -all"', '"v=spf1 mx -all"'], "SPF", "failed", "2 records"),
        (("example.com.", "TXT"), ['"v=spf1 +all"'], "SPF", "warning", "anybody"),
        (("example.com.", "TXT"), ['"v=spf10"'], "SPF", "warning", "publish a TXT record"),
        (("_dmarc.example.com.", "TXT"), ['"v=DMARC1; p=reject"'], "DMARC", "ok", "reject"),
        (("_dmarc.example.com.", "TXT"), ['"v=DMARC1; p=none"'], "DMARC", "ok", "only reported"),
        (("_dmarc.example.com.", "TXT"), ['"v=DMARC1; p=perhaps"'], "DMARC", "failed", "cannot be read"),
        (("_dmarc.example.com.", "TXT"), ['"v=DMARC1; p=none"'] * 2 + ['"v=DMARC1; p=reject"'], "DMARC", "failed", "leave one"),
        (("_dmarc.example.com.", "TXT"), ['"else"'], "DMARC", "warning", "there is none"),
    ],
)  # fmt: skip
def test_what_the_dns_says_of_our_domain_is_checked_where_that_is_asked(
    tmp_path, record, published, what, wanted, words
):
    names = {**NAMES, record: published}
    with nameserver.serving(more={key: value for key, value in names.items() if value}) as resolver:
        desk = Desk(tmp_path, f'{CONFIG}[authentication]\nresolver = "{resolver}"\n')
        ran = desk("check", "--dns", "--json")
    found, said = state(ran, f"dns example.com {what}")
    assert (found, words in said, ran.status) == (wanted, True, 1 if wanted == "failed" else 0), said
    assert "dns " not in desk("check").out


def test_a_dns_that_does_not_answer_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("postroom.cli.check_dns.DNS_SECONDS", 0.1)
    with nameserver.serving(answers=False) as resolver:
        ran = Desk(tmp_path, f'{CONFIG}[authentication]\nresolver = "{resolver}"\n')("check", "--dns", "--json")
    assert "does not answer" in state(ran, "dns example.com MX")[1]
    assert ran.status == 1


def test_a_name_of_this_machine_has_nothing_to_do_with_the_dns(tmp_path):
    assert state(Desk(tmp_path, "")("check", "--dns", "--json"), "dns localhost")[0] == "ok"


def test_a_socket_that_systemd_opens_is_well(tmp_path):
    desk = Desk(tmp_path, CONFIG.replace("listen = []", 'listen = ["systemd"]'))
    ran = desk("check", "--json")
    assert (ran.status, findings(ran)["smtp.listen systemd"][0]) == (0, True), ran.out


def test_status_says_how_things_stand(desk):
    store = Store(f"sqlite:///{desk.folder}/var/postroom.db")
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with store.write() as connection:
        imap.note_success(connection, "support", 1, at, None)
    store.dispose()
    [status] = desk("status", "--json").objects
    assert (status["oldestUnprocessedAt"], status["inbound"], status["quarantined"]) == (None, {"processed": 3}, 0)
    assert status["outboxDepth"] == status["outbox"]["pending"] > 0
    assert [m["name"] for m in status["mailboxes"]] == ["support", "sales"]
    assert "3 processed" in desk("status").out


def test_status_says_whether_a_daemon_runs_and_what_is_wrong(desk):
    store = Store(f"sqlite:///{desk.folder}/var/postroom.db")
    [status] = desk("status", "--json").objects
    assert (status["daemonRuns"], status["daemons"], status["alarms"]) == (False, [], [])
    assert status["queues"] == {"support": {"new": 1}, "sales": {"new": 1}}
    assert status["disk"]["freeOctets"] > 0
    assert "NONE RUNS" in desk("status").out
    with store.write() as connection:
        alarms.follow(connection, {"disk": "1 MiB is free"}, datetime.now(UTC), timedelta(minutes=10))
    with store.daemon_lock("daemon"):
        [status] = desk.program("status", "--json").objects
        assert (status["daemonRuns"], status["daemons"]) == (True, [f"process {os.getpid()}"])
        assert status["alarms"][0]["name"] == "disk"
    with store.daemon_lock("ingest"):
        assert desk.program("status", "--json").objects[0]["daemonRuns"] is False
    store.dispose()


def test_migrate_brings_the_schema_and_says_so_once(bare_desk):
    assert bare_desk("migrate").out == f"the schema is now {migrate.HEAD}\n"
    assert bare_desk("migrate").out == f"the schema is {migrate.HEAD} already\n"
    assert bare_desk("migrate", "--json").objects == [{"from": migrate.HEAD, "to": migrate.HEAD, "changed": False}]


def test_a_postgresql_that_was_not_migrated_says_what_to_run(tmp_path, postgresql_url):
    desk = Desk(tmp_path, f'{CONFIG}[store]\nurl = "{postgresql_url}"\n')
    ran = desk("tickets", "list")
    assert (ran.status, "run: postroom migrate" in ran.err) == (78, True)
    assert desk("migrate").status == 0
    assert desk("tickets", "list").out == "no tickets\n"
    assert desk("agents", "add", "carl", "carl@example.com").status == 0

"""`postroom check` names what is wrong and what to do; `postroom status` says how things stand; `postroom migrate`."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest
from peers.commandline import CONFIG, Desk
from peers.processes import free_port

from postroom.store import alarms, imap, migrate
from postroom.store.engine import Store


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

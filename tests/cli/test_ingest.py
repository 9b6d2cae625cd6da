"""`postroom ingest`: everything is taken, once, to the end; what is no mail is named."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from peers.commandline import CONFIG, FOLLOW_UP, INVOICE, QUESTION, Desk
from peers.processes import Program, wait_until

from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound

SUMMARY = {
    "accepted": 0, "duplicate": 0, "ticketsOpened": 0, "messagesAdded": 0, "settled": 0, "quarantined": 0, "failed": 0,
    "passedOver": 0,
}  # fmt: skip


UNNEEDED = {
    "jinja2", "babel", "css_inline", "rich", "pygments", "alembic", "apscheduler", "cryptography", "imapclient", "aiosmtpd", "mailparser",
    "dns", "dkim", "spf", "prometheus_client", "psycopg",
}  # fmt: skip


def mbox(*mails: bytes) -> bytes:
    return b"".join(b"From MAILER-DAEMON Mon Nov 23 09:00:00 2026\n" + mail + b"\n" for mail in mails)


def test_an_mbox_is_taken_once_and_again_changes_nothing(empty_desk):
    path = empty_desk.write("old.mbox", mbox(QUESTION, FOLLOW_UP, INVOICE))
    [summary] = empty_desk.program("ingest", path, "--json").objects
    assert summary == SUMMARY | {"accepted": 3, "ticketsOpened": 2, "messagesAdded": 1}
    before = empty_desk("tickets", "export").out, empty_desk("outbox", "list", "--json").out
    [summary] = empty_desk.program("ingest", path, "--json").objects
    assert summary == SUMMARY | {"duplicate": 3}
    assert before == (empty_desk("tickets", "export").out, empty_desk("outbox", "list", "--json").out)


def test_a_run_that_was_killed_is_finished_by_the_next(empty_desk):
    path = empty_desk.write("old.mbox", mbox(QUESTION, FOLLOW_UP, QUESTION))
    empty_desk("migrate")
    store = Store(f"sqlite:///{empty_desk.folder}/var/postroom.db")
    with store.write() as connection:  # as the killed one left it
        digest = hashlib.sha256(QUESTION).hexdigest()
        inbound.accept(
            connection,
            [NewInbound("support", "support@example.com", QUESTION, digest, "ingest", None, datetime.now(UTC))],
        )
    store.dispose()
    [summary] = empty_desk.program("ingest", path, "--json").objects
    assert summary == SUMMARY | {"accepted": 2, "duplicate": 1, "ticketsOpened": 1, "messagesAdded": 1}


def test_it_works_on_postgresql_just_as_well(tmp_path, postgresql_url):
    desk = Desk(tmp_path, f'{CONFIG}[store]\nurl = "{postgresql_url}"\n')
    assert desk("migrate").status == 0
    path = desk.write("old.mbox", mbox(QUESTION, FOLLOW_UP, INVOICE))
    [summary] = desk.program("ingest", path, "--json").objects
    assert summary == SUMMARY | {"accepted": 3, "ticketsOpened": 2, "messagesAdded": 1}
    [summary] = desk.program("ingest", path, "--json").objects
    assert summary == SUMMARY | {"duplicate": 3}
    assert [t["ref"] for t in desk("tickets", "export").objects] == ["T-1001", "T-1002"]


def test_the_same_mail_by_another_way_is_a_duplicate_too(desk):
    changed = b"Received: from elsewhere\r\n" + QUESTION
    [summary] = desk.program("ingest", "-", "--json", stdin=changed).objects
    assert summary == SUMMARY | {"duplicate": 1}
    newest = desk("inbound", "list", "--json").objects[0]
    assert (newest["state"], newest["duplicateOf"]) == ("duplicate", 1)


def test_an_archive_imports_nothing_that_only_mail_going_out_needs(empty_desk):
    """Each of them is a tenth of the start of a command that writes no mail."""
    path = empty_desk.write("old.mbox", mbox(QUESTION, FOLLOW_UP))
    program = (
        "import sys; from postroom.cli.main import main\n"
        f"try: main(['ingest', '--archive', {str(path)!r}])\n"
        f"finally: print(sorted({UNNEEDED!r} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=empty_desk.folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.splitlines() == ["2 accepted, 0 duplicate, 1 ticket opened, 1 message added, 0 quarantined", "[]"]


def test_an_archive_joins_whoever_wrote_and_writes_no_mail(empty_desk):
    stranger = FOLLOW_UP.replace(b"carla@customer.example.org>", b"zoe@list.example.org>")
    [summary] = empty_desk.program("ingest", "--archive", "-", "--json", stdin=mbox(QUESTION, stranger)).objects
    assert summary == SUMMARY | {"accepted": 2, "ticketsOpened": 1, "messagesAdded": 1}
    assert empty_desk("outbox", "list", "--json").objects == []


def test_quiet_writes_no_mail(empty_desk):
    assert (
        empty_desk.program("ingest", "--quiet", "--sender", "carla@customer.example.org", "-", stdin=QUESTION).status
        == 0
    )
    assert empty_desk("outbox", "list", "--json").objects == []


def test_the_mailbox_is_whom_the_mail_is_addressed_to(empty_desk):
    nobody = b"From: a@b.example\r\nSubject: x\r\n\r\nno To\r\n"
    empty_desk.program("ingest", "-", stdin=mbox(INVOICE, nobody))
    empty_desk.program("ingest", "--mailbox", "sales", "-", stdin=b"X: 1\r\n" + nobody)
    empty_desk.program(
        "ingest", "--recipient", "Sales+x@example.com", "--sender", "<>", "-", stdin=b"X: 2\r\n" + nobody
    )
    taken = [(m["mailbox"], m["recipient"], m["sender"]) for m in empty_desk("inbound", "list", "--json").objects]
    assert taken[::-1] == [
        ("sales", "sales@example.com", None), ("support", "support@example.com", None),
        ("sales", "sales@example.com", None), ("sales", "sales+x@example.com", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mailbox", "none"), "there is no mailbox none; there are: support, sales"),
        (("--recipient", "x@elsewhere.example"), "no mailbox serves x@elsewhere.example"),
    ],
)
def test_a_mailbox_that_is_not_there_is_said(empty_desk, arguments, words):
    ran = empty_desk.program("ingest", *arguments, "-", stdin=QUESTION)
    assert (ran.status, words in ran.err, ran.err.count("\n")) == (1, True, 1)


def test_what_is_no_mail_is_named_and_the_rest_is_taken(empty_desk):
    empty_desk.write("mails/1.eml", QUESTION)
    empty_desk.write("mails/2.eml", b"\x00\x01\x02" * 1000)
    empty_desk.write("mails/README", b"Some words.\n")
    (empty_desk.folder / "empty").mkdir()
    ran = empty_desk.program("ingest", "--json", "mails", "missing", "empty")
    assert ran.status == 1
    assert json.loads(ran.out) == SUMMARY | {"accepted": 1, "ticketsOpened": 1, "failed": 3, "passedOver": 1}
    for words in (
        "mails/2.eml: is no mail",
        "missing: there is no such file",
        "empty: holds no mail",
        "passed over: mails/README",
    ):
        assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_summary_reads_well(empty_desk):
    ran = empty_desk.program("ingest", "-", stdin=QUESTION)
    assert (ran.status, ran.out, ran.err) == (
        0, "1 accepted, 0 duplicate, 1 ticket opened, 0 messages added, 0 quarantined\n", "",
    )  # fmt: skip


def test_a_progress_bar_is_for_terminals_only(empty_desk):
    path = empty_desk.write("1.eml", QUESTION)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "postroom", "-c", str(empty_desk.config), "ingest", path]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, check=True, timeout=60
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "processing" in shown
    assert b"1 accepted" in ran.stdout


def test_a_running_daemon_does_the_processing(empty_desk):
    command = [sys.executable, "-m", "postroom", "-c", str(empty_desk.config), "run"]
    daemon = Program(command, empty_desk.folder / "daemon.log", cwd=empty_desk.folder)
    try:
        wait_until(lambda: "ready" in daemon.output(), "the daemon is ready")
        [summary] = empty_desk.program("ingest", "-", "--json", stdin=mbox(QUESTION, FOLLOW_UP)).objects
        assert summary == SUMMARY | {"accepted": 2, "ticketsOpened": 1, "messagesAdded": 1}
        assert daemon.exit_status is None
    finally:
        daemon.stop()

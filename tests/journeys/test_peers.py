"""The servers that the other tests lean on do what these believe of them."""

from __future__ import annotations

import contextlib
import mailbox
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from imapclient import IMAPClient
from peers.certificates import Certificate
from peers.daemon import Daemon
from peers.dovecot import Dovecot
from peers.mailclients import mutt_threads, notmuch_threads
from peers.postfix import Postfix
from peers.postgresql import PostgreSQL
from peers.processes import PeerMissing, Program, accepts, free_port, need, wait_until
from peers.smarthost import CUT, STALL, TAKE_AND_CUT, Smarthost


def make_mail(number: int, subject: str = "Printer on fire", answers: int | None = None) -> bytes:
    references = f"In-Reply-To: <{answers}@example.org>\r\nReferences: <{answers}@example.org>\r\n" if answers else ""
    return (
        f"From: Ann <ann@example.org>\r\nTo: support@example.com\r\nSubject: {subject}\r\n"
        f"Date: Mon, 23 Nov 2026 19:0{number}:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n{references}"
        "\r\nIt burns.\r\n"
    ).encode()


def test_what_is_appended_to_dovecot_is_seen_by_an_imap_client(dovecot: Dovecot) -> None:
    uid = dovecot.append("support", make_mail(1))
    with IMAPClient("127.0.0.1", dovecot.port, ssl=False) as client:
        client.login("support", "secret")
        client.select_folder("INBOX", readonly=True)
        assert client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"] == make_mail(1)
        assert {b"IDLE", b"MOVE", b"UIDPLUS", b"CONDSTORE"} <= set(client.capabilities())


def test_dovecot_does_what_other_clients_and_operators_do(dovecot: Dovecot) -> None:
    first, second, third = dovecot.append_all("support", [make_mail(number) for number in (1, 2, 3)])
    dovecot.set_flags("support", [first], ["\\Seen"])
    dovecot.expunge("support", [second])
    dovecot.move("support", [third], "INBOX", "Done")
    dovecot.set_uidvalidity("support", 4711)
    assert [(kept.uid, kept.flags) for kept in dovecot.messages("support")] == [(first, frozenset({"\\Seen"}))]
    assert len(dovecot.messages("support", "Done")) == 1
    assert dovecot.uidvalidity("support") == 4711
    assert dovecot.messages("sales") == []
    before = dovecot.logins()
    with dovecot.client("sales"):
        wait_until(lambda: dovecot.logins() == before + 1, "a login in its log")


def test_dovecot_wakes_an_idle_client_when_mail_is_delivered(dovecot: Dovecot) -> None:
    with dovecot.client("support") as client:
        client.select_folder("INBOX")
        client.idle()
        dovecot.deliver("support", make_mail(1))
        assert (1, b"EXISTS") in client.idle_check(timeout=20)
        client.idle_done()


def test_dovecot_goes_down_and_comes_back_on_its_port_with_what_was_delivered_meanwhile(dovecot: Dovecot) -> None:
    dovecot.append("support", make_mail(1))
    dovecot.stop()
    assert not accepts(dovecot.port)
    dovecot.deliver("support", make_mail(2))
    dovecot.start()
    assert len(dovecot.messages("support")) == 2


def test_dovecot_speaks_tls_with_a_certificate_that_verifies(certificate: Certificate) -> None:
    import ssl

    context = ssl.create_default_context(cafile=str(certificate.certificate))
    with (
        Dovecot(users=["support"], certificate=certificate) as dovecot,
        IMAPClient("localhost", dovecot.tls_port, ssl_context=context) as client,
    ):
        client.login("support", "secret")
        assert client.folder_exists("INBOX")


def test_postfix_relays_a_domain_to_one_host_and_the_rest_to_another(start_postfix: Callable[..., Postfix]) -> None:
    with Smarthost() as ours, Smarthost() as theirs:
        postfix = start_postfix(relay={"example.com": (ours.host, ours.port)}, default=(theirs.host, theirs.port))
        with smtplib.SMTP(postfix.host, postfix.port) as client:
            client.sendmail("ann@example.org", ["support@example.com", "bob@example.net"], make_mail(1))
        assert ours.wait_for(1).recipients == ("support@example.com",)
        assert theirs.wait_for(1).recipients == ("bob@example.net",)
        assert theirs.messages[0].message["Message-ID"] == "<1@example.org>"
        wait_until(lambda: postfix.queue() == [], "an empty queue")


def test_postfix_keeps_what_is_deferred_over_a_restart(
    start_postfix: Callable[..., Postfix], smarthost: Smarthost
) -> None:
    smarthost.on("RCPT", "450 4.2.1 busy")
    postfix = start_postfix(default=(smarthost.host, smarthost.port))
    with smtplib.SMTP(postfix.host, postfix.port) as client:
        client.sendmail("ann@example.org", ["bob@example.net"], make_mail(1))
    waiting = wait_until(lambda: [entry for entry in postfix.queue() if entry.reasons], "a deferred message")
    assert "450 4.2.1 busy" in waiting[0].reasons[0]
    postfix.stop()
    postfix.start()
    smarthost.reset()
    postfix.flush()
    assert smarthost.wait_for(1).recipients == ("bob@example.net",)


def test_postgresql_gives_each_test_a_database_of_its_own(postgresql: PostgreSQL, postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_postgresql_can_hang_and_go_on(postgresql: PostgreSQL, postgresql_url: str) -> None:
    conninfo = postgresql_url.replace("+psycopg", "")
    postgresql.pause()
    try:
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(conninfo, connect_timeout=2)
    finally:
        postgresql.resume()
    psycopg.connect(conninfo, connect_timeout=20).close()


def test_the_smarthost_answers_as_it_is_told(smarthost: Smarthost) -> None:
    smarthost.on("MAIL", "421 4.3.2 going down", times=1)
    smarthost.on("RCPT", "550 5.1.1 unknown", match="nobody@")
    with (
        contextlib.closing(smtplib.SMTP(smarthost.host, smarthost.port)) as client,
        pytest.raises(smtplib.SMTPException),
    ):
        client.sendmail("a@example.org", ["b@example.net"], make_mail(1))
    with smtplib.SMTP(smarthost.host, smarthost.port) as client:
        refused = client.sendmail("a@example.org", ["b@example.net", "nobody@example.net"], make_mail(2))
    assert refused == {"nobody@example.net": (550, b"5.1.1 unknown")}
    assert [taken.recipients for taken in smarthost.messages] == [("b@example.net",)]
    assert smarthost.messages[0].content == make_mail(2)


@pytest.mark.parametrize(("fault", "taken"), [(CUT, 0), (TAKE_AND_CUT, 1)])
def test_the_smarthost_cuts_after_the_final_dot_with_and_without_taking(
    smarthost: Smarthost, fault: object, taken: int
) -> None:
    smarthost.on("DOT", fault)  # type: ignore[arg-type]
    with (
        contextlib.closing(smtplib.SMTP(smarthost.host, smarthost.port)) as client,
        pytest.raises(smtplib.SMTPServerDisconnected),
    ):
        client.sendmail("a@example.org", ["b@example.net"], make_mail(1))
    assert len(smarthost.messages) == taken


def test_the_smarthost_stalls_until_it_is_released_and_calls_back_at_a_verb(smarthost: Smarthost) -> None:
    called: list[str] = []
    smarthost.on("DATA", call=lambda: called.append("DATA"))
    smarthost.on("DOT", STALL, call=smarthost.release)
    with smtplib.SMTP(smarthost.host, smarthost.port, timeout=20) as client:
        client.sendmail("a@example.org", ["b@example.net"], make_mail(1))
    assert called == ["DATA"]
    assert len(smarthost.messages) == 1


def test_the_smarthost_offers_starttls_and_wants_a_login(certificate: Certificate) -> None:
    import ssl

    context = ssl.create_default_context(cafile=str(certificate.certificate))
    with (
        Smarthost(certificate=certificate, logins={"postroom": "secret"}) as smarthost,
        smtplib.SMTP("localhost", smarthost.port) as client,
    ):
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("a@example.org", ["b@example.net"], make_mail(1))
        client.login("postroom", "secret")
        client.sendmail("a@example.org", ["b@example.net"], make_mail(1))
        assert smarthost.messages[0].user == "postroom"


@pytest.mark.servers
@pytest.mark.parametrize("threads", [notmuch_threads, mutt_threads])
def test_a_mail_client_shows_a_reply_in_the_thread_of_what_it_answers(
    tmp_path: Path, threads: Callable[[Path], list[list[str]]]
) -> None:
    maildir = mailbox.Maildir(tmp_path / "mail")
    for mail in (make_mail(3, "Lunch"), make_mail(2, "Re: Printer on fire", answers=1), make_mail(1)):
        maildir.add(mail)
    # A Message-ID with what a pattern or a shell would take for its own.
    maildir.add(make_mail(4, "Odd", answers=3).replace(b"<4@", b"<a+b=$c.{d}*'e|4@"))
    assert sorted(threads(tmp_path / "mail")) == [
        ["1@example.org", "2@example.org"],
        ["3@example.org", "a+b=$c.{d}*'e|4@example.org"],
    ]
    assert sorted(path.name for path in (tmp_path / "mail").iterdir()) == ["cur", "new", "tmp"]


CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


def test_the_daemon_is_started_killed_and_started_again_on_its_port(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(CONFIG)
    for number in (1, 2):
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port) as client:
            client.sendmail("ann@example.org", ["support@example.com"], make_mail(number, f"Question {number}"))
        daemon.kill()
        assert daemon.exit_status == -signal.SIGKILL
        wait_until(lambda: daemon.processes() == [], "the end of its workers")
        daemon.start()
    subjects = wait_until(
        lambda: len(found := sorted(one["subject"] for one in daemon.json("tickets", "list"))) == 2 and found, "tickets"
    )
    assert subjects == ["Question 1", "Question 2"]
    assert daemon.cli("tickets", "show", "T-9999").exit == 1
    assert daemon.stop() == 0


def test_a_daemon_that_cannot_start_says_why(start_daemon: Callable[..., Daemon]) -> None:
    with pytest.raises(RuntimeError, match=r"exited 78 .*\npostroom: smtp\.colour: there is no such key"):
        start_daemon("[smtp]\ncolour = 1\n")


@pytest.mark.parametrize(("required", "ending"), [("0", "1 skipped"), ("1", "1 failed")])
def test_a_missing_server_skips_a_test_or_fails_it_where_servers_are_required(
    tmp_path: Path, required: str, ending: str
) -> None:
    (tmp_path / "test_it.py").write_text(
        "from peers.processes import need\ndef test_it(): need('absent', 'sendmail-bin')\n"
    )
    env = {**os.environ, "POSTROOM_REQUIRE_SERVERS": required, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "pytest", "-rsf", "-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    ran = subprocess.run(
        [*command, "--rootdir", ".", "."], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ending in ran.stdout.splitlines()[-1]
    assert "absent is not installed: apt-get install sendmail-bin" in ran.stdout


def test_a_program_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(PeerMissing, match="apt-get install sendmail-bin"):
        need("no-such-program", "sendmail-bin")


def test_a_free_port_is_given_to_one_only() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert not any(accepts(port) for port in ports)


def test_a_program_that_ends_before_it_is_ready_shows_its_log(tmp_path: Path) -> None:
    program = Program(["sh", "-c", "echo no such setting; exit 3"], tmp_path / "log")
    try:
        with pytest.raises(RuntimeError, match=r"exited 3 before it listens:\nno such setting"):
            program.wait_until_ready(lambda: False, "it listens")
    finally:
        program.stop()


def test_what_a_killed_test_run_left_running_is_stopped(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from peers.processes import Program\n"
        "for _ in range(2): print(Program(['sleep', '300'], Path(sys.argv[1])).pid, flush=True)\n"
        "stopped = Program(['sleep', '300'], Path(sys.argv[1])); stopped.stop(); print('ready', flush=True)\n"
        "time.sleep(300)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE, env=env)
    assert run.stdout is not None
    with run, run.stdout:
        started = [int(run.stdout.readline()), int(run.stdout.readline())]
        assert run.stdout.readline() == b"ready\n"
        assert all(map(is_running, started))
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, started)), "the end of what was left")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

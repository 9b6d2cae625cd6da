"""A disk that is full or breaks, a database that is damaged: what the daemon says, and how it goes on by itself."""

import contextlib
import os
import smtplib
import sqlite3
import subprocess
from pathlib import Path

import pytest
from peers.house import mail
from peers.processes import PeerMissing, need, wait_until

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
min_free_disk = 1
[processing]
workers = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
IMAP = """
[mailbox.support.imap]
host = "127.0.0.1"
port = {port}
security = "none"
user = "support"
password_env = "IMAP_PASSWORD"
poll_seconds = 1
"""
DISK = 2 << 20  # octets
PAGE = 4096


def attempt(daemon, raw, sender="cy@customer.example"):
    """The code that the mail got."""
    try:
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
            client.sendmail(sender, ["support@example.com"], raw)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    return 250


def states(daemon):
    with contextlib.closing(sqlite3.connect(f"file:{daemon.folder}/var/postroom.db?mode=ro", uri=True)) as database:
        return [state for (state,) in database.execute("SELECT state FROM inbound_email")]


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds DISK octets and no more."""
    if os.geteuid() != 0:
        raise PeerMissing("a small disk can be mounted by root only")
    folder = tmp_path / "daemon" / "var"
    folder.mkdir(parents=True)
    subprocess.run([need("mount", "mount"), "-t", "tmpfs", "-o", f"size={DISK}", "none", folder], check=True)
    yield folder
    subprocess.run([need("umount", "mount"), "-l", folder], check=True)


def test_a_full_disk_is_452_reading_goes_on_and_room_is_enough_to_recover(start_daemon, small_disk):
    daemon = start_daemon(CONFIG)
    assert attempt(daemon, mail(Message_ID="<before@customer.example>")) == 250
    wait_until(lambda: states(daemon) == ["processed"], "the first mail is a ticket")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                break
    large = mail(text="x" * 70 + "\n" + "words\n" * 30_000)
    assert attempt(daemon, large) == 452
    assert attempt(daemon, large) == 452
    assert [t["emailMessageId"] for t in daemon.json("tickets", "export")] == ["before@customer.example"]
    filler.unlink()
    assert attempt(daemon, large) == 250
    wait_until(lambda: states(daemon) == ["processed", "processed"], "both mails are tickets")
    assert len(daemon.json("tickets", "export")) == 2


@pytest.mark.parametrize("fault", ["fdatasync:error=EIO", "pwrite64:error=ENOSPC"])
def test_a_disk_that_breaks_promises_nothing_and_is_used_again_when_it_works(start_daemon, tmp_path, fault):
    """All such calls fail for a while; nothing is lost, and nobody has to start anything."""
    daemon = start_daemon(CONFIG)
    assert attempt(daemon, mail(Message_ID="<before@customer.example>")) == 250
    wait_until(lambda: states(daemon) == ["processed"], "the first mail is a ticket")
    strace = [
        need("strace", "strace"),
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync,pwrite64",
        "-p",
        str(daemon.pid),
    ]
    tracer = subprocess.Popen([*strace, "-e", f"inject={fault}"])
    try:
        wait_until(lambda: is_traced(daemon.pid), "it is traced")
        raw = mail(Message_ID="<during@customer.example>")
        assert attempt(daemon, raw) in (451, 452)
        assert len(daemon.json("tickets", "export")) == 1  # reading goes on
    finally:
        tracer.terminate()
        tracer.wait()
    wait_until(lambda: attempt(daemon, raw) == 250, "the mail is taken")
    wait_until(lambda: states(daemon) == ["processed", "processed"], "both mails are tickets")
    assert sorted(t["emailMessageId"] for t in daemon.json("tickets", "export")) == [
        "before@customer.example",
        "during@customer.example",
    ]
    assert daemon.stop() == 0


def is_traced(pid):
    """Whether a tracer holds every thread of a process."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all("TracerPid:\t0" not in (thread / "status").read_text() for thread in threads)


@pytest.mark.parametrize("damaged", ["header", "table"])
def test_a_damaged_database_is_refused_in_one_line_and_its_mail_can_be_got_out(start_daemon, tmp_path, damaged):
    daemon = start_daemon(CONFIG)
    raws = {f"{n}@customer.example": mail(f"c{n}@customer.example", text="words\n" * 2000) for n in range(4)}
    for sender, raw in raws.items():
        assert attempt(daemon, raw, sender) == 250
    wait_until(lambda: set(states(daemon)) == {"processed"}, "the mails are tickets")
    assert daemon.stop() == 0
    path = daemon.folder / "var" / "postroom.db"
    content = bytearray(path.read_bytes())
    spans = {"header": (0, 32), "table": (3 * PAGE, 30 * PAGE)}
    start, end = spans[damaged]
    content[start:end] = os.urandom(end - start)
    path.write_bytes(content)
    daemon.start(wait=False)
    assert daemon.wait() == 78
    assert daemon.log().startswith("postroom: store.url: the database ")
    assert "postroom rescue" in daemon.log()
    assert daemon.log().count("\n") == 1
    ran = daemon.cli("rescue", "out")
    assert ran.exit == 0, ran.err
    found = {path.read_bytes() for path in (daemon.folder / "out" / "received").glob("*.eml")}
    assert found == set(raws.values())


def test_while_postgresql_is_gone_mail_waits_where_it_is_and_comes_when_it_is_back(
    start_daemon, postgresql, migrated_url, dovecot
):
    config = CONFIG + IMAP.format(port=dovecot.port) + f'[store]\nurl = "{migrated_url}"\n'
    daemon = start_daemon(config, env={"IMAP_PASSWORD": dovecot.password})
    raw = mail(Message_ID="<smtp@customer.example>")
    postgresql.stop()
    try:
        assert attempt(daemon, raw) == 451
        dovecot.append("support", mail("i@customer.example", Message_ID="<imap@customer.example>"))
        daemon.wait_for_log("mailbox fails")
        assert [m.flags for m in dovecot.messages("support")] == [frozenset()]
        assert daemon.exit_status is None
    finally:
        postgresql.start()
    wait_until(lambda: attempt(daemon, raw) == 250, "the mail is taken")
    wait_until(lambda: all("\\Seen" in m.flags for m in dovecot.messages("support")), "the other one is flagged")
    ids = "SELECT email_message_id FROM ticket ORDER BY 1"
    name = migrated_url.rpartition("/")[2]
    wait_until(lambda: len(postgresql.query(ids, name)) == 2, "both are tickets")
    assert postgresql.query(ids, name) == [("imap@customer.example",), ("smtp@customer.example",)]
    assert daemon.stop() == 0

"""The daemon as its operator sees it: start, refusal to start, signals, sudden death, and a clean end."""

import signal
import smtplib
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.daemon import Daemon
from peers.door import Client
from peers.postgresql import PostgreSQL
from peers.processes import wait_until

from postroom.store.engine import Store

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
min_free_disk = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
MAIL = b"From: ann@example.org\r\nTo: support@example.com\r\nSubject: printer\r\nMessage-ID: <1@example.org>\r\n\r\nfire\r\n"
Start = Callable[..., Daemon]


def connect(daemon: Daemon) -> Client:
    client = Client(socket.create_connection(("127.0.0.1", daemon.smtp_port), 20))
    assert client.reply().startswith("220 ")
    return client


def deliver(daemon: Daemon) -> None:
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.sendmail("ann@example.org", ["support@example.com"], MAIL)


def kept(daemon: Daemon) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(daemon.folder / "var" / "postroom.db")
    try:
        return connection.execute("SELECT id, recipient FROM inbound_email").fetchall()
    finally:
        connection.close()


def lock(daemon: Daemon) -> sqlite3.Connection:
    holder = sqlite3.connect(daemon.folder / "var" / "postroom.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    return holder


def refused(folder: Path, config: str, **arguments: Any) -> tuple[int, str]:
    """Exit status and output of a daemon that does not start."""
    daemon = Daemon(folder, config, **arguments)
    daemon.start(wait=False)
    return daemon.wait(), daemon.log()


def test_it_says_when_it_is_ready_takes_mail_and_ends_cleanly(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    assert f'smtp=["127.0.0.1:{daemon.smtp_port}"]' in daemon.wait_for_log("ready")
    deliver(daemon)
    assert [recipient for _, recipient in kept(daemon)] == ["support@example.com"]
    assert daemon.stop() == 0
    assert "stopped" in daemon.log()
    assert "error" not in daemon.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_data_gets_the_client_a_421(start_daemon: Start, number: signal.Signals) -> None:
    daemon = start_daemon(CONFIG)
    with connect(daemon) as client:
        client.begin()
        client.send(MAIL * 1000)
        daemon.send(number)
        assert client.reply() == "421 4.3.2 shutting down, try again later"
    assert daemon.wait() == 0
    assert kept(daemon) == []


def test_an_idle_client_gets_a_421_too(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    with connect(daemon) as client:
        daemon.send(signal.SIGTERM)
        assert client.reply().startswith("421 4.3.2 ")
    assert daemon.wait() == 0


def test_a_commit_that_runs_is_finished_and_answered_before_the_end(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    holder = lock(daemon)
    with connect(daemon) as client:
        client.begin()
        client.send(MAIL + b".\r\n")
        daemon.send(signal.SIGTERM)
        daemon.wait_for_log("stopping")
        holder.execute("ROLLBACK")
        holder.close()
        assert client.reply().startswith("250 2.0.0 ")
        assert client.reply().startswith("421 4.3.2 ")
    assert daemon.wait() == 0
    assert len(kept(daemon)) == 1


def test_while_the_database_is_locked_clients_are_told_to_come_again(start_daemon: Start) -> None:
    """With the store's own patience: 451 within 5 s, which is less than a client's."""
    daemon = start_daemon(CONFIG)
    holder = lock(daemon)
    codes: list[int] = []

    def attempt() -> None:
        try:
            deliver(daemon)
        except smtplib.SMTPDataError as error:
            codes.append(error.smtp_code)

    clients = [threading.Thread(target=attempt) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert codes == [451] * 4
    holder.execute("ROLLBACK")
    holder.close()
    deliver(daemon)
    assert len(kept(daemon)) == 1


def test_a_database_that_is_locked_at_the_start_is_waited_for(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    daemon.stop()
    holder = lock(daemon)
    daemon.start(wait=False)
    daemon.wait_for_log("the store does not answer")
    holder.execute("ROLLBACK")
    holder.close()
    daemon.wait_for_log("ready")


def test_killed_before_the_commit_it_has_promised_nothing(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG, env={"POSTROOM_FAILPOINT": "intake-written"})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        deliver(daemon)
    assert daemon.wait() == -signal.SIGKILL
    assert kept(daemon) == []
    daemon.env.clear()
    daemon.start()
    deliver(daemon)
    assert len(kept(daemon)) == 1


def test_killed_between_the_commit_and_the_250_it_recognises_the_retry(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG, env={"POSTROOM_FAILPOINT": "intake-committed"})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        deliver(daemon)
    assert daemon.wait() == -signal.SIGKILL
    daemon.env.clear()
    daemon.start()
    deliver(daemon)
    assert len(kept(daemon)) == 1
    assert "is_new=no" in daemon.wait_for_log("accepted")


def test_what_was_taken_is_brought_home_long_before_the_log_is_long(start_daemon: Start) -> None:
    """Into the database's own file, which is read here without its write-ahead log."""
    daemon = start_daemon(CONFIG)
    deliver(daemon)

    def is_home() -> bool:
        home = sqlite3.connect(f"file:{daemon.folder}/var/postroom.db?mode=ro&immutable=1", uri=True)
        try:
            return home.execute("SELECT state FROM inbound_email").fetchall() == [("processed",)]
        except sqlite3.DatabaseError:  # it is being written this moment
            return False
        finally:
            home.close()

    wait_until(is_home, "the mail is home")


def test_a_second_daemon_on_the_same_file_exits_78_and_names_the_first(start_daemon: Start, tmp_path: Path) -> None:
    first = start_daemon(CONFIG)
    config = CONFIG + f'[store]\nurl = "sqlite:///{first.folder}/var/postroom.db"\n'
    status, output = refused(tmp_path / "second", config)
    assert status == 78
    assert output.startswith(f"postroom: store.url: another daemon (process {first.pid}) uses ")
    assert output.count("\n") == 1


def test_an_ingest_that_holds_the_store_is_waited_for(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    daemon.stop()
    store = Store(f"sqlite:///{daemon.folder}/var/postroom.db")
    with store.daemon_lock("ingest"):
        daemon.start(wait=False)
        assert "holder=ingest" in daemon.wait_for_log("waiting for the store")
        assert daemon.exit_status is None
    store.dispose()
    daemon.wait_for_log("ready")


def test_the_lock_of_a_daemon_that_was_killed_holds_nobody_up(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    daemon.kill()
    daemon.start()
    deliver(daemon)


def test_a_port_that_is_taken_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = refused(tmp_path / "daemon", f'[smtp]\nlisten = ["127.0.0.1:{port}"]\n')
    assert (status, output) == (
        1,
        f"postroom: smtp.listen: cannot listen on 127.0.0.1:{port}: Address already in use\n",
    )


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ('[smtp]\ntls = "starttls"\ntls_certificate = "none.pem"\n', "smtp.tls_certificate: "),
        ("[smtp]\nlistens = []\n", "smtp.listens: there is no such key"),
        (
            CONFIG + '[mailbox.support.imap]\nhost = "localhost"\nuser = "u"\npassword_file = "none"\n',
            "mailbox.support.imap.password_file: ",
        ),
        (
            '[outgoing]\ncourier = "smtp"\n[outgoing.smtp]\nuser = "u"\npassword_env = "NO_SUCH_VARIABLE"\n',
            "outgoing.smtp.password_env: $NO_SUCH_VARIABLE is not set",
        ),
        ('[keys]\nfile = "/proc/none/keys"\n', "keys.file: "),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_78(tmp_path: Path, config: str, line: str) -> None:
    status, output = refused(tmp_path / "daemon", config)
    assert status == 78
    assert output.startswith(f"postroom: {line}")
    assert output.count("\n") == 1


def test_no_secret_is_ever_logged(start_daemon: Start, tmp_path: Path) -> None:
    """A server that quotes the password back, in its refusal."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=quote_login, args=[server], daemon=True).start()
        imap = f'[mailbox.support.imap]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nuser = "u"\npassword_env = "SECRET"\n'
        daemon = start_daemon(CONFIG + imap + '[log]\nlevel = "debug"\n', env={"SECRET": "hunter2hunter2"})
        failure = daemon.wait_for_log("mailbox fails")
        daemon.stop()
    assert "[hidden]" in failure
    assert "hunter2" not in daemon.log()


def quote_login(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
            for line in stream:
                tag, _, command = line.partition(b" ")
                if command.upper().startswith(b"LOGIN"):
                    stream.write(tag + b" NO cannot " + command.strip() + b"\r\n")
                else:
                    stream.write(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")


def test_its_files_are_its_owners_alone(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    deliver(daemon)
    modes = {path.name: oct(path.stat().st_mode & 0o077) for path in (daemon.folder / "var").glob("*.db*")}
    assert set(modes.values()) == {"0o0"}, modes


def test_the_log_is_json_where_that_is_wanted(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG + '[log]\nformat = "json"\n')
    assert daemon.is_ready()
    assert daemon.wait_for_log('"event": "ready"').startswith("{")


def test_postgresql_without_the_schema_is_refused_and_the_remedy_named(tmp_path: Path, postgresql_url: str) -> None:
    status, output = refused(tmp_path / "daemon", CONFIG + f'[store]\nurl = "{postgresql_url}"\n')
    assert status == 78
    assert "run: postroom migrate" in output


def test_two_daemons_share_one_postgresql(start_daemon: Start, migrated_url: str) -> None:
    config = CONFIG + f'[store]\nurl = "{migrated_url}"\n'
    one, two = start_daemon(config, name="one"), start_daemon(config, name="two")
    deliver(one)
    deliver(two)
    assert "is_new=yes" in one.wait_for_log("accepted")
    assert "is_new=no" in two.wait_for_log("accepted")
    pids = {daemon.split(":")[1] for daemon in one.json("status")[0]["daemons"]}
    assert pids == {str(one.pid), str(two.pid)}


def test_a_postgresql_that_hangs_is_a_451_in_time_and_recovers(
    start_daemon: Start, postgresql: PostgreSQL, migrated_url: str
) -> None:
    daemon = start_daemon(CONFIG + f'[store]\nurl = "{migrated_url}"\n')
    postgresql.pause()
    try:
        with pytest.raises(smtplib.SMTPDataError) as error:
            deliver(daemon)
    finally:
        postgresql.resume()
    assert error.value.smtp_code == 451
    wait_until(lambda: delivered(daemon), "it takes mail again")
    assert len(postgresql.query("SELECT id FROM inbound_email", migrated_url.rpartition("/")[2])) == 1


def delivered(daemon: Daemon) -> bool:
    try:
        deliver(daemon)
    except smtplib.SMTPDataError:
        return False
    return True


def test_a_broken_template_is_named_at_the_start_and_ours_takes_its_place(start_daemon, tmp_path):
    broken = tmp_path / "daemon" / "templates" / "en" / "confirmation" / "subject.j2"
    broken.parent.mkdir(parents=True)
    broken.write_text("{{ no_such_thing }}")
    daemon = start_daemon('[smtp]\nlisten = ["127.0.0.1:{port}"]\n[templates]\nfolder = "templates"\n')
    line = daemon.wait_for_log("ours is used in place of a template")
    assert "confirmation/subject.j2" in line

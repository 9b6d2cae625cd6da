"""The daemon as a service of systemd: its unit, its sockets, its watchdog, and a new configuration while it runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.daemon import Daemon
from peers.door import Client
from peers.dovecot import Dovecot
from peers.processes import accepts, free_port, need, wait_until
from peers.systemd import UNITS, Manager, allowed_calls, analyze

from postroom.daemon import systemd

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
min_free_disk = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
SALES = """[mailbox.sales]\naddress = "sales@example.com"\nqueue = "support"\n"""
MAIL = b"From: ann@example.org\r\nTo: support@example.com\r\nSubject: printer\r\nMessage-ID: <1@example.org>\r\n\r\nfire\r\n"
EXPOSURE_MAX = "11"  # tenths
Start = Callable[..., Daemon]


def deliver(daemon: Daemon, recipient: str = "support@example.com") -> None:
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.sendmail("ann@example.org", [recipient], MAIL)


# The units


def test_the_unit_exposes_next_to_nothing() -> None:
    said = analyze(
        "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(UNITS / "postroom.service")
    )
    assert "Overall exposure level" in said


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in ("postroom.service", "postroom.socket"):
        text = (UNITS / unit).read_text("utf-8")
        (tmp_path / unit).write_text(text.replace("/usr/bin/postroom", shutil.which("true") or "/bin/true"), "utf-8")
    need("systemd-analyze", "systemd")
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "postroom.service", tmp_path / "postroom.socket"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in ran.stderr.splitlines() if "postroom" in line and "/proc/" not in line]
    assert (ran.returncode, ours) == (0, [])


def test_the_unit_stops_starting_what_is_configured_wrong_and_waits_for_the_end() -> None:
    unit = (UNITS / "postroom.service").read_text("utf-8")
    assert "\nRestartPreventExitStatus=78\n" in unit
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    from postroom.daemon.run import STOP_SECONDS

    assert stop is not None
    assert int(stop[1]) > STOP_SECONDS


def test_a_whole_journey_needs_no_system_call_that_the_unit_forbids(start_daemon: Start, tmp_path: Path) -> None:
    """Start, mail, parse in a worker, confirm into the Maildir, reload, stop: all under strace."""
    trace = tmp_path / "calls"
    strace = [
        need("strace", "strace"),
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        f"trace=!{','.join(sorted(_usual()))}",
        "-o",
        str(trace),
    ]
    daemon = start_daemon(CONFIG, prefix=strace)
    deliver(daemon)
    daemon.wait_for_log("opened")
    wait_until(lambda: list((daemon.folder / "var/outgoing/new").glob("*")), "the confirmation")
    [child] = map(int, Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split())
    os.kill(child, signal.SIGHUP)
    daemon.wait_for_log("reloaded")
    os.kill(child, signal.SIGTERM)
    daemon.wait()
    used = set(re.findall(r"^\d+ +(?:\[[^]]*\] )?([a-z_0-9]+)\(", trace.read_text("utf-8", "replace"), re.MULTILINE))
    assert {"fdatasync", "bind"} & used, "strace has seen nothing"
    only_as_root = {"fchown"}  # SQLite's, which gives new files to the database's owner
    assert used - only_as_root - allowed_calls() == set()
    families = set(re.findall(r"\bsocket\((AF_[A-Z0-9]+)", trace.read_text("utf-8", "replace")))
    assert families <= {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
    writable_and_executable = re.findall(
        r"mmap\([^)]*PROT_WRITE\|PROT_EXEC|mprotect\([^)]*PROT_WRITE\|PROT_EXEC", trace.read_text("utf-8", "replace")
    )
    assert writable_and_executable == []


def _usual() -> set[str]:
    """Calls that are allowed for certain and come by the ten thousand: not traced, for time."""
    usual = {
        "read",
        "write",
        "futex",
        "lseek",
        "close",
        "fstat",
        "newfstatat",
        "pread64",
        "pwrite64",
        "epoll_wait",
        "getdents64",
        "brk",
        "munmap",
        "fcntl",
        "ioctl",
        "getpid",
        "clock_nanosleep",
        "rt_sigaction",
        "rt_sigprocmask",
    }
    assert usual <= allowed_calls()
    return usual


# Sockets that systemd opened


def test_it_serves_every_socket_that_systemd_hands_over(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "daemon", CONFIG.replace('"127.0.0.1:{port}"', '"systemd"'))
    ports = free_port(), free_port()
    activate = need("systemd-socket-activate", "systemd")
    daemon.prefix = [activate, *(f"--listen=127.0.0.1:{port}" for port in ports), "--fdname=smtp", "-E", "PYTHONPATH"]
    daemon.env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    daemon.start(wait=False)
    try:
        for port in ports:
            wait_until(lambda port=port: accepts(port), "the socket")  # type: ignore[misc]
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.sendmail("ann@example.org", ["support@example.com"], MAIL)
        daemon.wait_for_log("ready")
    finally:
        daemon.stop()


def test_no_socket_from_systemd_is_one_line_and_what_to_do(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "daemon", CONFIG.replace('"127.0.0.1:{port}"', '"systemd"'))
    daemon.start(wait=False)
    assert (daemon.wait(), daemon.log()) == (
        1, "postroom: smtp.listen: systemd handed over no socket; is postroom.socket started?\n",
    )  # fmt: skip


def test_sockets_that_are_another_processs_are_left_alone() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "smtp"}
    assert systemd.take_sockets(environ) == []
    assert environ == {}


# What it tells


def test_systemd_is_told_and_the_watchdog_is_fed_while_all_is_well(start_daemon: Start, tmp_path: Path) -> None:
    with Manager(tmp_path / "s") as manager:
        daemon = start_daemon(CONFIG, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"})
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        deliver(daemon)
        manager.wait_for("1 mails taken, 1 processed")
        daemon.stop()
        manager.wait_for("STOPPING=1")


def test_a_part_that_hangs_stops_the_feeding_and_is_named_with_where_it_hangs(
    start_daemon: Start, tmp_path: Path
) -> None:
    env = {"WATCHDOG_USEC": "600000", "POSTROOM_FAILPOINT": "intake-committed:hang", "POSTROOM_PULSE_SECONDS": "9"}
    with Manager(tmp_path / "s") as manager:
        daemon = start_daemon(CONFIG, env={"NOTIFY_SOCKET": manager.address, **env})
        manager.wait_for("WATCHDOG=1")
        with pytest.raises(smtplib.SMTPDataError):
            deliver(daemon)
        line = daemon.wait_for_log("component hangs")
        assert "component=intake" in line
        assert "failpoint.py" in line
        told = len(manager.heard)
        manager.wait_for("STATUS=HANGS: intake", told - 3)
        assert "WATCHDOG=1" not in manager.heard[told:]
        daemon.kill()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("process", "process-written"), ("courier", "courier-claimed"), ("imap support", "imap-fetched"), ("schedule", "schedule-sweep"),
    ],
)  # fmt: skip
def test_whichever_part_hangs_is_named(start_daemon: Start, dovecot: Dovecot, part: str, place: str) -> None:
    """It alone, where it has a thread of its own; the courier takes the event loop with it, and who hangs on that."""
    dovecot.append("support", MAIL)
    mailbox = f"""[mailbox.support.imap]
host = "127.0.0.1"
port = {dovecot.port}
security = "none"
user = "support"
password_env = "SECRET"
poll_seconds = 1
[agent.bob]
address = "bob@example.com"
[queue.support]
agents = ["bob"]
"""
    env = {"POSTROOM_FAILPOINT": f"{place}:hang", "POSTROOM_PULSE_SECONDS": "10", "SECRET": dovecot.password}
    daemon = start_daemon(CONFIG + mailbox, env=env)
    name = f'"{part}"' if " " in part else part
    line = wait_until(
        lambda: next((line for line in daemon.log().splitlines() if f"component hangs component={name} " in line), ""),
        part,
        seconds=90,
    )
    assert " where=" in line
    if part != "courier":
        assert daemon.log().count("component hangs") == 1
    daemon.kill()


# Another configuration


def test_a_new_configuration_is_taken_without_dropping_a_session(start_daemon: Start, tmp_path: Path) -> None:
    with Manager(tmp_path / "s") as manager:
        daemon = start_daemon(CONFIG, env={"NOTIFY_SOCKET": manager.address})
        manager.wait_for("READY=1")
        with Client(socket.create_connection(("127.0.0.1", daemon.smtp_port), 20)) as client:
            assert client.reply().startswith("220 ")
            client.begin()
            client.send(MAIL)
            told = len(manager.heard)
            more = f"""{SALES}[agent.bob]\naddress = "bob@example.com"\n[queue.support]\nagents = ["bob"]\n"""
            daemon.configure(CONFIG + more + '[store]\nurl = "sqlite:///var/another.db"\n')
            daemon.send(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in manager.wait_for("RELOADING=1", told)
            manager.wait_for("READY=1", told)
            client.send(b".\r\n")
            assert client.reply().startswith("250 ")
        assert "store.url" in daemon.wait_for_log("needs a restart")
        deliver(daemon, "sales@example.com")
        notices = "SELECT count(*) FROM delivery WHERE recipient = 'bob@example.com'"
        wait_until(lambda: _count(daemon, notices) == 1, "the new agent is told")
        assert not (daemon.folder / "var" / "another.db").exists()


def _count(daemon: Daemon, query: str) -> int:
    import sqlite3

    connection = sqlite3.connect(daemon.folder / "var" / "postroom.db")
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("[smtp]\nlistens = 1\n", "there is no such key"),
        (CONFIG + '[keys]\nfile = "other"\n', "keys.file: "),
        (CONFIG.replace("listen = [", 'listen = ["127.0.0.1:{taken}", '), "cannot listen"),
    ],
)
def test_a_wrong_configuration_is_named_and_the_old_one_goes_on(start_daemon: Start, wrong: str, why: str) -> None:
    daemon = start_daemon(CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (daemon.folder / "other").write_text("no key")
        daemon.configure(wrong.replace("{taken}", str(taken.getsockname()[1])))
        daemon.send(signal.SIGHUP)
        assert why in daemon.wait_for_log("not reloaded")
    deliver(daemon)
    daemon.configure(CONFIG)
    daemon.send(signal.SIGHUP)
    daemon.wait_for_log("reloaded smtp")


def test_addresses_are_opened_and_closed_by_a_reload(start_daemon: Start) -> None:
    daemon = start_daemon(CONFIG)
    other = free_port()
    daemon.configure(CONFIG.replace("{port}", str(other)))
    daemon.send(signal.SIGHUP)
    daemon.wait_for_log("reloaded smtp")
    assert accepts(other)
    assert not accepts(daemon.smtp_port)


# How it fares, for machines


HEALTH = CONFIG + '[health]\nlisten = "127.0.0.1:{health}"\n'


def _get(port: int, path: str) -> tuple[int, str]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_health_readiness_and_metrics_are_told_without_a_word_of_anybodys_mail(start_daemon: Start) -> None:
    port = free_port()
    daemon = start_daemon(HEALTH.replace("{health}", str(port)))
    deliver(daemon)
    daemon.wait_for_log("opened")
    assert _get(port, "/healthz")[0] == 200
    assert _get(port, "/readyz")[0] == 200
    assert _get(port, "/nothing")[0] == 404
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.ehlo()
        assert client.docmd("JUMP")[0] == 500
        client.mail("ann@example.org")
        assert client.rcpt("nobody@example.com")[0] == 550
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(15)]  # they say nothing, and hold nobody up
    wait_until(
        lambda: 'postroom_deliveries_total{outcome="sent",purpose="confirmation"} 1.0' in _get(port, "/metrics")[1],
        "the metrics",
    )
    status, text = _get(port, "/metrics")
    for one in slow:
        one.close()
    assert status == 200
    assert 'postroom_accepted_total{way="smtp"} 1.0' in text
    assert 'postroom_processed_total{outcome="opened"} 1.0' in text
    assert "postroom_parse_seconds_count 1.0" in text
    assert 'postroom_inbound{state="pending"} 0.0' in text
    assert 'postroom_smtp_connections_total{outcome="let in"}' in text
    assert 'postroom_smtp_refusals_total{reply="550 5.1.1"} 1.0' in text
    assert 'postroom_smtp_refusals_total{reply="500 5.5.1"} 1.0' in text
    assert "@" not in text
    assert "example" not in text


def test_a_part_that_hangs_is_unhealthy_and_a_machine_that_shouts_is_cut_off(start_daemon: Start) -> None:
    port = free_port()
    env = {"POSTROOM_FAILPOINT": "intake-committed:hang", "POSTROOM_PULSE_SECONDS": "9"}
    daemon = start_daemon(HEALTH.replace("{health}", str(port)), env=env)
    with socket.create_connection(("127.0.0.1", port), 20) as shouting:
        shouting.sendall(b"GET /" + b"x" * 20_000)
        assert shouting.recv(100) == b""
    with pytest.raises(smtplib.SMTPDataError):
        deliver(daemon)
    daemon.wait_for_log("component hangs")
    status, said = _get(port, "/healthz")
    assert status == 503
    assert "intake" in said
    assert _get(port, "/readyz")[0] == 503
    daemon.kill()

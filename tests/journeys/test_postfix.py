"""A real Postfix in front of us: what it makes of our 250, 452, 451 and 550, and of LMTP and TLS."""

import smtplib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.certificates import Certificate
from peers.daemon import Daemon
from peers.postfix import Postfix
from peers.processes import wait_until
from peers.smarthost import Smarthost

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
SMTP
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
Start = Callable[..., Daemon]
StartPostfix = Callable[..., Postfix]


def config(*lines: str) -> str:
    return CONFIG.replace("SMTP", "\n".join(lines))


def send(postfix: Postfix, *recipients: str, subject: str = "printer", count: int = 1) -> None:
    with smtplib.SMTP(postfix.host, postfix.port, timeout=30) as client:
        for number in range(count):
            mail = f"From: ann@example.org\r\nTo: {recipients[0]}\r\nSubject: {subject} {number}\r\n\r\nfire\r\n"
            client.sendmail("ann@example.org", recipients, mail.encode())


def kept(daemon: Daemon) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(daemon.folder / "var" / "postroom.db")
    try:
        return connection.execute(
            "SELECT i.recipient, i.sender, r.content, i.peer FROM inbound_email i JOIN raw_mail r USING (digest)"
        ).fetchall()
    finally:
        connection.close()


def empty(postfix: Postfix) -> bool:
    return not postfix.queue()


def test_what_postfix_relays_is_kept_before_it_forgets_it(start_daemon: Start, start_postfix: StartPostfix) -> None:
    daemon = start_daemon(config())
    postfix = start_postfix(relay={"example.com": ("127.0.0.1", daemon.smtp_port)})
    send(postfix, "support+7@example.com", count=30)
    wait_until(lambda: len(kept(daemon)) == 30, "thirty deliveries")
    wait_until(lambda: empty(postfix), "an empty queue")
    assert {row[:2] for row in kept(daemon)} == {("support+7@example.com", "ann@example.org")}
    assert all(b"by mx.test (Postfix)" in row[2] for row in kept(daemon))
    assert postfix.log().count("250 2.0.0 accepted as ") == 30


def test_an_address_that_nobody_serves_bounces_to_its_sender(
    start_daemon: Start, start_postfix: StartPostfix, smarthost: Smarthost
) -> None:
    daemon = start_daemon(config())
    relay = {"example.com": ("127.0.0.1", daemon.smtp_port)}
    postfix = start_postfix(relay=relay, default=("127.0.0.1", smarthost.port))
    send(postfix, "nobody@example.com")
    wait_until(lambda: "550 5.1.1 no such mailbox here" in postfix.log(), "the refusal")
    bounce = wait_until(lambda: [m for m in smarthost.messages if m.recipients == ("ann@example.org",)], "a bounce")[0]
    assert b"Status: 5.1.1" in bounce.content
    assert kept(daemon) == []


def test_of_two_recipients_the_stranger_bounces_and_the_other_arrives(
    start_daemon: Start, start_postfix: StartPostfix
) -> None:
    daemon = start_daemon(config())
    postfix = start_postfix(relay={"example.com": ("127.0.0.1", daemon.smtp_port)})
    send(postfix, "nobody@example.com", "support@example.com")
    wait_until(lambda: "550 5.1.1 " in postfix.log() and kept(daemon), "both outcomes")
    assert [row[0] for row in kept(daemon)] == ["support@example.com"]


def test_under_the_disk_floor_postfix_waits_and_comes_again(start_daemon: Start, start_postfix: StartPostfix) -> None:
    daemon = start_daemon(config('min_free_disk = "100000 GiB"'))
    postfix = start_postfix(relay={"example.com": ("127.0.0.1", daemon.smtp_port)})
    send(postfix, "support@example.com")
    wait_until(lambda: any("452 4.3.1 " in "".join(m.reasons) for m in postfix.queue()), "a deferred mail")
    assert kept(daemon) == []
    daemon.stop()
    daemon.configure(config())
    daemon.start()
    wait_until(lambda: postfix.flush() or kept(daemon), "it comes again")
    wait_until(lambda: empty(postfix), "an empty queue")
    assert len(kept(daemon)) == 1


def test_what_we_committed_before_we_died_comes_again_and_is_recognised(
    start_daemon: Start, start_postfix: StartPostfix
) -> None:
    daemon = start_daemon(config(), env={"POSTROOM_FAILPOINT": "intake-committed"})
    postfix = start_postfix(relay={"example.com": ("127.0.0.1", daemon.smtp_port)})
    send(postfix, "support@example.com")
    daemon.wait()
    wait_until(lambda: any(m.reasons for m in postfix.queue()), "a deferred mail")
    daemon.env.clear()
    daemon.start()
    wait_until(lambda: postfix.flush() or empty(postfix), "an empty queue")
    assert len(kept(daemon)) == 1
    assert "is_new=no" in daemon.wait_for_log("accepted")


def test_postfix_speaks_tls_with_us(
    start_daemon: Start, start_postfix: StartPostfix, certificate: Certificate, tmp_path: Path
) -> None:
    files = [f'tls_certificate = "{certificate.certificate}"', f'tls_key = "{certificate.key}"']
    daemon = start_daemon(config('tls = "required"', *files))
    relay = {"example.com": ("127.0.0.1", daemon.smtp_port)}
    postfix = start_postfix(relay=relay, settings={"smtp_tls_security_level": "encrypt"})
    send(postfix, "support@example.com")
    wait_until(lambda: kept(daemon), "the delivery")
    assert '"tls": "TLSv1.3"' in kept(daemon)[0][3]


def test_postfix_delivers_by_lmtp_with_an_answer_for_each(start_daemon: Start, start_postfix: StartPostfix) -> None:
    daemon = start_daemon(config('protocol = "lmtp"'))
    relay = {"example.com": ("127.0.0.1", daemon.smtp_port)}
    settings = {"transport_maps": f"inline:{{ {{example.com = lmtp:inet:127.0.0.1:{daemon.smtp_port}}} }}"}
    postfix = start_postfix(relay=relay, settings=settings)
    send(postfix, "support@example.com", "nobody@example.com", "support+1@example.com")
    wait_until(lambda: len(kept(daemon)) == 2, "two deliveries")
    wait_until(lambda: postfix.log().count("250 2.0.0 accepted as ") == 2, "two answers")
    wait_until(lambda: "550 5.1.1 " in postfix.log(), "a refusal")

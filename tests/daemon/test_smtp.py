"""Mail by SMTP: whom we serve, what we answer, and what is on disk when we say 250."""

import hashlib
import smtplib
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from peers.door import Door
from peers.processes import need, wait_until
from sqlalchemy import Connection
from structlog.testing import capture_logs

from postroom.store.inbound import Accepted, NewInbound

MAIL = "From: Ann <ann@example.org>\r\nTo: support@example.com\r\nSubject: Drucker brennt\r\n\r\nSchnell, grün!\r\n"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Door(tmp_path) as door:
        yield door


def deliver(door: Door, *recipients: str, sender: str = "ann@example.org", mail: str = MAIL) -> None:
    with smtplib.SMTP("127.0.0.1", door.port, "client.example") as client:
        client.sendmail(sender, recipients or ["support@example.com"], mail.encode(), ["BODY=8BITMIME"])


def test_a_delivery_is_kept_with_its_exact_bytes_and_its_envelope(door: Door) -> None:
    deliver(door, "Support+Order.7@Example.COM", sender="Ann@Example.org")
    [row] = door.kept()
    assert door.raw(row.id) == MAIL.encode()
    assert row.digest == hashlib.sha256(MAIL.encode()).hexdigest()
    assert (row.mailbox, row.recipient, row.source, row.state) == (
        "support", "support+order.7@example.com", "smtp", "pending",
    )  # fmt: skip
    assert row.sender == "Ann@Example.org"
    assert row.peer == {"address": "127.0.0.1", "helo": "client.example", "tls": ""}


def test_the_log_names_the_delivery_and_hides_the_token_in_its_address(door: Door) -> None:
    with capture_logs() as logs:
        deliver(door, "support+r7k2token@example.com")
    [accepted] = [line for line in logs if line["event"] == "accepted"]
    assert (accepted["inbound"], accepted["recipient"]) == (door.kept()[0].id, "support+*@example.com")
    assert "r7k2token" not in str(logs)


def test_the_null_sender_is_kept_as_empty(door: Door) -> None:
    deliver(door, sender="")
    assert [row.sender for row in door.kept()] == [""]


def test_the_250_names_the_delivery(door: Door) -> None:
    with door.client() as client:
        client.begin()
        reply = client.say("Subject: one\r\n\r\none\r\n.")
        [row] = door.kept()
        assert reply == f"250 2.0.0 accepted as {row.id}"


def test_each_recipient_that_we_serve_gets_its_own_delivery(door: Door) -> None:
    deliver(door, "support@example.com", "shop@example.net", "support+7@example.com")
    assert [(row.mailbox, row.recipient) for row in door.kept()] == [
        ("support", "support@example.com"),
        ("sales", "shop@example.net"),
        ("support", "support+7@example.com"),
    ]
    assert len({row.digest for row in door.kept()}) == 1


@pytest.mark.parametrize(
    "stranger", ["nobody@example.com", "support@example.org", "support", "<>", "supporter@example.com"]
)
def test_a_recipient_that_we_do_not_serve_is_refused_at_rcpt(door: Door, stranger: str) -> None:
    with door.client() as client:
        client.say("EHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        assert client.say(f"RCPT TO:{stranger if stranger == '<>' else f'<{stranger}>'}").startswith("550 5.1.1 ")
        assert client.say("DATA").startswith("503 5.5.1 ")


def test_one_stranger_does_not_hinder_the_others(door: Door) -> None:
    with smtplib.SMTP("127.0.0.1", door.port) as client:
        refused = client.sendmail("ann@example.org", ["nobody@example.com", "support@example.com"], MAIL.encode())
    assert {address: code for address, (code, _) in refused.items()} == {"nobody@example.com": 550}
    assert [row.recipient for row in door.kept()] == ["support@example.com"]


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [("postmaster@example.com", "support"), ("PostMaster@Example.Com", "support"), ("Postmaster", "support")],
)
def test_postmaster_reaches_the_first_mailbox_of_our_domain(door: Door, address: str, mailbox: str) -> None:
    """RFC 5321 §4.5.1."""
    deliver(door, address)
    assert [(row.mailbox, row.recipient) for row in door.kept()] == [(mailbox, address.lower())]


def test_postmaster_of_another_domain_is_a_stranger(door: Door) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        deliver(door, "postmaster@example.org")


def test_a_dot_at_the_beginning_of_a_line_survives(door: Door) -> None:
    mail = "Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\n"
    deliver(door, mail=mail)
    assert door.raw(door.kept()[0].id) == mail.encode()


def test_a_line_of_any_length_is_taken(door: Door) -> None:
    """aiosmtpd refuses lines over 1,001 octets, and real HTML mail has them."""
    mail = "Subject: long\r\n\r\n" + "x" * 300_000 + "\r\n"
    deliver(door, mail=mail)
    assert door.raw(door.kept()[0].id) == mail.encode()


def test_mail_with_utf8_addresses_is_taken(tmp_path: Path) -> None:
    with Door(tmp_path) as door, door.client() as client:
        client.say("EHLO client.example")
        assert client.say("MAIL FROM:<жанна@пример.example> SMTPUTF8").startswith("250")
        assert client.say("RCPT TO:<support@example.com>").startswith("250")
        client.say("DATA")
        assert client.say("Subject: привет\r\n\r\nда\r\n.").startswith("250 2.0.0 ")
        assert [row.sender for row in door.kept()] == ["жанна@пример.example"]


def test_the_greeting_names_us_and_every_extension(door: Door) -> None:
    with door.client(greet=False) as client:
        assert client.reply() == "220 desk.example ESMTP Postroom"
        lines = client.say("EHLO client.example").split("\n")
    assert lines[0] == "250-desk.example"
    assert {line[4:] for line in lines[1:]} == {
        "PIPELINING", f"SIZE {25 << 20}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "HELP",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("MAIL FROM:<a@b.example>", "503 5.5.1 "),
        ("EHLO", "501 5.5.4 "),
        ("AUTH PLAIN AGEAYg==", "502 5.5.1 "),
        ("STARTTLS", "502 5.5.1 "),
        ("EXPN support", "502 5.5.1 "),
        ("VRFY support@example.com", "252 2.5.0 "),
        ("VRFY nobody@example.com", "252 2.5.0 "),
        ("LHLO client.example", "500 5.5.1 "),
        ("XYZZY", "500 5.5.1 "),
        ("", "500 5.5.1 "),
        ("NOOP", "250 2.0.0 "),
        ("RSET", "250 2.0.0 "),
        ("HELP", "214 2.0.0 "),
        ("QUIT", "221 2.0.0 "),
    ],
)
def test_every_reply_has_an_enhanced_code(door: Door, line: str, reply: str) -> None:
    with door.client() as client:
        assert client.say(line).startswith(reply)


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("<ann@example.org>", "250 2.1.0 "),
        ("ann@example.org", "250 2.1.0 "),
        ("<@relay.example,@other.example:ann@example.org>", "250 2.1.0 "),
        ('<"ann b"@example.org>', "250 2.1.0 "),
        ("<>", "250 2.1.0 "),
        ("<ann@example.org> SIZE=100 BODY=8BITMIME", "250 2.1.0 "),
        ("<ann@example.org> BODY=BINARYMIME", "501 5.5.4 "),
        ("<ann@example.org> XYZZY=1", "555 5.5.4 "),
        ("<ann@example.org> SIZE=-1", "501 5.5.4 "),
        ("<ann@example.org> SIZE=²", "553 5.1.3 "),
        ("<ann@example.org", "553 5.1.3 "),
        ("ann@example.org>", "553 5.1.3 "),
        ("<ann b@example.org>", "553 5.1.3 "),
        ("<" + "a" * 400 + "@example.org>", "553 5.1.3 "),
        ("", "553 5.1.3 "),
    ],
)
def test_a_sender_is_read_by_the_letter(door: Door, argument: str, reply: str) -> None:
    with door.client() as client:
        client.say("EHLO client.example")
        assert client.say(f"MAIL FROM:{argument}").startswith(reply)


def test_commands_may_be_pipelined(door: Door) -> None:
    with door.client() as client:
        client.send(
            b"EHLO client.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<nobody@example.com>\r\n"
            b"RCPT TO:<support@example.com>\r\nDATA\r\n"
        )
        assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "550", "250", "354"]
        client.send(b"Subject: one\r\n\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "221"]
    assert len(door.kept()) == 1


def test_a_client_that_closes_its_side_after_the_dot_still_gets_its_answer(door: Door) -> None:
    with door.client() as client:
        client.begin()
        client.send(b"Subject: one\r\n\r\none\r\n.\r\nQUIT\r\n")
        client.socket.shutdown(1)
        assert client.reply().startswith("250 2.0.0 ")
        assert client.reply().startswith("221 ")


def test_swaks_delivers(door: Door) -> None:
    swaks = need("swaks", "swaks")
    ran = subprocess.run(
        [swaks, "--server", f"127.0.0.1:{door.port}", "--from", "ann@example.org", "--to", "support@example.com",
         "--pipeline", "--header", "Subject: swaks"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert b"Subject: swaks\r\n" in (door.raw(door.kept()[0].id) or b"")


def test_many_clients_at_once_share_commits(door: Door) -> None:
    """Group commit: while one transaction is synced, the others gather for the next."""
    running, go_on = threading.Event(), threading.Event()
    first = _hold(door, running, go_on)
    assert running.wait(10)
    before = door.intake.groups
    clients = [
        threading.Thread(target=deliver, args=[door], kwargs={"mail": f"Subject: {n}\r\n\r\n{n}\r\n"})
        for n in range(12)
    ]
    for client in clients:
        client.start()
    wait_until(lambda: len(door.intake._waiting) == 12, "twelve messages wait for the commit")
    go_on.set()
    for client in clients:
        client.join()
    assert first.result(10)
    assert len(door.kept()) == 13
    assert door.intake.groups - before == 2


def test_a_client_that_hangs_up_in_the_commit_and_comes_again_leaves_one_delivery(door: Door) -> None:
    """aiosmtpd cancels the handler then; the retry is recognised by its bytes."""
    running, go_on = threading.Event(), threading.Event()
    _hold(door, running, go_on)
    assert running.wait(10)
    with door.client() as client:
        client.begin()
        client.send(MAIL.encode() + b".\r\n")
        wait_until(lambda: len(door.intake._waiting) == 1, "the message waits for the commit")
    go_on.set()
    wait_until(lambda: len(door.kept()) == 2, "the message of the client that is gone is kept")
    deliver(door)
    assert [row.recipient for row in door.kept()] == ["held@example.com", "support@example.com"]


def test_no_clock_runs_against_a_client_whose_message_is_being_taken(tmp_path: Path) -> None:
    """aiosmtpd's timeout goes on then, and cancels the handler."""
    running, go_on = threading.Event(), threading.Event()
    with Door(tmp_path, command_seconds=0.2, transaction_seconds=0.2) as door, door.client() as client:
        _hold(door, running, go_on)
        assert running.wait(10)
        client.begin()
        client.send(b"Subject: one\r\n\r\n.\r\n")
        client.socket.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.reply()
        go_on.set()
        assert client.reply().startswith("250 2.0.0 ")


def test_while_another_holds_the_database_the_client_is_told_to_come_again(door: Door) -> None:
    holder = sqlite3.connect(str(door.store.path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        deliver(door)
    assert refused.value.smtp_code == 451
    assert refused.value.smtp_error.startswith(b"4.3.0 ")
    holder.execute("ROLLBACK")
    holder.close()
    assert door.kept() == []
    deliver(door)
    assert len(door.kept()) == 1


def test_a_session_goes_on_after_the_database_failed(door: Door) -> None:
    holder = sqlite3.connect(str(door.store.path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with door.client() as client:
        client.begin()
        assert client.say("Subject: one\r\n\r\n.").startswith("451 4.3.0 ")
        holder.execute("ROLLBACK")
        holder.close()
        client.begin()
        assert client.say("Subject: one\r\n\r\n.").startswith("250 2.0.0 ")


def test_what_nobody_foresaw_is_temporary(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiosmtpd answers 500 with the exception's text."""

    async def broken(*_arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(door.intake, "accept_async", broken)
    with door.client() as client:
        client.begin()
        assert client.say("Subject: one\r\n\r\n.") == "451 4.3.0 local error, try again later"


def _hold(door: Door, running: threading.Event, go_on: threading.Event) -> Future[list[Accepted]]:
    """Keep the intake in a commit, until `go_on` is set."""

    def hold(_connection: Connection, _accepted: list[Accepted]) -> None:
        running.set()
        assert go_on.wait(10)

    raw = b"Subject: held\r\n\r\n"
    digest = hashlib.sha256(raw).hexdigest()
    when = datetime(2026, 11, 23, tzinfo=UTC)
    return door.intake.submit([NewInbound("support", "held@example.com", raw, digest, "smtp", "", when)], also=hold)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_where_a_reload_takes_a_mailbox_away_before_the_content_comes_nothing_is_taken(tmp_path, protocol):
    """A 250 would promise all recipients what one of them does not get."""
    with Door(tmp_path, protocol=protocol) as door, door.client() as client:
        client.begin(
            "support@example.com", "sales@example.com", hello=f"{'EH' if protocol == 'smtp' else 'LH'}LO client.example"
        )
        one = {"support": door.config.mailbox["support"]}
        door.run(door.server.use(msgspec.structs.replace(door.config, mailbox=one)))
        replies = [client.say("Subject: two\r\n\r\n.")] + ([client.reply()] if protocol == "lmtp" else [])
        assert {reply[:9] for reply in replies} == {"451 4.3.0"}
        assert door.kept() == []
        assert client.say("NOOP").startswith("250 ")

"""LMTP (RFC 2033): LHLO, and one answer for each recipient."""

import smtplib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.door import Door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Door(tmp_path, protocol="lmtp", max_size=1000) as door:
        yield door


def test_each_recipient_is_answered(door: Door) -> None:
    """aiosmtpd gives one answer for all."""
    with door.client() as client:
        client.say("LHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        replies = [client.say(f"RCPT TO:<{who}@example.com>")[:3] for who in ("support", "nobody", "sales", "support")]
        assert replies == ["250", "550", "250", "250"]
        client.say("DATA")
        answers = [client.say("Subject: one\r\n\r\none\r\n."), client.reply(), client.reply()]
        support, sales = door.kept()
        assert answers == [f"250 2.0.0 accepted as {n}" for n in (support.id, sales.id, support.id)]
        assert client.say("NOOP").startswith("250 ")


def test_each_recipient_is_refused(door: Door) -> None:
    for content, reply in (("x" * 2000, "552 5.3.4 "), ("a\nb", "550 5.5.2 ")):
        with door.client() as client:
            client.begin("support@example.com", "sales@example.com", hello="LHLO client.example")
            answers = [client.say(f"{content}\r\n."), client.reply()]
            assert [answer[:10] for answer in answers] == [reply, reply]
            assert client.say("NOOP").startswith("250 ")


def test_each_recipient_is_told_to_come_again(door: Door) -> None:
    holder = sqlite3.connect(str(door.store.path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with door.client() as client:
        client.begin("support@example.com", "sales@example.com", hello="LHLO client.example")
        assert [client.say("Subject: one\r\n\r\n.")[:9], client.reply()[:9]] == ["451 4.3.0", "451 4.3.0"]
        holder.execute("ROLLBACK")
        holder.close()
        assert client.say("NOOP").startswith("250 ")


def test_the_greeting_is_its_own(door: Door) -> None:
    with door.client(greet=False) as client:
        assert client.reply() == "220 desk.example LMTP Postroom"
        assert client.say("EHLO client.example").startswith("500 5.5.1 ")
        assert client.say("HELO client.example").startswith("500 5.5.1 ")
        assert "PIPELINING" in client.say("LHLO client.example")


def test_without_recipients_there_is_no_data(door: Door) -> None:
    with door.client() as client:
        client.say("LHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        client.say("RCPT TO:<nobody@example.com>")
        assert client.say("DATA").startswith("503 5.5.1 ")


def test_the_standard_client_delivers(door: Door) -> None:
    with smtplib.LMTP("127.0.0.1", door.port) as client:
        client.sendmail("ann@example.org", ["support@example.com"], b"Subject: one\r\n\r\none\r\n")
    assert [row.peer["helo"] for row in door.kept()] != [""]

"""Quarantine for people: what waits there is listed with its reason, tried again, released as a ticket, or deleted."""

import hashlib
from contextlib import contextmanager

import pytest
from peers.commandline import Desk
from peers.house import SUPPORT, TestHouse, mail

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.releasing import unparsed
from postroom.parsers.attachments import read_part
from postroom.store import inbound

CONFIG = """\
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
CY = "cy@customer.example"
HOSTILE = (
    b"From: =?utf-8?q?"
    + b"\xff\x00" * 50
    + b"?= <x@y.example>\r\nSubject: a\x1b[31m\x00b\r\n\r\n"
    + b"\xfe\x00\x01" * 400
)


@pytest.fixture
def desk(store_url, tmp_path):
    desk = Desk(tmp_path, f'{CONFIG}[store]\nurl = "{store_url}"\n')
    with opened(desk):
        return desk


@contextmanager
def opened(desk):
    with house.open_house(settings.load(str(desk.config))) as rooms:
        yield TestHouse(rooms)


def quarantine(desk, raw, recipient=SUPPORT, sender=CY, why="the parse worker died (signal 11)"):
    """Put a mail where the processor puts what has broken its worker three times."""
    with opened(desk) as rooms, rooms.store.write() as connection:
        digest = hashlib.sha256(raw).hexdigest()
        new = inbound.NewInbound("support", recipient, raw, digest, "smtp", sender, house.now())
        [accepted] = inbound.accept(connection, [new])
        inbound.quarantine(connection, accepted.id, why, house.now())
    return accepted.id


def test_what_is_there_is_listed_with_its_reason(desk):
    assert "nothing is in quarantine" in desk("inbound", "quarantine").out
    id_ = quarantine(desk, mail())
    [row] = desk("inbound", "quarantine", "--json").objects
    assert (row["id"], row["state"], row["reason"]) == (id_, "quarantined", "the parse worker died (signal 11)")
    assert "signal 11" in desk("inbound", "quarantine").out


def test_a_released_mail_is_a_ticket_with_all_of_it_attached(desk):
    raw = mail(text="Please help me with the printer.\n", Auto_Submitted="no")
    id_ = quarantine(desk, raw)
    [row] = desk("inbound", "release", str(id_), "--json").objects
    assert row["state"] == "processed"
    ticket = desk.ticket(row["ticket"])
    [message] = ticket["messages"]
    assert (ticket["subject"], ticket["submitterEmail"]) == ("Printer on fire", CY)
    assert "Please help me with the printer." in message["message"]
    assert [(file["filename"], file["size"]) for file in message["attachments"]] == [(f"mail-{id_}.eml", len(raw))]
    with opened(desk) as rooms:
        assert [delivery.purpose for delivery, _ in rooms.outbox(state="pending")] == ["new_ticket"]
        assert [delivery.reason for delivery, _ in rooms.outbox(state="suppressed")] != []
    assert read_part(raw, "*") == raw
    assert "released by" in desk("inbound", "explain", str(id_)).out


def test_a_released_answer_joins_its_ticket(desk):
    with opened(desk) as rooms:
        ticket = rooms.take(mail(Message_ID="<first@customer.example>")).ticket_id
    id_ = quarantine(desk, mail(subject="Re: Printer on fire", In_Reply_To="<first@customer.example>"))
    desk("inbound", "release", str(id_))
    with opened(desk) as rooms:
        assert len(rooms.conversation(ticket)) == 2


@pytest.mark.parametrize("raw", [HOSTILE, b"", b"\n\n", b"From: a@b.example, c@d.example\n\nx", b"\x00" * 10_000])
def test_whatever_it_is_it_can_be_released(desk, raw):
    id_ = quarantine(desk, raw)
    [row] = desk("inbound", "release", str(id_), "--json").objects
    ticket = desk.ticket(row["ticket"])
    assert "\x00" not in str(ticket)
    assert "\x1b" not in ticket["subject"]
    assert desk("tickets", "show", row["ticket"]).status == 0


def test_only_what_is_quarantined_is_released_or_deleted(desk):
    id_ = quarantine(desk, mail())
    desk("inbound", "release", str(id_))
    for words in (["release"], ["delete", "--reason", "no"], ["retry"]):
        ran = desk("inbound", words[0], str(id_), *words[1:])
        assert ran.status == 1
        assert "quarantined" in ran.err
    assert desk("inbound", "release", "99").status == 1
    assert desk("inbound", "delete", str(id_)).status == 2


def test_a_deleted_mail_leaves_its_number_and_the_reason(desk):
    raw = mail(text="secret canary\n")
    id_ = quarantine(desk, raw)
    [row] = desk("inbound", "delete", str(id_), "--reason", "an attack", "--json").objects
    assert (row["id"], row["state"], row["size"]) == (id_, "processed", len(raw))
    assert row["reason"].endswith(": an attack")
    assert desk("inbound", "raw", str(id_)).out == ""
    assert desk("inbound", "quarantine", "--json").objects == []


def test_bytes_that_were_deleted_come_back_only_with_a_new_delivery(desk):
    """The same delivery, fetched again, stays deleted; the same mail to another recipient is another delivery."""
    raw = mail()
    desk("inbound", "delete", str(quarantine(desk, raw)), "--reason", "spam")
    digest = hashlib.sha256(raw).hexdigest()
    with opened(desk) as rooms:
        for recipient, expected in ((SUPPORT, b""), ("support+x@example.com", raw)):
            with rooms.store.write() as connection:
                new = inbound.NewInbound("support", recipient, raw, digest, "imap", CY, house.now())
                [accepted] = inbound.accept(connection, [new])
            with rooms.store.read() as connection:
                assert inbound.raw(connection, accepted.id) == expected


def test_all_are_tried_again_after_an_upgrade(desk):
    for _ in range(3):
        quarantine(desk, mail())
    assert desk("inbound", "retry").status == 2
    assert desk("inbound", "retry", "--all", "--json").objects == [{"retried": 3}]
    assert desk("inbound", "quarantine", "--json").objects == []
    assert len(desk("inbound", "list", "--state", "pending", "--json").objects) == 3


def test_what_cannot_be_parsed_is_looked_at_in_linear_time():
    raw = b"Subject: " + b"<" * 3_000_000 + b"\n" + b"From:" * 500_000
    assert unparsed(raw, "0" * 64, CY, 1).from_[0].address == CY

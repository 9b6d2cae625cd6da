"""What comes back settles the delivery that it is about, and only that one."""

import pytest
from peers.outgoing import mail
from sqlalchemy import update

from postroom.outbound.returned import Settling, settle_report
from postroom.parsers.email import parse
from postroom.parsers.parsed import Address
from postroom.store import tables

REPORT = """\
From: MAILER-DAEMON@mx.example.org
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn@mx.example.org>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your mail could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user

--b
Content-Type: text/rfc822-headers

Message-ID: <{message_id}>
Subject: Re: Printer on fire

--b--
"""


@pytest.fixture
def reply(desk):
    """An agent's answer to two people, both sent."""
    opened = desk.receive(mail(cc=(Address("", "boss@example.org"),)))
    desk.receive(
        mail(message_id="agent@example.com", from_=(Address("", "bob@example.com"),)), ticket=opened.ticket, agent="bob"
    )
    with desk.store.write() as connection:
        connection.execute(update(tables.Delivery).values(state="sent"))
    return desk.outbox("reply")


def report(delivery, *, recipient=None, action="failed", status="5.1.1", message_id=None):
    text = REPORT.format(
        to=delivery.envelope_sender, recipient=recipient or delivery.recipient, action=action, status=status,
        message_id=message_id or delivery.email_message_id,
    )  # fmt: skip
    return parse(text.replace("\n", "\r\n").encode())


def settle(desk, email, *addresses):
    tags = [address.partition("@")[0].partition("+")[2] for address in addresses]
    with desk.store.write() as connection:
        settling = Settling(
            connection, desk.signer, desk.config.answers, desk.clock(), desk.agents.__contains__, desk.notifier
        )
        return settle_report(settling, email, tags)


def states(desk):
    return {row.recipient: row.state for row in desk.outbox("reply")}


def events(desk):
    return [
        (e.event, e.detail.get("recipient"))
        for e in desk.rows(tables.Event)
        if e.event in ("undelivered", "delayed", "delivered", "receipt", "complaint")
    ]


def test_a_bounce_to_a_signed_address_settles_that_delivery(desk, reply):
    first, _second = reply
    settled = settle(desk, report(first, message_id="lost@elsewhere.example"), first.envelope_sender)
    assert states(desk) == {"ann@example.org": "failed", "boss@example.org": "sent"}
    assert "5.1.1" in desk.outbox("reply")[0].reason
    assert settled.ticket_id == first.ticket_id
    assert (settled.decision[0]["rule"], settled.decision[0]["outcome"]) == ("bounce-address", "failed")
    assert events(desk) == [("undelivered", "ann@example.org")]


def test_a_bounce_that_only_names_our_message_id_settles_what_went_to_its_recipient_alone(desk):
    desk.receive(mail())
    (sent,) = desk.outbox("confirmation")
    settled = settle(desk, report(sent))
    assert [row.state for row in desk.outbox("confirmation")] == ["failed"]
    assert settled.decision[0]["rule"] == "own-message-id"


def test_of_several_who_got_a_mail_none_can_report_it_in_anothers_name(desk, reply):
    settled = settle(desk, report(reply[1]))
    assert states(desk) == {"ann@example.org": "sent", "boss@example.org": "sent"}
    assert (settled.ticket_id, settled.decision[0]["outcome"]) == (reply[1].ticket_id, "nothing")


def test_a_bounce_for_somebody_else_settles_nothing(desk, reply):
    settled = settle(desk, report(reply[0], recipient="other@example.net"))
    assert states(desk) == {"ann@example.org": "sent", "boss@example.org": "sent"}
    assert settled.decision[0]["outcome"] == "nothing"


def test_a_bounce_of_a_forwarded_mail_settles_by_its_signed_address(desk, reply):
    settle(desk, report(reply[0], recipient="ann@new-home.example"), reply[0].envelope_sender)
    assert states(desk)["ann@example.org"] == "failed"


def test_agents_are_told_once(desk, reply):
    for _ in range(2):
        settle(desk, report(reply[0]), reply[0].envelope_sender)
    assert [row.recipient for row in desk.outbox("undeliverable")] == ["bob@example.com"]
    assert len(events(desk)) == 1


def test_a_delay_is_noted_and_changes_nothing(desk, reply):
    settled = settle(desk, report(reply[0], action="delayed", status="4.2.1"), reply[0].envelope_sender)
    assert states(desk)["ann@example.org"] == "sent"
    assert settled.decision[0]["outcome"] == "delayed"
    assert events(desk) == [("delayed", "ann@example.org")]


def test_an_unsigned_address_and_an_unknown_id_settle_nothing(desk, reply):
    settled = settle(desk, report(reply[0], message_id="x@example.net"), "support+" + "a" * 40 + "@example.com")
    assert settled.ticket_id is None
    assert settled.decision[0]["rule"] == "no-delivery"
    assert set(states(desk).values()) == {"sent"}


def test_a_reply_token_is_no_bounce_token(desk, reply):
    reply_to = desk.mail(reply[0])["Reply-To"].addresses[0].addr_spec
    assert settle(desk, report(reply[0], message_id="x@example.net"), reply_to).ticket_id is None


def test_a_receipt_is_noted(desk, reply):
    receipt = parse(
        b"From: ann@example.org\r\nTo: support@example.com\r\nMIME-Version: 1.0\r\nIn-Reply-To: <"
        + reply[0].email_message_id.encode()
        + b">\r\n"
        b'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nread\r\n'
        b"--b\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; ann@example.org\r\n"
        b"Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n"
    )
    settled = settle(desk, receipt, reply[0].envelope_sender)
    assert settled.decision[0]["outcome"] == "receipt"
    assert set(states(desk).values()) == {"sent"}

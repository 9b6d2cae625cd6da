"""Relays that put a Message-ID of their own in place of ours: the answers of recipients find their ticket all the same."""

from random import Random

import pytest
import structlog
from peers.house import SUPPORT, answer, mail, open_test_house
from sqlalchemy import select

from postroom.daemon.house import now
from postroom.outbound.courier import Courier
from postroom.outbound.renamed import by_answer
from postroom.store.tables import ThreadRef

CY, EVE = "cy@customer.example", "eve@stranger.example"
SES = "0100018f2c3d4e5f-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d-000000"
OUTLOOK = "AM0PR01MB1234A1B2C3@AM0PR01MB1234.eurprd01.prod.outlook.com"


@pytest.mark.parametrize(
    ("answer", "host", "ids"),
    [
        (f"250 Ok {SES}", "email-smtp.us-east-1.amazonaws.com", (f"{SES}@email.amazonses.com",)),
        (f"250 Ok {SES}", "email-smtp.eu-west-1.amazonaws.com", (f"{SES}@eu-west-1.amazonses.com", f"{SES}@email.amazonses.com")),
        (f"250 Ok {SES}", "email-smtp-fips.us-west-2.amazonaws.com", (f"{SES}@us-west-2.amazonses.com", f"{SES}@email.amazonses.com")),
        (f"250 Ok {SES}", "relay.internal", (f"{SES}@email.amazonses.com",)),
        (f"250 2.6.0 <{OUTLOOK}> [InternalId=17179, Hostname=AM0PR01MB1234.eurprd01.prod.outlook.com] 9 bytes in 0.1, 80 KB/sec Queued mail for delivery", "smtp.office365.com", (OUTLOOK,)),
        ("250 2.6.0 <1@example.com> [InternalId=17179, Hostname=mail.example.com] Queued mail for delivery", "mail.example.com", ()),  # it is ours
        ("250 2.0.0 Ok: queued as 4XyZ12abc", "localhost", ()),
        ("250 2.0.0 OK  1732450000 5b1f17b1804b1-432d5dsm1234567a8.5 - gsmtp", "smtp-relay.gmail.com", ()),
        ("250 2.1.5 <ann@example.org> recipient ok", "mx.example.org", ()),  # an address
        ("250 2.6.0 <ann@example.org> queued", "mx.example.org", ()),
        (f"250 2.6.0 <{'x' * 300}@y> [InternalId=1]", "mx.example.org", ()),
        (f"250 Ok {SES}>\r\nX: y", "relay.internal", ()),
        ("", "", ()),
    ],
)  # fmt: skip
def test_what_an_answer_lets_us_know(answer, host, ids):
    assert by_answer(answer, host, "1@example.com") == ids


@pytest.fixture
def desk(tmp_path, smarthost):
    outgoing = {"courier": "smtp", "smtp": {"host": "127.0.0.1", "port": smarthost.port}}
    with open_test_house(tmp_path, outgoing=outgoing) as house:
        yield house


async def send(desk):
    opened = desk.house
    await Courier(
        opened.config, desk.store, {}, now, Random(1), structlog.get_logger(), notifier=opened.notifier
    ).deliver_due()


def known(desk, ref):
    with desk.store.read() as connection:
        return list(connection.execute(select(ThreadRef.ticket_id).where(ThreadRef.ref == ref)).scalars())


async def test_an_answer_to_the_id_that_the_smarthost_gave_finds_its_ticket(desk, smarthost):
    id_ = desk.take(mail()).ticket_id
    smarthost.on("DOT", f"250 Ok {SES}")
    await send(desk)
    assert known(desk, f"{SES}@email.amazonses.com") == [id_]

    def naming_it(sender):
        raw = mail(sender, subject="Re: something else", References="<it>")
        return raw.replace(b"<it>", f"<{SES}@email.amazonses.com>".encode())

    assert desk.take(naming_it(CY)).ticket_id == id_
    stranger = desk.take(naming_it(EVE))
    assert (stranger.outcome, stranger.ticket_id != id_) == ("opened", True)


async def test_what_was_refused_has_no_other_id(desk, smarthost):
    desk.take(mail())
    smarthost.on("DOT", f"450 Ok {SES}")
    await send(desk)
    assert known(desk, f"{SES}@email.amazonses.com") == []


REPORT = (
    b"From: MAILER-DAEMON@mx.customer.example\r\nTo: %(to)s\r\nSubject: Undelivered\r\nMessage-ID: <%(n)s@mx.customer.example>\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
    b"Delayed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.customer.example\r\n\r\n"
    b"Final-Recipient: rfc822; cy@customer.example\r\nAction: delayed\r\nStatus: 4.2.1\r\n\r\n--b\r\n"
    b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <%(seen)s>\r\n\r\n--b--\r\n"
)


def report(to, seen, n=b"1"):
    return REPORT % {b"to": to.encode(), b"seen": seen.encode(), b"n": n}


def test_the_id_in_a_report_to_a_signed_address_is_known_from_then_on(desk):
    id_ = desk.take(mail()).ticket_id
    row, _ = desk.outbox(purpose="confirmation")[0]
    settled = desk.take(report(row.envelope_sender, "relay-1@relay.example"), recipient=row.envelope_sender, sender="")
    assert (settled.outcome, settled.ticket_id) == ("settled", id_)
    assert known(desk, "relay-1@relay.example") == [id_]
    assert desk.take(mail(In_Reply_To="<relay-1@relay.example>")).ticket_id == id_


def test_a_report_to_no_signed_address_teaches_no_id(desk):
    desk.take(mail())
    desk.take(report(SUPPORT, "relay-1@relay.example"), sender="")
    assert known(desk, "relay-1@relay.example") == []


def test_a_report_cannot_give_one_ticket_the_signed_id_of_another(desk):
    first, second = desk.take(mail()).ticket_id, desk.take(mail("di@customer.example")).ticket_id
    (one, _), (_, other) = desk.outbox(purpose="confirmation")
    desk.take(report(one.envelope_sender, other.message_id), recipient=one.envelope_sender, sender="")
    assert (known(desk, other.message_id), first != second) == ([second], True)


def copy_of_ours(desk, message_id="relay-2@relay.example"):
    row, sent = desk.outbox(purpose="confirmation")[0]
    return row.content.replace(sent.message_id.encode(), message_id.encode())


def test_our_own_mail_that_comes_back_renamed_has_no_effect_but_that_its_id_is_known(desk):
    id_ = desk.take(mail()).ticket_id
    settled = desk.take(copy_of_ours(desk), sender="")
    assert (settled.outcome, settled.ticket_id) == ("settled", id_)
    assert "with the Message-ID that a relay gave it" in settled.reason
    assert (len(desk.tickets()), len(desk.conversation(id_))) == (1, 1)
    assert desk.take(mail(In_Reply_To="<relay-2@relay.example>")).ticket_id == id_


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (b"From: ", b"From: cy@customer.example\r\nX-From: "),  # a customer's mail
        (b"Reply-To: ", b"X-Reply-To: "),  # no proof
    ],
)
def test_what_only_looks_like_our_mail_is_taken_like_any_other(desk, ours, theirs):
    desk.take(mail())
    head, _, body = copy_of_ours(desk).partition(b"\r\n\r\n")
    changed = (b"\r\n" + head).replace(b"\r\n" + ours, b"\r\n" + theirs)[2:] + b"\r\n\r\n" + body
    assert "a relay gave it" not in desk.take(changed).reason


def test_an_answer_to_our_mail_is_no_copy_of_it(desk):
    id_ = desk.take(mail()).ticket_id
    confirmation = desk.sent("confirmation", CY)
    reply = answer(confirmation, "Thanks.\n", CY, Reply_To=confirmation.reply_to[0].address)
    assert desk.take(reply, recipient=confirmation.reply_to[0].address).outcome == "added"
    assert len(desk.conversation(id_)) == 2

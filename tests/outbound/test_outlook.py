"""Outlook's Thread-Index (MS-OXOMSG §2.2.1.3) is echoed to whoever wrote it, one answer longer, and to nobody else."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.outgoing import mail

from postroom.desk.happened import Happened, What
from postroom.outbound.outlook import FILETIME_EPOCH, marks
from postroom.parsers.parsed import Address

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GUID = bytes(range(16))


def index(began=NOON, children=0):
    ticks = int((began - FILETIME_EPOCH).total_seconds()) * 10_000_000
    return base64.b64encode(ticks.to_bytes(8, "big")[:6] + GUID + b"child" * children).decode()


def child_of(value):
    return base64.b64decode(value)[-5:]


def test_an_answer_adds_five_octets_that_say_how_much_later_it_is():
    [topic, (name, value)] = marks(index(), "Printer", NOON + timedelta(hours=2), 0x1234)
    assert (topic, name) == (("Thread-Topic", "Printer"), "Thread-Index")
    assert base64.b64decode(value)[:22] == base64.b64decode(index())
    delta = int.from_bytes(child_of(value)[:4], "big")
    assert delta >> 31 == 0
    assert abs(delta * 2**18 / 10_000_000 - 7200) < 0.1
    assert child_of(value)[4] == 0x40
    [(_, far)] = marks(index(), None, NOON + timedelta(days=1000), 0)
    delta = int.from_bytes(child_of(far)[:4], "big")
    assert delta >> 31 == 1
    assert abs((delta & 0x7FFF_FFFF) * 2**23 / 10_000_000 - 1000 * 86400) < 2


def test_a_clock_that_is_behind_makes_no_negative_time():
    [(_, value)] = marks(index(NOON + timedelta(days=30)), None, NOON, 0)
    assert child_of(value)[:4] == b"\0\0\0\0"


@pytest.mark.parametrize(
    "value",
    [None, "", "AQ==", "no base64!", index()[:-4], index() + "AAAA", index(children=60), "A" * 40, "é", base64.b64encode(b"\2" + b"x" * 21).decode()],
)  # fmt: skip
def test_what_is_no_index_is_not_echoed(value):
    assert marks(value, "Printer", NOON, 1) == ()


@given(st.text() | st.binary(max_size=400).map(lambda octets: base64.b64encode(b"\1" + octets).decode()))
def test_whatever_an_index_holds_the_echo_is_one_token(value):
    for _, echoed in marks(value, None, NOON, 1):
        assert len(echoed) < 450
        assert base64.b64decode(echoed, validate=True)[-5:-1]


def outlook_mail(**changes):
    folded = index(children=2)
    headers = (("thread-topic", "Printer on fire"), ("thread-index", f"{folded[:30]} {folded[30:]}"))
    return mail(**{"headers": headers, **changes})


def test_an_agents_answer_stays_in_the_customers_outlook_conversation(desk):
    ticket = desk.receive(outlook_mail()).ticket
    desk.clock.advance(hours=1)
    answer = mail(message_id="a@example.com", from_=(Address("Bob", "bob@example.com"),), reply_text="Water.")
    desk.receive(answer, ticket=ticket, agent="bob")
    raw = desk.raw(desk.outbox("reply")[0])
    sent = desk.mail(desk.outbox("reply")[0])
    assert sent["Thread-Topic"] == "Printer on fire"
    assert base64.b64decode(sent["Thread-Index"])[:-5] == base64.b64decode(index(children=2))
    assert f"\r\nThread-Index: {sent['Thread-Index']}\r\n".encode() in raw


def test_to_one_whom_we_do_not_know_nothing_of_his_is_repeated(desk):
    desk.receive(outlook_mail())
    assert desk.mail(desk.outbox("confirmation")[0])["Thread-Index"] is None
    assert desk.mail(desk.outbox("confirmation")[0])["Thread-Topic"] is None
    known = outlook_mail(message_id="b@example.org", from_=(Address("", "bea@example.org"),))
    desk.receive(known, authenticated=True)
    assert desk.mail(desk.outbox("confirmation")[1])["Thread-Index"] is not None


def test_where_others_read_along_nobody_gets_it(desk):
    both = outlook_mail(cc=(Address("Cy", "cy@example.org"),))
    ticket = desk.receive(both, authenticated=True).ticket
    answer = mail(message_id="a@example.com", from_=(Address("Bob", "bob@example.com"),), reply_text="Water.")
    desk.receive(answer, ticket=ticket, agent="bob")
    assert len(desk.outbox("reply")) == 2
    assert desk.mail(desk.outbox("reply")[0])["Thread-Index"] is None


def test_a_status_mail_goes_on_with_it_and_agents_never_see_it(desk):
    ticket = desk.receive(outlook_mail(), authenticated=True).ticket
    answer = mail(message_id="a@example.com", from_=(Address("Bob", "bob@example.com"),), reply_text="Water.")
    desk.receive(answer, ticket=ticket, agent="bob")
    desk.tell(Happened(What.STATUS, ticket, "bob", old_status="open", new_status="resolved"))
    assert desk.mail(desk.outbox("status")[0])["Thread-Index"] is not None
    for notice in desk.outbox("new_ticket"):
        assert desk.mail(notice)["Thread-Index"] is None

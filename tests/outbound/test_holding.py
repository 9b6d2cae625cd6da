"""When automatic mail to an address stops, and what lets it go out again. Whole mails, through the whole reception."""

from datetime import timedelta

import pytest
import time_machine
from peers.house import ANN, SUPPORT, answer, mail, open_test_house
from peers.outgoing import NOON
from sqlalchemy import event, select, update

from postroom.desk.happened import Happened, What
from postroom.desk.merging import join
from postroom.outbound.holding import in_words
from postroom.parsers.email import parse
from postroom.store import correspondents, erasure, outbox, tickets
from postroom.store.tables import Delivery, Event

CY = "cy@customer.example"
ROWS = iter(range(1, 10_000))
MOST_STATEMENTS = 25  # that one bounce may run


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as travelled:
        yield travelled


@pytest.fixture
def house(request, tmp_path, clock):
    is_sqlite = getattr(request, "param", "sqlite") == "sqlite"
    changes = {} if is_sqlite else {"store": {"url": request.getfixturevalue("migrated_url")}}
    with open_test_house(tmp_path, **changes) as opened:
        yield opened


on_both = pytest.mark.parametrize("house", ["sqlite", "postgresql"], indirect=True)


def send(house):
    """Everything that waits is sent now."""
    with house.store.write() as connection:
        values = {"state": "sent", "sent_at": house.house.notifier._post.clock()}
        connection.execute(update(Delivery).where(Delivery.state == "pending").values(values))


def write(house, **fields):
    """Cy writes, and what that leads to is sent; the delivery of his confirmation, or its refusal."""
    taken = house.take(mail(**fields))
    send(house)
    row = house.outbox(purpose="confirmation")[-1][0]
    assert row.ticket_id == taken.ticket_id
    return row


def bounce(row, status="5.1.1", action="failed", recipient=None, message_id=None, to=None):
    return (
        f"From: MAILER-DAEMON@mx.example\r\nTo: {to or row.envelope_sender}\r\nSubject: Undelivered Mail\r\nMessage-ID: <{next(ROWS)}@mx.example>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n\r\nno\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient or row.recipient}\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; 550 {status} no\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{message_id or row.email_message_id}>\r\n\r\n--b--\r\n"
    ).encode()


def complaint(row, feedback="abuse", copied=""):
    return (
        f"From: fbl@provider.example\r\nTo: {SUPPORT}\r\nSubject: complaint\r\nMessage-ID: <{next(ROWS)}@provider.example>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n--b\r\n\r\nabuse\r\n'
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {feedback}\r\nUser-Agent: fbl/1\r\nVersion: 1\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{copied}From: {SUPPORT}\r\nMessage-ID: <{row.email_message_id}>\r\n\r\nours\r\n--b--\r\n"
    ).encode()


def come_back(house, raw, row):
    return house.take(raw, row.envelope_sender, "")


def known(house, address=CY):
    with house.store.read() as connection:
        return correspondents.get(connection, address)


def is_held(house, address=CY):
    row = known(house, address)
    return row is not None and (row.held_at is not None or row.complained_at is not None)


def events(house, kind):
    with house.store.read() as connection:
        return [e.detail for e in connection.execute(select(Event.detail).where(Event.event == kind))]


def state(house, row):
    with house.store.read() as connection:
        return outbox.get(connection, row.id).state


def set_status(house, ticket_id, new="resolved"):
    with house.store.write() as connection:
        row = tickets.get(connection, ticket_id)
        changed = Happened(What.STATUS, ticket_id, "ann", old_status=row.status, new_status=new)
        tickets.change(connection, ticket_id, {"status": new})
        return house.house.notifier.enqueue(connection, changed)


def test_an_address_that_does_not_exist_is_written_to_twice_however_often_it_is_forged(house, clock):
    for day in range(20):
        row = write(house, subject=f"Buy {day}")
        if row.state == "sent":
            come_back(house, bounce(row), row)
        clock.shift(timedelta(days=1))
    sent = [row for row, sent_mail in house.outbox(purpose="confirmation") if sent_mail]
    refused = [row.reason for row, sent_mail in house.outbox(purpose="confirmation") if not sent_mail]
    assert (len(sent), len(refused)) == (2, 18)
    assert all(
        reason.startswith("bounces: held since 2026-11-25 12:00 UTC: mail came back 2 times, last with: 5.1.1")
        for reason in refused
    )


def test_what_is_held_back_says_why_where_the_mail_is_explained(house):
    for _ in range(2):
        row = write(house)
        come_back(house, bounce(row), row)
    taken = house.take(mail())
    line = next(line for line in taken.decision if line["step"] == "answer")
    assert (line["rule"], line["outcome"]) == ("bounces", "suppressed")
    assert "5.1.1" in line["why"]


@on_both
def test_an_address_that_mail_has_reached_is_held_at_the_third_bounce(house, clock):
    write(house)
    clock.shift(timedelta(days=4))
    held = []
    for _ in range(3):
        row = write(house)
        come_back(house, bounce(row), row)
        held.append(is_held(house))
    assert held == [False, False, True]


@pytest.mark.parametrize("status", ["5.7.1", "5.2.2", "5.2.3", "5.6.0", "5.1.8", "4.4.7"])
def test_what_a_bounce_says_of_the_mail_and_not_of_the_address_holds_nothing(house, status):
    for _ in range(3):
        row = write(house)
        come_back(house, bounce(row, status), row)
        assert state(house, row) == "failed"
    assert not is_held(house)


@on_both
def test_one_report_twice_counts_once(house, clock):
    write(house)
    clock.shift(timedelta(days=4))
    row = write(house)
    for _ in range(5):
        come_back(house, bounce(row), row)
    assert known(house).hard_bounces == 1


def test_bounces_that_lie_further_apart_than_configured_hold_nothing(house, clock):
    write(house)
    for _ in range(4):
        clock.shift(timedelta(days=20))
        row = write(house)
        come_back(house, bounce(row), row)
        assert not is_held(house)


def test_a_forged_bounce_that_only_knows_a_message_id_holds_nobodys_mail(house):
    """Whoever was copied on the thread knows it. The delivery is settled, the agent is told of a reply, and mail goes on."""
    rows = [write(house) for _ in range(2)]
    for row in rows:
        assert house.take(bounce(row, to=SUPPORT), SUPPORT, "").outcome == "settled"
        assert state(house, row) == "failed"
    assert not is_held(house)
    assert known(house) is None
    lines = set_status(house, rows[0].ticket_id)
    assert [(line["rule"], line["outcome"]) for line in lines] == [("status", "enqueued")]


@on_both
def test_where_it_is_proven_that_nothing_arrived_no_status_goes_out(house, clock):
    write(house)
    clock.shift(timedelta(days=4))
    row = write(house)
    come_back(house, bounce(row), row)
    lines = set_status(house, row.ticket_id)
    assert [(line["rule"], line["outcome"]) for line in lines] == [("never-reached", "suppressed")]


def test_what_an_alias_forwards_to_does_not_hold_the_alias(house):
    for _ in range(3):
        row = write(house)
        come_back(house, bounce(row, recipient="gone@customer.example"), row)
        assert state(house, row) == "failed"
    assert not is_held(house)


def held_house(house):
    """Cy's address is held, and a bare From has been believed once."""
    for _ in range(2):
        row = write(house)
        come_back(house, bounce(row), row)
    assert is_held(house)
    return row


def test_an_authenticated_mail_ends_the_hold_and_the_count(tmp_path, clock):
    served = {"support": {"address": SUPPORT, "queue": "support", "authserv_id": "mx.example.com"}}
    with open_test_house(tmp_path, mailbox=served) as house:
        held_house(house)
        proof = {"Authentication-Results": "mx.example.com; dmarc=pass header.from=customer.example"}
        row = write(house, **proof)
        assert row.state == "sent"
        assert known(house).hard_bounces == 0
        assert [detail["address"] for detail in events(house, "released")] == [CY, CY]


@on_both
def test_an_answer_to_a_mail_of_ours_ends_the_hold(house):
    row = held_house(house)
    house.take(mail(In_Reply_To=f"<{row.email_message_id}>"))
    assert not is_held(house)
    assert known(house).hard_bounces == 0


def test_a_message_id_of_a_mail_that_went_to_somebody_else_proves_nothing(house, clock):
    """Whoever writes to us gets Message-IDs of ours; with one of his own he would make us write to a forged address for ever."""
    mallorys = house.take(mail("mallory@evil.example")).ticket_id
    send(house)
    own = house.outbox(ticket_id=mallorys, purpose="confirmation")[-1][0].email_message_id
    states = []
    for _ in range(4):
        house.take(mail(In_Reply_To=f"<{own}>"))
        row = write(house)
        states.append(row.state)
        if row.state == "sent":
            come_back(house, bounce(row), row)
        clock.shift(timedelta(hours=2))
    assert states == ["sent", "sent", "suppressed", "suppressed"]


def test_an_automatic_answer_ends_nothing(house):
    row = held_house(house)
    house.take(mail(In_Reply_To=f"<{row.email_message_id}>", Auto_Submitted="auto-replied"))
    assert is_held(house)


def test_an_agents_answer_goes_out_and_says_once_that_the_address_bounces(house):
    row = held_house(house)
    assert [told.recipient for told, _ in house.outbox(purpose="held")] == [ANN, "bob@example.com"] * 2
    third = house.take(mail(subject="Another"))
    notice = house.sent("new_ticket", ANN)
    for n in range(2):
        house.take(answer(notice, f"Answer {n}."), notice.reply_to[0].address, ANN)
    replies = [reply for reply, _ in house.outbox(purpose="reply")]
    assert [(reply.recipient, reply.state) for reply in replies] == [(CY, "pending")] * 2
    told = [sent for told, sent in house.outbox(purpose="held") if told.ticket_id == third.ticket_id]
    assert [sent.to[0].address for sent in told] == [ANN]
    assert "Your answer was sent all the same" in told[0].text
    assert row.ticket_id != third.ticket_id


def test_an_agents_answer_that_bounces_tells_the_agent_that_the_address_is_held(house):
    house.take(mail())
    notice = house.sent("new_ticket", ANN)
    house.take(answer(notice), notice.reply_to[0].address, ANN)
    send(house)
    [(reply, _)] = house.outbox(purpose="reply")
    come_back(house, bounce(reply), reply)
    told = house.sent("undeliverable", ANN)
    assert "Nothing goes to this address by itself any more" in told.text
    assert is_held(house)


def test_why_an_address_is_held_is_told_in_german_and_what_its_server_said_as_it_was(tmp_path, clock):
    with open_test_house(tmp_path, templates={"language": "de"}, operator={"address": "root@example.net"}) as house:
        row = held_house(house)
        times = "E-Mail kam 2-mal zurück, zuletzt mit: 5.1.1 550 5.1.1 no"
        assert times in house.sent("held", ANN).text
        house.take(mail(subject="Another"))
        notice = house.sent("new_ticket", ANN)
        house.take(answer(notice), notice.reply_to[0].address, ANN)
        assert f"angehalten seit 24. November 2026, 12:00 UTC: {times}" in house.sent("held", ANN).text
        kept = "held since 2026-11-24 12:00 UTC: mail came back 2 times, last with: 5.1.1 550 5.1.1 no"
        assert in_words(known(house)) == kept
        come_back(house, complaint(row), row)
        complained = "Ihr Inhaber hat sich über unsere E-Mail vom 24. November 2026, 12:00 UTC beschwert"
        assert complained in house.sent("held", ANN).text


def test_the_operator_is_told_in_german_that_an_agent_does_not_get_our_mail(tmp_path, clock):
    with open_test_house(tmp_path, templates={"language": "de"}, operator={"address": "root@example.net"}) as house:
        house.take(mail())
        row = house.outbox(purpose="new_ticket", recipient=ANN)[-1][0]
        send(house)
        come_back(house, bounce(row), row)
        told = house.sent("operator", "root@example.net")
        assert told.subject == "[Postroom] ann bekommt unsere E-Mails nicht"
        assert "an ann@example.com senden, kommt zurück:\n\n5.1.1 550 5.1.1 no\n\nBis das" in told.text


def test_of_an_agent_whose_mail_comes_back_the_operator_is_told_once_a_day(tmp_path, clock):
    with open_test_house(tmp_path, operator={"address": "root@example.net"}) as house:
        for day in range(2):
            for _ in range(3):
                house.take(mail())
                row = house.outbox(purpose="new_ticket", recipient=ANN)[-1][0]
                send(house)
                come_back(house, bounce(row), row)
            told = house.outbox(purpose="operator")
            assert [delivery.recipient for delivery, _ in told] == ["root@example.net"] * (day + 1)
            clock.shift(timedelta(days=1))
        assert "What we send to the agent ann at ann@example.com comes back" in told[0][1].text
        assert "tickets list --assignee ann" in told[0][1].text


def test_what_comes_back_from_customers_tells_the_operator_nothing(tmp_path, clock):
    with open_test_house(tmp_path, operator={"address": "root@example.net"}) as house:
        row = write(house)
        come_back(house, bounce(row), row)
        assert house.outbox(purpose="operator") == []


def test_an_agents_address_that_bounces_is_never_held(house):
    for _ in range(4):
        house.take(mail())
        send(house)
        row = house.outbox(purpose="new_ticket")[-1][0]
        come_back(house, bounce(row), row)
    assert not is_held(house, row.recipient)
    house.take(mail())
    assert house.sent("new_ticket", row.recipient)


@pytest.mark.parametrize("way", ["envelope", "return-path", "original-mail-from"])
def test_a_complaint_stops_automatic_mail_until_an_operator_releases_it(house, way):
    row = write(house)
    copied = f"Return-Path: <{row.envelope_sender}>\r\n" if way == "return-path" else ""
    raw = complaint(row, copied=copied)
    if way == "original-mail-from":
        raw = raw.replace(b"Version: 1", b"Version: 1\r\nOriginal-Mail-From: <" + row.envelope_sender.encode() + b">")
    house.take(raw, row.envelope_sender if way == "envelope" else SUPPORT, "fbl@provider.example")
    assert len(house.tickets()) == 1
    answered = write(house, In_Reply_To=f"<{row.email_message_id}>", subject="Sorry")
    assert answered.id == row.id
    again = write(house, subject="A new question")
    assert (again.state, again.reason.partition(":")[0]) == ("suppressed", "complained")
    with house.store.write() as connection:
        assert correspondents.release(connection, CY, NOON)
    assert write(house, subject="Another").state == "sent"


@on_both
def test_the_agents_are_told_of_a_complaint_once(house):
    rows = [write(house), write(house)]
    for row in (*rows, *rows):
        come_back(house, complaint(row), row)
    assert [told.recipient for told, _ in house.outbox(purpose="held")] == [ANN, "bob@example.com"]
    assert len(events(house, "complaint")) == 4
    assert len(events(house, "held")) == 1


@pytest.mark.parametrize("feedback", ["not-spam", "auth-failure", "virus"])
def test_what_is_no_complaint_of_the_recipients_stops_nothing(house, feedback):
    row = write(house)
    come_back(house, complaint(row, feedback), row)
    assert not is_held(house)


def test_a_complaint_that_only_knows_a_message_id_stops_nothing(house):
    row = write(house)
    assert house.take(complaint(row), SUPPORT, "").ticket_id == row.ticket_id
    assert not is_held(house)
    assert [detail["reason"] for detail in events(house, "complaint")] == ["abuse"]


def test_a_delay_may_come_before_and_after_the_failure(house):
    row = write(house)
    states = []
    for action, status in (("delayed", "4.4.1"), ("failed", "5.1.1"), ("delayed", "4.4.1"), ("delivered", "2.0.0")):
        come_back(house, bounce(row, status, action), row)
        states.append(state(house, row))
    assert states == ["sent", "failed", "failed", "failed"]
    assert house.events(row.ticket_id).count("delayed") == 2
    assert house.events(row.ticket_id).count("delivered") == 1


def test_a_report_about_a_ticket_that_was_merged_is_noted_where_it_is_now(house, clock):
    first, second = write(house), write(house, subject="The same again")
    with house.store.write() as connection:
        join(connection, (first.ticket_id, second.ticket_id), False, "test", NOON)
    now = house.ticket(second.ticket_id).id
    settled = come_back(house, bounce(second), second)
    assert settled.ticket_id == now == first.ticket_id
    assert "undelivered" in house.events(now)
    assert "bounce" in house.conversation(now)[-1].flags


def test_a_report_about_a_mail_without_a_ticket_settles_it_and_holds_nothing(house):
    row = write(house)
    with house.store.write() as connection:
        connection.execute(update(Delivery).where(Delivery.id == row.id).values(ticket_id=None, message_id=None))
    settled = come_back(house, bounce(row), row)
    assert (settled.outcome, state(house, row), is_held(house)) == ("settled", "failed", False)


def test_a_report_opens_no_ticket_and_is_answered_by_nobody(house):
    row = write(house)
    before = len(house.outbox())
    for raw in (bounce(row, "4.4.1", "delayed"), complaint(row, "not-spam"), bounce(row, "5.7.1")):
        come_back(house, raw, row)
    assert len(house.tickets()) == 1
    assert len(house.outbox()) == before
    assert parse(bounce(row)).kind == "bounce"


def unknown_notice(row, text, **headers):
    return mail("Gateway <gateway@customer.example>", row.envelope_sender, "Message", text, **headers)


def test_a_notice_of_unknown_form_at_a_bounce_address_settles_by_the_code_in_it(house):
    row = write(house)
    settled = come_back(house, unknown_notice(row, "We did not like it: 550 5.1.1 no such person\n"), row)
    assert (settled.outcome, settled.ticket_id, state(house, row)) == ("settled", row.ticket_id, "failed")


def test_whatever_a_machine_sends_to_a_bounce_address_is_kept_and_opens_nothing(house):
    row = write(house)
    for text, headers in (("Hello, this is a robot.\n", {}), ("I am away.\n", {"Auto_Submitted": "auto-replied"})):
        settled = come_back(house, unknown_notice(row, text, **headers), row)
        assert (settled.outcome, settled.ticket_id, state(house, row)) == ("settled", row.ticket_id, "sent")
    assert len(house.tickets()) == 1
    assert [message.flags for message in house.conversation(row.ticket_id)[1:]] == [["automatic"]] * 2


def test_what_a_person_sends_to_a_bounce_address_is_not_lost(house):
    row = write(house)
    taken = house.take(mail(to=row.envelope_sender, subject="I answered the wrong address"), row.envelope_sender, CY)
    assert taken.outcome in ("opened", "added")


def test_a_late_report_brings_nothing_back_to_a_ticket_that_was_erased(house):
    row = write(house)
    with house.store.write() as connection:
        erasure.erase_tickets(connection, [row.ticket_id], NOON)
    settled = come_back(house, bounce(row), row)
    assert (settled.outcome, settled.ticket_id, is_held(house)) == ("settled", None, False)
    assert "undelivered" not in house.events(row.ticket_id)
    assert [message.text for message in house.conversation(row.ticket_id)] == [""]


def test_ten_thousand_bounces_cost_what_one_costs_each(house, clock):
    """The statements that a bounce runs are as many for the hundredth as for the tenth, and none is in a loop."""
    costs, counted = [], []
    event.listen(house.store.engine, "before_cursor_execute", lambda *arguments: counted.append(arguments[2]))
    write(house)
    clock.shift(timedelta(days=4))
    for _ in range(60):
        row = write(house, sender=f"c{next(ROWS)}@d{next(ROWS)}.example")
        counted.clear()
        come_back(house, bounce(row, "5.0.0"), row)
        costs.append(len(counted))
        clock.shift(timedelta(minutes=5))
    assert costs[10] == costs[-1]
    assert max(costs) <= MOST_STATEMENTS

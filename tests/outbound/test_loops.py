"""Loops end by themselves: houses that write to each other, and to machines that always answer, for days."""

import time_machine
from peers.house import open_test_house
from peers.outgoing import NOON
from sqlalchemy import select

from postroom.parsers.email import parse
from postroom.store.tables import Delivery, RawMail

ROUNDS = 12
STEP_HOURS = 12
DAYS = ROUNDS * STEP_HOURS // 24 + 1
OURS = "support@desk.example"


def house_of(folder, domain):
    folder.mkdir()
    return open_test_house(
        folder,
        agent={"ann": {"name": "Ann", "address": f"ann@{domain}"}},
        queue={"support": {"agents": ["ann"]}},
        mailbox={"support": {"address": f"support@{domain}", "queue": "support"}},
    )


class Outgoing:
    """What a house has to say since the last time it was asked."""

    def __init__(self, house):
        self.house, self.last = house, 0

    def __iter__(self):
        query = select(Delivery.__table__, RawMail.content).join(RawMail, RawMail.digest == Delivery.digest)
        with self.house.store.read() as connection:
            new = connection.execute(query.where(Delivery.id > self.last).order_by(Delivery.id)).all()
        self.last = max([self.last, *(row.id for row in new)])
        return iter(new)


def run(house, machine):
    """Carry everything that the house says to `machine`, and back what that answers, through days; how many automatic mails went out."""
    sent, said = 0, Outgoing(house)
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(ROUNDS):
            for row in said:
                if not row.recipient.endswith("@desk.example"):
                    sent += row.automatic
                    for back_sender, back_recipient, answer in machine(row.envelope_sender, row.recipient, row.content):
                        if house.house.mailboxes.is_ours(back_recipient):
                            house.take(answer, back_recipient, back_sender)
            clock.shift(STEP_HOURS * 3600)
    return sent


def first_mail(sender):
    return f"From: {sender}\r\nTo: support@desk.example\r\nSubject: Hello\r\nMessage-ID: <first@other.example>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nHello\r\n".encode()


def test_an_out_of_office_robot_gets_one_mail(tmp_path):
    count = iter(range(10_000))

    def robot(sender, recipient, raw):
        mail = parse(raw)
        yield (
            recipient,
            mail.reply_to[0].address,
            (
                f"From: {recipient}\r\nTo: {mail.reply_to[0].address}\r\nSubject: Out of office: {mail.subject}\r\nMessage-ID: <{next(count)}@robot.example>\r\n"
                f"In-Reply-To: <{mail.message_id}>\r\nAuto-Submitted: auto-replied\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nI am away.\r\n"
            ).encode(),
        )

    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(first_mail("ann@robot.example"), OURS)
        assert run(house, robot) == 1


def test_a_robot_that_hides_that_it_is_one_gets_no_second_mail_by_itself(tmp_path):
    """It answers each of our mails as a person would: each joins its ticket, and a follow-up is not confirmed."""
    count = iter(range(10_000))

    def robot(sender, recipient, raw):
        mail = parse(raw)
        yield (
            recipient,
            mail.reply_to[0].address,
            (
                f"From: {recipient}\r\nTo: {mail.reply_to[0].address}\r\nSubject: Thanks\r\nMessage-ID: <{next(count)}@robot.example>\r\n"
                "Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nThank you for your mail!\r\n"
            ).encode(),
        )

    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(first_mail("ann@robot.example"), OURS)
        assert run(house, robot) == 1


def test_a_robot_that_opens_a_ticket_with_each_answer_meets_the_limits(tmp_path):
    count = iter(range(10_000))

    def robot(sender, recipient, raw):
        for _ in range(5):
            yield (
                recipient,
                "support@desk.example",
                (
                    f"From: {recipient}\r\nTo: support@desk.example\r\nSubject: Hello {next(count)}\r\nMessage-ID: <{next(count)}@robot.example>\r\n"
                    "Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nHello!\r\n"
                ).encode(),
            )

    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(first_mail("ann@robot.example"), OURS)
        assert run(house, robot) <= 10 * DAYS


def test_an_address_that_bounces_gets_one_mail(tmp_path):
    def bouncer(sender, recipient, raw):
        text = (
            f"From: MAILER-DAEMON@gone.example\r\nTo: {sender}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\nMessage-ID: <{hash(raw)}@gone.example>\r\n"
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nno\r\n'
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; gone.example\r\n\r\n"
            f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
        )
        yield "", sender, text.encode()

    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(first_mail("ann@gone.example"), OURS)
        assert run(house, bouncer) == 1
        assert [row.state for row, _ in house.outbox(purpose="confirmation")] == ["failed"]
        assert len(house.tickets()) == 1


def test_a_mailing_list_gets_none(tmp_path):
    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(b"List-Id: <friends.example>\r\n" + first_mail("friends@list.example"), OURS)
        assert run(house, lambda *_: []) == 0


def test_what_is_forwarded_back_to_itself_opens_one_ticket_and_gets_one_mail(tmp_path):
    def forwarder(sender, recipient, raw):
        yield sender, "support@desk.example", b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + raw

    with house_of(tmp_path / "a", "desk.example") as house:
        house.take(first_mail("ann@forward.example"), OURS)
        assert run(house, forwarder) == 1
        assert len(house.tickets()) == 1


def test_two_desks_that_write_to_each_other_stop_at_two_mails(tmp_path):
    with house_of(tmp_path / "a", "desk.example") as ours, house_of(tmp_path / "b", "other.example") as theirs:
        answers, counted = Outgoing(theirs), []

        def other_desk(sender, recipient, raw):
            if theirs.house.mailboxes.is_ours(recipient):
                theirs.take(raw, recipient, sender)
            for row in answers:
                if not row.recipient.endswith("@other.example"):
                    counted.append(row.automatic)
                    yield row.envelope_sender, row.recipient, row.content

        ours.take(first_mail("support@other.example"), OURS)
        assert run(ours, other_desk) + sum(counted) <= 2

"""Loops are impossible: two real daemons, and every kind of machine that answers mail, through days.

Of what a desk says by itself, at most two mails go to any one address, however long it lasts. Robots that strip every mark of
a machine and write a new mail to each of ours cannot be told from people: they meet the limits, three an hour and ten a day.
"""

import email
import email.policy
from collections import Counter
from itertools import count

import pytest
from peers.world import Mail, World

ONE, TWO = "support@one.example", "support@two.example"
DAYS = 3
STEPS_A_DAY = 2
NUMBERS = count(1)


def read(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def text(sender, to, subject, body, **headers):
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Message-ID: <{next(NUMBERS)}@robot.example>"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}\r\n").encode()


def reply_to(mail):
    found = read(mail.content)
    return found["Reply-To"].addresses[0].addr_spec if found["Reply-To"] else found["From"].addresses[0].addr_spec


def subject(mail):
    return str(read(mail.content)["Subject"])


def out_of_office(mail):
    """As it should be: marked, in the thread."""
    to = reply_to(mail)
    thread = {"In_Reply_To": read(mail.content)["Message-ID"], "Auto_Submitted": "auto-replied"}
    yield Mail("", to, text(mail.recipient, to, f"Automatic reply: {subject(mail)}", "I am away.", **thread))


def unmarked_out_of_office(mail):
    """Unmarked, from another address, under another subject, in no thread; to Reply-To."""
    to = reply_to(mail)
    yield Mail(
        "away@unmarked.example", to, text("away@unmarked.example", to, "I am on holiday", "I will read it in May.")
    )


def answers_the_envelope(mail):
    """As old responders do: to the envelope sender."""
    if mail.sender:
        yield Mail("", mail.sender, text(mail.recipient, mail.sender, "Away", "I am away."))


def bounce(mail):
    """A bounce for each mail, and one to the desk itself, as if it had bounced our answer to that."""
    body = (
        'multipart/report; report-type=delivery-status; boundary="b"',
        f"--b\r\n\r\nno\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; gone.example\r\n\r\n"
        f"Final-Recipient: rfc822; {mail.recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{mail.content.decode()}\r\n--b--",
    )
    for to in filter(None, dict.fromkeys((mail.sender, ONE))):
        headers = {"MIME_Version": "1.0", "Content_Type": body[0]}
        yield Mail("", to, text("MAILER-DAEMON@gone.example", to, "Undelivered Mail", body[1], **headers))


def mailing_list(mail):
    """Sends what it gets to its members, of whom our desk is one."""
    head = b"List-Id: <friends.list.example>\r\nList-Unsubscribe: <mailto:leave@list.example>\r\nPrecedence: list\r\n"
    yield Mail("friends-bounces@list.example", ONE, head + mail.content + b"\r\n-- \r\nfriends@list.example\r\n")


def forwarder(mail):
    """A forward to the desk itself, as the mail is."""
    yield Mail(mail.sender, ONE, b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + mail.content)


def rewriting_forwarder(mail):
    """The same by a program that writes a new header around it: only From and the body are left."""
    found = read(mail.content)
    body = found.get_body(("plain",)).get_content()
    yield Mail("me@rewriter.example", ONE, text(str(found["From"]), ONE, str(found["Subject"]), body))


def agents(mail):
    """An agent's own responder, to the signed address of each notice."""
    to = reply_to(mail)
    thread = {"In_Reply_To": read(mail.content)["Message-ID"], "Auto_Submitted": "auto-replied"}
    yield Mail(mail.recipient, to, text(mail.recipient, to, f"Out of office: {subject(mail)}", "I am away.", **thread))


def person(mail):
    """Strips every mark and answers each mail with a new one, as a person could."""
    yield Mail(mail.recipient, ONE, text(mail.recipient, ONE, f"A question {next(NUMBERS)}", "How are you?"))


def unmarked_agent(mail):
    """An agent's responder without a mark, to the signed address of a notice: whatever it writes is the agent's word."""
    to = reply_to(mail)
    yield Mail(mail.recipient, to, text(mail.recipient, to, f"Re: {subject(mail)}", "I am away until Monday."))


def chatty_customer(mail):
    """A customer's responder without a mark, in the thread."""
    to = reply_to(mail)
    yield Mail(mail.recipient, to, text(mail.recipient, to, f"Re: {subject(mail)}", f"Thank you! {next(NUMBERS)}"))


ROBOTS = {
    "oof.example": out_of_office, "unmarked.example": unmarked_out_of_office, "old.example": answers_the_envelope,
    "gone.example": bounce, "list.example": mailing_list, "forward.example": forwarder,
    "rewriter.example": rewriting_forwarder, "alias.example": forwarder, "agents.example": agents,
    "human.example": person, "humane.example": person,
}  # fmt: skip
HUMANLIKE = ("human.example", "humane.example")


def automatic(world):
    """How many mails each desk wrote by itself to each domain but the agents': one address has each."""
    pairs = Counter()
    for mail in world.sent:
        found = read(mail.content)
        if found["Auto-Submitted"] and not mail.recipient.endswith("@agents.example"):
            pairs[found["From"].addresses[0].domain, mail.recipient.partition("@")[2]] += 1
    return pairs


@pytest.mark.xdist_group("loops")
def test_no_machine_gets_more_than_two_automatic_mails_in_days(smarthost, start_daemon, tmp_path):
    world = World(smarthost, tmp_path)
    one, _two = world.desk("one.example", start_daemon), world.desk("two.example", start_daemon)
    for domain, robot in ROBOTS.items():
        world.robot(domain, robot)
        if domain != "agents.example":
            sender = f"friends@{domain}" if domain == "list.example" else f"me@{domain}"
            world.write(Mail(sender, ONE, text(sender, ONE, "Hello", "Hello!")))
    world.write(Mail(TWO, ONE, text(TWO, ONE, "Hello", "We are a desk, too.")))  # each is the other's customer
    world.write(Mail(ONE, TWO, text(ONE, TWO, "Hello", "So are we.")))
    for _ in range(DAYS * STEPS_A_DAY):
        world.rest()
        world.pass_hours(24 / STEPS_A_DAY)
        for domain in ("gone.example", *HUMANLIKE):  # they begin anew, as people who wait for an answer do
            world.write(Mail(f"me@{domain}", ONE, text(f"me@{domain}", ONE, f"Hello {next(NUMBERS)}", "Still there?")))
    world.rest()
    pairs = automatic(world)
    humanlike = {domain: pairs.pop(("one.example", domain)) for domain in HUMANLIKE}
    assert max(pairs.values()) <= 2, pairs
    # three in the hour in which they begin anew, and ten on any day
    assert all(3 * DAYS < mails <= 3 * (DAYS * STEPS_A_DAY + 1) for mails in humanlike.values()), humanlike
    assert pairs["one.example", "oof.example"] == 1  # it did answer
    assert pairs["one.example", "gone.example"] == 2  # it was held twice
    assert pairs["one.example", "two.example"] + pairs["two.example", "one.example"] <= 2
    assert {row["state"] for row in one.json("inbound", "list")} <= {"processed", "duplicate"}


@pytest.mark.xdist_group("loops")
def test_an_agents_responder_and_a_customers_that_both_look_like_people_stop_each_other(
    smarthost, start_daemon, tmp_path
):
    """Neither bears a mark, and each answers each mail: the agent's same words go out twice in an hour, and no more."""
    world = World(smarthost, tmp_path)
    one = world.desk("one.example", start_daemon)
    world.robot("agents.example", unmarked_agent)
    world.robot("chatty.example", chatty_customer)
    world.write(Mail("me@chatty.example", ONE, text("me@chatty.example", ONE, "Hello", "Hello!")))
    for _ in range(2 * DAYS):
        world.rest()
        world.pass_hours(12)
    world.rest()
    answers = [
        mail
        for mail in world.sent
        if mail.recipient == "me@chatty.example" and not read(mail.content)["Auto-Submitted"]
    ]
    assert len(answers) == 2
    assert automatic(world)["one.example", "chatty.example"] == 1
    assert any("as responders write" in row["reason"] for row in one.json("inbound", "list"))

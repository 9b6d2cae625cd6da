"""Every kind of mail that a person gets about a ticket is one conversation in real mail programs: notmuch and mutt."""

import pytest
from peers.mailclients import mutt_threads, notmuch_threads
from peers.outgoing import mail

from postroom.desk.happened import Happened, What
from postroom.parsers.parsed import Address

pytestmark = pytest.mark.servers
ANN = "ann@example.org"


def plain(message_id, subject, references=()):
    refs = "".join(
        f"{name}: {' '.join(f'<{one}>' for one in references)}\r\n" for name in ("References",) if references
    )
    return (
        f"From: {ANN}\r\nTo: support@example.com\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 11:59:00 +0000\r\n"
        f"Message-ID: <{message_id}>\r\n{refs}\r\nIt burns.\r\n"
    ).encode()


def a_long_story(desk, authenticated):
    """A ticket from its first mail to its end; the customer's own mails."""
    ticket = desk.receive(mail(), authenticated=authenticated).ticket
    bob = Address("Bob", "bob@example.com")
    desk.receive(mail(message_id="a1@example.com", from_=(bob,), reply_text="Water."), ticket=ticket, agent="bob")
    reply = desk.outbox("reply")[0].email_message_id
    again = mail(message_id="second@example.org", references=("first@example.org", reply), in_reply_to=(reply,))
    desk.receive(again, ticket=ticket)
    agent = desk.agent("bob").id
    for hours, happened in enumerate((
        Happened(What.STATUS, ticket, "bob", old_status="open", new_status="pending_customer"),
        Happened(What.REMINDED, ticket, "postroom"),
        Happened(What.STATUS, ticket, "bob", old_status="pending_customer", new_status="resolved"),
        Happened(What.ESCALATED, ticket, "postroom"),
        Happened(What.STATUS, ticket, "bob", old_status="resolved", new_status="closed"),
        Happened(What.FEEDBACK_ASKED, ticket, "postroom"),
        Happened(What.ASSIGNED, ticket, "cora", agent_id=agent),
        Happened(What.FOLLOW_UP, ticket, "postroom"),
    )):  # fmt: skip
        desk.clock.advance(hours=hours + 1)
        desk.tell(happened)
    desk.receive(
        mail(message_id="a2@example.com", from_=(bob,), reply_text="Anything else?"), ticket=ticket, agent="bob"
    )
    return [
        plain("first@example.org", "Printer on fire"),
        plain("second@example.org", "Re: Printer on fire", ("first@example.org", reply)),
    ]


def maildir(folder, mails):
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True)
    for number, raw in enumerate(mails):
        (folder / "new" / f"{number}.mail").write_bytes(raw)
    return folder


@pytest.mark.parametrize("threads", [notmuch_threads, mutt_threads])
@pytest.mark.parametrize("authenticated", [None, True])
def test_the_customer_sees_one_conversation_from_receipt_to_closing(desk, tmp_path, threads, authenticated):
    own = a_long_story(desk, authenticated)
    got = [row for row in desk.outbox() if row.recipient == ANN and row.state != "suppressed"]
    assert {row.purpose for row in got} >= {"confirmation", "reply", "status", "reminder"}
    seen = threads(maildir(tmp_path / "inbox", [*own, *(desk.raw(row) for row in got)]))
    assert [set(thread) for thread in seen] == [
        {"first@example.org", "second@example.org", *(row.email_message_id for row in got)}
    ]


@pytest.mark.parametrize("threads", [notmuch_threads, mutt_threads])
def test_an_agent_sees_the_notices_about_a_ticket_as_one_conversation(desk, tmp_path, threads):
    a_long_story(desk, None)
    desk.receive(mail(message_id="other@example.org", body_digest="other"))
    got = [row for row in desk.outbox() if row.recipient == "bob@example.com"]
    assert {row.purpose for row in got} >= {"new_ticket", "customer_reply", "escalation"}
    seen = threads(maildir(tmp_path / "inbox", [desk.raw(row) for row in got]))
    assert sorted(map(len, seen)) == [1, len(got) - 1]

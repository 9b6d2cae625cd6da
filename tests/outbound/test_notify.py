"""Who is told of what, in which words and which thread."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from peers.outgoing import NOON, desk_in, mail, read
from sqlalchemy import update

from postroom.desk.happened import Happened, What
from postroom.outbound.notify import TOLD
from postroom.parsers.email import parse
from postroom.parsers.parsed import Address, Automatic
from postroom.store import tables
from postroom.threading.tokens import Role


def token(address):
    return address.partition("@")[0].partition("+")[2]


def plain(message):
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")


def answer(text="Turn it off.", **changes):
    """What an agent writes."""
    return mail(
        **{
            "message_id": "agent@example.com",
            "from_": (Address("Bob", "bob@example.com"),),
            "reply_text": text,
            **changes,
        }
    )


# -- the confirmation


def test_a_new_ticket_is_confirmed_in_the_customers_thread(desk):
    opened = desk.receive(mail())
    (delivery,) = desk.outbox("confirmation")
    message = desk.mail(delivery)
    assert (delivery.recipient, delivery.state, delivery.automatic) == ("ann@example.org", "pending", True)
    assert message["To"] == "ann@example.org"
    assert message["From"] == "Support <support@example.com>"
    assert message["In-Reply-To"] == message["References"] == "<first@example.org>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["X-Postroom-Loop"] == "support@example.com"
    assert "T-1001" in plain(message)
    line = opened.line("answer")
    assert (line["rule"], line["outcome"]) == ("confirmation", "enqueued")


def test_its_addresses_and_its_message_id_are_signed(desk):
    desk.receive(mail())
    (delivery,) = desk.outbox("confirmation")
    message = desk.mail(delivery)
    reply = desk.signer.read_reply(token(message["Reply-To"].addresses[0].addr_spec), NOON)
    assert (reply.ticket, reply.role, reply.agent) == (desk.key, Role.CUSTOMER, None)
    assert reply.expires - NOON > timedelta(days=365)
    assert desk.signer.read_bounce(token(delivery.envelope_sender)) == delivery.key
    assert message["Message-ID"] == f"<{delivery.email_message_id}>"
    assert desk.signer.read_message_id(delivery.email_message_id.partition("@")[0]) == desk.key


def test_its_message_id_leads_back_to_the_ticket(desk):
    opened = desk.receive(mail())
    refs = {(row.ref, row.ticket_id) for row in desk.rows(tables.ThreadRef)}
    assert {(delivery.email_message_id, opened.ticket) for delivery in desk.outbox()} <= refs


def test_a_strangers_words_are_in_no_part_of_it(desk):
    desk.receive(mail(
        subject="BUYPILLS now", reply_text="BUYPILLS here", text="BUYPILLS", from_=(Address("BUYPILLS", "victim@example.net"),),
        references=("BUYPILLS@spam.example",), in_reply_to=("BUYPILLS@spam.example",),
    ))  # fmt: skip
    (delivery,) = desk.outbox("confirmation")
    assert b"BUYPILLS" not in desk.raw(delivery)
    assert desk.mail(delivery)["Subject"] == "We have received your message [T-1001]"


def test_an_authenticated_sender_gets_his_own_subject_and_thread_back(desk):
    desk.receive(mail(references=("root@example.org", "mid@example.org")), authenticated=True)
    message = desk.mail(desk.outbox("confirmation")[0])
    assert message["Subject"] == "Re: Printer on fire"
    assert message["References"].split() == ["<root@example.org>", "<mid@example.org>", "<first@example.org>"]


def test_a_second_mail_makes_nobody_known(desk):
    desk.receive(mail())
    desk.receive(mail(message_id="second@example.org"))
    assert [desk.mail(d)["Subject"] for d in desk.outbox("confirmation")] == [
        "We have received your message [T-1001]", "We have received your message [T-1002]",
    ]  # fmt: skip


def test_whom_an_agent_has_answered_is_known(desk):
    first = desk.receive(mail())
    desk.receive(answer(), ticket=first.ticket, agent="bob")
    desk.receive(mail(message_id="second@example.org", subject="Re: Printer on fire"))
    assert desk.mail(desk.outbox("confirmation")[1])["Subject"] == "Re: Printer on fire"


def test_a_contact_forms_authentication_proves_nothing_about_its_customer(tmp_path):
    with desk_in(
        tmp_path, "[mailbox.support]\naddress = 'support@example.com'\nqueue = 'support'\ntrust_reply_to = true"
    ) as desk:
        desk.receive(mail(), authenticated=True)
        assert desk.mail(desk.outbox("confirmation")[0])["Subject"] == "We have received your message [T-1001]"


def test_a_refused_confirmation_is_stored_with_its_reason(desk):
    opened = desk.receive(mail(automatic=Automatic(unanswerable="Precedence: list")))
    (delivery,) = desk.outbox("confirmation")
    assert (delivery.state, delivery.reason) == ("suppressed", "unanswerable: Precedence: list")
    assert delivery.digest is None
    line = opened.line("answer")
    assert (line["rule"], line["outcome"], line["why"]) == ("unanswerable", "suppressed", "Precedence: list")
    assert [d.recipient for d in desk.outbox("new_ticket")] == ["bob@example.com", "cora@example.com"]


@pytest.mark.parametrize(
    ("changes", "options", "rule"),
    [
        ({"to": (Address("", "other@example.net"),)}, {}, "not-addressed"),
        ({"to": (), "cc": (Address("", "Support+x@Example.com"),)}, {}, "confirmation"),
        ({"from_": (Address("", "support+x@example.com"),)}, {}, "our-address"),
        ({"from_": (Address("", "bob@example.com"),)}, {}, "agent"),
        ({"from_": ()}, {"sender": "ann@example.org"}, "from-one-address"),
        ({}, {"sender": None}, "null-sender"),
        ({}, {"authenticated": False}, "authentication-failed"),
    ],
)
def test_the_policy_is_told_what_the_desk_knows(desk, changes, options, rule):
    assert desk.receive(mail(**changes), **options).line("answer")["rule"] == rule


def test_a_ticket_is_confirmed_once(desk):
    opened = desk.receive(mail())
    lines = desk.tell(opened.happened)
    assert lines[0]["rule"] == "already-confirmed"
    assert [d.state for d in desk.outbox("confirmation")] == ["pending", "suppressed"]


def test_a_sender_gets_three_an_hour_and_ten_a_day(desk):
    rules = []
    for hour in range(5):
        desk.clock.now = NOON.replace(hour=hour)
        for number in range(4):
            rules.append(desk.receive(mail(message_id=f"{hour}.{number}@example.org")).line("answer")["rule"])
    assert rules == [*["confirmation"] * 3, "sender-hour"] * 3 + ["confirmation", *["sender-day"] * 7]


def test_the_breaker_opens_for_everybody_and_closes_with_the_hour(tmp_path):
    with desk_in(tmp_path, "[answers]\nall_hour = 5") as desk:

        def rules():
            return [
                desk.receive(mail(message_id=f"{desk.received}@x", from_=(Address("", f"a@{desk.received}.example"),))).line("answer")["rule"]
                for _ in range(7)
            ]  # fmt: skip

        assert rules() == [*["confirmation"] * 5, "all-hour", "all-hour"]
        desk.clock.advance(hours=1)
        assert rules()[0] == "confirmation"


def test_a_flood_of_forged_senders_stays_within_the_limits(desk):
    for number in range(60):
        desk.receive(mail(message_id=f"{number}@spam.example", from_=(Address("", f"victim{number}@bank.example"),)))
    assert sum(d.state == "pending" for d in desk.outbox("confirmation")) == 30


def test_it_can_be_switched_off(tmp_path):
    with desk_in(tmp_path, "[notify]\nconfirmation = false\nnew_ticket = false") as desk:
        opened = desk.receive(mail())
        assert [line["rule"] for line in opened.lines] == ["switched-off", "switched-off"]


def test_it_is_written_in_the_configured_language(tmp_path):
    with desk_in(tmp_path, "[templates]\nlanguage = 'de'") as desk:
        desk.receive(mail())
        assert desk.mail(desk.outbox("confirmation")[0])["Subject"] == "Wir haben Ihre Nachricht erhalten [T-1001]"


# -- notices to agents


def test_a_new_ticket_is_told_to_each_agent_of_its_queue(desk):
    desk.receive(mail())
    notices = desk.outbox("new_ticket")
    assert [d.recipient for d in notices] == ["bob@example.com", "cora@example.com"]
    for delivery, name in zip(notices, ("bob", "cora"), strict=True):
        message = desk.mail(delivery)
        read_back = desk.signer.read_reply(token(message["Reply-To"].addresses[0].addr_spec), NOON)
        assert (read_back.role, read_back.agent) == (Role.AGENT, desk.agent(name).id)
        assert message["Subject"] == "[T-1001] Printer on fire"
        assert message["Auto-Submitted"] == "auto-generated"
        assert "It burns.\n\nPlease help." in plain(message)


def test_what_an_agent_writes_above_the_notice_is_all_that_is_read(desk):
    desk.receive(mail())
    notice = plain(desk.mail(desk.outbox("new_ticket")[0]))
    quoted = "\n".join(f"> {line}" for line in notice.splitlines())
    for text in (f"Turn it off.\n\n{quoted}\n", f"Turn it off.\n\n{notice}"):
        written = EmailMessage()
        written["From"] = "bob@example.com"
        written.set_content(text)
        assert parse(written.as_bytes()).reply_text.strip() == "Turn it off."


def test_all_notices_about_a_ticket_are_one_thread(desk):
    opened = desk.receive(mail())
    desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
    threads = {desk.mail(d)["References"] for d in (*desk.outbox("new_ticket"), *desk.outbox("customer_reply"))}
    assert len(threads) == 1
    assert desk.signer.read_message_id(threads.pop().strip("<>").partition("@")[0]) == desk.key


def test_a_customers_answer_goes_to_the_assigned_agent_alone(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")  # the first to answer is assigned
    replied = desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
    assert [d.recipient for d in desk.outbox("customer_reply")] == ["bob@example.com"]
    assert [line["rule"] for line in replied.lines] == ["customer_reply"]


def test_where_nobody_is_assigned_it_goes_to_the_queue(desk):
    opened = desk.receive(mail())
    desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
    assert [d.recipient for d in desk.outbox("customer_reply")] == ["bob@example.com", "cora@example.com"]


def test_an_agent_who_is_gone_is_not_written_to(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    with desk.store.write() as connection:
        connection.execute(update(tables.Agent).where(tables.Agent.name == "bob").values(active=False))
    desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
    assert [d.recipient for d in desk.outbox("customer_reply")] == ["cora@example.com"]


def test_an_automatic_answer_is_told_to_nobody(desk):
    opened = desk.receive(mail())
    out = desk.receive(
        mail(message_id="ooo@example.org", automatic=Automatic(True, "Auto-Submitted: auto-replied")),
        ticket=opened.ticket,
    )
    assert desk.outbox("customer_reply") == []
    assert out.line("notify")["rule"] == "automatic"


def test_an_assignment_is_told_to_the_agent_unless_he_did_it_himself(desk):
    opened = desk.receive(mail())
    cora = desk.agent("cora")
    assert desk.tell(Happened(What.ASSIGNED, opened.ticket, "cora", agent_id=cora.id)) == []
    desk.tell(Happened(What.ASSIGNED, opened.ticket, "bob", agent_id=cora.id))
    (delivery,) = desk.outbox("assignment")
    message = desk.mail(delivery)
    assert delivery.recipient == "cora@example.com"
    assert "bob gave you ticket T-1001" in plain(message)
    assert "It burns." in plain(message)


# -- the agent's answer


def attached(name, content, sender="Ann Customer <ann@example.org>", text="See the file."):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "support@example.com", "Printer on fire"
    message["Message-ID"] = "<with-file@example.org>"
    message.set_content(text)
    message.add_attachment(content, "image", "png", filename=name)
    return message.as_bytes()


def test_an_agents_answer_goes_on_in_the_customers_thread(desk):
    opened = desk.receive(mail(references=("root@example.org",)))
    desk.receive(answer(subject="[T-1001] Printer on fire"), ticket=opened.ticket, agent="bob")
    (delivery,) = desk.outbox("reply")
    message = desk.mail(delivery)
    assert (delivery.recipient, delivery.automatic) == ("ann@example.org", False)
    assert message["From"] == '"Bob Agent (Support)" <support@example.com>'
    assert message["To"] == "Ann Customer <ann@example.org>"
    assert message["Subject"] == "Re: Printer on fire"
    assert message["In-Reply-To"] == "<first@example.org>"
    assert message["References"].split() == ["<root@example.org>", "<first@example.org>"]
    reply = desk.signer.read_reply(token(message["Reply-To"].addresses[0].addr_spec), NOON)
    assert (reply.ticket, reply.role) == (desk.key, Role.CUSTOMER)
    assert "bob@example.com" not in desk.raw(delivery).decode()


def test_a_person_wrote_it_and_it_says_so(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    message = desk.mail(desk.outbox("reply")[0])
    for mark in ("Auto-Submitted", "X-Auto-Response-Suppress", "X-Postroom-Loop", "Precedence"):
        assert mark not in message
    text = plain(message)
    assert text.startswith("Turn it off.\n\n-- \nBob Agent\nSupport\nT-1001\n")
    assert "> It burns.\n>\n> Please help.\n" in text


def test_it_answers_the_customers_last_message(desk):
    opened = desk.receive(mail())
    desk.receive(
        mail(message_id="last@example.org", references=("first@example.org",), reply_text="Still."),
        ticket=opened.ticket,
    )
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    message = desk.mail(desk.outbox("reply")[0])
    assert message["In-Reply-To"] == "<last@example.org>"
    assert message["References"].split() == ["<first@example.org>", "<last@example.org>"]
    assert "> Still." in plain(message)


def test_a_prefix_in_any_language_is_not_doubled(desk):
    opened = desk.receive(mail(subject="AW: Drucker brennt"))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert desk.mail(desk.outbox("reply")[0])["Subject"] == "AW: Drucker brennt"


def test_whoever_takes_part_gets_the_same_mail_in_an_envelope_of_his_own(desk):
    cc = (
        Address("Boss", "boss@example.org"),
        Address("", "cora@example.com"),
        Address("", "support@example.com"),
        Address("", "bad address@x"),
    )
    opened = desk.receive(mail(cc=cc))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    first, second = desk.outbox("reply")
    assert [first.recipient, second.recipient] == ["ann@example.org", "boss@example.org"]
    assert first.digest == second.digest
    assert first.email_message_id == second.email_message_id
    assert [desk.signer.read_bounce(token(d.envelope_sender)) for d in (first, second)] == [first.key, second.key]
    message = desk.mail(first)
    assert message["To"] == "Ann Customer <ann@example.org>"
    assert message["Cc"] == "Boss <boss@example.org>"


def test_who_joined_by_a_signed_address_alone_is_not_written_to(desk):
    opened = desk.receive(mail())
    desk.receive(
        mail(message_id="x@example.net", from_=(Address("", "stranger@example.net"),)),
        ticket=opened.ticket,
        agreed=False,
    )
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert [d.recipient for d in desk.outbox("reply")] == ["ann@example.org"]


def test_agents_are_warned_of_somebody_who_had_not_taken_part(desk):
    opened = desk.receive(mail())
    desk.receive(
        mail(message_id="x@example.net", from_=(Address("", "stranger@example.net"),)),
        ticket=opened.ticket,
        agreed=False,
    )
    desk.receive(mail(message_id="y@example.org"), ticket=opened.ticket)
    warned = [
        "had not taken part" in plain(desk.mail(d))
        for d in desk.outbox("customer_reply")
        if d.recipient == "bob@example.com"
    ]
    assert warned == [True, False]


def test_an_address_that_needs_smtputf8_does_not_keep_the_mail_from_the_others(desk):
    opened = desk.receive(mail(cc=(Address("Jörg", "jörg@example.net"), Address("Boss", "boss@exämple.net"))))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert [d.recipient for d in desk.outbox("reply")] == ["ann@example.org", "boss@exämple.net", "jörg@example.net"]
    raw = desk.raw(desk.outbox("reply")[0])
    assert raw.partition(b"\r\n\r\n")[0].isascii()
    assert b"Cc: Boss <boss@xn--exmple-cua.net>" in raw


def test_the_agents_files_go_with_it(desk):
    opened = desk.receive(mail())
    raw = attached("Größe.png", b"\x89PNG" * 100, "Bob <bob@example.com>")
    desk.receive(replace(parse(raw), message_id="agent@example.com"), raw=raw, ticket=opened.ticket, agent="bob")
    (part,) = desk.mail(desk.outbox("reply")[0]).iter_attachments()
    assert (part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) == (
        "Größe.png",
        "image/png",
        b"\x89PNG" * 100,
    )


def test_an_answer_from_the_shell_bears_the_desks_name(desk):
    opened = desk.receive(mail())
    with desk.store.write() as connection:
        id_ = connection.execute(
            tables.Message.__table__.insert().values(
                ticket_id=opened.ticket, author_type="agent", author_address="", author_name="command line", visibility="public",
                references=[], flags=[], subject="x", text="Done.", timestamp=NOON, created_at=NOON,
            ).returning(tables.Message.id)
        ).scalar_one()  # fmt: skip
        desk.notifier.enqueue(connection, Happened(What.AGENT_REPLIED, opened.ticket, "command line", id_))
    message = desk.mail(desk.outbox("reply")[0])
    assert message["From"] == "Support <support@example.com>"
    assert plain(message).startswith("Done.\n\n-- \nSupport\nT-1001\n")


def test_a_ticket_whose_requester_has_no_address_is_answered_to_nobody(desk):
    opened = desk.receive(mail(from_=()))
    replied = desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert [d.state for d in desk.outbox("reply")] == ["suppressed"]
    assert replied.line("answer")["rule"] == "no-address"


def test_a_mail_without_a_message_id_is_answered_without_a_made_up_one(desk):
    opened = desk.receive(mail(message_id=None, body_digest="x"))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    for delivery in (*desk.outbox("confirmation"), *desk.outbox("reply")):
        assert b"invalid" not in desk.raw(delivery)
        assert "In-Reply-To" not in desk.mail(delivery)


# -- the status


def change(desk, opened, new, old="open"):
    with desk.store.write() as connection:
        connection.execute(update(tables.Ticket).where(tables.Ticket.id == opened.ticket).values(status=new))
        return desk.notifier.enqueue(
            connection, Happened(What.STATUS, opened.ticket, "bob", old_status=old, new_status=new)
        )


def test_a_solved_ticket_is_told_to_its_requester(desk):
    opened = desk.receive(mail())
    lines = change(desk, opened, "resolved")
    (delivery,) = desk.outbox("status")
    message = desk.mail(delivery)
    assert (delivery.recipient, delivery.automatic, lines[0]["outcome"]) == ("ann@example.org", True, "enqueued")
    assert message["Subject"] == "Your request has been resolved [T-1001]"
    assert message["In-Reply-To"] == "<first@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_once_an_agent_has_answered_it_bears_the_subject(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    change(desk, opened, "closed")
    assert desk.mail(desk.outbox("status")[0])["Subject"] == "Re: Printer on fire"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [("new", "open", 0), ("open", "pending_internal", 0), ("open", "pending_customer", 1), ("resolved", "open", 1)],
)
def test_only_what_concerns_the_customer_is_told(desk, old, new, told):
    opened = desk.receive(mail())
    change(desk, opened, new, old)
    assert len(desk.outbox("status")) == told


def test_a_resolution_leads_no_customer_to_an_agents_own_address(desk):
    opened = desk.receive(mail())
    words = f"Solved; see support+{'a2' * 22}@example.com."
    with desk.store.write() as connection:
        connection.execute(update(tables.Ticket).values(resolution_summary=words))
    change(desk, opened, "resolved")
    text = desk.mail(desk.outbox("status")[0]).get_body(("plain",)).get_content()
    assert "Solved; see support@example.com." in text


def test_whoever_was_never_written_to_is_told_of_no_status(desk):
    """Else closing spam would write to everybody whom it forged."""
    opened = desk.receive(mail(automatic=Automatic(unanswerable="Precedence: bulk")))
    assert change(desk, opened, "closed")[0]["rule"] == "never-reached"
    assert [d.state for d in desk.outbox("status")] == ["suppressed"]


def test_status_mails_count_against_the_limits(desk):
    opened = desk.receive(mail())
    rules = [change(desk, opened, new, old)[0]["rule"] for old, new in [("open", "resolved"), ("resolved", "open")] * 2]
    assert rules == ["status", "status", "sender-hour", "sender-hour"]


# -- the rest


def test_it_is_decided_for_everything_that_can_happen_who_is_told():
    assert set(TOLD) == set(What)


def test_what_was_enqueued_is_noted_on_the_ticket(desk):
    desk.receive(mail())
    noted = [(e.detail["purpose"], e.detail["recipient"]) for e in desk.rows(tables.Event) if e.event == "enqueued"]
    assert noted == [
        ("confirmation", "ann@example.org"),
        ("new_ticket", "bob@example.com"),
        ("new_ticket", "cora@example.com"),
    ]


def test_a_rollback_leaves_neither_mail_nor_count(desk):
    opened = desk.receive(mail(), enqueue=False)
    with suppress(RuntimeError), desk.store.write() as connection:
        desk.notifier.enqueue(connection, opened.happened)
        raise RuntimeError
    assert desk.outbox() == []
    assert list(desk.rows(tables.Counter)) == []


def test_a_mailbox_that_is_gone_from_the_configuration_still_answers(desk):
    opened = desk.receive(mail())
    with desk.store.write() as connection:
        connection.execute(update(tables.Ticket).values(mailbox="gone"))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert desk.mail(desk.outbox("reply")[0])["From"].addresses[0].addr_spec == "support@example.com"


def test_agents_are_told_of_a_persons_mail_that_did_not_arrive(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    with desk.store.write() as connection:
        desk.notifier.undeliverable(connection, desk.outbox("reply")[0], "550 5.1.1 no such user\r\nBcc: x@example.net")
        desk.notifier.undeliverable(connection, desk.outbox("confirmation")[0], "550")
    (delivery,) = desk.outbox("undeliverable")
    assert delivery.recipient == "bob@example.com"
    assert "550 5.1.1 no such user" in plain(read(desk.raw(delivery)))

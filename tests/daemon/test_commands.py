"""Commands by mail, told from the outside: an agent answers a notice, and the house does what he says, or nothing."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.house import ANN, BOB, CONFIG, SUPPORT, answer, mail, open_test_house

from postroom.daemon.house import now
from postroom.desk.command_table import TABLE
from postroom.outbound.addresses import reply_address
from postroom.parsers.attachments import read_part
from postroom.store import inbound, messages
from postroom.threading.tokens import NO_TICKET, Role

CY, DI, EVE = "cy@customer.example", "di@customer.example", "eve@stranger.example"


@pytest.fixture
def desk(store_url, tmp_path):
    with open_test_house(tmp_path, store={"url": store_url}, tickets={"categories": ["Printing", "Networks"]}) as house:
        yield house


def open_ticket(desk, **headers):
    return desk.take(mail(**headers)).ticket_id


def order(desk, text, **headers):
    """Ann answers her newest notice with `text`."""
    notice = newest_notice(desk, ANN)
    return desk.take(answer(notice, text, **headers), recipient=notice.reply_to[0].address)


def newest_notice(desk, agent):
    found = [mail for row, mail in desk.outbox(recipient=agent, state="pending") if mail and mail.reply_to]
    return found[-1]


def to_customers(desk, *but):
    return [
        row for row, _ in desk.outbox(state="pending") if row.recipient not in (ANN, BOB) and row.purpose not in but
    ]


def decision(desk, settled, step="command"):
    with desk.store.read() as connection:
        row = inbound.get(connection, settled.id)
    return [(line["rule"], line["outcome"]) for line in row.decision if line["step"] == step]


def reasons(desk, settled):
    with desk.store.read() as connection:
        return [line["why"] for line in inbound.get(connection, settled.id).decision if line["step"] == "command"]


def events(desk, id_):
    with desk.store.read() as connection:
        return [(e.event, e.actor) for e in messages.events(connection, id_)]


def state(desk, id_):
    """Everything of a ticket that a command may change."""
    t = desk.ticket(id_)
    columns = (
        "status",
        "priority",
        "ticket_type",
        "category",
        "assigned_to",
        "tags",
        "resolution_summary",
        "merged_into",
    )
    return {column: getattr(t, column) for column in columns}


# each command


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("#assign bob", {"assigned_to": 2}),
        ("#assign bob@example.com", {"assigned_to": 2}),
        ("#assign Bob A", {"assigned_to": 2}),
        ("#assign Bob <bob@example.com>", {"assigned_to": 2}),
        ("#assign me", {"assigned_to": 1}),
        ("#ASSIGN BOB", {"assigned_to": 2}),
        ("#assign nobody", {}),
        ("#status pending_internal", {"status": "pending_internal"}),
        ("#status Pending internal", {"status": "pending_internal"}),
        ("#resolve", {"status": "resolved"}),
        ("#close", {"status": "closed"}),
        ("#pending", {"status": "pending_customer"}),
        ("#open", {"status": "open"}),
        ("#priority high", {"priority": "high"}),
        ("#priority HIGH", {"priority": "high"}),
        ("#tag VIP printer", {"tags": ["printer", "vip"]}),
        ("#tag vip, printer\n#untag printer", {"tags": ["vip"]}),
        ("#type incident", {"ticket_type": "incident"}),
        ("#category printing", {"category": "Printing"}),
    ],
)
def test_a_command_does_what_it_says_and_the_customer_hears_of_a_status_alone(desk, line, changed):
    id_ = open_ticket(desk)
    before = state(desk, id_)
    settled = order(desk, f"{line}\n")
    assert state(desk, id_) == {**before, **changed}
    heard = ["status"] if changed.get("status") in ("resolved", "closed", "pending_customer") else []
    assert [row.purpose for row in to_customers(desk, "confirmation")] == heard
    last = desk.conversation(id_)[-1]
    assert (last.author_type, last.visibility, last.flags) == ("agent", "internal", ["commands"])
    assert {outcome for _, outcome in decision(desk, settled)} == {"held"}


def test_each_command_is_activity_of_the_agent(desk):
    id_ = open_ticket(desk)
    order(desk, "#assign bob\n#priority high\n#close\n#tag vip\n")
    done = [event for event in events(desk, id_) if event[0] in ("assigned", "priority", "status", "tagged")]
    assert done == [("assigned", "ann"), ("priority", "ann"), ("status", "ann"), ("tagged", "ann")]


def test_what_stands_below_the_commands_goes_to_the_customer_without_them(desk):
    id_ = open_ticket(desk)
    settled = order(desk, "#assign bob\n\n#priority high\n\nTry turning it off.\n\n#yours\n")
    reply = desk.sent("reply", CY)
    assert reply.reply_text.startswith("Try turning it off.")
    assert "#yours" in reply.text
    assert "#assign" not in reply.text + (reply.html or "")
    assert (desk.ticket(id_).assigned_to, desk.ticket(id_).priority, desk.ticket(id_).status) == (
        2,
        "high",
        "pending_customer",
    )
    assert desk.conversation(id_)[-1].text == "Try turning it off.\n\n#yours"
    assert desk.sent("assignment", BOB)
    assert decision(desk, settled) == [("assign", "held"), ("priority", "held")]


def test_an_answer_that_resolves_is_one_mail_to_the_customer(desk):
    id_ = open_ticket(desk)
    order(desk, "#resolve\nIt works again.\n")
    assert desk.ticket(id_).status == "resolved"
    assert [row.purpose for row in to_customers(desk, "confirmation")] == ["reply"]


def test_a_status_that_was_ordered_is_not_changed_by_the_answer(desk):
    id_ = open_ticket(desk)
    order(desk, "#open\nI am still looking.\n")
    assert desk.ticket(id_).status == "open"


def test_what_follows_note_is_for_agents_alone(desk):
    id_ = open_ticket(desk)
    settled = order(desk, "#note\n#tag vip\nHe is rude.\n")
    note = desk.conversation(id_)[-1]
    assert (note.text, note.author_type, note.visibility, note.flags) == ("He is rude.", "agent", "internal", [])
    assert to_customers(desk, "confirmation") == []
    assert (desk.ticket(id_).status, desk.ticket(id_).assigned_to) == ("new", None)
    assert decision(desk, settled) == [("note", "held"), ("tag", "held")]


def test_the_words_behind_note_itself_are_the_note(desk):
    id_ = open_ticket(desk)
    order(desk, "#note He is rude.\nVery.\n")
    assert desk.conversation(id_)[-1].text == "He is rude.\nVery."
    assert to_customers(desk, "confirmation") == []


def test_a_note_below_an_answer_is_refused_lest_the_customer_read_it(desk):
    id_ = open_ticket(desk)
    order(desk, "It works again.\n\n#note He is rude.\n")
    assert to_customers(desk, "confirmation") == []
    assert desk.conversation(id_)[-1].flags == ["refused-command"]
    assert "#note He is rude." in desk.sent("command_error", ANN).text


def test_a_solution_is_the_answer_the_resolution_and_the_status(desk):
    id_ = open_ticket(desk)
    order(desk, "#solution\nWe changed the fuse.\n")
    ticket = desk.ticket(id_)
    assert (ticket.resolution_summary, ticket.status) == ("We changed the fuse.", "resolved")
    assert "We changed the fuse." in desk.sent("solution", CY).reply_text
    assert [row.purpose for row in to_customers(desk, "confirmation")] == ["solution"]
    assert ("solution", "ann") in events(desk, id_)


def test_a_solution_leaves_a_status_that_was_ordered(desk):
    id_ = open_ticket(desk)
    order(desk, "#solution\n#pending\nWe changed the fuse. Does it work?\n")
    assert desk.ticket(id_).status == "pending_customer"


@pytest.mark.parametrize("way", ["{ref}", "{number}", "#{number}", "[{ref}]", "t-{number}"])
def test_merge_makes_it_part_of_the_other_ticket(desk, way):
    kept = open_ticket(desk, subject="The printer")
    other = open_ticket(desk)
    target = desk.ticket(kept)
    order(desk, f"#merge {way.format(ref=target.ref, number=target.number)}\n#tag merged\n")
    assert desk.ticket(other).id == kept
    assert desk.ticket(kept).tags == ["merged"]
    assert to_customers(desk, "confirmation") == []


def test_the_answer_to_a_merged_ticket_goes_on_in_the_other(desk):
    kept = open_ticket(desk, subject="The printer")
    open_ticket(desk)
    settled = order(desk, f"#merge {desk.ticket(kept).ref}\nBoth are done.\n")
    assert settled.ticket_id == kept
    assert "Both are done." in desk.sent("reply", CY).text
    assert desk.conversation(kept)[-1].text == "Both are done."


def test_an_answer_to_two_customers_at_once_is_refused(desk):
    kept = open_ticket(desk, sender=DI)
    other = open_ticket(desk)
    order(desk, f"#merge {desk.ticket(kept).ref}\nBoth are done.\n")
    assert desk.ticket(other).id == other
    assert to_customers(desk, "confirmation") == []
    order(desk, f"#merge {desk.ticket(kept).ref}\n")
    assert desk.ticket(other).id == kept


def test_split_opens_a_ticket_with_the_customers_newest_message(desk):
    id_ = open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    desk.take(answer(confirmation, "And the lamp is broken.\n", CY))
    order(desk, "#split\n")
    [old, new] = desk.tickets()
    assert (old.id, new.description) == (id_, "And the lamp is broken.")
    assert [m.text for m in desk.conversation(id_)] == ["It burns.", "#split"]
    assert desk.links(new.id)[0][:2] == (old.ref, "split_from")
    assert f"New ticket {new.ref}" in desk.sent("new_ticket", ANN).text
    assert to_customers(desk, "confirmation") == []


def test_split_takes_the_message_of_that_number(desk):
    id_ = open_ticket(desk)
    desk.take(answer(desk.sent("confirmation", CY), "And the lamp is broken.\n", CY))
    first = desk.conversation(id_)[0]
    order(desk, f"#split #{first.id}\n")
    assert desk.tickets()[-1].description == "It burns."


def test_a_newcomers_message_that_is_split_off_is_his_own_ticket(desk):
    open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    desk.take(answer(confirmation, "I have that too.\n", EVE), recipient=confirmation.reply_to[0].address)
    order(desk, "#split\n")
    new = desk.tickets()[-1]
    assert (new.requester, desk.conversation(new.id)[0].flags) == (EVE, [])
    order(desk, "You as well?\n")
    assert "> I have that too." in desk.sent("reply", EVE).text


def test_an_answer_with_split_is_refused(desk):
    id_ = open_ticket(desk)
    desk.take(answer(desk.sent("confirmation", CY), "And the lamp is broken.\n", CY))
    order(desk, "#split\nOne after the other.\n")
    assert len(desk.tickets()) == 1
    assert desk.conversation(id_)[-1].flags == ["refused-command"]


def let_a_newcomer_take_part(desk):
    id_ = open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    desk.take(answer(confirmation, "I have that too.\n", EVE), recipient=confirmation.reply_to[0].address)
    order(desk, f"#agree {EVE.title()}<mailto:{EVE}>\nI am looking.\n")
    assert desk.participants(id_)[EVE] == ("participant", True)
    reply = desk.sent("reply", EVE)
    assert "> I have that too." in reply.text
    assert {row.recipient for row, _ in desk.outbox(purpose="reply")} == {CY, EVE}
    desk.take(answer(reply, "Thank you.\n", EVE))
    assert desk.conversation(id_)[-1].flags == []
    assert ("agreed", "ann") in events(desk, id_)


def test_a_newcomer_to_whom_an_agent_agrees_takes_part(desk):
    let_a_newcomer_take_part(desk)


# wrong ones


WRONG = [
    ("#assign carl", "there is no agent 'carl'; there are: ann (Ann Agent), bob (Bob Agent)"),
    ("#assign Agent", "several agents fit 'Agent'"),
    ("#assign", "it does not say to whom"),
    ("#status gone", "'gone' is no status; there are: new, open"),
    ("#status", "it does not say which status"),
    ("#close now", "nothing may follow it"),
    ("#priority extreme", "there is no priority 'extreme'; there are: critical, high, medium, low"),
    ("#type wish", "there is no type 'wish'"),
    ("#category gardens", "there is no category 'gardens'; there are: Printing, Networks"),
    ("#tag", "it names no tag"),
    (f"#tag {'x' * 51}", "longer than 50 characters"),
    ("#merge T-9999", "there is no ticket 'T-9999'"),
    ("#merge", "it does not say into which ticket"),
    ("#merge T-1001", "is this very ticket"),
    ("#split 4711", "T-1001 has no message 4711"),
    ("#agree eve@stranger.example", "eve@stranger.example is not on T-1001; waiting there: nobody"),
    ("#agree", "it names no address"),
    ("#nonsense", "there is no such command"),
    ("#resolve\n#close", "'#resolve' says it already"),
    ("#note\n#solution", "'#note' says it already"),
]


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_a_wrong_command_changes_nothing_and_comes_back_to_the_agent_alone(desk, line, why):
    id_ = open_ticket(desk)
    before, sent = state(desk, id_), len(desk.outbox())
    settled = order(desk, f"#tag vip\n{line}\n#priority high\n\nDear Cy, it is done.\n")
    assert state(desk, id_) == before
    [(row, error)] = desk.outbox()[sent:]
    assert (row.purpose, row.recipient, row.automatic) == ("command_error", ANN, True)
    assert why in error.text
    assert error.header("auto-submitted")
    assert "> Dear Cy, it is done." in error.text
    note = desk.conversation(id_)[-1]
    assert (note.author_type, note.visibility, note.flags) == ("agent", "internal", ["refused-command"])
    assert note.text == f"#tag vip\n{line}\n#priority high\n\nDear Cy, it is done."
    found = decision(desk, settled)
    assert {"wrong", "not done"} == {outcome for _, outcome in found}


def test_every_wrong_line_stands_in_one_mail_and_the_right_ones_do_not(desk):
    open_ticket(desk)
    order(desk, "#assign carl\n#priority high\n#stauts open\n")
    [(_, error)] = desk.outbox(purpose="command_error")
    head = error.text.partition("You wrote:")[0]
    assert "#assign carl" in head
    assert "#stauts open" in head
    assert "#priority high" not in head.replace("such as #priority high", "")


def test_the_agent_answers_the_refusal_with_his_words_put_right(desk):
    id_ = open_ticket(desk)
    order(desk, "#stauts resolved\nDear Cy, it is done.\n")
    error = desk.sent("command_error", ANN)
    settled = desk.take(
        answer(error, "#status resolved\nDear Cy, it is done.\n"), recipient=error.reply_to[0].address
    )  # fmt: skip
    assert (settled.ticket_id, desk.ticket(id_).status) == (id_, "resolved")
    assert "Dear Cy, it is done." in desk.sent("reply", CY).text


def test_what_the_desk_refuses_only_when_it_is_done_undoes_what_came_before(desk):
    id_ = open_ticket(desk)
    before = state(desk, id_)
    order(desk, "#priority high\n#assign bob\n#split\n")  # of one message nothing can be split off
    assert state(desk, id_) == before
    assert desk.events(id_).count("assigned") == 0
    assert "has one message only" in desk.sent("command_error", ANN).text
    assert desk.outbox(purpose="assignment") == []


def test_the_next_ticket_has_the_next_number_after_a_refusal(desk):
    open_ticket(desk)
    desk.take(answer(desk.sent("confirmation", CY), "And the lamp is broken.\n", CY))
    order(desk, "#split\n#agree eve@stranger.example\n")
    assert [t.ref for t in desk.tickets()] == ["T-1001"]
    assert desk.ticket(open_ticket(desk)).ref == "T-1002"


def test_a_refusal_in_german(tmp_path):
    with open_test_house(
        tmp_path, templates={"language": "de"}, tickets={"categories": ["Printing", "Networks"]}
    ) as desk:
        open_ticket(desk)
        order(desk, "#stauts resolved\n")
        assert "wurde nichts geändert" in desk.sent("command_error", ANN).text
        for line, why in WRONG:
            settled = order(desk, f"{line}\n\nDear Cy, it is done.\n")
            refused = [one for one in reasons(desk, settled) if why in one]
            assert refused, f"it is kept in English: {why}"
            told = desk.sent("command_error", ANN)
            assert not [one for one in refused if one in told.text]
            words = told.text.partition("Sie schrieben")[0]
            assert not [english for english in ("such as", "or several", "below it", "where it is") if english in words]


# from others


def test_a_customers_lines_are_text(desk):
    id_ = open_ticket(desk, text="#close\n#priority high\nIt burns.\n")
    assert (desk.ticket(id_).status, desk.ticket(id_).priority) == ("new", "medium")
    assert desk.ticket(id_).description == "#close\n#priority high\nIt burns."
    desk.take(answer(desk.sent("confirmation", CY), "#close\n", CY))
    assert desk.conversation(id_)[-1].text == "#close"
    assert desk.ticket(id_).status == "new"


def test_who_only_says_that_he_is_the_agent_commands_nothing(desk):
    id_ = open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    for sender, to in ((ANN, confirmation), (EVE, newest_notice(desk, ANN)), (BOB, newest_notice(desk, ANN))):
        desk.take(answer(to, "#close\nI did it.\n", sender), recipient=to.reply_to[0].address)
    assert desk.ticket(id_).status == "new"
    assert {m.visibility for m in desk.conversation(id_)[1:]} == {"internal"}
    assert desk.outbox(purpose="command_error") == []
    assert to_customers(desk, "confirmation") == []


def test_control_headers_mean_nothing(desk):
    id_ = open_ticket(desk)
    order(desk, "Hello.\n", X_Postroom_Command="#close", X_Priority="1", X_Ticket_Status="closed")
    assert (desk.ticket(id_).status, desk.ticket(id_).priority) == ("pending_customer", "medium")


def test_anothers_words_at_the_top_of_an_unmarked_forward_command_nothing(desk):
    """Outlook puts an older mail's headers above its words, which then read like an answer below them."""
    id_ = open_ticket(desk)
    older = "From: Eve <eve@stranger.example>\nSent: Tuesday, November 24, 2026 12:00\nTo: Ann\nSubject: Hi\n\n#close\nHi Ann\n"
    order(desk, older)
    assert desk.ticket(id_).status == "new"
    assert desk.conversation(id_)[-1].flags == ["refused-command"]
    assert to_customers(desk, "confirmation") == []


def test_an_agents_answer_without_a_word_is_sent_to_nobody(desk):
    id_ = open_ticket(desk)
    order(desk, "\n> It burns.\n")
    assert to_customers(desk, "confirmation") == []
    assert desk.conversation(id_)[-1].flags == ["empty"]


def test_commands_taken_in_quiet_are_carried_out_and_nobody_is_told(desk):
    id_ = open_ticket(desk)
    notice, sent = newest_notice(desk, ANN), len(desk.outbox())
    desk.take(answer(notice, "#assign bob\n#close\n"), recipient=notice.reply_to[0].address, quiet=True)
    assert (desk.ticket(id_).status, desk.ticket(id_).assigned_to) == ("closed", 2)
    assert len(desk.outbox()) == sent


# an agent hands in


FORWARDS = {
    "gmail": (
        "---------- Forwarded message ---------\nFrom: Cy Customer <cy@customer.example>\n"
        "Date: Tue, Nov 24, 2026 at 12:00 PM\nSubject: Printer on fire\nTo: <ann@example.com>\n\nHi Ann,\n\nit burns.\n"
    ),
    "outlook": (
        "From: Cy Customer <cy@customer.example>\nSent: Tuesday, November 24, 2026 12:00\n"
        "To: Ann Agent <ann@example.com>\nSubject: Printer on fire\n\nHi Ann,\n\nit burns.\n"
    ),
    "apple": (
        "Begin forwarded message:\n\n> From: Cy Customer <cy@customer.example>\n> Subject: Printer on fire\n"
        "> Date: November 24, 2026 at 12:00:00 GMT\n> To: ann@example.com\n>\n> Hi Ann,\n>\n> it burns.\n"
    ),
    "thunderbird": (
        "-------- Forwarded Message --------\nSubject: \tPrinter on fire\nDate: \tTue, 24 Nov 2026 12:00:00 +0000\n"
        "From: \tCy Customer <cy@customer.example>\nTo: \tann@example.com\n\n\n\nHi Ann,\n\nit burns.\n"
    ),
}  # fmt: skip


def own_address(desk, agent=1, days=365):
    return reply_address(desk.house.signer, SUPPORT, NO_TICKET, Role.AGENT, now() + timedelta(days=days), agent)


def hand_in(desk, text, sender="Ann Agent <ann@example.com>", subject="Fwd: Printer on fire", **headers):
    to = own_address(desk)
    return desk.take(mail(sender, to, subject, text, **headers), recipient=to)


@pytest.mark.parametrize("program", FORWARDS)
def test_a_mail_that_an_agent_forwards_opens_a_ticket_for_the_customer(desk, program):
    settled = hand_in(desk, f"He called before.\n\n{FORWARDS[program]}")
    ticket = desk.ticket(settled.ticket_id)
    assert (settled.outcome, ticket.requester, ticket.contact_name, ticket.subject) == (
        "opened", CY, "Cy Customer", "Printer on fire",
    )  # fmt: skip
    assert (ticket.description, ticket.assigned_to, ticket.status) == ("Hi Ann,\n\nit burns.", 1, "new")
    asked, note = desk.conversation(ticket.id)
    assert (asked.author_address, asked.author_type, asked.visibility) == (CY, "user", "public")
    assert (note.text, note.author_address, note.author_type, note.visibility) == (
        "He called before.", ANN, "agent", "internal",
    )  # fmt: skip
    assert [(row.purpose, row.recipient) for row, _ in desk.outbox(state="pending")] == [("new_ticket", ANN)]


@pytest.mark.parametrize("program", FORWARDS)
def test_a_forward_without_a_word_of_the_agents_has_no_note(desk, program):
    quote = "> " if program == "apple" else ""
    settled = hand_in(desk, FORWARDS[program].replace("Hi Ann,", f"#close\n{quote}Hi Ann,"))
    [asked] = desk.conversation(settled.ticket_id)
    assert asked.text == "#close\nHi Ann,\n\nit burns."
    assert desk.ticket(settled.ticket_id).status == "new"


def test_the_agents_answer_goes_to_the_customer_whose_mail_he_forwarded(desk):
    settled = hand_in(desk, FORWARDS["gmail"])
    order(desk, "Hello Cy, I am looking.\n")
    reply = desk.sent("reply", CY)
    assert "> it burns." in reply.text
    assert reply.subject == "Re: Printer on fire"
    assert reply.in_reply_to == ()
    again = desk.take(answer(reply, "Thank you.\n", CY), recipient=reply.reply_to[0].address)
    assert again.ticket_id == settled.ticket_id
    assert desk.conversation(settled.ticket_id)[-1].flags == []


def test_commands_in_a_forward_are_carried_out_on_the_new_ticket(desk):
    settled = hand_in(desk, f"#assign bob\n#priority high\nHe called before.\n\n{FORWARDS['gmail']}")
    ticket = desk.ticket(settled.ticket_id)
    assert (ticket.assigned_to, ticket.priority) == (2, "high")
    assert desk.conversation(ticket.id)[-1].text == "He called before."
    assert [(row.purpose, row.recipient) for row, _ in desk.outbox(state="pending")] == [("assignment", BOB)]


def test_a_forward_can_be_put_to_another_ticket_at_once(desk):
    id_ = open_ticket(desk)
    settled = hand_in(desk, f"#merge {desk.ticket(id_).ref}\n\n{FORWARDS['gmail']}")
    assert settled.ticket_id == id_
    assert [m.text for m in desk.conversation(id_)] == ["It burns.", "Hi Ann,\n\nit burns."]
    assert desk.sent("customer_reply", ANN)


@pytest.mark.parametrize("line", ["#nonsense", "#solution", "#split"])
def test_a_wrong_command_in_a_forward_opens_the_ticket_and_does_no_more(desk, line):
    settled = hand_in(desk, f"#priority high\n{line}\nHe called before.\n\n{FORWARDS['gmail']}")
    ticket = desk.ticket(settled.ticket_id)
    assert (ticket.requester, ticket.priority, ticket.assigned_to) == (CY, "medium", 1)
    note = desk.conversation(ticket.id)[-1]
    assert (note.text, note.flags) == (f"#priority high\n{line}\nHe called before.", ["refused-command"])
    assert line in desk.sent("command_error", ANN).text
    assert to_customers(desk) == []


def test_a_message_that_is_attached_opens_a_ticket_for_its_sender_with_its_files(desk):
    inner = message_from_bytes(
        mail(text="Hi Ann,\n\nit burns.\n", to=ANN, Message_ID="<cy1@customer.example>"), policy=SMTP
    )
    inner.add_attachment(b"%PDF-1.4\n", maintype="application", subtype="pdf", filename="plan.pdf")
    to = own_address(desk)
    outer = message_from_bytes(
        mail("Ann Agent <ann@example.com>", to, "Fwd: Printer on fire", "See this.\n"), policy=SMTP
    )
    outer.add_attachment(inner)
    settled = desk.take(outer.as_bytes(), recipient=to)
    asked, note = desk.conversation(settled.ticket_id)
    assert (asked.author_address, asked.text, note.text) == (CY, "Hi Ann,\n\nit burns.", "See this.")
    with desk.store.read() as connection:
        files = messages.attachments(connection, [asked.id])
        raw = inbound.raw(connection, settled.id)
    assert [a.filename for a in files] == ["Printer on fire.eml", "plan.pdf"]
    assert read_part(raw, files[1].part) == b"%PDF-1.4\n"
    order(desk, "Hello Cy.\n")
    assert desk.sent("reply", CY).in_reply_to == ("cy1@customer.example",)
    again = desk.take(mail(In_Reply_To="<cy1@customer.example>", text="By the way.\n"))
    assert again.ticket_id == settled.ticket_id


def test_a_mail_to_his_own_address_that_is_no_forward_is_the_agents_ticket(desk):
    settled = hand_in(desk, "#priority high\nThe coffee machine is broken.\n", subject="Coffee")
    ticket = desk.ticket(settled.ticket_id)
    assert (ticket.requester, ticket.submitter_email, ticket.subject, ticket.priority) == (ANN, ANN, "Coffee", "high")
    assert ticket.description == "The coffee machine is broken."
    assert desk.outbox(purpose="confirmation", state="pending") == []


def test_a_forward_of_a_mail_that_is_known_opens_a_linked_ticket(desk):
    id_ = open_ticket(desk, Cc=ANN, Message_ID="<first@customer.example>")
    settled = hand_in(desk, FORWARDS["gmail"], References="<first@customer.example>")
    assert settled.ticket_id != id_
    assert desk.links(settled.ticket_id)[0][:2] == (desk.ticket(id_).ref, "related")


def test_the_same_forward_twice_is_one_ticket(desk):
    to = own_address(desk)
    raw = mail("Ann Agent <ann@example.com>", to, "Fwd: Printer on fire", FORWARDS["gmail"])
    first, again = desk.take(raw, recipient=to), desk.take(b"X-Trace: 1\r\n" + raw, recipient=to)
    assert (again.state, again.ticket_id) == ("duplicate", first.ticket_id)
    assert len(desk.tickets()) == 1


def test_a_strangers_mail_to_an_agents_own_address_hands_nothing_in(desk):
    settled = hand_in(desk, f"#priority high\nLook.\n\n{FORWARDS['gmail']}", sender=EVE)
    ticket = desk.ticket(settled.ticket_id)
    assert (ticket.requester, ticket.priority, ticket.assigned_to) == (EVE, "medium", None)


@pytest.mark.parametrize(
    ("agent", "days"), [(2, 365), (1, -2)], ids=["signed for another agent", "expired"]
)  # fmt: skip
def test_an_address_that_is_not_the_agents_own_proves_nothing(desk, agent, days):
    to = own_address(desk, agent, days)
    raw = mail("Ann Agent <ann@example.com>", to, "Fwd: Printer on fire", f"#priority high\n\n{FORWARDS['gmail']}")
    ticket = desk.ticket(desk.take(raw, recipient=to).ticket_id)
    assert (ticket.requester, ticket.priority) == (ANN, "medium")


def test_a_customers_token_without_ticket_makes_no_agent(desk):
    to = reply_address(desk.house.signer, SUPPORT, NO_TICKET, Role.CUSTOMER, now() + timedelta(days=9))
    raw = mail("Ann Agent <ann@example.com>", to, "Fwd: Printer on fire", f"#priority high\n\n{FORWARDS['gmail']}")
    assert desk.ticket(desk.take(raw, recipient=to).ticket_id).requester == ANN


def test_where_the_mailbox_can_tell_a_forward_must_be_authenticated(tmp_path):
    support = {**CONFIG["mailbox"]["support"], "authserv_id": "mx.example.com"}
    with open_test_house(tmp_path, mailbox={"support": support}) as desk:
        assert desk.ticket(hand_in(desk, FORWARDS["gmail"]).ticket_id).requester == ANN
        passed = "mx.example.com; dmarc=pass header.from=example.com"
        proven = hand_in(desk, f"Now.\n\n{FORWARDS['gmail']}", Authentication_Results=passed)
        assert desk.ticket(proven.ticket_id).requester == CY


def test_a_forward_of_our_own_mail_is_no_customers(desk):
    settled = hand_in(desk, FORWARDS["gmail"].replace("cy@customer.example", SUPPORT))
    assert desk.ticket(settled.ticket_id).requester == ANN
    assert "it burns." in desk.ticket(settled.ticket_id).description


def test_an_agents_automatic_mail_to_his_own_address_hands_nothing_in(desk):
    settled = hand_in(desk, f"#priority high\n\n{FORWARDS['gmail']}", Auto_Submitted="auto-generated")
    assert (desk.ticket(settled.ticket_id).requester, desk.ticket(settled.ticket_id).priority) == (ANN, "medium")


NAMES = [*(name for meaning in TABLE for name in meaning.names), "nonsense", "réponse"]
ARGUMENTS = ["", "bob", "ann", "nobody", "high", "open", "pending_customer", "T-1001", "T-1002", "T-999999999", "T-", "Printing", "2026-13-45",
             "tomorrow", "9" * 5000, "a,b,c", "-a", "\u202e", "\x1b[31m", "%s", "{{ 1 }}", "../..", "'; DROP TABLE ticket; --", "x" * 500]  # fmt: skip
LINES = st.one_of(
    st.builds("#{} {}".format, st.sampled_from(NAMES), st.sampled_from(ARGUMENTS) | st.text(max_size=20)),
    st.builds("#{}: {}".format, st.sampled_from(NAMES), st.sampled_from(ARGUMENTS)),
    st.sampled_from(["", "Hello Cy,", "> #close", "#1 is it", "# no", "\ufeff#close"]), st.text(max_size=20),
)  # fmt: skip


@settings(max_examples=max(settings.default.max_examples // 7, 1))  # each is mail in, mail out, and a ticket
@given(st.lists(LINES, max_size=6))
def test_whatever_an_agent_orders_is_done_whole_or_not_at_all(desk, lines):
    id_ = open_ticket(desk, subject="printer")
    before = state(desk, id_)
    text = "".join(c for c in "\n".join(lines) if c.isprintable() or c in "\n\x1b") or "Hello"
    settled = order(desk, text)
    with desk.store.read() as connection:
        row = inbound.get(connection, settled.id)
    assert row.state == "processed", row.reason
    outcomes = {outcome for _, outcome in decision(desk, settled)}
    if outcomes & {"wrong", "not done"}:
        assert "held" not in outcomes
        assert state(desk, id_) == before

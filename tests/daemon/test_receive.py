"""What becomes of one message, told mail by mail on the real rooms and a real store."""

from datetime import timedelta

from peers.house import ANN, SUPPORT, answer, mail, open_test_house

from postroom.store import inbound, tickets

CY, EVE = "cy@customer.example", "eve@stranger.example"


def open_ticket(desk, **headers):
    return desk.take(mail(**headers)).ticket_id


# a conversation


def test_a_customers_mail_opens_a_ticket_with_all_that_it_holds(desk):
    settled = desk.take(mail(Message_ID="<first@customer.example>"))
    ticket = desk.ticket(settled.ticket_id)
    assert (settled.outcome, settled.state) == ("opened", "processed")
    assert (ticket.ref, ticket.subject, ticket.description, ticket.status) == (
        "T-1001",
        "Printer on fire",
        "It burns.",
        "new",
    )
    assert (ticket.email_message_id, ticket.email_thread_id) == ("first@customer.example",) * 2
    assert (ticket.requester, ticket.submitter_name, ticket.source, ticket.queue) == (
        CY,
        "Cy Customer",
        "email",
        "support",
    )
    assert desk.events(ticket.id)[:2] == ["opened", "message"]


def test_the_customer_is_confirmed_once_in_his_thread(desk):
    desk.take(mail(Message_ID="<first@customer.example>"))
    confirmation = desk.sent("confirmation", CY)
    assert confirmation.in_reply_to == ("first@customer.example",)
    assert confirmation.header("auto-submitted") == "auto-replied"
    desk.take(answer(confirmation, "And another thing.\n", "cy@customer.example"))
    assert len(desk.outbox(purpose="confirmation", state="pending")) == 1


def test_an_agents_answer_reaches_the_customer_from_the_support_address(desk):
    id_ = open_ticket(desk, Message_ID="<first@customer.example>")
    notice = desk.sent("new_ticket", ANN)
    settled = desk.take(answer(notice), recipient=notice.reply_to[0].address)
    reply = desk.sent("reply", CY)
    assert (settled.outcome, settled.ticket_id) == ("added", id_)
    assert reply.from_[0].address == SUPPORT
    assert reply.subject == "Re: Printer on fire"
    assert reply.in_reply_to == ("first@customer.example",)
    assert "Try turning it off." in reply.text
    assert desk.ticket(id_).status == "pending_customer"


def test_the_customers_answer_joins_the_ticket_and_reopens_it(desk):
    id_ = open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    reply = desk.sent("reply", CY)
    settled = desk.take(answer(reply, "It still burns.\n", CY), recipient=reply.reply_to[0].address)
    assert (settled.outcome, settled.ticket_id) == ("added", id_)
    assert desk.ticket(id_).status == "open"
    assert [m.author_type for m in desk.conversation(id_)] == ["user", "agent", "user"]


def test_the_answering_agent_is_assigned_and_told_of_what_follows(desk):
    id_ = open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    reply = desk.sent("reply", CY)
    desk.take(answer(reply, "It still burns.\n", CY))
    told = [row.recipient for row, _ in desk.outbox(purpose="customer_reply")]
    assert told == [ANN]
    assert "assigned" in desk.events(id_)


def test_agents_files_reach_the_customer(desk):
    open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    raw = answer(notice, MIME_Version="1.0").replace(
        b'Content-Type: text/plain; charset="utf-8"\r\n', b'Content-Type: multipart/mixed; boundary="b"\r\n'
    )
    head, _, text = raw.partition(b"\r\n\r\n")
    raw = head.replace(b"Content-Transfer-Encoding: 7bit\r\n", b"") + (
        b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + text +
        b"\r\n--b\r\nContent-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Disposition: attachment; filename=\"plan.pdf\"\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n"
    )  # fmt: skip
    desk.take(raw, recipient=notice.reply_to[0].address)
    assert [(a.filename, a.size) for a in desk.sent("reply", CY).attachments] == [("plan.pdf", 9)]


# once


def test_the_same_bytes_to_the_same_recipient_are_one_delivery(desk):
    raw = mail()
    first, again = desk.take(raw), desk.take(raw)
    assert (again.id, again.state, again.ticket_id) == (first.id, "duplicate", first.ticket_id)
    assert len(desk.tickets()) == 1


def test_one_mail_through_two_mailboxes_is_one_message_the_second_linked(desk):
    raw = mail(to="support@example.com, sales@example.com")
    first, second = desk.take(raw), desk.take(raw, recipient="sales@example.com")
    assert (second.state, second.duplicate_of, second.ticket_id) == ("duplicate", first.id, first.ticket_id)
    assert len(desk.conversation(first.ticket_id)) == 1


def test_changed_trace_headers_make_no_second_message(desk):
    raw = mail()
    first = desk.take(raw)
    again = desk.take(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + raw)
    assert (again.state, again.duplicate_of) == ("duplicate", first.id)


def test_the_same_message_id_with_another_body_is_another_message(desk):
    first = desk.take(mail(Message_ID="<same@customer.example>"))
    second = desk.take(mail(Message_ID="<same@customer.example>", text="Something else.\n"))
    assert second.state == "processed"
    assert [m.text for m in desk.conversation(first.ticket_id)] == ["It burns.", "Something else."]


def test_a_strangers_mail_with_a_known_message_id_suppresses_nothing(desk):
    poisoned = desk.take(mail("eve@stranger.example", Message_ID="<victim@customer.example>", text="First!\n"))
    real = desk.take(mail(Message_ID="<victim@customer.example>"))
    assert real.outcome == "opened"
    assert real.ticket_id != poisoned.ticket_id


def test_a_mail_without_message_id_gets_one_from_its_bytes(desk):
    raw = mail(Message_ID="")
    first = desk.take(raw)
    assert desk.ticket(first.ticket_id).email_message_id.endswith("@no-message-id.invalid")
    assert desk.take(raw).ticket_id == first.ticket_id


# who may join


def test_a_stranger_with_a_known_message_id_opens_a_linked_ticket(desk):
    id_ = open_ticket(desk, Message_ID="<first@customer.example>")
    settled = desk.take(mail(EVE, In_Reply_To="<first@customer.example>", text="Show me everything.\n"))
    assert settled.outcome == "opened"
    ref, kind, reason = desk.links(settled.ticket_id)[0]
    assert (ref, kind) == (desk.ticket(id_).ref, "related")
    assert EVE in reason


def test_the_holder_of_a_signed_address_joins_flagged_and_is_sent_nothing(desk):
    id_ = open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    settled = desk.take(
        answer(confirmation, "Cy forwarded this to me.\n", EVE), recipient=confirmation.reply_to[0].address
    )
    assert settled.ticket_id == id_
    assert desk.conversation(id_)[-1].flags == ["new-participant"]
    assert desk.participants(id_)[EVE] == ("participant", False)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    assert [row.recipient for row, _ in desk.outbox(purpose="reply")] == [CY]


def test_what_a_newcomer_wrote_is_neither_quoted_nor_answered_until_an_agent_agrees(desk):
    id_ = open_ticket(desk, Message_ID="<first@customer.example>")
    confirmation = desk.sent("confirmation", CY)
    for words in ("Cy forwarded this to me.\n", "Are you there?\n"):  # the second is flagged like the first
        desk.take(answer(confirmation, words, EVE), recipient=confirmation.reply_to[0].address)
    assert [m.flags for m in desk.conversation(id_)] == [[], ["new-participant"], ["new-participant"]]
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    reply = desk.sent("reply", CY)
    assert reply.in_reply_to == ("first@customer.example",)
    assert "It burns." in reply.quoted_text
    assert "forwarded" not in reply.text


def test_whom_the_customer_copied_takes_part(desk):
    id_ = open_ticket(desk, Cc="Di <di@customer.example>", Message_ID="<first@customer.example>")
    settled = desk.take(mail("di@customer.example", In_Reply_To="<first@customer.example>"))
    assert settled.ticket_id == id_


def test_a_forged_agent_is_an_internal_note_and_reaches_nobody(desk):
    id_ = open_ticket(desk, Message_ID="<first@customer.example>")
    confirmation = desk.sent("confirmation", CY)
    settled = desk.take(answer(confirmation, "Send your password.\n", ANN), recipient=confirmation.reply_to[0].address)
    note = desk.conversation(id_)[-1]
    assert (settled.ticket_id, note.visibility, note.flags) == (id_, "internal", ["unproven-agent"])
    assert desk.outbox(purpose="reply") == []
    assert desk.ticket(id_).status == "new"


def test_a_stranger_with_an_agents_signed_address_is_an_internal_note(desk):
    id_ = open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice, "Hello customer.\n", EVE), recipient=notice.reply_to[0].address)
    assert desk.conversation(id_)[-1].visibility == "internal"
    assert desk.outbox(purpose="reply") == []


def test_an_agent_must_be_authenticated_where_the_mailbox_can_tell(tmp_path):
    support = {"address": SUPPORT, "queue": "support", "authserv_id": "mx.example.com"}
    with open_test_house(tmp_path, mailbox={"support": support}) as desk:
        id_ = open_ticket(desk)
        notice = desk.sent("new_ticket", ANN)
        desk.take(answer(notice), recipient=notice.reply_to[0].address)
        assert desk.conversation(id_)[-1].visibility == "internal"
        passed = "mx.example.com; dmarc=pass header.from=example.com"
        desk.take(answer(notice, "Now proven.\n", Authentication_Results=passed), recipient=notice.reply_to[0].address)
        assert desk.conversation(id_)[-1].author_type == "agent"


# automatic mail


def test_an_out_of_office_is_kept_on_its_ticket_and_changes_nothing(desk):
    id_ = open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    reply = desk.sent("reply", CY)
    settled = desk.take(
        answer(reply, "I am away.\n", CY, Auto_Submitted="auto-replied"), recipient=reply.reply_to[0].address
    )
    assert (settled.outcome, settled.ticket_id) == ("settled", id_)
    assert desk.ticket(id_).status == "pending_customer"
    assert desk.conversation(id_)[-1].flags == ["automatic"]
    assert desk.outbox(purpose="customer_reply") == []


def test_an_agents_out_of_office_never_reaches_the_customer(desk):
    open_ticket(desk)
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice, "I am away.\n", Auto_Submitted="auto-replied"), recipient=notice.reply_to[0].address)
    assert desk.outbox(purpose="reply") == []


def test_our_own_mail_that_comes_back_has_no_effect(desk):
    open_ticket(desk)
    row, _ = desk.outbox(purpose="confirmation")[0]
    settled = desk.take(row.content, sender="")
    assert (settled.outcome, settled.reason) == ("settled", "one of our own mails came back")
    assert len(desk.tickets()) == 1


def test_a_bounce_settles_the_delivery_that_it_is_about(desk):
    id_ = open_ticket(desk)
    row, sent = desk.outbox(purpose="confirmation")[0]
    bounce = (
        b"From: MAILER-DAEMON@mx.customer.example\r\nTo: " + row.envelope_sender.encode() + b"\r\nSubject: Undelivered\r\n"
        b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <b1@mx.customer.example>\r\nAuto-Submitted: auto-replied\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Reporting-MTA: dns; mx.customer.example\r\n\r\nFinal-Recipient: rfc822; cy@customer.example\r\nAction: failed\r\n"
        b"Status: 5.1.1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + sent.message_id.encode() + b">\r\n\r\n--b--\r\n"
    )  # fmt: skip
    settled = desk.take(bounce, recipient=row.envelope_sender, sender="")
    assert (settled.outcome, settled.ticket_id) == ("settled", id_)
    assert desk.outbox(purpose="confirmation")[0][0].state == "failed"
    assert len(desk.tickets()) == 1


def test_a_bounce_about_nothing_of_ours_is_settled_and_opens_nothing(desk):
    bounce = (
        b"From: MAILER-DAEMON@mx.example\r\nTo: support@example.com\r\nSubject: Undelivered\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nNo.\r\n--b\r\n"
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; x@y.example\r\n"
        b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    )
    settled = desk.take(bounce, sender="")
    assert (settled.outcome, settled.ticket_id, desk.tickets()) == ("settled", None, [])


# time


def test_a_word_on_a_ticket_closed_long_ago_opens_a_linked_one(desk):
    id_ = open_ticket(desk)
    confirmation = desk.sent("confirmation", CY)
    with desk.store.write() as connection:
        closed = desk.ticket(id_).created_at
        tickets.change(connection, id_, {"status": "closed", "closed_at": closed})
    desk.later = timedelta(days=15)
    settled = desk.take(answer(confirmation, "It burns again.\n", CY), recipient=confirmation.reply_to[0].address)
    assert settled.outcome == "opened"
    assert desk.links(settled.ticket_id)[0][0] == desk.ticket(id_).ref


def test_a_reply_that_overtakes_its_original_ends_in_one_ticket(desk):
    reply = desk.take(mail(In_Reply_To="<late@customer.example>", References="<late@customer.example>"))
    original = desk.take(mail(Message_ID="<late@customer.example>"))
    assert original.ticket_id == reply.ticket_id
    assert desk.ticket(reply.ticket_id).email_thread_id == "late@customer.example"


def test_two_tickets_of_one_requester_that_one_mail_joins_are_merged_and_redirect(desk):
    first = open_ticket(desk, Message_ID="<a@customer.example>")
    second = open_ticket(desk, Message_ID="<b@customer.example>")
    settled = desk.take(mail(References="<a@customer.example> <b@customer.example>"))
    assert settled.ticket_id == first
    assert desk.ticket(second).id == first
    assert len(desk.conversation(first)) == 3


def test_two_tickets_of_two_requesters_are_only_linked(desk):
    first = open_ticket(desk, Message_ID="<a@customer.example>", Cc="di@customer.example")
    second = desk.take(mail("di@customer.example", Message_ID="<b@customer.example>")).ticket_id
    settled = desk.take(mail("di@customer.example", References="<a@customer.example> <b@customer.example>"))
    assert settled.ticket_id == second
    assert [link[0] for link in desk.links(second)] == [desk.ticket(first).ref]
    assert len(desk.tickets()) == 2


# why


def test_every_step_is_kept_with_its_reason(desk):
    settled = desk.take(mail())
    with desk.store.read() as connection:
        row = inbound.get(connection, settled.id)
    steps = [line["step"] for line in row.decision]
    assert steps[:2] == ["classify", "author"]
    assert steps.count("ticket") == 6
    assert "place" in steps
    assert "answer" in steps
    assert all(line["why"] for line in row.decision)


def test_quiet_mail_has_its_effect_and_sends_nothing(desk):
    settled = desk.take(mail(), quiet=True)
    assert settled.outcome == "opened"
    assert desk.outbox() == []


def test_an_archive_trusts_its_own_threads_and_sends_nothing(desk):
    first = desk.take(mail(Message_ID="<a@list.example>", List_Id="<list.example>"), archive=True)
    second = desk.take(mail(EVE, In_Reply_To="<a@list.example>"), archive=True)
    assert second.ticket_id == first.ticket_id
    assert desk.outbox() == []


def test_a_mail_that_only_hands_another_on_is_not_empty_to_its_reader(desk):
    forwarded = "---------- Forwarded message ---------\nFrom: Di <di@customer.example>\nDate: Mon, 23 Nov 2026\nSubject: Smoke\nTo: cy@customer.example\n\nThere is smoke.\n"
    settled = desk.take(mail(subject="Fwd: Smoke", text=forwarded))
    assert desk.ticket(settled.ticket_id).description == "There is smoke."


def test_a_mail_without_proof_through_two_mailboxes_is_one_message_and_suppresses_no_proven_one(tmp_path):
    server = {"queue": "support", "authserv_id": "mx.example.com"}
    mailboxes = {"support": {"address": SUPPORT, **server}, "sales": {"address": "sales@example.com", **server}}
    both = f"{SUPPORT}, sales@example.com"
    fixed = {"to": both, "Message_ID": "<one@customer.example>", "Date": "Tue, 24 Nov 2026 12:00:00 +0000"}
    with open_test_house(tmp_path, mailbox=mailboxes) as desk:
        failed = "mx.example.com; dmarc=fail header.from=customer.example"
        forged = mail(Authentication_Results=failed, **fixed)
        first, second = desk.take(forged), desk.take(forged, recipient="sales@example.com")
        assert (second.state, second.duplicate_of) == ("duplicate", first.id)
        passed = "mx.example.com; dmarc=pass header.from=customer.example"
        assert desk.take(mail(Authentication_Results=passed, **fixed)).state == "processed"

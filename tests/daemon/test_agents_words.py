"""What becomes of an agent's words: without any, below #note, and without proof. Whole mails, through the whole reception."""

from email import message_from_bytes
from email.policy import SMTP

import pytest
from peers.house import ANN, SUPPORT, answer, mail

CY = "cy@customer.example"


def pasted(notice):
    """What a mail program sends where nothing but a picture was pasted into the text."""
    message = message_from_bytes(answer(notice, "\n"), policy=SMTP)
    message.add_alternative('<div><img src="cid:one@x"></div>', subtype="html")
    message.get_payload()[1].add_related(
        b"\x89PNG" * 20, "image", "png", cid="<one@x>", filename="image0.png", disposition="inline"
    )
    return message.as_bytes()


@pytest.mark.parametrize("write", [pasted, lambda notice: answer(notice, "\n")], ids=["picture", "nothing"])
def test_the_agent_is_told_once_that_nothing_was_sent(desk, write):
    id_ = desk.take(mail()).ticket_id
    notice = desk.sent("new_ticket", ANN)
    before = len(desk.outbox(recipient=CY))
    for _ in range(3):
        desk.take(write(notice), notice.reply_to[0].address)
    assert len(desk.outbox(recipient=CY)) == before
    [(row, told)] = desk.outbox(purpose="command_error")
    assert row.recipient == ANN
    words = " ".join(told.text.split())
    assert "nothing was sent to the customer" in words
    assert "attach it as a file" in words
    assert [message.visibility for message in desk.conversation(id_)][1:] == ["internal"] * 3


def test_a_picture_with_a_word_is_sent(desk):
    desk.take(mail())
    notice = desk.sent("new_ticket", ANN)
    raw = pasted(notice).replace(b"<div><img", b"<div>Here:<img")
    raw = raw.replace(b"\r\n\r\n\r\n", b"\r\n\r\nHere:\r\n", 1)
    desk.take(raw, notice.reply_to[0].address)
    assert "Here:" in desk.sent("reply", CY).text


def test_who_claims_to_be_an_agent_is_told_to_that_agent_with_the_reason(desk):
    opened = desk.take(mail())
    confirmed = desk.sent("confirmation", CY)
    forged = mail(f"Ann Agent <{ANN}>", SUPPORT, text="#close\nGo away.\n", In_Reply_To=f"<{confirmed.message_id}>")
    before = len(desk.outbox(recipient=CY))
    assert desk.take(forged).ticket_id == opened.ticket_id
    told = " ".join(desk.sent("unproven_agent", ANN).text.split())
    assert "claims to be an agent's, without proof" in told
    assert "no command of it was carried out, and nothing was sent to the customer" in told
    assert (desk.ticket(opened.ticket_id).status, len(desk.outbox(recipient=CY))) == ("new", before)


def test_a_note_is_told_to_the_agent_whom_it_names_and_to_no_customer(desk):
    desk.take(mail())
    notice = desk.sent("new_ticket", ANN)
    before = len(desk.outbox(recipient=CY))
    desk.take(answer(notice, "#note\n@bob, do you know him?\n"), notice.reply_to[0].address)
    assert "do you know him?" in desk.sent("note", "bob@example.com").text
    assert len(desk.outbox(recipient=CY)) == before

"""What becomes of an agent's words: without any, below #note, and without proof. Whole mails, through the whole reception."""

from email import message_from_bytes
from email.policy import SMTP

import pytest
from peers.house import ANN, SUPPORT, answer, mail, open_test_house

CY = "cy@customer.example"


PNG = b"\x89PNG" * 20
SHOWN = '<div><img src="cid:one@x"></div>'
QUOTE = '<blockquote type="cite"><div>It burns.</div>{}</blockquote>'
APPLES = '<object type="application/x-apple-msg-attachment" data="cid:one@x"></object>'
MARKED = '<div class="gmail_signature">Ann<br><img src="cid:one@x"></div>'


def pasted(notice, html=SHOWN, text="\n"):
    """What a mail program sends where a picture stands in the HTML."""
    message = message_from_bytes(answer(notice, text), policy=SMTP)
    message.add_alternative(html, subtype="html")
    message.get_payload()[1].add_related(
        PNG, "image", "png", cid="<one@x>", filename="image0.png", disposition="inline"
    )
    return message.as_bytes()


def attached(notice, maintype="image", subtype="png", disposition="attachment"):
    message = message_from_bytes(answer(notice, "\n"), policy=SMTP)
    message.add_attachment(PNG, maintype, subtype, filename="image0.png", disposition=disposition)
    return message.as_bytes()


SAYING_SOMETHING = {
    "a pasted picture": pasted,
    "one above what it quotes": lambda notice: pasted(notice, SHOWN + QUOTE.format(""), "\n\n> It burns.\n"),
    "one above a signature": lambda notice: pasted(notice, f"{SHOWN}<div>-- <br>Ann</div>", "\n\n-- \nAnn\n"),
    "a file in the text, as Apple writes it": lambda notice: pasted(notice, f"<div>{APPLES}</div>"),
    "an attached file": attached,
    "a file that is to be shown in a mail without HTML": lambda notice: attached(notice, disposition="inline"),
}
SAYING_NOTHING = {
    "nothing": lambda notice: answer(notice, "\n"),
    "what it quotes": lambda notice: answer(notice, "\n> It burns.\n"),
    "a picture that it quotes": lambda notice: pasted(notice, QUOTE.format(SHOWN), "\n\n> It burns.\n"),
    "the logo of a signature": lambda notice: pasted(notice, MARKED, "\n\n-- \nAnn\n"),
    "the logo of a signature without marks": lambda notice: pasted(notice, f"<div>-- <br>Ann</div>{SHOWN}", "\n\n-- \nAnn\n"),
    "a background": lambda notice: pasted(notice, '<body background="cid:one@x"><p>&nbsp;</p></body>'),
    "the signature of a program": lambda notice: attached(notice, "application", "pkcs7-signature"),
    "a program's key": lambda notice: attached(notice, "application", "pgp-keys"),
}  # fmt: skip


@pytest.mark.parametrize("write", SAYING_SOMETHING.values(), ids=SAYING_SOMETHING)
def test_a_file_or_a_picture_without_a_word_is_an_answer(desk, write):
    id_ = desk.take(mail()).ticket_id
    notice = desk.sent("new_ticket", ANN)
    desk.take(write(notice), notice.reply_to[0].address)
    sent = desk.sent("reply", CY)
    assert [(file.filename, file.size) for file in sent.attachments] == [("image0.png", len(PNG))]
    assert desk.outbox(purpose="command_error") == []
    assert (desk.conversation(id_)[-1].visibility, desk.ticket(id_).status) == ("public", "pending_customer")


@pytest.mark.parametrize("write", SAYING_NOTHING.values(), ids=SAYING_NOTHING)
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
    assert "holds no word of your own, no file" in words
    assert [message.visibility for message in desk.conversation(id_)][1:] == ["internal"] * 3


def test_a_picture_with_a_word_is_sent(desk):
    desk.take(mail())
    notice = desk.sent("new_ticket", ANN)
    desk.take(pasted(notice, f"<div>Here:</div>{SHOWN}", "Here:\n"), notice.reply_to[0].address)
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


def test_the_reason_is_told_in_the_agents_language(tmp_path):
    with open_test_house(tmp_path, templates={"language": "de"}) as desk:
        desk.take(mail())
        confirmed = desk.sent("confirmation", CY)
        desk.take(mail(f"Ann Agent <{ANN}>", SUPPORT, text="Go away.\n", In_Reply_To=f"<{confirmed.message_id}>"))
        told = " ".join(desk.sent("unproven_agent", ANN).text.split())
        assert "Der Grund: In From steht Agent ann, aber sie kam an keine Adresse, die für ann signiert ist." in told


def test_a_note_is_told_to_the_agent_whom_it_names_and_to_no_customer(desk):
    desk.take(mail())
    notice = desk.sent("new_ticket", ANN)
    before = len(desk.outbox(recipient=CY))
    desk.take(answer(notice, "#note\n@bob, do you know him?\n"), notice.reply_to[0].address)
    assert "do you know him?" in desk.sent("note", "bob@example.com").text
    assert len(desk.outbox(recipient=CY)) == before

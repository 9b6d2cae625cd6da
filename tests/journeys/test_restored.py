"""A database that was restored from a copy gives numbers again: no answer to an old mail reaches another customer."""

import shutil
from contextlib import contextmanager

from peers.house import ANN, answer, mail, open_test_house

CY, DI = "cy@customer.example", "di@other.example"


@contextmanager
def restored(folder):
    """A house whose database is a copy from before Cy's ticket, and the mails that went out about that."""
    with open_test_house(folder) as desk:
        desk.take(mail("Bo <bo@third.example>", subject="An older ticket"))
    shutil.copytree(folder / "var", folder / "copy")
    with open_test_house(folder) as desk:
        lost = desk.ticket(desk.take(mail(f"Cy <{CY}>", subject="Lost", text="My password is hunter2.\n")).ticket_id)
        mails = desk.sent("confirmation", CY), desk.sent("new_ticket", ANN)
    shutil.rmtree(folder / "var")
    shutil.copytree(folder / "copy", folder / "var")
    with open_test_house(folder) as desk:
        new = desk.take(mail(f"Di <{DI}>", subject="Lost")).ticket_id
        assert desk.ticket(new).ref == lost.ref
        desk.take(answer(desk.sent("new_ticket", ANN), "Hello Di.\n"))  # Ann takes part in Di's ticket now
        yield desk, new, *mails


def test_a_customers_answer_to_a_mail_about_a_lost_ticket_opens_one(tmp_path):
    with restored(tmp_path) as (desk, new, confirmation, _):
        before = len(desk.conversation(new))
        settled = desk.take(answer(confirmation, "It is still lost.\n", f"Cy <{CY}>"))
        assert (settled.outcome, desk.ticket(settled.ticket_id).requester) == ("opened", CY)
        assert (len(desk.conversation(new)), desk.links(new)) == (before, [])


def test_an_agents_answer_about_a_lost_ticket_reaches_no_customer(tmp_path):
    with restored(tmp_path) as (desk, new, _, notice):
        before, sent = len(desk.conversation(new)), len(desk.outbox(recipient=DI))
        settled = desk.take(answer(notice, "Your new password is swordfish.\n"))
        assert (settled.outcome, len(desk.conversation(new))) == ("opened", before)
        assert (len(desk.outbox(recipient=DI)), desk.outbox(recipient=CY)) == (sent, [])
        assert desk.links(new) == []
        [why] = [line["why"] for line in settled.decision if line["rule"] == "subject-tag"]
        assert "not in this database" in why


def test_an_answer_that_only_names_our_message_finds_no_other_ticket(tmp_path):
    with restored(tmp_path) as (desk, new, _, notice):
        before = len(desk.conversation(new))
        settled = desk.take(answer(notice, "Your new password is swordfish.\n", To="support@example.com"))
        assert settled.ticket_id != new
        assert len(desk.conversation(new)) == before

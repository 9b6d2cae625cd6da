"""A link counts once, in time, from the one whom it was sent to; every other way to press it is tried here."""

import multiprocessing
from contextlib import ExitStack

import pytest
from peers.attacks import PINNED
from peers.house import ANN, CONFIG, answer, mail
from peers.links import links_of, opened, press
from peers.solving import CY, DAY, DI, EVE, HOUR, link_line, open_solving_desk

from postroom.daemon.house import now
from postroom.desk import merging
from postroom.outbound.links import own_words, prefilled
from postroom.outbound.templates import Templates
from postroom.store import tickets

REFUSED = "not counted"


@pytest.fixture
def desk_with(store_url, tmp_path):
    with ExitStack() as closing:

        def open_desk(support=None, **changes):
            return closing.enter_context(open_solving_desk(tmp_path, support, store={"url": store_url}, **changes))

        yield open_desk


@pytest.fixture
def desk(desk_with):
    return desk_with()


def proposed(desk, sender=f"Cy <{CY}>", **options):
    """A ticket whose customer is asked; its id, and the links."""
    id_ = desk.take(mail(sender, **options)).ticket_id
    desk.propose()
    return id_, desk.buttons()


def is_untouched(desk, id_):
    return desk.solution(id_).state == "proposed" and desk.ticket(id_).status != "closed"


# ---------------------------------------------------------------- who presses it


def test_a_link_that_was_forwarded_counts_for_nobody_else(desk):
    id_, (solved, _) = proposed(desk)
    settled = desk.press(solved, f"Eve <{EVE}>", "Just close it.")
    assert link_line(settled) == ("solved", REFUSED, "the link was given to somebody else")
    assert is_untouched(desk, id_)
    last = desk.conversation(id_)[-1]
    assert (last.author_address, last.flags) == (EVE, ["new-participant"])
    desk.press(solved)
    assert desk.ticket(id_).status == "closed"


def test_one_who_takes_part_cannot_judge_for_the_requester(desk):
    id_, (solved, _) = proposed(desk, Cc=f"Di <{DI}>")
    assert link_line(desk.press(solved, f"Di <{DI}>"))[1:] == (REFUSED, "the link was given to somebody else")
    assert is_untouched(desk, id_)


@pytest.mark.parametrize(
    "sender", [f"Cy <{CY}>, Eve <{EVE}>", "Cy <cy@customer.example.stranger.example>", f'"{CY}" <{EVE}>']
)
def test_a_trick_about_from_is_none(desk, sender):
    id_, (solved, _) = proposed(desk)
    assert link_line(desk.press(solved, sender))[1] == REFUSED
    assert is_untouched(desk, id_)


def test_an_agent_who_presses_it_judges_nothing_and_speaks_for_nobody(desk):
    id_, (solved, _) = proposed(desk)
    before = len(desk.outbox(recipient=CY))
    settled = desk.press(solved, "Ann Agent <ann@example.com>", "#close\n")
    assert link_line(settled)[1] == REFUSED
    assert is_untouched(desk, id_)
    last = desk.conversation(id_)[-1]
    assert (last.visibility, last.flags) == ("internal", ["unproven-agent"])
    assert len(desk.outbox(recipient=CY)) == before


def test_a_link_beside_the_agents_own_address_makes_nobody_an_agent(desk):
    id_, (solved, _) = proposed(desk)
    raw, address = press(
        solved, f"Eve <{EVE}>", To=f"<{desk.notice(ANN).reply_to[0].address}>, <{press(solved, EVE)[1]}>"
    )
    assert link_line(desk.take(raw, address))[1] == REFUSED
    assert is_untouched(desk, id_)


def test_a_sender_whose_authentication_failed_is_not_counted_and_one_who_passed_is(desk_with):
    boxes = {name: {**box, "authserv_id": PINNED} for name, box in CONFIG["mailbox"].items()}
    desk = desk_with(mailbox=boxes)
    vouched = {"Authentication_Results": f"{PINNED}; dmarc=pass header.from=example.com"}
    id_ = desk.take(mail(f"Cy <{CY}>")).ticket_id
    desk.take(answer(desk.notice(ANN), "#solution\nThe fuse.\n", **vouched))
    solved = desk.buttons()[0]
    settled = desk.press(solved, Authentication_Results=f"{PINNED}; dmarc=fail header.from=customer.example")
    assert link_line(settled)[1:] == (REFUSED, "the authentication of its sender failed")
    assert is_untouched(desk, id_)
    desk.press(solved, Authentication_Results=f"{PINNED}; dmarc=pass header.from=customer.example")
    assert desk.ticket(id_).status == "closed"


@pytest.mark.parametrize(
    "headers",
    [{"Auto_Submitted": "auto-replied"}, {"Precedence": "auto_reply"}, {"X_Autoreply": "yes"}],
    ids=lambda headers: next(iter(headers)),
)
def test_a_machine_presses_nothing(desk, headers):
    id_, (solved, _) = proposed(desk)
    settled = desk.press(solved, **headers)
    assert link_line(settled) == ("solved", REFUSED, "a machine wrote it")
    assert (is_untouched(desk, id_), desk.ticket(id_).status) == (True, "resolved")


# ---------------------------------------------------------------- how often, and when


def test_the_same_mail_again_is_a_duplicate_and_a_second_press_changes_nothing(desk):
    id_, (solved, not_solved) = proposed(desk)
    raw, address = press(solved, f"Cy <{CY}>")
    desk.take(raw, address)
    told = len(desk.outbox())
    assert desk.take(raw, address).state == "duplicate"
    settled = desk.press(solved)
    assert link_line(settled)[1:] == (REFUSED, "it was said before that this is solved")
    assert (desk.ticket(id_).status, desk.conversation(id_)[-1].flags) == ("closed", ["spent-link"])
    assert len(desk.outbox()) == told
    settled = desk.press(not_solved, more="It burns again.")
    assert link_line(settled)[:2] == ("not-solved", REFUSED)
    assert desk.solution(id_).state == "solved"
    assert desk.ticket(id_).status == "open"  # his words, as ever
    assert "It burns again." in desk.sent("customer_reply", ANN).text


def test_a_second_press_with_words_is_a_message_like_another(desk):
    id_, (solved, _) = proposed(desk)
    desk.press(solved)
    desk.press(solved, more="\r\nBut the lamp is dark now.")
    assert desk.ticket(id_).status == "open"
    assert "the lamp is dark" in desk.sent("customer_reply", ANN).text


def test_a_link_expires(desk_with):
    desk = desk_with(tickets={"link_days": 10})
    id_, (solved, not_solved) = proposed(desk)
    desk.later = 11 * DAY
    assert "the link expired on" in link_line(desk.press(solved))[2]
    assert (is_untouched(desk, id_), desk.ticket(id_).status) == (True, "resolved")
    assert "the link expired on" in link_line(desk.press(not_solved, more="No!"))[2]
    assert (desk.solution(id_).state, desk.ticket(id_).status) == ("proposed", "open")


def test_feedback_links_expire_too(desk_with):
    desk = desk_with(notify={"feedback_request": True}, tickets={"link_days": 10})
    id_, (solved, _) = proposed(desk)
    desk.press(solved)
    desk.after(2 * HOUR)
    links = links_of(desk.sent("feedback_request", CY))
    desk.later = 12 * DAY
    assert link_line(desk.press(links[0]))[1:] == (REFUSED, "the time for feedback is over")
    assert (desk.ticket(id_).satisfaction_rating, desk.ticket(id_).status) == (None, "closed")


def test_a_mail_to_both_links_says_nothing(desk):
    id_, links = proposed(desk)
    raw, address = press(links[0], f"Cy <{CY}>", To=", ".join(press(link, CY)[1] for link in links))
    assert link_line(desk.take(raw, address))[1:] == (REFUSED, "it was sent to 2 links at once")
    assert is_untouched(desk, id_)


def test_a_link_that_somebody_changed_is_no_address_of_ours(desk):
    id_, (solved, _) = proposed(desk)
    address = press(solved, CY)[1]
    at = address.index("@") - 3
    forged = address[:at] + ("a" if address[at] != "a" else "b") + address[at + 1 :]
    settled = desk.take(mail(f"Cy <{CY}>", forged, "Solved"), forged)
    assert [line for line in settled.decision if line["step"] == "link"] == []
    assert is_untouched(desk, id_)


# ---------------------------------------------------------------- merged since


def merge(desk, source, target):
    with desk.store.write() as connection:
        rows = [tickets.get(connection, id_) for id_ in (source, target)]
        merging.merge(connection, *rows, "the same", "ann", now())


def test_after_a_merge_the_same_persons_link_counts_but_ends_no_other_work(desk):
    source, (solved, _) = proposed(desk)
    target = desk.take(mail(f"Cy <{CY}>", subject="The lamp")).ticket_id
    merge(desk, source, target)
    settled = desk.press(solved)
    assert link_line(settled)[:2] == ("solved", "held")
    assert (desk.solution(target).state, desk.ticket(target).status) == ("solved", "new")
    assert "is solved, says its customer" in desk.sent("solution_approved", ANN).text


def test_after_a_merge_nobodys_link_ends_what_another_has_asked(desk):
    source, (solved, _) = proposed(desk)
    target = desk.take(mail(f"Di <{DI}>", subject="The lamp")).ticket_id
    merge(desk, source, target)
    settled = desk.press(solved)
    assert link_line(settled)[1:] == (REFUSED, "that solution was withdrawn since")
    assert desk.ticket(target).status == "new"


def test_an_unmerge_gives_the_solution_back(desk):
    source, (solved, _) = proposed(desk)
    target = desk.take(mail(f"Cy <{CY}>", subject="The lamp")).ticket_id
    merge(desk, source, target)
    with desk.store.write() as connection:
        merging.unmerge(connection, tickets.get(connection, source), "ann", now())
    desk.press(solved)
    assert (desk.ticket(source).status, desk.ticket(target).status) == ("closed", "new")


# ---------------------------------------------------------------- two at once


def _press(folder, url, raw, address, begin, done):
    with open_solving_desk(folder, store={"url": url}) as desk:
        begin.wait(60)
        done.put(link_line(desk.take(raw, address))[1])


def test_two_presses_at_once_in_two_processes_count_once(migrated_url, tmp_path):
    with open_solving_desk(tmp_path, store={"url": migrated_url}) as desk:
        id_, links = proposed(desk)
    fork = multiprocessing.get_context("fork")
    begin, done = fork.Barrier(2), fork.Queue()
    mails = [press(link, f"Cy <{CY}>", "Mine.") for link in links]
    processes = [fork.Process(target=_press, args=(tmp_path, migrated_url, *one, begin, done)) for one in mails]
    for process in processes:
        process.start()
    assert sorted(done.get(timeout=60) for _ in processes) == ["held", REFUSED]
    for process in processes:
        process.join(60)
    with open_solving_desk(tmp_path, store={"url": migrated_url}) as desk:
        assert desk.solution(id_).state in ("solved", "refused")


# ---------------------------------------------------------------- what is written beside it


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Yes, it is solved.\n", ""),
        ("yes,  it is solved. Thank you!\n", "Thank you!"),
        ("No, it is not solved yet.\n\nWhat is missing: the lamp\nand the fan\n", "the lamp\nand the fan"),
        ("Meine Bewertung: 5 von 5\n\nWas ich hinzufügen möchte:\nSehr gut!\n", "Sehr gut!"),
        ("Thanks\n\nYes, it is solved.\n", "Thanks"),
        ("", ""),
        ("What is it?\n", "What is it?"),
    ],
)
def test_own_words_are_what_stands_beside_ours(text, words):
    templates = Templates()
    assert own_words(text, prefilled(map(templates.words, templates.languages))) == words


def test_a_link_is_written_in_its_readers_language_and_read_in_every_other(desk_with):
    desk = desk_with(notify={"feedback_request": True})
    id_, (solved, _) = proposed(desk, Accept_Language="de")
    assert opened(solved)[1:] == (f"Gelöst [{desk.ticket(id_).ref}]", "Ja, es ist gelöst.")
    desk.press(solved)
    desk.after(2 * HOUR)
    links = links_of(desk.sent("feedback_request", CY))
    assert opened(links[1])[1:] == (
        f"Bewertung: 2 von 5 [{desk.ticket(id_).ref}]",
        "Meine Bewertung: 2 von 5\r\n\r\nWas ich hinzufügen möchte:\r\n",
    )
    desk.press(links[1], more="Es hat gedauert.")
    assert desk.ticket(id_).satisfaction_notes == "Es hat gedauert."


def test_words_of_a_catalogue_of_the_operators_are_known_too(tmp_path, desk_with):
    catalogue = tmp_path / "words/locale/pl/LC_MESSAGES/postroom.po"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text('msgid ""\nmsgstr ""\n\nmsgid "Yes, it is solved."\nmsgstr "Tak, rozwiązane."\n', "utf-8")
    desk = desk_with(templates={"folder": str(tmp_path / "words"), "language": "pl"})
    id_, (solved, _) = proposed(desk)
    assert opened(solved)[2] == "Tak, rozwiązane."
    desk.press(solved)
    assert desk.conversation(id_)[-1].flags == ["solved"]
    assert desk.house.notifier.own_words("Tak, rozwiązane.\nDzięki!") == "Dzięki!"


OUTLOOK = """\
Content-Type: text/html; charset="windows-1252"
Content-Transfer-Encoding: quoted-printable

<html><body><p class=3D"MsoNormal">My rating: 2 of 5</p><p class=3D"MsoNormal">&nbsp;</p>
<p class=3D"MsoNormal">What I want to add: it took =93weeks=94.</p></body></html>
"""
PHONE = """\
Content-Type: text/plain; charset=us-ascii

My rating: 2 of 5

What I want to add:
it took "weeks".

Sent from my iPhone
"""
QUOTING = """\
Content-Type: text/plain; charset=utf-8
In-Reply-To: <{id}>
References: <{id}>

My rating: 2 of 5

What I want to add:
it took "weeks".

On Tue, 24 Nov 2026 at 12:00, Support <support@example.com> wrote:
> your request T-1001 is closed. How did you find our help?
> 1: <mailto:{other}>
"""


@pytest.mark.parametrize("program", [OUTLOOK, PHONE, QUOTING], ids=["outlook", "phone", "quoting"])
def test_what_mail_programs_make_of_it_counts_all_the_same(desk_with, program):
    desk = desk_with(notify={"feedback_request": True})
    id_, (solved, _) = proposed(desk)
    desk.press(solved)
    desk.after(2 * HOUR)
    asked = desk.sent("feedback_request", CY)
    links = links_of(asked)
    address = press(links[1], CY)[1]
    head = f"From: Cy <{CY}>\nTo: {address}\nSubject: AW: something else\nMessage-ID: <x@customer.example>\nMIME-Version: 1.0\n"
    raw = head + program.replace("{id}", str(asked.message_id)).replace("{other}", press(links[0], CY)[1])
    settled = desk.take(raw.replace("\n", "\r\n").encode(), address)
    assert link_line(settled)[:2] == ("feedback", "held")
    ticket = desk.ticket(id_)
    assert (ticket.satisfaction_rating, ticket.status) == (2, "closed")
    assert ticket.satisfaction_notes.replace("“", '"').replace("”", '"') == 'it took "weeks".'

"""A solution's whole way by mail alone: proposed, reviewed, sent, judged by its links, closed, and rated."""

from contextlib import ExitStack

import pytest
from peers.house import ANN, BOB, CONFIG, answer
from peers.links import links_of, opened
from peers.solving import CY, DAY, DI, FROM_BOB, FUSE, HOUR, link_line, open_solving_desk


@pytest.fixture
def desk_with(store_url, tmp_path):
    """Opens a desk whose configuration has these sections; `support` are keys of its queue."""
    with ExitStack() as closing:

        def open_desk(support=None, **changes):
            return closing.enter_context(open_solving_desk(tmp_path, support, store={"url": store_url}, **changes))

        yield open_desk


@pytest.fixture
def desk(desk_with):
    return desk_with()


# ---------------------------------------------------------------- the way


def test_the_customer_gets_the_solution_with_two_links_that_he_only_has_to_send(desk):
    id_ = desk.ask()
    desk.propose()
    received = desk.sent("solution", CY)
    assert received.text.startswith(FUSE)
    solved, not_solved = map(opened, links_of(received))
    ref = desk.ticket(id_).ref
    assert (solved[1], not_solved[1]) == (f"Solved [{ref}]", f"Not solved [{ref}]")
    assert all(a.startswith("support+") and a.endswith("@example.com") for a in (solved[0], not_solved[0]))
    assert solved[0] != not_solved[0]
    assert received.in_reply_to == (desk.ticket(id_).email_message_id,)
    assert (desk.ticket(id_).status, desk.solution(id_).state, desk.solution(id_).customer) == (
        "resolved",
        "proposed",
        CY,
    )
    assert desk.outbox(purpose="reply") == desk.outbox(purpose="status") == []


def test_solved_tells_the_agent_and_closes(desk):
    id_ = desk.ask()
    desk.propose()
    settled = desk.press(desk.buttons()[0])
    assert link_line(settled) == ("solved", "held", f"the customer says that {desk.ticket(id_).ref} is solved")
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("closed", "solved")
    assert f"{desk.ticket(id_).ref} is solved, says its customer" in desk.sent("solution_approved", ANN).text
    assert desk.outbox(purpose="customer_reply") == []
    assert [m.flags for m in desk.conversation(id_)][-1] == ["solved"]


def test_solved_closes_after_the_configured_time_and_only_if_nothing_comes_between(desk_with):
    desk = desk_with(tickets={"close_solved_hours": 24})
    first, second = desk.ask(), None
    desk.propose()
    desk.press(desk.buttons()[0])
    second = desk.ask(subject="Another")
    desk.propose()
    desk.press(desk.buttons()[0])
    assert [desk.ticket(id_).status for id_ in (first, second)] == ["resolved"] * 2
    desk.later = HOUR
    desk.take(answer(desk.sent("solution", CY), "It burns again.\n", f"Cy <{CY}>"))
    assert desk.ticket(second).status == "open"
    desk.after(23 * HOUR)
    assert desk.ticket(first).status == "resolved"
    desk.after(25 * HOUR)
    assert [desk.ticket(id_).status for id_ in (first, second)] == ["closed", "open"]


def test_not_solved_reopens_and_tells_the_agent_the_customers_words(desk):
    id_ = desk.ask()
    desk.propose()
    settled = desk.press(desk.buttons()[1], more="It still burns, in blue now.")
    assert link_line(settled)[:2] == ("not-solved", "held")
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("open", "refused")
    told = desk.sent("solution_refused", ANN)
    assert "It still burns, in blue now." in told.text
    assert FUSE in told.text
    assert desk.outbox(purpose="customer_reply") == []


def test_an_answer_in_words_reopens_as_ever_and_the_links_count_still(desk):
    id_ = desk.ask()
    desk.propose()
    desk.take(answer(desk.sent("solution", CY), "Which fuse?\n", f"Cy <{CY}>"))
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("open", "proposed")
    assert "Which fuse?" in desk.sent("customer_reply", ANN).text
    desk.press(desk.buttons()[0])
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("closed", "solved")


def test_without_an_answer_silence_closes_it(desk_with):
    desk = desk_with(tickets={"close_resolved_days": 5})
    id_ = desk.ask()
    desk.propose()
    desk.after(6 * DAY)
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("closed", "proposed")
    desk.press(desk.buttons()[1], more="No.")
    assert desk.ticket(id_).status == "open"


def test_whoever_else_takes_part_reads_the_solution_without_links(desk):
    desk.ask(Cc=f"Di <{DI}>")
    desk.propose()
    assert len(links_of(desk.sent("solution", CY))) == 2
    received = desk.sent("solution", DI)
    assert received.text.startswith(FUSE)
    assert links_of(received) == []


def test_the_tickets_agent_is_told_what_another_agent_answers_and_solves(desk):
    id_ = desk.ask()
    desk.take(answer(desk.notice(ANN), "Turn it off.\n"))
    assert desk.outbox(purpose="colleague") == []
    desk.take(answer(desk.notice(BOB), "Turn it on.\n", FROM_BOB))
    told = desk.sent("colleague", ANN)
    assert f"answered the customer on {desk.ticket(id_).ref}, which is yours" in " ".join(told.text.split())
    assert "Turn it on." in told.text
    desk.propose(agent=BOB)
    assert FUSE in desk.sent("colleague", ANN).text
    assert [row.recipient for row, _ in desk.outbox(purpose="colleague")] == [ANN, ANN]


def test_a_wrong_name_in_a_note_can_be_put_right_by_an_answer_that_no_customer_reads(desk):
    id_ = desk.ask()
    desk.take(answer(desk.notice(ANN), "#note\n@bobb can you look?\n"))
    before = len(desk.outbox(recipient=CY))
    desk.take(answer(desk.sent("unknown_name", ANN), "@bob can you look?\n"))
    assert "@bob can you look?" in desk.sent("note", BOB).text
    assert len(desk.outbox(recipient=CY)) == before
    assert [m.visibility for m in desk.conversation(id_)] == ["public", "internal", "internal"]


def test_another_solution_takes_the_place_of_the_first(desk):
    id_ = desk.ask()
    desk.propose()
    old, _ = desk.buttons()
    desk.propose("We changed the printer.")
    settled = desk.press(old)
    assert link_line(settled) == ("solved", "not counted", "that solution was withdrawn since")
    assert (desk.ticket(id_).status, desk.solution(id_).state) == ("resolved", "proposed")
    desk.press(desk.buttons()[0])
    assert desk.ticket(id_).status == "closed"


def test_a_solution_that_is_switched_off_goes_as_an_answer(desk_with):
    desk = desk_with(notify={"solution": False})
    id_ = desk.ask()
    desk.propose()
    assert links_of(desk.sent("reply", CY)) == []
    assert desk.ticket(id_).status == "resolved"


# ---------------------------------------------------------------- the review


@pytest.fixture
def reviewed(desk_with):
    return desk_with({"review_solutions": "always"})


def test_the_customer_gets_a_reviewed_solution_only_once_another_agent_approves_it(reviewed):
    id_ = reviewed.ask()
    reviewed.propose()
    assert reviewed.outbox(recipient=CY, purpose="solution") == []
    assert (reviewed.ticket(id_).status, reviewed.solution(id_).state) == ("pending_internal", "review")
    assert [m.visibility for m in reviewed.conversation(id_)] == ["public", "internal"]
    assert [row.recipient for row, _ in reviewed.outbox(purpose="solution_review")] == [BOB]
    notice = reviewed.sent("solution_review", BOB)
    assert FUSE in notice.text
    reviewed.take(answer(notice, "#approve\n", FROM_BOB))
    received = reviewed.sent("solution", CY)
    assert received.text.startswith(FUSE)
    assert "Ann Agent" in received.from_[0].name
    assert (reviewed.ticket(id_).status, reviewed.solution(id_).state) == ("resolved", "proposed")
    assert reviewed.conversation(id_)[1].visibility == "public"
    passed = reviewed.sent("solution_passed", ANN)
    assert f"Bob Agent approved your solution of {reviewed.ticket(id_).ref}" in passed.text
    assert FUSE in passed.text
    reviewed.press(links_of(received)[0])
    assert reviewed.ticket(id_).status == "closed"
    assert "is solved, says its customer" in reviewed.sent("solution_approved", ANN).text


def test_a_reviewer_sends_it_back_with_words_that_no_customer_reads(reviewed):
    id_ = reviewed.ask()
    reviewed.propose()
    before = len(reviewed.outbox(recipient=CY))
    reviewed.take(
        answer(reviewed.sent("solution_review", BOB), "#refuse The fuse is the tenant's.\nAsk him.\n", FROM_BOB)
    )
    assert len(reviewed.outbox(recipient=CY)) == before
    told = reviewed.sent("solution_refused", ANN)
    assert "Bob Agent does not agree with your solution" in told.text
    assert "The fuse is the tenant's.\nAsk him." in told.text
    assert (reviewed.ticket(id_).status, reviewed.solution(id_).state) == ("open", "sent_back")


@pytest.mark.parametrize(
    "text", ["Is that the right fuse? He lies.\n", "#tag fuse\nHe lies.\n", "#approve\nHe lies.\n"]
)
def test_nothing_that_a_reviewer_writes_goes_to_the_customer(reviewed, text):
    id_ = reviewed.ask()
    reviewed.propose()
    reviewed.take(answer(reviewed.sent("solution_review", BOB), text, FROM_BOB))
    assert not [m for _, m in reviewed.outbox(recipient=CY) if m and "lies" in m.text]
    assert [m.visibility for m in reviewed.conversation(id_) if "lies" in m.text] == ["internal"]


def wrong(desk, agent):
    return desk.sent("command_error", agent).text


def test_who_proposed_it_cannot_approve_it(reviewed):
    id_ = reviewed.ask()
    reviewed.propose()
    reviewed.take(answer(reviewed.notice(ANN), "#approve\n"))
    assert "the solution is your own" in wrong(reviewed, ANN)
    assert reviewed.solution(id_).state == "review"


def test_an_agent_who_is_no_reviewer_cannot_approve_it(desk_with):
    people = {**CONFIG["agent"], "cora": {"name": "Cora", "address": "cora@example.com"}}
    support = {"review_solutions": "always", "reviewers": ["cora"]}
    desk = desk_with(support, agent=people)
    id_ = desk.ask()
    desk.propose()
    assert [row.recipient for row, _ in desk.outbox(purpose="solution_review")] == ["cora@example.com"]
    desk.take(answer(desk.notice(BOB), "#approve\n", FROM_BOB))
    assert "it is for cora to review" in wrong(desk, BOB)
    assert desk.solution(id_).state == "review"


def test_a_reviewer_approves_what_he_has_read_and_nothing_newer(reviewed):
    id_ = reviewed.ask()
    reviewed.propose()
    old = reviewed.sent("solution_review", BOB)
    reviewed.propose("We gave all his data away.")
    reviewed.take(answer(old, "#approve\n", FROM_BOB))
    assert "there is a newer solution since" in wrong(reviewed, BOB)
    assert reviewed.solution(id_).state == "review"
    reviewed.take(answer(reviewed.sent("solution_review", BOB), "#approve\n", FROM_BOB))
    assert reviewed.solution(id_).state == "proposed"


def test_approving_twice_sends_it_once(reviewed):
    reviewed.ask()
    reviewed.propose()
    notice = reviewed.sent("solution_review", BOB)
    reviewed.take(answer(notice, "#approve\n", FROM_BOB))
    reviewed.take(answer(notice, "#approve\n", FROM_BOB))
    assert "no solution of T-1001 waits for a review" in wrong(reviewed, BOB)
    assert len(reviewed.outbox(purpose="solution")) == 1


def test_a_queue_whose_only_agent_proposes_refuses_and_says_what_to_do(desk_with):
    desk = desk_with({"agents": ["ann"], "review_solutions": "always"})
    id_ = desk.ask()
    desk.propose()
    assert "name somebody in queue.support.reviewers" in wrong(desk, ANN)
    assert (desk.solution(id_), desk.ticket(id_).status) == (None, "new")


# ---------------------------------------------------------------- feedback


@pytest.fixture
def asking(desk_with):
    return desk_with(notify={"feedback_request": True})


def closed(desk, **options):
    id_ = desk.ask(**options)
    desk.propose()
    desk.press(desk.buttons()[0])
    desk.after(2 * HOUR)
    return id_


@pytest.mark.parametrize("rating", range(1, 6))
def test_a_rating_and_its_words_are_kept_and_told_and_change_no_status(asking, rating):
    id_ = closed(asking)
    links = links_of(asking.sent("feedback_request", CY))
    settled = asking.press(links[rating - 1], more="Quick and kind.")
    ticket = asking.ticket(id_)
    assert (ticket.satisfaction_rating, ticket.satisfaction_notes, ticket.status) == (
        rating,
        "Quick and kind.",
        "closed",
    )
    assert link_line(settled)[:2] == ("feedback", "held")
    told = asking.sent("feedback_given", ANN)
    assert f"{CY} gave {ticket.ref} {rating} of 5" in told.text
    assert "Quick and kind." in told.text


def test_feedback_is_asked_for_once_and_given_once(asking):
    id_ = closed(asking)
    links = links_of(asking.sent("feedback_request", CY))
    asking.press(links[4])
    settled = asking.press(links[0])
    assert link_line(settled) == ("feedback", "not counted", "feedback was given before")
    assert (asking.ticket(id_).satisfaction_rating, asking.ticket(id_).satisfaction_notes) == (5, None)
    assert asking.ticket(id_).status == "closed"
    asking.take(answer(asking.sent("solution", CY), "It burns again.\n", f"Cy <{CY}>"))
    assert asking.ticket(id_).status == "open"
    asking.propose("Another fuse.")
    asking.press(asking.buttons()[0])
    asking.after(9 * HOUR)
    assert asking.ticket(id_).status == "closed"
    assert len(asking.outbox(purpose="feedback_request")) == 1


def test_nobody_is_asked_unless_it_is_switched_on(desk):
    closed(desk)
    assert desk.outbox(purpose="feedback_request") == []


# ---------------------------------------------------------------- the clock


def test_the_clock_runs_during_a_review_and_stands_still_while_the_customer_is_asked(desk_with):
    desk = desk_with({"review_solutions": "always", "resolution_hours": 24})
    id_ = desk.ask()
    due = desk.ticket(id_).sla_due_at
    desk.propose()
    assert desk.ticket(id_).sla_due_at == due is not None
    desk.take(answer(desk.sent("solution_review", BOB), "#approve\n", FROM_BOB))
    assert desk.ticket(id_).sla_due_at is None
    desk.later = 3 * HOUR
    desk.press(desk.buttons()[1], more="No.")
    assert due + 2.9 * HOUR < desk.ticket(id_).sla_due_at < due + 3.1 * HOUR


def test_the_clock_closes_what_is_solved_and_asks_how_it_was_once(desk_with):
    desk = desk_with(
        notify={"feedback_request": True},
        tickets={"close_solved_hours": 1, "feedback_after_hours": 2},
    )
    ids = []
    for subject in ("One", "Two"):
        ids.append(desk.ask(subject=subject))
        desk.propose()
        desk.press(desk.buttons()[0])
    assert [desk.ticket(id_).status for id_ in ids] == ["resolved"] * 2
    desk.after(1.5 * HOUR)
    assert [desk.ticket(id_).status for id_ in ids] == ["closed"] * 2
    assert desk.outbox(purpose="feedback_request") == []
    desk.after(4 * HOUR)
    desk.after(6 * HOUR)
    assert len(desk.outbox(purpose="feedback_request")) == 2
    desk.press(links_of(desk.sent("feedback_request", CY))[2], more="Fine.")
    assert sorted(str(desk.ticket(id_).satisfaction_rating) for id_ in ids) == ["3", "None"]


def test_what_was_closed_long_ago_is_not_asked_about_when_that_is_switched_on(desk_with):
    desk = desk_with()
    desk.ask()
    desk.propose()
    desk.press(desk.buttons()[0])
    again = desk_with(notify={"feedback_request": True})
    again.after(10 * DAY)
    assert again.outbox(purpose="feedback_request") == []

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postroom.config import Config, Tickets, parse
from postroom.desk import workflow
from postroom.errors import UserError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
STATUS = {
    "on_hold": {"phase": "pending_internal"}, "asked": {"phase": "pending_customer"},
    "testing": {"phase": "open", "to": ["on_hold", "resolved"]}, "closed": {"to": ["resolved"]},
}  # fmt: skip
OWN = parse({"status": STATUS}, Path())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("new", "new"), ("open", "open"), ("pending_internal", "pending_internal"),
        ("pending_customer", "open"), ("resolved", "open"), ("closed", "open"),
    ],
)  # fmt: skip
def test_a_customers_word_reopens_what_waited_for_him_or_was_done(before, after):
    assert workflow.after_customer(before, Config()) == after


@pytest.mark.parametrize(
    ("before", "after"), [("new", "pending_customer"), ("resolved", "resolved"), ("closed", "closed")]
)
def test_an_agents_answer_leaves_it_to_the_customer(before, after):
    assert workflow.after_agent(before) == after


def test_a_ticket_closed_for_longer_than_reopen_days_stays_closed():
    settings = Tickets(reopen_days=14)
    assert workflow.may_reopen("closed", NOW - timedelta(days=14), NOW, settings)
    assert not workflow.may_reopen("closed", NOW - timedelta(days=14, seconds=1), NOW, settings)
    assert workflow.may_reopen("resolved", None, NOW, settings)


def test_configuration_adds_statuses():
    assert workflow.check_status("on_hold", OWN) == "on_hold"
    with pytest.raises(UserError, match="'on_hold' is no status; there are: new, open"):
        workflow.check_status("on_hold", Config())


def test_a_status_of_ones_own_works_like_its_phase():
    assert [workflow.after_customer(status, OWN) for status in ("on_hold", "asked", "testing")] == [
        "on_hold", "open", "testing",
    ]  # fmt: skip
    assert workflow.waiting(OWN) == ("pending_customer", "asked")
    assert workflow.phase("lost", OWN) == "open"


def test_an_agent_makes_of_a_status_what_the_configuration_allows():
    workflow.check_move("testing", "on_hold", OWN)
    workflow.check_move("testing", "testing", OWN)
    workflow.check_move("new", "closed", OWN)
    for old, new in (("testing", "closed"), ("closed", "open")):
        with pytest.raises(UserError, match=rf"can only become .* \(status\.{old}\.to\), not {new}"):
            workflow.check_move(old, new, OWN)


def test_times_go_with_the_status():
    closed = {"closed_at": NOW, "feedback_due_at": NOW}
    assert workflow.times_of("open", "closed", NOW) == {**closed, "resolved_at": NOW}
    assert workflow.times_of("resolved", "closed", NOW) == closed
    assert workflow.times_of("closed", "open", NOW) == dict.fromkeys(["resolved_at", *closed])
    assert workflow.times_of("new", "open", NOW) == {}

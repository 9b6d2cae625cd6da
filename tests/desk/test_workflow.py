from datetime import UTC, datetime, timedelta

import pytest

from postroom.config import Tickets
from postroom.desk import workflow
from postroom.errors import UserError

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("new", "new"), ("open", "open"), ("pending_internal", "pending_internal"),
        ("pending_customer", "open"), ("resolved", "open"), ("closed", "open"),
    ],
)  # fmt: skip
def test_a_customers_word_reopens_what_waited_for_him_or_was_done(before, after):
    assert workflow.after_customer(before) == after


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
    assert workflow.check_status("on_hold", Tickets(extra_statuses=("on_hold",))) == "on_hold"
    with pytest.raises(UserError, match="'on_hold' is no status; there are: new, open"):
        workflow.check_status("on_hold", Tickets())


def test_times_go_with_the_status():
    assert workflow.times_of("open", "closed", NOW) == {"closed_at": NOW, "resolved_at": NOW}
    assert workflow.times_of("resolved", "closed", NOW) == {"closed_at": NOW}
    assert workflow.times_of("closed", "open", NOW) == {"resolved_at": None, "closed_at": None}
    assert workflow.times_of("new", "open", NOW) == {}

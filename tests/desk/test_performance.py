"""The report on a month, over reopenings, merges, months and the days on which clocks change; both databases say the same."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from postroom import config as settings
from postroom.desk import actions, merging, performance
from postroom.desk.business_time import calendar
from postroom.errors import UserError
from postroom.store import tickets
from postroom.store.agents import sync_agents
from postroom.store.engine import Store

CONFIG = {
    "queue": {
        "support": {
            "agents": ["ann"], "hours": ["mon-fri 09:00-17:00"], "time_zone": "Europe/Berlin", "first_response_hours": 4,
            "resolution_hours": {"high": 8},
        },
        "sales": {},
    },
    "agent": {"ann": {"address": "ann@example.com"}},
    "mailbox": {"support": {"address": "support@example.com", "queue": "support"}},
    "reports": {"time_zone": "Europe/Berlin"},
}  # fmt: skip
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def berlin(day: int, hour: int, month: int = 10) -> datetime:
    """A time of autumn 2026 in Berlin: summer time until 25 October."""
    is_summer = month < 10 or (month == 10 and day < 25)
    return datetime(2026, month, day, hour, tzinfo=UTC) - timedelta(hours=2 if is_summer else 1)


class Book:
    """A store whose tickets are written as they came."""

    def __init__(self, url):
        self.config = settings.parse(CONFIG, Path())
        self.store = Store(url)
        with self.store.write() as connection:
            sync_agents(connection, self.config)
        self.count = 0

    def open(self, at, queue="support", assigned=True, **columns):
        """A ticket that was opened then."""
        self.count += 1
        with self.store.write() as connection:
            return tickets.add(connection, {
                "number": self.count, "ref": f"T-{self.count}", "subject": "Printer", "normal_subject": "printer",
                "description": "", "ticket_type": "question", "source": "email", "submitter_name": "", "submitter_email": "",
                "queue": queue, "requester": "cy@customer.example", "status": "new", "priority": "medium",
                "assigned_to": 1 if assigned else None, "created_at": at, "updated_at": at, **columns,
            }, Random(self.count))  # fmt: skip

    def set(self, id_, status, at):
        """An agent changes its status then."""
        with self.store.write() as connection:
            actions.set_status(connection, self.config, tickets.get(connection, id_), status, "ann", at)

    def report(self, month="2026-10"):
        """The report on a month."""
        with self.store.read() as connection:
            return performance.report_on(connection, self.config, month).as_object()

    def total(self, month, *wanted):
        """Some of its figures."""
        return [self.report(month)["total"][name] for name in wanted]


@pytest.fixture
def book(store_url):
    book = Book(store_url)
    yield book
    book.store.dispose()


def test_a_month_begins_and_ends_in_the_business_time_zone(book):
    book.open(berlin(1, 0) - HOUR)  # 30 September, 23:00
    book.open(berlin(1, 0))
    book.open(berlin(31, 23))
    book.open(berlin(1, 0, month=11))
    report = book.report()
    assert report["total"]["opened"] == 2
    assert report["begin"] == "2026-09-30T22:00:00Z"
    assert report["end"] == "2026-10-31T23:00:00Z"
    assert [n for n, count in enumerate(report["openedByDay"], 1) if count] == [1, 31]


def test_a_ticket_that_was_reopened_counts_in_each_month_as_it_was_then(book):
    ticket = book.open(berlin(5, 10))
    book.set(ticket, "resolved", berlin(6, 10))
    book.set(ticket, "closed", berlin(7, 10))
    book.set(ticket, "open", berlin(2, 10, month=11))
    book.set(ticket, "resolved", berlin(3, 10, month=11))
    assert book.total("2026-10", "opened", "resolved", "closed", "reopened", "backlog") == [1, 1, 1, 0, 0]
    assert book.total("2026-11", "opened", "resolved", "closed", "reopened", "backlog") == [0, 1, 0, 1, 0]
    assert book.total("2026-09", "opened", "backlog") == [0, 0]
    assert [n for n, count in enumerate(book.report()["resolvedByDay"], 1) if count] == [6]


def test_the_backlog_is_that_of_the_months_end_whenever_one_asks(book):
    ticket = book.open(berlin(5, 10))
    other = book.open(berlin(6, 10))
    book.set(other, "resolved", berlin(8, 10))
    assert book.total("2026-10", "backlog") == [1]
    book.set(ticket, "closed", berlin(2, 10, month=11))
    book.set(other, "open", berlin(2, 10, month=11))
    assert book.total("2026-10", "backlog") == [1]
    assert book.total("2026-11", "backlog") == [1]


def test_what_was_merged_away_counts_once_and_spam_not_at_all(book):
    ticket, copy = book.open(berlin(5, 10)), book.open(berlin(5, 11))
    book.open(berlin(5, 12), tags=["spam"])
    with book.store.write() as connection:
        rows = [tickets.get(connection, id_) for id_ in (copy, ticket)]
        merging.merge(connection, *rows, "the same", "ann", berlin(5, 13))
    assert book.total("2026-10", "opened", "closed", "backlog") == [1, 0, 1]


def test_times_are_working_hours_of_the_queue_also_over_the_end_of_summer_time(book):
    friday = berlin(23, 16)
    book.open(friday, first_responded_at=berlin(26, 10))  # Monday after the clocks changed: an hour on each day
    book.open(friday, first_responded_at=berlin(26, 16))
    sold = book.open(friday, "sales", assigned=False, first_responded_at=friday + HOUR)  # works always
    book.set(sold, "resolved", friday + 3 * HOUR)
    by_queue = {queue["queue"]: queue for queue in book.report()["queues"]}
    support, sales = by_queue["support"], by_queue["sales"]
    assert (support["firstResponseHoursMedian"], support["firstResponseHoursP90"]) == (5, 8)
    assert (support["slaKept"], support["slaMissed"], support["slaKeptPercent"]) == (1, 1, 50)
    assert (sales["firstResponseHoursMedian"], sales["resolutionHoursMedian"]) == (1, 3)
    assert sales["slaKeptPercent"] is None
    assert {agent["agent"]: agent["firstResponses"] for agent in book.report()["agents"]} == {"ann": 2, None: 1}


def test_a_resolution_waits_for_nobody(book):
    ticket = book.open(berlin(5, 9), priority="high", clock_stopped_seconds=4 * 3600, satisfaction_rating=5)
    book.set(ticket, "resolved", berlin(6, 11))  # ten working hours later, of which four waited for the customer
    total = book.report()["total"]
    assert (total["resolutionHoursMedian"], total["slaKept"], total["ratings"], total["ratingMean"]) == (6, 1, 1, 5)


def test_what_is_no_month_is_said(book):
    for wrong in ("2026-13", "October", "2026", "9999-12", "0001-01", "2026-10-01"):
        with pytest.raises(UserError, match=r"month|calendar"):
            book.report(wrong)


def test_an_empty_month_has_no_times(book):
    assert json.dumps(book.report("2025-02"))
    assert len(book.report("2024-02")["openedByDay"]) == 29


def test_a_stopwatch_measures_what_its_calendar_does():
    works = calendar(("mon-fri 09:00-12:00", "mon-thu 13:00-17:00"), ("10-26",), "Europe/Berlin")
    first, last = berlin(1, 0), berlin(10, 0, month=11)
    watch = works.stopwatch(first, last)
    moments = [first - DAY + n * 7 * HOUR for n in range(150)]
    for begin, end in zip(moments, moments[7:], strict=False):
        assert watch.between(begin, end) == works.between(begin, end)
        assert watch.between(end, begin) == 0

"""What becomes due, told by advancing the clock: nothing here waits."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from peers.house import ANN, BOB, CONFIG, TestHouse, answer, mail

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.schedule import Schedule
from postroom.desk import actions, due
from postroom.desk.workflow import RESOLVED
from postroom.store import messages, tickets
from postroom.store.engine import Store
from postroom.store.tables import Ticket

CY = "cy@customer.example"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OFFICE = {"hours": ["mon-fri 09:00-17:00"], "time_zone": "Europe/Berlin"}


class DueDesk(TestHouse):
    """A house whose clock is the test's."""

    def after(self, since: timedelta) -> int:
        """Let so much time pass in all, and sweep; how many things were due."""
        self.later = since
        return Schedule(self.house.config, self.store, self.now, self.house.notifier).sweep()

    def now(self) -> datetime:
        """The time, as this desk has it."""
        return house.now() + self.later

    def do(self, action, ticket_id, *arguments):
        """An agent's action, as the command line does it."""
        with self.store.write() as connection:
            ticket = tickets.get(connection, ticket_id)
            for happened in action(connection, ticket, *arguments, "ann", self.now()):
                self.house.notifier.enqueue(connection, happened)
            due.follow_clock(connection, self.house.config, ticket_id, self.now())

    def set_status(self, ticket_id, status):
        """Set the status, as the command line does it."""
        config = self.house.config
        self.do(
            lambda connection, ticket, *rest: actions.set_status(connection, config, ticket, *rest), ticket_id, status
        )

    def activity(self, ticket_id, event):
        """The details of one kind of a ticket's events."""
        with self.store.read() as connection:
            return [e.detail for e in messages.events(connection, ticket_id) if e.event == event]


@pytest.fixture
def desk_with(store_url, tmp_path):
    """Opens a desk whose configuration has these sections; `support` are keys of its queue."""
    with ExitStack() as closing:

        def open_desk(support=None, **changes):
            queue = {**CONFIG["queue"], "support": {**CONFIG["queue"]["support"], **(support or {})}}
            config = settings.parse({**CONFIG, "queue": queue, "store": {"url": store_url}, **changes}, tmp_path)
            return DueDesk(closing.enter_context(house.open_house(config)))

        yield open_desk


def minutes(due_at: datetime, created_at: datetime) -> int:
    return round((due_at - created_at) / timedelta(minutes=1))


# ---------------------------------------------------------------- due times


def test_a_new_ticket_is_due_by_its_queues_promise(desk_with):
    desk = desk_with({"first_response_hours": 4, "resolution_hours": 24})
    ticket = desk.ticket(desk.take(mail()).ticket_id)
    assert minutes(ticket.sla_due_at, ticket.created_at) == 4 * 60


def test_without_a_promise_nothing_is_due(desk_with):
    desk = desk_with()
    assert desk.ticket(desk.take(mail()).ticket_id).sla_due_at is None
    assert desk.after(1000 * DAY) == 0


def test_the_priority_decides_and_a_change_of_it_too(desk_with):
    desk = desk_with({"first_response_hours": {"high": 1, "medium": 4}})
    id_ = desk.take(mail()).ticket_id
    config = desk.house.config.tickets
    for priority, hours in (("medium", 4), ("high", 1), ("low", None)):
        desk.do(lambda c, t, *rest: actions.sort(c, config, t, "priority", *rest), id_, priority)
        ticket = desk.ticket(id_)
        assert (ticket.sla_due_at and minutes(ticket.sla_due_at, ticket.created_at)) == (hours and hours * 60)


def test_a_rules_queue_and_priority_count(desk_with):
    desk = desk_with(
        {"first_response_hours": {"critical": 1, "medium": 8}},
        rule=[{"name": "fire", "when": {"subject": {"contains": "fire"}}, "then": {"priority": "critical"}}],
    )
    ticket = desk.ticket(desk.take(mail()).ticket_id)
    assert minutes(ticket.sla_due_at, ticket.created_at) == 60


def test_the_first_answer_leaves_the_resolution_due_and_waiting_stops_the_clock(desk_with):
    desk = desk_with({"first_response_hours": 4, "resolution_hours": 24})
    id_ = desk.take(mail()).ticket_id
    notice = desk.sent("new_ticket", ANN)
    desk.later = HOUR
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    assert (desk.ticket(id_).status, desk.ticket(id_).sla_due_at) == ("pending_customer", None)
    desk.later = 11 * HOUR  # it waited ten hours for him
    desk.take(answer(desk.sent("reply", CY), "It still burns.\n", CY))
    ticket = desk.ticket(id_)
    assert (ticket.status, minutes(ticket.sla_due_at, ticket.created_at)) == ("open", (24 + 10) * 60)
    desk.set_status(id_, RESOLVED)
    assert desk.ticket(id_).sla_due_at is None


def test_of_spam_and_history_nothing_is_due(desk_with):
    spam = {"name": "r", "when": {"subject": {"contains": "pills"}}, "then": {"spam": True}}
    desk = desk_with({"first_response_hours": 1}, rule=[spam])
    assert desk.ticket(desk.take(mail(subject="Pills")).ticket_id).sla_due_at is None
    assert desk.ticket(desk.take(mail(), archive=True).ticket_id).sla_due_at is None


def test_the_clock_of_history_begins_when_somebody_writes_on_it(desk_with):
    desk = desk_with({"first_response_hours": 4})
    old = "Mon, 6 Nov 2023 09:00:00 +0000"
    opened = desk.take(mail(Message_ID="<old@customer.example>", Date=old), archive=True)
    ticket = desk.ticket(opened.ticket_id)
    assert ticket.created_at.year == 2023
    desk.later = HOUR
    desk.take(mail(subject="Re: Printer on fire", In_Reply_To="<old@customer.example>"))
    due_at = desk.ticket(opened.ticket_id).sla_due_at
    assert timedelta(hours=3.9) < due_at - desk.now() <= timedelta(hours=4.1)
    assert desk.after(HOUR) == 0


QUEUE = settings.Queue(**{key: tuple(value) if isinstance(value, list) else value for key, value in OFFICE.items()},
                       first_response_hours={"high": 1.0, "medium": 4.0}, resolution_hours=16.0)  # fmt: skip


@pytest.mark.parametrize(
    ("priority", "created", "answered", "stopped_hours", "expected"),
    [
        ("high", "2026-11-27T15:30", False, 0, "2026-11-30T08:30"),  # Friday 16:30 to Monday 9:30, in Berlin
        ("medium", "2026-11-23T08:00", False, 0, "2026-11-23T12:00"),
        ("medium", "2026-11-23T08:00", True, 0, "2026-11-24T16:00"),
        ("low", "2026-11-23T08:00", False, 0, "2026-11-24T16:00"),
        ("medium", "2026-11-23T08:00", True, 8, "2026-11-25T16:00"),
    ],
)
def test_due_times_are_working_time(priority, created, answered, stopped_hours, expected):
    works = due.calendar(QUEUE.hours, QUEUE.holidays, QUEUE.time_zone)
    begin = datetime.fromisoformat(created).replace(tzinfo=UTC)
    found = due.next_due(QUEUE, works, priority, begin, answered, stopped_hours * 3600)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


# ---------------------------------------------------------------- overdue


def test_what_is_overdue_is_told_once_to_the_agents(desk_with):
    desk = desk_with({"first_response_hours": 4})
    id_ = desk.take(mail()).ticket_id
    assert desk.after(3 * HOUR) == 0
    assert [desk.after(5 * HOUR), desk.after(6 * HOUR), desk.after(100 * HOUR)] == [1, 0, 0]
    assert sorted(row.recipient for row, _ in desk.outbox(purpose="escalation")) == [ANN, BOB]
    [detail] = desk.activity(id_, "escalated")
    assert detail["what"] == "first response"
    assert "T-1001 is overdue" in desk.sent("escalation", ANN).text


def test_the_queue_names_who_is_told(desk_with):
    desk = desk_with({"first_response_hours": 4, "escalate_to": "bob"})
    id_ = desk.take(mail()).ticket_id
    desk.after(5 * HOUR)
    assert [row.recipient for row, _ in desk.outbox(purpose="escalation")] == [BOB]
    assert desk.ticket(id_).escalated_to == "bob"


def test_a_new_due_time_is_told_of_anew(desk_with):
    desk = desk_with({"first_response_hours": 4, "resolution_hours": 24})
    id_ = desk.take(mail()).ticket_id
    assert desk.after(5 * HOUR) == 1
    desk.do(lambda c, t, *rest: actions.reply(c, t, "Soon.", None, *rest), id_)
    desk.set_status(id_, "open")
    assert desk.after(23 * HOUR) == 0
    assert desk.after(25 * HOUR) == 1
    assert [detail["what"] for detail in desk.activity(id_, "escalated")] == ["first response", "resolution"]


def test_an_escalation_is_answered_like_any_notice(desk_with):
    desk = desk_with({"first_response_hours": 4})
    id_ = desk.take(mail()).ticket_id
    desk.after(5 * HOUR)
    notice = desk.sent("escalation", ANN)
    settled = desk.take(answer(notice), recipient=notice.reply_to[0].address)
    assert (settled.ticket_id, desk.ticket(id_).status) == (id_, "pending_customer")


def test_a_switched_off_escalation_is_still_activity(desk_with):
    desk = desk_with({"first_response_hours": 4}, notify={"escalation": False})
    id_ = desk.take(mail()).ticket_id
    desk.after(5 * HOUR)
    assert (len(desk.activity(id_, "escalated")), desk.outbox(purpose="escalation")) == (1, [])


# ---------------------------------------------------------------- reminders


def waiting_ticket(desk):
    id_ = desk.take(mail()).ticket_id
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    return id_


def test_a_customer_is_reminded_so_often_and_no_more(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 3, "remind_customer_times": 2})
    id_ = waiting_ticket(desk)
    assert [desk.after(days * DAY) for days in (2, 3.5, 4, 6.5, 7, 30)] == [0, 1, 0, 1, 0, 0]
    sent = [mail_ for row, mail_ in desk.outbox(purpose="reminder", state="pending")]
    assert [len(sent), sent[0].header("auto-submitted")] == [2, "auto-generated"]
    assert desk.activity(id_, "reminded")[1]["reminder"] == 2


def test_a_late_sweep_reminds_once(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 1, "remind_customer_times": 1})
    waiting_ticket(desk)
    assert desk.after(30 * DAY) == 1


def test_an_answer_begins_anew(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 3, "remind_customer_times": 1})
    id_ = waiting_ticket(desk)
    assert desk.after(4 * DAY) == 1
    desk.take(answer(desk.sent("reply", CY), "Here.\n", CY))
    assert desk.after(20 * DAY) == 0
    desk.set_status(id_, "pending_customer")
    assert [desk.after(22 * DAY), desk.after(24 * DAY)] == [0, 1]


def test_a_status_of_ones_own_that_waits_reminds_too(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 3}, status={"asked": {"phase": "pending_customer"}})
    id_ = desk.take(mail()).ticket_id
    desk.set_status(id_, "asked")
    assert desk.after(4 * DAY) == 1


def test_a_reminder_is_held_back_by_policy_and_limits_with_the_reason(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 3}, answers={"per_sender_day": 1, "per_sender_hour": 1})
    waiting_ticket(desk)
    for number in range(2):
        desk.take(mail(subject=f"Another {number}"))  # each is confirmed, or would be: the limit is used up
    desk.later = 3.5 * DAY
    desk.take(mail(subject="One more"))
    desk.after(3.5 * DAY)
    [(row, _)] = desk.outbox(purpose="reminder")
    assert (row.state, row.reason.partition(":")[0]) in {("suppressed", "sender-hour"), ("suppressed", "sender-day")}


def test_reminders_can_be_switched_off(desk_with):
    desk = desk_with(tickets={"remind_customer_days": 3}, notify={"reminder": False})
    waiting_ticket(desk)
    desk.after(4 * DAY)
    assert [row.reason for row, _ in desk.outbox(purpose="reminder")] == [
        "switched-off: reminder mails are switched off in the configuration"
    ]


# ---------------------------------------------------------------- closing, following up


@pytest.mark.parametrize("mail_too", [False, True])
def test_a_resolved_ticket_is_closed_after_silence(desk_with, mail_too):
    desk = desk_with(tickets={"close_resolved_days": 7, "close_resolved_mail": mail_too})
    id_ = waiting_ticket(desk)
    desk.set_status(id_, RESOLVED)
    told = len(desk.outbox(purpose="status"))
    assert [desk.after(6 * DAY), desk.ticket(id_).status] == [0, "resolved"]
    desk.after(8 * DAY)
    desk.after(9 * DAY)
    assert desk.ticket(id_).status == "closed"
    assert desk.activity(id_, "status")[-1] == {
        "from": "resolved",
        "to": "closed",
        "why": "nothing happened for 7 days",
    }
    assert len(desk.outbox(purpose="status")) - told == int(mail_too)


def test_a_word_in_between_keeps_it_open(desk_with):
    desk = desk_with(tickets={"close_resolved_days": 7})
    id_ = waiting_ticket(desk)
    desk.set_status(id_, RESOLVED)
    desk.later = 6 * DAY
    desk.take(answer(desk.sent("reply", CY), "No, it burns.\n", CY))
    desk.after(20 * DAY)
    assert desk.ticket(id_).status == "open"


def test_a_ticket_comes_back_when_it_was_to_be_followed_up(desk_with):
    desk = desk_with()
    id_ = desk.take(mail()).ticket_id
    desk.do(actions.follow_up, id_, desk.now() + 2 * DAY)
    assert [desk.after(DAY), desk.after(3 * DAY), desk.after(4 * DAY)] == [0, 1, 0]
    assert (desk.ticket(id_).follow_up_at, len(desk.activity(id_, "follow up"))) == (None, 2)
    assert "looked at again" in desk.sent("follow_up", ANN).text


# ---------------------------------------------------------------- two daemons, many tickets


def test_two_daemons_do_each_thing_once(store_url):
    stores = [Store(store_url), Store(store_url)]
    now = datetime.now(UTC)
    config = settings.parse({"tickets": {"close_resolved_days": 1, "remind_customer_days": 1}}, Path())
    with stores[0].write() as connection:
        for number in range(40):
            status = ("resolved", "pending_customer", "new", "new")[number % 4]
            tickets.add(connection, {
                "number": number, "ref": f"T-{number}", "subject": "", "normal_subject": "", "description": "",
                "ticket_type": "question", "source": "email", "submitter_name": "", "submitter_email": "",
                "queue": "support", "requester": CY, "status": status, "priority": "medium",
                "created_at": now - 9 * DAY, "updated_at": now - 9 * DAY, "resolved_at": now - 9 * DAY,
                "waiting_since": now - 1.5 * DAY if status == "pending_customer" else None,
                "sla_due_at": now - HOUR if number % 4 == 2 else None,
                "follow_up_at": now - HOUR if number % 4 == 3 else None,
            }, Random(number))  # fmt: skip
    done: list[int] = []
    begin = threading.Barrier(2)

    def run(store):
        begin.wait()
        for _ in range(30):
            with store.write() as connection:
                done.extend(one.ticket_id for one in due.sweep(connection, config, now, 3))

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stores[0].read() as connection:
        rows = connection.execute(Ticket.__table__.select()).all()
        events = [len(messages.events(connection, row.id)) for row in rows]
    for store in stores:
        store.dispose()
    assert events == [1] * 40  # each was closed, reminded, escalated or brought back, once
    assert sorted(done) == sorted(row.id for row in rows if row.number % 4)  # closing tells nobody


def test_one_round_does_all_that_is_due_in_handfuls(desk_with):
    desk = desk_with({"first_response_hours": 1})
    for _ in range(60):
        desk.take(mail(), quiet=True)
    assert desk.after(2 * HOUR) == 60

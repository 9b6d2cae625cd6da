"""Which way a mail goes, and what becomes of it while nobody is there to take it."""

import asyncio
from datetime import UTC, datetime

import pytest
from peers.courier import Running, courier_of, put, settings, state, until
from peers.outgoing import desk_in
from peers.smarthost import STALL, Smarthost
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from postroom.outbound import courier as couriers
from postroom.outbound import ways
from postroom.store import outbox, smarthosts


@pytest.fixture
def desk(tmp_path, smarthost):
    with desk_in(tmp_path, settings(smarthost)) as made:
        yield made


def fares(desk):
    with desk.store.read() as connection:
        return {row.name: row for row in smarthosts.states(connection)}


async def test_each_mailbox_has_its_smarthost_and_what_has_none_goes_the_usual_way(tmp_path, smarthost):
    with Smarthost() as other:
        text = settings(smarthost) + settings(other, "smarthost.other")
        sales = "[mailbox.sales]\naddress = 'sales@example.com'\nqueue = 'support'\nsmarthost = 'other'\n"
        with desk_in(tmp_path, text + sales) as desk:
            for number, mailbox in enumerate(("support", "sales", "one that is gone", None), 1):
                put(desk, number, mailbox=mailbox)
            await courier_of(desk).deliver_due()
            assert sorted(taken.message["Subject"] for taken in smarthost.messages) == ["1", "3", "4"]
            assert [taken.message["Subject"] for taken in other.messages] == ["2"]


async def test_a_smarthost_that_is_down_holds_up_only_its_own_mail(tmp_path, smarthost):
    with Smarthost() as other:
        text = settings(smarthost) + settings(other, "smarthost.other")
        sales = "[mailbox.sales]\naddress = 'sales@example.com'\nqueue = 'support'\nsmarthost = 'other'\n"
        with desk_in(tmp_path, text + sales) as desk:
            other.stop()
            for number in range(1, 41):
                put(desk, number, mailbox="sales" if number % 2 else "support")
            await courier_of(desk).deliver_due()
            assert len(smarthost.messages) == 20
            assert {(state(desk, n).state, state(desk, n).attempts) for n in range(1, 41, 2)} == {("pending", 0)}
            assert fares(desk)["smarthost.other"].failing_since == desk.clock()
            assert fares(desk)["outgoing.smtp"].failing_since is None


async def test_while_a_smarthost_is_down_one_mail_asks_and_it_is_said_once(desk, smarthost, monkeypatch):
    monkeypatch.setattr(ways, "PROBE_FIRST", ways.PROBE_FIRST / 50)
    monkeypatch.setattr(ways, "PROBE_MAX", ways.PROBE_FIRST)
    monkeypatch.setattr(couriers, "IDLE_SECONDS", 0.02)
    desk.clock = lambda: datetime.now(UTC)
    smarthost.on("CONNECT", "421 4.3.2 down for repairs")
    for number in range(1, 31):
        put(desk, number)
    with capture_logs() as logs:
        async with Running(courier_of(desk)):
            await until(lambda: smarthost.connections >= 10)
            waiting: list = []

            def all_but_one() -> bool:
                waiting[:] = [row for row in desk.outbox() if row.state == "pending"]
                return len(waiting) >= 29

            await until(all_but_one)
            assert {row.attempts for row in waiting} == {0}
            row = fares(desk)["outgoing.smtp"]
            assert row.failing_since is not None
            assert row.last_error.endswith("the greeting: 421 4.3.2 down for repairs")
            smarthost.reset()
            await until(lambda: {row.state for row in desk.outbox()} == {"sent"})
    assert [log["event"] for log in logs if "smarthost" in log] == ["smarthost down", "smarthost up again"]
    assert fares(desk)["outgoing.smtp"].failing_since is None
    assert {row.attempts for row in desk.outbox()} == {1}
    assert len(smarthost.messages) == 30


async def test_nobody_waits_behind_the_one_that_asks_a_smarthost_which_is_silent(tmp_path, smarthost, monkeypatch):
    monkeypatch.setattr(ways, "PROBE_FIRST", ways.PROBE_FIRST / 50)
    monkeypatch.setattr(couriers, "IDLE_SECONDS", 0.02)
    with Smarthost() as other:
        text = settings(smarthost) + settings(other, "smarthost.other")
        sales = "[mailbox.sales]\naddress = 'sales@example.com'\nqueue = 'support'\nsmarthost = 'other'\n"
        with desk_in(tmp_path, text + sales) as desk:
            desk.clock = lambda: datetime.now(UTC)
            other.on("CONNECT", STALL)
            other.on("CONNECT", "421 4.3.2 down for repairs", times=4)
            for number in range(1, 121):
                put(desk, number, mailbox="sales")
            async with Running(courier_of(desk)):
                await until(lambda: other.connections >= 5)
                put(desk, 200, mailbox="support")
                await until(lambda: state(desk, 200).state == "sent")
                assert other.connections == 5
                other.release()


async def test_a_daemon_that_begins_well_ends_what_the_last_one_complained_of(desk, smarthost):
    smarthost.stop()
    put(desk)
    await courier_of(desk).deliver_due()
    assert fares(desk)["outgoing.smtp"].failing_since is not None
    smarthost.start()
    desk.clock.advance(minutes=1)
    await courier_of(desk).deliver_due()
    row = fares(desk)["outgoing.smtp"]
    assert (row.failing_since, row.last_success_at) == (None, desk.clock())


async def test_a_refused_mail_shows_that_the_way_is_open(desk, smarthost):
    smarthost.on("RCPT", "450 4.2.1 busy")
    put(desk)
    await courier_of(desk).deliver_due()
    assert (state(desk).state, fares(desk)["outgoing.smtp"].failing_since) == ("retry", None)


async def test_a_maildir_that_cannot_be_written_loses_no_mail_an_attempt(tmp_path):
    (tmp_path / "outgoing").write_text("in the way")
    with desk_in(tmp_path) as desk:
        put(desk)
        await courier_of(desk).deliver_due()
        assert (state(desk).state, state(desk).attempts) == ("pending", 0)
        assert state(desk).reason == f"waits for outgoing.maildir: {tmp_path}/outgoing: Not a directory"


# -- how fast


async def test_what_is_over_a_rate_waits_and_goes_out_when_its_turn_comes(tmp_path, smarthost):
    text = settings(smarthost).replace("courier =", "domain_per_minute = 2\ncourier =")
    with desk_in(tmp_path, text) as desk:
        for number in range(1, 6):
            put(desk, number, recipient=f"{number}@{'other.example' if number == 5 else 'example.org'}")
        await courier_of(desk).deliver_due()
        assert [state(desk, n).state for n in range(1, 6)] == ["sent", "sent", "pending", "pending", "sent"]
        assert state(desk, 3).reason == "waits for its turn: at most 2 mails a minute to example.org"
        desk.clock.advance(minutes=1)
        await courier_of(desk).deliver_due()
        assert [state(desk, n).state for n in (3, 4)] == ["sent", "sent"]
        assert {state(desk, n).attempts for n in range(1, 6)} == {1}


# -- what is written down


async def test_an_outcome_that_breaks_the_database_keeps_no_other_from_being_written(desk, smarthost, monkeypatch):
    """A mail that was sent and stays unsettled would be sent again."""
    broken = [2]
    settle = outbox.settle

    def breaks(connection, worker, outcomes, now):
        if broken and any(outcome.id == broken[0] for outcome in outcomes):
            if len(outcomes) == 1:
                broken.clear()
            raise IntegrityError("", {}, ZeroDivisionError("oops"))
        return settle(connection, worker, outcomes, now)

    monkeypatch.setattr(outbox, "settle", breaks)
    monkeypatch.setattr(couriers, "BACKOFF_SECONDS", 0.01)
    for number in range(1, 5):
        put(desk, number)
    await asyncio.wait_for(courier_of(desk).deliver_due(), 20)
    assert [state(desk, n).state for n in range(1, 5)] == ["sent"] * 4
    assert len(smarthost.messages) == 4

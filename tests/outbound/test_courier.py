"""The courier against a scripted smarthost: what is sent, tried again, given up, and never sent twice."""

import asyncio
import contextlib
import re
from datetime import timedelta
from random import Random

import pytest
import structlog
from peers.courier import Running, settings, until
from peers.outgoing import desk_in, mail
from peers.smarthost import CUT, STALL, TAKE_AND_CUT

from postroom.errors import TemporaryFailure
from postroom.outbound.carriers import InDoubt
from postroom.outbound.courier import DOUBT, Courier
from postroom.store import outbox, tables

log = structlog.get_logger()


@pytest.fixture
def desk(tmp_path, smarthost):
    with desk_in(tmp_path, settings(smarthost)) as made:
        yield made


def courier_of(desk, **options):
    return Courier(
        desk.config,
        desk.store,
        options.pop("credentials", {}),
        desk.clock,
        Random(1),
        log,
        notifier=desk.notifier,
        **options,
    )


def put(desk, number=1, automatic=False, recipient="ann@example.org", raw=None):
    """A delivery on a ticket of its own."""
    ticket = desk.receive(mail(message_id=f"{number}@example.org"), enqueue=False).ticket
    raw = raw or f"Message-ID: <{number}@example.com>\r\nSubject: {number}\r\n\r\nHello {number}.\r\n".encode()
    with desk.store.write() as connection:
        outbox.enqueue(connection, [outbox.NewDelivery(
            number, ticket, None, "confirmation" if automatic else "reply", automatic, "support", recipient, desk.clock(), "s",
            f"support+{number}@example.com", f"{number}@example.com", f"{number:063x}f", raw,
        )])  # fmt: skip


def state(desk, number=1):
    with desk.store.read() as connection:
        return outbox.by_key(connection, number)


def events(desk):
    return [event.event for event in desk.rows(tables.Event) if event.event in ("sent", "failed")]


async def test_mail_is_handed_over_as_it_was_frozen(desk, smarthost):
    put(desk, raw=b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\nlast\r\n")
    await courier_of(desk).deliver_due()
    (taken,) = smarthost.messages
    assert taken.content == b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\nlast\r\n"
    assert (taken.sender, taken.recipients) == ("support+1@example.com", ("ann@example.org",))
    row = state(desk)
    assert (row.state, row.reason, row.attempts, row.in_doubt_at) == ("sent", "250 2.0.0 taken", 1, None)
    assert events(desk) == ["sent"]


async def test_connections_are_used_again(desk, smarthost):
    for number in range(1, 31):
        put(desk, number)
    await courier_of(desk).deliver_due()
    assert len(smarthost.messages) == 30
    assert smarthost.connections <= desk.config.outgoing.smtp.connections
    assert smarthost.commands["QUIT"] == smarthost.connections


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("reply", ["421 4.3.2 going down", "450 4.2.1 busy"])
async def test_a_temporary_refusal_is_tried_again_later(desk, smarthost, verb, reply):
    smarthost.on(verb, reply, times=1)
    put(desk)
    await courier_of(desk).deliver_due()
    row = state(desk)
    assert (row.state, row.in_doubt_at) == ("retry", None)
    assert reply in row.reason
    assert timedelta(minutes=3) < row.next_attempt_at - desk.clock() < timedelta(minutes=7)
    desk.clock.advance(minutes=7)
    await courier_of(desk).deliver_due()
    assert len(smarthost.messages) == 1
    assert state(desk).state == "sent"


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_final_refusal_fails_at_once_and_agents_are_told(desk, smarthost, verb):
    smarthost.on(verb, "550 5.1.1 no such user", times=1)
    put(desk)
    await courier_of(desk).deliver_due()
    assert (state(desk).state, state(desk).reason) == ("failed", "550 5.1.1 no such user")
    assert events(desk)[0] == "failed"
    assert sorted(taken.recipients[0] for taken in smarthost.messages) == ["bob@example.com", "cora@example.com"]
    assert {taken.message["Auto-Submitted"] for taken in smarthost.messages} == {"auto-generated"}


async def test_an_automatic_mail_that_is_refused_is_told_to_nobody(desk, smarthost):
    smarthost.on("RCPT", "550 5.7.1 not wanted")
    put(desk, automatic=True)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "failed"
    assert [row.purpose for row in desk.outbox()] == ["confirmation"]


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO"])
@pytest.mark.parametrize("action", ["554 5.7.1 not you", "421 4.3.2 going down", "450 4.2.1 busy", CUT])
async def test_a_server_that_refuses_us_loses_us_no_mail_and_no_attempt(desk, smarthost, verb, action):
    smarthost.on(verb, action, times=1)
    put(desk)
    await courier_of(desk).deliver_due()
    row = state(desk)
    assert (row.state, row.attempts) == ("pending", 0)
    assert row.reason.startswith(f"waits for outgoing.smtp: 127.0.0.1:{smarthost.port}: ")
    assert (action if isinstance(action, str) else "closed") in row.reason
    assert timedelta(0) < row.next_attempt_at - desk.clock() < timedelta(seconds=10)
    desk.clock.advance(minutes=1)
    await courier_of(desk).deliver_due()
    assert (state(desk).state, len(smarthost.messages)) == ("sent", 1)


@pytest.mark.parametrize("automatic", [False, True])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_cut_before_the_content_is_tried_again(desk, smarthost, verb, automatic):
    smarthost.on(verb, CUT, times=1)
    put(desk, automatic=automatic)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "retry"
    desk.clock.advance(minutes=7)
    await courier_of(desk).deliver_due()
    assert (state(desk).state, len(smarthost.messages)) == ("sent", 1)


@pytest.mark.parametrize("fault", [CUT, TAKE_AND_CUT])
async def test_in_doubt_people_are_written_to_again_with_identical_bytes(desk, smarthost, fault):
    smarthost.on("DOT", fault, times=1)
    put(desk)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "retry"
    desk.clock.advance(minutes=7)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "sent"
    assert len(smarthost.messages) == (2 if fault is TAKE_AND_CUT else 1)
    assert len({taken.content for taken in smarthost.messages}) == 1


@pytest.mark.parametrize("fault", [CUT, TAKE_AND_CUT])
async def test_in_doubt_automatic_mail_is_not_sent_again(desk, smarthost, fault):
    smarthost.on("DOT", fault, times=1)
    put(desk, automatic=True)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "failed"
    assert state(desk).reason.startswith(DOUBT)
    desk.clock.advance(days=1)
    await courier_of(desk).deliver_due()
    assert len(smarthost.messages) == (1 if fault is TAKE_AND_CUT else 0)


@pytest.mark.parametrize(
    ("verb", "after"), [("MAIL", "retry"), ("RCPT", "retry"), ("DATA", "retry"), ("DOT", "failed")]
)
async def test_a_server_that_falls_silent_is_not_waited_for(tmp_path, smarthost, verb, after):
    with desk_in(tmp_path, settings(smarthost, timeout_seconds=0.2, data_seconds=0.2, dot_seconds=0.2)) as desk:
        smarthost.on(verb, STALL)
        put(desk, automatic=True)
        await courier_of(desk).deliver_due()
        assert state(desk).state == after
        assert "silent" in state(desk).reason


async def test_one_bad_recipient_hurts_only_himself(desk, smarthost):
    smarthost.on("RCPT", "550 5.1.1 no such user", match="bad@")
    smarthost.on("RCPT", "450 4.2.1 busy", match="later@")
    for number, recipient in enumerate(
        ("good@example.org", "bad@example.org", "later@example.org", "fine@example.org"), 1
    ):
        put(desk, number, recipient=recipient, automatic=True)
    await courier_of(desk).deliver_due()
    assert [state(desk, number).state for number in (1, 2, 3, 4)] == ["sent", "failed", "retry", "sent"]


async def test_mail_is_given_up_after_five_days_and_agents_are_told(desk, smarthost):
    smarthost.on("RCPT", "450 4.2.1 busy", match="ann@")
    put(desk)
    tries = 0
    while state(desk).state != "failed":
        await courier_of(desk).deliver_due()
        desk.clock.advance(hours=5)
        tries += 1
        assert tries < 100
    assert re.fullmatch(r"gave up after \d+ attempts: 450 4.2.1 busy", state(desk).reason)
    assert {row.recipient for row in desk.outbox("undeliverable")} == {"bob@example.com", "cora@example.com"}


async def test_an_address_that_is_not_ascii_needs_smtputf8(desk, smarthost):
    put(desk, recipient="jörg@exämple.org")
    await courier_of(desk).deliver_due()
    assert smarthost.messages[0].recipients == ("jörg@exämple.org",)


async def test_a_domain_that_is_not_ascii_needs_nothing_of_the_server(desk, smarthost):
    put(desk, recipient="ann@exämple.org")
    await courier_of(desk).deliver_due()
    assert smarthost.messages[0].recipients == ("ann@xn--exmple-cua.org",)


async def test_an_odd_local_part_is_quoted_on_the_way(desk, smarthost):
    put(desk, recipient="a..b.@example.org")
    await courier_of(desk).deliver_due()
    assert smarthost.messages[0].recipients == ('"a..b."@example.org',)


async def test_a_notice_that_cannot_be_written_keeps_no_outcome_from_being_written(desk, smarthost, monkeypatch):
    def broken(connection, delivery, reason):
        outbox.note(connection, delivery, "half a notice", desk.clock(), reason)
        raise ZeroDivisionError

    monkeypatch.setattr(desk.notifier, "undeliverable", broken)
    smarthost.on("RCPT", "550 5.1.1 no such user")
    put(desk)
    await courier_of(desk).deliver_due()
    assert state(desk).state == "failed"
    assert "half a notice" not in [event.event for event in desk.rows(tables.Event)]


# -- the loop


async def test_it_sends_what_is_enqueued_while_it_runs(desk, smarthost):
    async with Running(courier_of(desk)) as running:
        await asyncio.sleep(0)
        for number in range(1, 6):
            await asyncio.to_thread(put, desk, number)
            await asyncio.to_thread(running.courier.wake)
        await until(lambda: len(smarthost.messages) == 5)
        await until(lambda: all(state(desk, number).state == "sent" for number in range(1, 6)))


async def test_more_than_a_batch_is_sent_without_waiting(tmp_path, smarthost):
    with desk_in(tmp_path, settings(smarthost).replace("courier", "batch = 5\ncourier")) as desk:
        for number in range(1, 24):
            put(desk, number)
        async with Running(courier_of(desk)):
            await until(lambda: len(smarthost.messages) == 23)


async def test_waking_it_before_it_runs_or_after_is_harmless(desk):
    courier = courier_of(desk)
    courier.wake()
    async with Running(courier):
        pass
    courier.wake()


async def test_when_it_is_stopped_what_is_in_flight_ends(desk, smarthost):
    smarthost.on("DOT", STALL)
    put(desk)
    running = Running(courier_of(desk))
    async with running:
        await until(lambda: smarthost.commands["DOT"] == 1)
        running.stop.set()
        smarthost.release()
    assert state(desk).state == "sent"


async def test_when_it_is_stopped_what_does_not_end_is_given_back(desk, smarthost, monkeypatch):
    monkeypatch.setattr("postroom.outbound.courier.GRACE_SECONDS", 0.1)
    smarthost.on("DOT", STALL, match="1@")
    smarthost.on("RCPT", STALL, match="bob@")
    put(desk, 1, automatic=True)
    put(desk, 2)
    put(desk, 3, automatic=True, recipient="bob@example.org")
    async with Running(courier_of(desk)):
        await until(lambda: smarthost.commands["DOT"] == 2 and smarthost.commands["RCPT"] == 3)
    assert [state(desk, number).state for number in (1, 2, 3)] == ["failed", "sent", "pending"]
    assert state(desk, 1).reason == DOUBT
    assert state(desk, 3).attempts == 0


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize(
    ("where", "people", "machines"),
    [
        ("courier-claimed", 1, 1),
        ("courier-before-doubt", 1, 1),
        ("courier-in-doubt", 1, 0),  # nobody can know that the content was not sent
        ("courier-carried", 2, 1),
    ],
)
@pytest.mark.parametrize("automatic", [False, True])
async def test_a_crash_sends_people_their_mail_again_and_machines_at_most_once(
    desk, smarthost, where, people, machines, automatic
):
    put(desk, automatic=automatic)

    def die(name):
        if name == where:
            raise Crash

    courier = courier_of(desk, failpoint=die)
    with contextlib.suppress(Crash):
        await courier.deliver_due()
    await asyncio.gather(*courier._in_flight.values(), return_exceptions=True)
    await courier._ways.close()  # as the end of a process does
    assert state(desk).state == "sending"
    await courier_of(desk).deliver_due()
    assert len(smarthost.messages) == (machines if automatic else people)
    assert len({taken.content for taken in smarthost.messages}) <= 1
    assert state(desk).state == ("failed" if automatic and where in ("courier-in-doubt", "courier-carried") else "sent")


class Broken:
    """A carrier that breaks in a way that nobody foresaw."""

    connections = 2

    def __init__(self, error):
        self.error = error

    async def carry(self, delivery, before_dot):
        raise self.error

    async def close(self):
        pass


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("oops"), OSError(28, "No space left on device"), TemporaryFailure("busy"), InDoubt("cut")],
)
async def test_an_error_that_nobody_classified_is_temporary(desk, error):
    put(desk)
    await courier_of(desk, carrier=Broken(error)).deliver_due()
    assert state(desk).state == "retry"


# -- many daemons


async def test_couriers_on_one_postgresql_share_the_work_and_send_each_mail_once(tmp_path, smarthost, migrated_url):
    with desk_in(tmp_path, settings(smarthost).replace("courier", "batch = 7\ncourier"), url=migrated_url) as desk:
        for number in range(1, 61):
            put(desk, number)
        async with Running(courier_of(desk)), Running(courier_of(desk)):
            await until(lambda: len(smarthost.messages) >= 60)
        assert sorted(int(taken.message["Subject"]) for taken in smarthost.messages) == list(range(1, 61))
        assert {row.state for row in desk.outbox()} == {"sent"}


# -- through a real Postfix


async def test_postfix_takes_what_we_hand_it_and_changes_nothing_below_its_trace(tmp_path, smarthost, start_postfix):
    postfix = start_postfix(default=(smarthost.host, smarthost.port))
    with desk_in(tmp_path, settings(postfix)) as desk:
        desk.receive(mail(subject="Größe", reply_text="Grüße, " * 300))
        await courier_of(desk).deliver_due()
        assert {row.state for row in desk.outbox()} == {"sent"}
        await until(lambda: len(smarthost.messages) == 3)
        frozen = {row.recipient: desk.raw(row) for row in desk.outbox()}
        for taken in smarthost.messages:
            assert taken.content.endswith(frozen[taken.recipients[0]])


# -- into a Maildir


async def test_the_maildir_courier_delivers_what_the_desk_says(tmp_path):
    with desk_in(tmp_path) as desk:
        desk.receive(mail())
        await courier_of(desk).deliver_due()
        await courier_of(desk).deliver_due()
        written = sorted((tmp_path / "outgoing" / "new").iterdir())
        assert len(written) == 3
        assert {row.state for row in desk.outbox()} == {"sent"}
        assert all(str(row.reason).startswith("in the Maildir") for row in desk.outbox())

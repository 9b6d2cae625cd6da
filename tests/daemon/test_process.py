"""Batches: claimed, parsed by real workers that may die, and written in one transaction; each message by itself where one breaks."""

import hashlib
import random
import threading
from datetime import timedelta

import pytest
from peers import poison
from peers.house import SUPPORT, mail, open_test_house
from sqlalchemy import event, text, update
from structlog.testing import capture_logs

from postroom.config import Processing
from postroom.daemon import house, process
from postroom.daemon.ingest import PATIENT_SECONDS
from postroom.daemon.process import CLAIMS_MAX, LEASE, Processor
from postroom.daemon.workers import Workers
from postroom.errors import TemporaryFailure
from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.tables import InboundEmail


@pytest.fixture(scope="module")
def poisoned():
    """Workers that a mail with the words `boom segfault` kills."""
    with Workers(Processing(workers=1), poison.parse) as workers:
        yield workers


@pytest.fixture(scope="module")
def real():
    with Workers(Processing(workers=1)) as workers:
        yield workers


class Clock:
    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return house.now() + self.ahead


@pytest.fixture
def clock():
    return Clock()


def accept(desk, *raws):
    with desk.store.write() as connection:
        new = [
            inbound.NewInbound(
                "support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "cy@customer.example", house.now()
            )
            for raw in raws
        ]
        return [accepted.id for accepted in inbound.accept(connection, new)]


def processor(desk, workers, clock):
    desk.store.busy_seconds = PATIENT_SECONDS  # as an import has it: no daemon tries again here on a busy machine
    return Processor(desk.house.config, desk.store, workers, desk.house.reception, clock)


def row(desk, id_):
    with desk.store.read() as connection:
        return inbound.get(connection, id_)


def test_what_is_pending_becomes_tickets_oldest_first(desk, real, clock):
    accept(desk, *(mail(f"c{n}@customer.example", subject=f"Question {n}") for n in range(120)))
    assert processor(desk, real, clock).drain() == {"opened": 120}
    assert [t.subject for t in desk.tickets()] == [f"Question {n}" for n in range(120)]


def test_a_message_that_breaks_its_worker_three_times_is_quarantined_and_the_rest_flows_on(desk, poisoned, clock):
    before, bad, after = accept(desk, b"before\n", b"boom segfault\n", b"after\n")
    process = processor(desk, poisoned, clock)
    assert process.drain() + process.drain() == {
        "opened": 2
    }  # PostgreSQL's claim of the next batch does not wait for this one
    assert (row(desk, bad).state, row(desk, bad).attempts) == ("pending", 2)  # the second attempt came at once
    clock.ahead = timedelta(minutes=1)
    assert process.drain() == {"quarantined": 1}
    found = row(desk, bad)
    assert (found.state, found.attempts, found.reason) == ("quarantined", 3, "the parse worker died (signal 11)")
    assert [row(desk, id_).state for id_ in (before, after)] == ["processed", "processed"]
    with desk.store.read() as connection:
        assert inbound.raw(connection, bad) == b"boom segfault\n"


def test_what_was_quarantined_can_be_tried_again(desk, poisoned, real, clock):
    (id_,) = accept(desk, mail(text="boom segfault\n"))
    process = processor(desk, poisoned, clock)
    for _ in range(3):
        process.drain()
        clock.ahead += timedelta(minutes=1)
    assert row(desk, id_).state == "quarantined"
    with desk.store.write() as connection:
        assert inbound.retry(connection, id_)
    assert processor(desk, real, clock).drain() == {"opened": 1}
    assert row(desk, id_).state == "processed"


def test_an_attempt_is_counted_before_parsing(desk, clock):
    (id_,) = accept(desk, mail())
    with desk.store.write() as connection:
        inbound.claim(connection, "a daemon that dies now", clock(), LEASE, 50)
    assert (row(desk, id_).state, row(desk, id_).attempts) == ("processing", 1)


@pytest.mark.parametrize(
    "store_url", ["sqlite"], indirect=True
)  # PostgreSQL judges by its own clock: test_two_daemons.py
def test_what_a_dead_daemon_had_claimed_is_taken_over_when_its_lease_ends_and_not_before(desk, real, clock):
    (id_,) = accept(desk, mail())
    with desk.store.write() as connection:
        inbound.claim(connection, "dead", clock(), LEASE, 50)
    process = processor(desk, real, clock)
    assert process.drain() == {}
    clock.ahead = LEASE + timedelta(seconds=1)
    assert process.drain() == {"opened": 1}
    assert row(desk, id_).attempts == 2


def test_innocent_mail_is_not_quarantined_however_often_the_daemon_dies(desk, real, clock):
    (id_,) = accept(desk, mail())
    with desk.store.write() as connection:
        connection.execute(update(InboundEmail).values(attempts=CLAIMS_MAX - 1))
    assert processor(desk, real, clock).drain() == {"opened": 1}
    assert row(desk, id_).failures == 0


def test_a_message_that_takes_the_daemon_with_it_again_and_again_is_quarantined(desk, real, clock):
    (id_,) = accept(desk, mail())
    with desk.store.write() as connection:
        connection.execute(update(InboundEmail).values(attempts=CLAIMS_MAX))
    assert processor(desk, real, clock).drain() == {"quarantined": 1}
    assert "without an end" in row(desk, id_).reason


def test_a_message_that_the_store_refuses_leaves_nothing_of_itself_and_the_rest_flows_on(desk, real, clock):
    def refuse(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO message") and "refuse me" in str(parameters):
            raise ValueError("the store cannot hold this")

    event.listen(desk.store.engine, "before_cursor_execute", refuse)
    good, bad = accept(desk, mail(text="fine\n"), mail(text="refuse me\n"))
    process = processor(desk, real, clock)
    assert process.drain() + process.drain() == {"opened": 1}
    clock.ahead += timedelta(minutes=1)
    assert process.drain() == {"quarantined": 1}
    assert row(desk, good).state == "processed"
    assert "the store cannot hold this" in row(desk, bad).reason
    assert [t.description for t in desk.tickets()] == ["fine"]
    with desk.store.read() as connection:
        assert connection.execute(text("select count(*) from thread_ref where kind = 'message'")).scalar_one() == 1 + 3


def test_a_batch_in_which_nothing_breaks_needs_one_savepoint(desk, real, clock):
    savepoints = []
    event.listen(
        desk.store.engine, "before_cursor_execute",
        lambda connection, cursor, statement, *_: savepoints.append(statement) if "SAVEPOINT" in statement else None,
    )  # fmt: skip
    accept(desk, *(mail(f"c{n}@customer.example") for n in range(3)))
    assert processor(desk, real, clock).drain() == {"opened": 3}
    assert savepoints == ["SAVEPOINT message", "RELEASE SAVEPOINT message"]


def test_what_was_written_before_one_broke_is_there_once_and_said_once(desk, real, clock):
    good, bad, later = accept(desk, mail(text="fine\n"), mail(text="refuse me\n"), mail(text="fine, too\n"))

    def refuse(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO message") and "refuse me" in str(parameters):
            raise ValueError("the store cannot hold this")

    event.listen(desk.store.engine, "before_cursor_execute", refuse)
    with capture_logs() as logs:
        assert processor(desk, real, clock).drain() == {"opened": 2}
    assert [(ticket.number, ticket.description) for ticket in desk.tickets()] == [(1001, "fine"), (1002, "fine, too")]
    said = [(line["event"], line["inbound"]) for line in logs if "inbound" in line]
    assert [(event, id_) for event, id_ in said if id_ != bad] == [("opened", good), ("opened", later)]
    broke = row(desk, bad)
    assert (broke.state, broke.attempts) == ("pending", broke.failures)
    assert [event for event, id_ in said if id_ == bad] == ["broken", "deferred"] * broke.failures


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # PostgreSQL's troubles: test_postgresql_faults.py
def test_trouble_with_the_database_counts_against_no_message(desk, real, clock):
    (id_,) = accept(desk, mail())
    broken = True

    def fail(connection, cursor, statement, parameters, context, executemany):
        if broken and statement.startswith("INSERT INTO ticket"):
            cursor.execute("select * from no_such_table")

    event.listen(desk.store.engine, "before_cursor_execute", fail)
    process = processor(desk, real, clock)
    with pytest.raises(TemporaryFailure):
        process.drain()
    broken = False
    assert process.drain() == {"opened": 1}
    assert (row(desk, id_).attempts, row(desk, id_).failures) == (1, 0)


def test_stopping_gives_back_what_was_not_done(desk, real, clock):
    ids = accept(desk, *(mail(f"c{n}@customer.example") for n in range(200)))
    process = processor(desk, real, clock)
    process.start()
    process.stop(30)
    states = [row(desk, id_).state for id_ in ids]
    assert set(states) <= {"processed", "pending"}
    assert processor(desk, real, clock).drain().total() == states.count("pending")
    assert {row(desk, id_).attempts for id_ in ids} == {1}


def test_what_an_exception_quotes_never_stops_the_others(desk, real, clock):
    good, bad = accept(desk, mail(text="fine\n"), mail(text="odd\n"))

    def refuse(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO message") and "odd" in str(parameters):
            raise ValueError("it holds \ud800, \0 and\nmore")

    event.listen(desk.store.engine, "before_cursor_execute", refuse)
    process = processor(desk, real, clock)
    assert process.drain() + process.drain() == {"opened": 1}
    clock.ahead += timedelta(minutes=1)
    assert process.drain() == {"quarantined": 1}
    assert row(desk, bad).reason == "processing failed: ValueError: it holds ?, ? and"
    assert row(desk, good).state == "processed"


def test_mail_of_a_mailbox_that_was_removed_waits_in_quarantine_with_the_way_out(store_url, tmp_path, real, clock):
    with open_test_house(tmp_path, store={"url": store_url}) as desk:
        (id_,) = accept(desk, mail())
    only = {"address": "sales@example.com", "queue": "sales"}
    with open_test_house(tmp_path, store={"url": store_url}, mailbox={"sales": only}) as desk:
        process = processor(desk, real, clock)
        for _ in range(3):
            process.drain()
            clock.ahead += timedelta(minutes=1)
        assert row(desk, id_).state == "quarantined"
        assert row(desk, id_).reason.endswith(
            "the configuration has no [mailbox.support] any more; put it back, and retry"
        )


def test_two_deaths_of_the_daemon_and_one_broken_worker_quarantine_nothing(desk, poisoned, clock):
    (id_,) = accept(desk, b"boom segfault\n")
    with desk.store.write() as connection:
        connection.execute(update(InboundEmail).values(attempts=2))
    process = processor(desk, poisoned, clock)
    process.drain()
    process.drain()
    assert (row(desk, id_).state, row(desk, id_).failures) == ("pending", 2)


def test_large_mails_are_claimed_few_at_a_time(desk, clock):
    accept(desk, *(mail(text=f"{n} " + "x" * (20 << 20)) for n in range(4)))
    with desk.store.write() as connection:
        assert len(inbound.claim(connection, "one", clock(), LEASE, 50)) == 3


def test_a_message_id_as_long_as_a_line_stops_nobody_on_postgresql(tmp_path, migrated_url, real, clock):
    """Four octets a character, and nothing that compresses: more than PostgreSQL takes into an index."""
    chance = random.Random(1)
    long = "".join(chr(chance.randrange(0x10000, 0x10FFFF)) for _ in range(980))
    with open_test_house(tmp_path, store={"url": migrated_url}) as desk:
        odd = mail(Message_ID="").replace(b"Subject:", f"References: <{long}@x.example>\r\nSubject:".encode(), 1)
        accept(desk, mail(), odd, mail("di@customer.example"))
        assert processor(desk, real, clock).drain() == {"opened": 3}


def count_transactions(store, monkeypatch):
    """How many write transactions of the store have begun, in a list of one number."""
    begun, write = [0], store.write

    def counted(**how):
        begun[0] += how.get("alone", False)
        return write(**how)

    monkeypatch.setattr(store, "write", counted)
    return begun


@pytest.mark.parametrize(
    ("is_wanted", "enough", "taking", "at_most", "transactions"),
    [
        (False, 0.0, 0.0, 0.0, 1),
        (True, 0.0, 0.0, 3600.0, 6),
        (True, 3600.0, 0.0, 0.0, 1),
        (True, 0.0, 3600.0, 3600.0, 1),  # a crowd, whose mail takes its time
        (True, 0.0, 3600.0, 0.0, 6),  # a disk that stood still
    ],
)
def test_a_batch_ends_behind_a_message_where_a_sender_waits_and_it_has_written_enough(
    desk, real, clock, monkeypatch, is_wanted, enough, taking, at_most, transactions
):
    accept(desk, *(mail(f"c{n}@customer.example", subject=f"Question {n}") for n in range(6)))
    begun = count_transactions(desk.store, monkeypatch)
    monkeypatch.setattr(process, "YIELD_SECONDS", enough)
    monkeypatch.setattr(process, "CROWD_YIELD_SECONDS", at_most)
    desk.store.urgent_seconds = taking
    monkeypatch.setattr(Store, "is_wanted", is_wanted)
    assert processor(desk, real, clock).drain() == {"opened": 6}
    assert begun == [transactions]


def test_processing_goes_on_however_many_senders_come(desk, real, clock):
    """Somebody urgent asks for the store again as soon as he has had it."""
    accept(desk, *(mail(f"c{n}@customer.example", subject=f"Question {n}") for n in range(30)))
    over = threading.Event()

    def come():
        while not over.is_set():
            with desk.store.write(urgent=True) as connection:
                connection.execute(text("SELECT 1"))

    coming = threading.Thread(target=come)
    coming.start()
    try:
        assert processor(desk, real, clock).drain() == {"opened": 30}
    finally:
        over.set()
        coming.join()


def test_what_a_claim_reads_holds_nobody_up(desk, real, clock, monkeypatch):
    """The raw bytes of a batch, up to 64 MiB, are read when its claim has been committed."""
    accept(desk, mail())
    load, was_free = inbound.load_claimed, []

    def loading(connection, ids):
        was_free.append(desk.store._turns.take(0))
        if was_free[-1]:
            desk.store._turns.hand_over()
        return load(connection, ids)

    monkeypatch.setattr(inbound, "load_claimed", loading)
    assert processor(desk, real, clock).drain() == {"opened": 1}
    assert was_free == [True]

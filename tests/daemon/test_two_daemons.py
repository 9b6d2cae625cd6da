"""Two daemons on one PostgreSQL: they share the work, each mail has its effect once, and a thread makes one ticket."""

import hashlib
import random
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from peers import threads
from peers.house import CONFIG, SUPPORT, TestHouse, mail
from peers.processes import wait_until
from peers.processor import drain_together
from sqlalchemy import func, select, text, update

from postroom import config as settings
from postroom.config import Processing
from postroom.daemon import house
from postroom.daemon.process import Processor
from postroom.daemon.receive import receive
from postroom.daemon.workers import Workers
from postroom.errors import TemporaryFailure
from postroom.parsers.email import parse
from postroom.store import inbound
from postroom.store.tables import InboundEmail, Message, Ticket

TOML = """
[store]
url = "{url}"
[processing]
batch = {batch}
workers = 1
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
LEASE = timedelta(minutes=10)


@pytest.fixture
def url(migrated_url):
    return migrated_url


@contextmanager
def desk_at(url, folder):
    with house.open_house(settings.parse({**CONFIG, "store": {"url": url}}, folder)) as opened:
        yield TestHouse(opened)


def accept(desk, raws, **options):
    with desk.store.write() as connection:
        new = [
            inbound.NewInbound(
                "support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "cy@cy.example", house.now(), **options
            )
            for raw in raws
        ]  # fmt: skip
        return [accepted.id for accepted in inbound.accept(connection, new)]


def processor(desk, workers):
    return Processor(desk.house.config, desk.store, workers, desk.house.reception, house.now)


def rows(desk):
    query = select(InboundEmail.id, InboundEmail.state, InboundEmail.failures, InboundEmail.duplicate_of)
    with desk.store.read() as connection:
        return {row.id: row for row in connection.execute(query)}


@pytest.mark.parametrize("seed", range(2))
def test_replies_that_arrive_at_once_in_two_daemons_make_one_ticket(url, tmp_path, seed):
    shuffle = random.Random(seed)
    letters = threads.conversations(shuffle, threads=30, mails=240)
    raws = [letter.raw for letter in letters] + [b"Received: by b\r\n" + letter.raw for letter in letters[::4]]
    shuffle.shuffle(raws)  # the copies that came by another way among them
    configs = [tmp_path / "one.toml", tmp_path / "two.toml"]
    for path in configs:
        path.write_text(TOML.format(url=url, batch=10))
    with desk_at(url, tmp_path) as desk:
        accept(desk, raws)
        counts = drain_together(configs)
        total = {key: sum(one.get(key, 0) for one in counts) for key in ("opened", "added", "duplicate")}
        assert total == {"opened": 30, "added": 210, "duplicate": 60}
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )
        assert {row.failures for row in rows(desk).values()} == {0}
        with desk.store.read() as connection:
            messages = select(func.count(), func.count(Message.inbound_id.distinct())).select_from(Message)
            assert connection.execute(messages).one() == (240, 240)
            numbers = connection.execute(select(Ticket.number).order_by(Ticket.number)).scalars().all()
        assert numbers == list(range(1001, 1001 + len(numbers)))


def test_threads_that_only_later_mail_joins_are_one_in_two_daemons_too(url, tmp_path):
    """An archive: references are cut, so that many threads begin as several tickets."""
    shuffle = random.Random(11)
    letters = threads.archive(shuffle, threads=20, mails=160, unseen=0)
    configs = [tmp_path / "one.toml", tmp_path / "two.toml"]
    for path in configs:
        path.write_text(TOML.format(url=url, batch=5))
    with desk_at(url, tmp_path) as desk:
        accept(desk, [letter.raw for letter in shuffle.sample(letters, len(letters))], archive=True)
        counts = drain_together(configs)
        assert sum(sum(one.values()) for one in counts) == 160
        assert sum(one["opened"] for one in counts) > 20
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )


def test_two_daemons_claim_different_mail_and_neither_waits(url, tmp_path):
    with desk_at(url, tmp_path) as desk:
        ids = accept(desk, [mail(subject=f"Question {n}") for n in range(6)])
        with desk.store.write() as one, desk.store.write() as two:
            first = inbound.claim(one, "one", house.now(), LEASE, 4)
            second = inbound.claim(two, "two", house.now(), LEASE, 4)
        assert (first, second) == (ids[:4], ids[4:])
        with desk.store.write() as connection:
            assert inbound.claim(connection, "three", house.now(), LEASE, 4) == []


def test_a_daemon_whose_lease_ran_out_leaves_the_mail_to_the_one_that_took_it(url, tmp_path):
    with desk_at(url, tmp_path) as desk, Workers(Processing(workers=1)) as workers:
        [id_] = accept(desk, [mail()])
        late = processor(desk, workers)
        batch = late._next()
        with desk.store.write() as connection:
            assert inbound.claim(connection, "other", house.now() + 2 * LEASE, LEASE, 10) == []  # its clock is wrong
            connection.execute(update(InboundEmail).values(claimed_until=house.now() - LEASE))
            assert inbound.claim(connection, "other", house.now(), LEASE, 10)
        assert late._apply(batch) == {}
        assert rows(desk)[id_].state == "processing"
        assert desk.tickets() == []


def test_a_copy_that_was_faster_makes_this_one_a_duplicate_and_no_failure(url, tmp_path):
    """The faster one writes without the lock, as a daemon of another version would."""
    raw = mail()
    with desk_at(url, tmp_path) as desk, Workers(Processing(workers=1)) as workers:
        first, second = accept(desk, [raw, b"Received: by b\r\n" + raw])
        with desk.store.write() as connection:
            [claimed] = inbound.load_claimed(connection, inbound.claim(connection, "other", house.now(), LEASE, 1))
        slow = processor(desk, workers)
        drained = threading.Thread(target=slow.drain)
        with desk.store.write() as connection:
            settled = receive(connection, desk.house.reception(connection), claimed, parse(raw), house.now())
            inbound.settle(connection, [settled.row(house.now())])
            drained.start()
            wait_until(lambda: waits_for_a_row(desk), "the slower one waits")
        drained.join(60)
        found = rows(desk)
        assert (found[first].state, found[second].state) == ("processed", "duplicate")
        assert (found[second].duplicate_of, found[second].failures) == (first, 0)
        assert len(desk.tickets()) == 1


def test_a_daemon_that_hung_lock_in_hand_loses_it_and_no_mail_pays_for_that(url, tmp_path):
    """PostgreSQL ends its session: `ALONE_IDLE_MAX`, here a moment."""
    with desk_at(url, tmp_path) as desk, Workers(Processing(workers=1)) as workers:
        ids = accept(desk, [mail(), mail()])
        hanging = []

        def reception(connection):
            [set_to] = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalars()
            assert set_to == "1min"
            if not hanging:
                hanging.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
            return desk.house.reception(connection)

        def clock():
            if hanging:
                wait_until(lambda: is_gone(desk, hanging[0]), "the session is ended")
            return house.now()

        process = Processor(desk.house.config, desk.store, workers, reception, clock)
        with pytest.raises(TemporaryFailure):
            process.drain()
        assert process.drain() == {"opened": 2}
        assert [(rows(desk)[id_].state, rows(desk)[id_].failures) for id_ in ids] == [("processed", 0)] * 2


def is_gone(desk, pid):
    with desk.store.read() as connection:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        return connection.execute(query, {"pid": pid}).scalar_one() == 0


def waits_for_a_row(desk):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with desk.store.read() as connection:
        return connection.execute(text(waiting)).scalar_one() > 0


def test_who_writes_alone_waits_for_the_other_and_sees_what_he_wrote(url, tmp_path):
    with desk_at(url, tmp_path) as desk:
        seen = []

        def look():
            with desk.store.write(alone=True) as connection:
                seen.append(connection.execute(select(func.count()).select_from(Message)).scalar_one())

        other = threading.Thread(target=look)
        with desk.store.write(alone=True) as connection:
            raw = mail()
            [accepted] = inbound.accept(connection, [
                inbound.NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "", house.now())
            ])  # fmt: skip
            other.start()
            wait_until(lambda: waits_for_a_row(desk), "the other waits")
            [claimed] = inbound.load_claimed(connection, [accepted.id])
            receive(connection, desk.house.reception(connection), claimed, parse(raw), house.now())
        other.join(60)
        assert seen == [1]

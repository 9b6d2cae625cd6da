"""Two processes take the mails of one thread at the same moment, thread after thread: each thread is one ticket, each mail there once.

Of 300 mails in the suite; `POSTROOM_MAILS=10000 pytest -s tests/daemon/test_ten_thousand.py` is the long form.
"""

import hashlib
import os
import random
from collections import Counter

from peers import threads
from peers.house import CONFIG, SUPPORT, TestHouse
from peers.processor import drain_together
from sqlalchemy import func, select

from postroom import config as settings
from postroom.daemon import house
from postroom.store import inbound
from postroom.store.tables import Delivery, InboundEmail, Message, Ticket

MAILS = int(os.environ.get("POSTROOM_MAILS", "300"))
A_THREAD = 20  # mails; two processes with batches of ten are at the same thread most of the time
AGAIN = 10  # each tenth comes a second time, by another way
AT_ONCE = 500  # accepted in one transaction
TOML = """
[store]
url = "{url}"
[processing]
batch = 10
workers = 1
[answers]
per_sender_hour = 100000
per_sender_day = 100000
per_domain_hour = 100000
all_hour = 1000000
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""


def arriving(shuffle):
    """The mails of each thread one after the other, in any order among themselves, and the copies; and all letters."""
    letters = threads.conversations(shuffle, threads=MAILS // A_THREAD, mails=MAILS)
    copies = {letter.id for letter in letters[::AGAIN]}
    raws = []
    for name in dict.fromkeys(letter.thread for letter in letters):
        own = [letter for letter in letters if letter.thread == name]
        part = [(name, one.raw) for one in own]
        part += [(name, b"Received: by b\r\n" + one.raw) for one in own if one.id in copies]
        raws += shuffle.sample(part, len(part))
    return raws, letters


def accept(store, raws):
    """Which thread each delivery is of, by its id."""
    found = {}
    for start in range(0, len(raws), AT_ONCE):
        part = raws[start : start + AT_ONCE]
        with store.write() as connection:
            new = [
                inbound.NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", "cy@cy.example", house.now())
                for _, raw in part
            ]  # fmt: skip
            accepted = inbound.accept(connection, new)
        found |= {one.id: name for one, (name, _) in zip(accepted, part, strict=True)}
    return found


def deadlocks(store):
    with store.read() as connection:
        return connection.exec_driver_sql(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).scalar_one()


def test_two_processes_that_handle_one_threads_mails_at_once_make_one_ticket(migrated_url, tmp_path):
    raws, letters = arriving(random.Random(10))
    config = settings.parse({**CONFIG, "store": {"url": migrated_url}, "keys": {"file": "keys"}}, tmp_path)
    paths = [tmp_path / "one.toml", tmp_path / "two.toml"]
    for path in paths:
        path.write_text(TOML.format(url=migrated_url))
    with house.open_house(config) as opened:
        desk = TestHouse(opened)
        thread_of = accept(desk.store, raws)
        before = deadlocks(desk.store)
        seconds, settled = [], []
        counts = sum(map(Counter, drain_together(paths, seconds, settled)), Counter())

        assert counts == {
            "opened": MAILS // A_THREAD,
            "added": MAILS - MAILS // A_THREAD,
            "duplicate": len(raws) - MAILS,
        }
        both = {thread_of[id_] for id_ in settled[0]} & {thread_of[id_] for id_ in settled[1]}
        assert len(both) >= MAILS // A_THREAD // 2, "they were at the same threads"
        assert settled[0] | settled[1] == set(thread_of)
        assert not settled[0] & settled[1]
        assert {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()} == (
            threads.grouping(letters)
        )
        with desk.store.read() as connection:
            states = select(InboundEmail.state, func.count(), func.sum(InboundEmail.failures)).group_by(
                InboundEmail.state
            )
            found = {state: (count, failures) for state, count, failures in connection.execute(states)}
            messages = select(func.count(), func.count(Message.inbound_id.distinct())).select_from(Message)
            written = tuple(connection.execute(messages).one())
            numbers = connection.execute(select(Ticket.number).order_by(Ticket.number)).scalars().all()
            told = select(func.count()).where(Delivery.purpose == "new_ticket")
            notices = connection.execute(told).scalar_one()
        assert found == {"processed": (MAILS, 0), "duplicate": (len(raws) - MAILS, 0)}
        assert written == (MAILS, MAILS)
        assert numbers == list(range(1001, 1001 + MAILS // A_THREAD))
        assert notices == MAILS // A_THREAD
        assert deadlocks(desk.store) == before
    print(f"{len(raws)} deliveries, {MAILS // A_THREAD} threads, {len(both)} handled by both, {seconds[0]:.1f} s")

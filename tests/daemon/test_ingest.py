"""An import on a busy machine: it waits for transactions of its own, and goes before its own processing."""

import threading

import pytest
from peers.commandline import QUESTION, Desk

from postroom import config
from postroom.daemon.house import open_house
from postroom.daemon.ingest import Options, Summary, Watching, ingest
from postroom.daemon.mailfiles import Found
from postroom.store.engine import BUSY_SECONDS
from postroom.store.inbound import Accepted


@pytest.fixture
def house(tmp_path):
    desk = Desk(tmp_path / "desk")
    assert desk("migrate").status == 0
    with open_house(config.load(str(desk.config))) as opened:
        yield opened


def test_an_import_waits_longer_for_a_transaction_than_a_sender_on_the_wire_would(house):
    patience = []

    def mails():
        patience.append(house.store.busy_seconds)
        yield Found("1", QUESTION)

    ingest(house, mails(), Options(), Watching())
    assert patience[0] > 10 * BUSY_SECONDS


def test_what_was_taken_is_counted_once_in_whatever_order_its_rows_come():
    summary = Summary()
    summary.take([Accepted(7, is_new=True), Accepted(9, is_new=True)], set())
    summary.take([Accepted(3, is_new=False), Accepted(4, is_new=False)], {4})  # 4: a run that was killed has left it
    summary.take([Accepted(9, is_new=False), Accepted(4, is_new=False)], {9, 4})
    assert (list(summary.new), summary.found, summary.known) == ([4, 7, 9], 6, 3)


def test_a_writer_that_ends_where_it_is_asked_to_does_not_starve_an_import(house):
    """The lock of a store is not fair: who lets go of it and takes it again has it before the one who waits wakes up."""
    holds, asked, ends = threading.Event(), threading.Event(), threading.Event()

    def write_until_asked():
        with house.store.write():
            holds.set()
            while not (ends.is_set() or asked.is_set()):
                if house.store.is_wanted:
                    asked.set()

    def mails():
        yield Found("1", QUESTION)
        busy.start()
        assert holds.wait(30)

    busy = threading.Thread(target=write_until_asked)
    importing = threading.Thread(target=lambda: ingest(house, mails(), Options(), Watching()))
    importing.start()
    try:
        assert asked.wait(30)
    finally:
        ends.set()
        importing.join()
        busy.join()

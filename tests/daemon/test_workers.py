import multiprocessing
import time
from concurrent.futures import Future

import pytest
from pebble.pool.process import PoolManager
from peers import poison

from postroom.config import Processing, Size
from postroom.daemon import workers as module
from postroom.daemon.workers import Broken, Workers
from postroom.errors import TemporaryFailure


@pytest.fixture(scope="module")
def workers():
    with Workers(Processing(workers=2, parse_seconds=0.5, parse_memory=Size(512 << 20)), poison.parse) as workers:
        yield workers


def subjects(results):
    return [r.reason if isinstance(r, Broken) else r.subject for r in results]


def test_mails_come_back_in_their_order(workers):
    mails = [b"mail %d\n" % i for i in range(100)]
    assert subjects(workers.parse_all(mails)) == [f"mail {i}" for i in range(100)]


def test_nothing_to_parse_is_nothing(workers):
    assert workers.parse_all([]) == []


@pytest.mark.parametrize(
    ("boom", "reason"),
    [
        (b"boom segfault", "the parse worker died (signal 11)"),
        (b"boom spin", "parsing took longer than 0.5 s"),
        (b"boom loop", "parsing took longer than 0.5 s"),
        (b"boom memory", "parsing needed more memory than it may have"),
        (b"boom answer", "the parse worker could not be used: BrokenProcessPool"),
        (b"boom raise", "parsing failed: ValueError: a parser never raises, but what if"),
    ],
)
def test_a_mail_that_breaks_its_worker_hurts_only_itself(workers, boom, reason):
    mails = [b"before\n", boom, b"after\n", *(b"more %d\n" % i for i in range(20))]
    expected = ["before", reason, "after", *(f"more {i}" for i in range(20))]
    assert subjects(workers.parse_all(mails)) == expected


def test_a_large_mail_goes_alone(workers):
    large = b"large\n" + b"x" * (2 << 20)
    assert subjects(workers.parse_all([b"a\n", large, b"b\n"])) == ["a", "large", "b"]


def test_where_no_worker_can_be_started_no_mail_is_at_fault(monkeypatch):
    monkeypatch.setattr(module, "_limit", poison.no_start)
    with Workers(Processing(workers=1), poison.parse) as workers:
        with pytest.raises(TemporaryFailure, match="no parse worker can be started"):
            workers.parse_all([b"innocent\n"])
        monkeypatch.undo()
        workers.close()
        assert subjects(workers.parse_all([b"innocent\n"])) == ["innocent"]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("others", [0, 1, 20])
def test_where_the_fork_server_dies_no_mail_is_at_fault(tmp_path, count, others):
    mails = [b"boom server %s\n" % bytes(tmp_path / "done"), *(b"more %d\n" % i for i in range(others))]
    with Workers(Processing(workers=count, parse_seconds=20), poison.parse) as workers:
        found = workers.parse_all(mails)
    assert (tmp_path / "done").exists()
    assert subjects(found) == [mail.decode().strip() for mail in mails]


def test_no_worker_of_a_broken_pool_is_left_over():
    before = set(multiprocessing.active_children())
    with Workers(Processing(workers=2), poison.parse) as workers:
        for _ in range(3):
            [broken] = workers.parse_all([b"boom answer"])
            assert broken == Broken("the parse worker could not be used: BrokenProcessPool", by_mail=False)
        assert len(set(multiprocessing.active_children()) - before) <= 2


@pytest.mark.parametrize("is_broken", [True, False])
def test_what_a_pool_has_lost_is_parsed_by_the_next(monkeypatch, is_broken):
    with Workers(Processing(workers=1, parse_seconds=0.5), poison.parse) as workers:
        assert subjects(workers.parse_all([b"before\n"])) == ["before"]
        pool = workers._pool
        stop = pool.stop

        def lose(*_, **__):
            if is_broken:
                stop()
            else:
                monkeypatch.setattr(module, "START_SECONDS", -10)  # it has waited long enough
            return Future()

        monkeypatch.setattr(pool, "schedule", lose)
        monkeypatch.setattr(pool, "stop", lambda: (monkeypatch.setattr(module, "START_SECONDS", 20), stop()))
        assert subjects(workers.parse_all([b"a\n", b"b\n"])) == ["a", "b"]
        assert workers._pool is not pool


@pytest.mark.parametrize("late", ["process_next_message", "update_status"])
def test_a_worker_that_died_is_not_taken_for_a_slow_one_however_late_its_pool_looks(monkeypatch, late):
    prompt = getattr(PoolManager, late)

    def look(*given):
        time.sleep(0.3 if late == "process_next_message" else 1)
        prompt(*given)

    monkeypatch.setattr(PoolManager, late, look)
    with Workers(Processing(workers=2, parse_seconds=0.5), poison.parse) as workers:
        assert subjects(workers.parse_all([b"boom segfault"])) == ["the parse worker died (signal 11)"]

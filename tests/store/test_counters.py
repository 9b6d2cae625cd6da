"""Limits are counted in the transaction that they limit, exactly, whoever else counts."""

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from postroom.store import counters
from postroom.store.counters import DAY, HOUR, Limit

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def limits(sender="ann", narrow=3, wide=100):
    return (Limit(f"sender:{sender}", HOUR, narrow), Limit("all", HOUR, wide))


def take(store, *asked, now=NOW):
    with store.write() as connection:
        return counters.take(connection, asked, now)


def count(store, scope, now=NOW, window=HOUR):
    with store.read() as connection:
        return counters.count(connection, scope, window, now)


def test_as_many_as_the_limit_says_and_then_no_more(store):
    assert [take(store, *limits()) is None for _ in range(5)] == [True, True, True, False, False]


def test_the_limit_that_forbids_is_named_with_its_count(store):
    for _ in range(3):
        take(store, *limits())
    reached = take(store, *limits())
    assert (reached.limit.scope, reached.count) == ("sender:ann", 4)


def test_what_one_limit_refuses_does_not_count_against_the_others(store):
    for _ in range(10):
        take(store, *limits())
    assert count(store, "all") == 3


def test_the_widest_limit_forbids_everybody_and_gives_the_sender_back_his_own(store):
    taken = [take(store, *limits(f"s{n}", wide=2)) for n in range(4)]
    assert [reached and reached.limit.scope for reached in taken] == [None, None, "all", "all"]
    assert count(store, "sender:s3") == 0
    assert count(store, "all") == 4


def test_a_new_window_counts_from_the_beginning(store):
    for _ in range(4):
        take(store, *limits())
    assert take(store, *limits(), now=NOW + timedelta(minutes=29, seconds=59)) is not None
    assert take(store, *limits(), now=NOW + timedelta(minutes=30)) is None


def test_windows_begin_at_the_hour_and_at_midnight():
    assert counters.window_of(NOW, HOUR) == NOW.replace(minute=0)
    assert counters.window_of(NOW, DAY) == NOW.replace(hour=0, minute=0)


def test_a_rollback_has_counted_nothing(store):
    with suppress(RuntimeError), store.write() as connection:
        counters.take(connection, limits(), NOW)
        raise RuntimeError
    assert count(store, "all") == 0


def test_nothing_is_allowed_where_the_limit_is_zero(store):
    assert take(store, *limits(narrow=0)) is not None


def test_what_many_count_at_once_is_counted_exactly(store):
    taken = []

    def ask():
        for _ in range(10):
            taken.append(take(store, *limits(narrow=25)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reached is None for reached in taken) == 25
    assert count(store, "all") == 25


def test_old_windows_are_dropped(store):
    take(store, *limits())
    with store.write() as connection:
        assert counters.purge(connection, NOW) == 0
        assert counters.purge(connection, NOW + counters.KEPT + HOUR) == 2

"""Whose turn it is to write: in order, who waits on the wire first, and never two at once."""

import threading
from collections.abc import Callable

import pytest
from peers.processes import wait_until

from postroom.store import turns
from postroom.store.turns import Turns

LONG = 60.0


def waiting(turns: Turns) -> int:
    return len(turns._urgent) + len(turns._others)


def queue_up(turns: Turns, takers: list[tuple[str, bool]], then: Callable[[str], None]) -> list[threading.Thread]:
    """One thread after the other asks for a turn, does `then`, and hands over."""
    threads = []

    def one(name: str, urgent: bool) -> None:
        assert turns.take(LONG, urgent)
        then(name)
        turns.hand_over()

    for name, urgent in takers:
        already = waiting(turns)
        threads.append(threading.Thread(target=one, args=(name, urgent)))
        threads[-1].start()
        wait_until(lambda already=already: waiting(turns) == already + 1, f"{name} waits")
    return threads


def test_who_waits_on_the_wire_comes_first_and_the_others_in_their_order() -> None:
    turns, had = Turns(), []
    assert turns.take(0)
    threads = queue_up(turns, [("courier", False), ("process", False), ("intake", True)], had.append)
    assert turns.is_wanted
    turns.hand_over()
    for thread in threads:
        thread.join(LONG)
    assert had == ["intake", "courier", "process"]
    assert not turns.is_wanted


def test_whoever_ends_and_asks_again_comes_behind_those_who_wait() -> None:
    turns, had = Turns(), []
    assert turns.take(0)
    threads = queue_up(turns, [("the one that waits", False)], had.append)
    turns.hand_over()
    assert turns.take(LONG)
    assert had == ["the one that waits"]
    threads[0].join(LONG)


def test_who_waits_in_vain_is_not_waited_for() -> None:
    turns = Turns()
    assert turns.take(0)
    assert not turns.take(0.001)
    assert not turns.take(0.001, urgent=True)
    assert not turns.is_wanted
    turns.hand_over()
    assert turns.take(0)


def test_who_is_interrupted_as_he_waits_leaves_the_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C in the moment at which it is handed over: nobody could write any more."""
    desk = Turns()
    assert desk.take(0)

    class Interrupted:
        def acquire(self, timeout: float = -1) -> bool:
            if timeout == -1:
                return True
            desk.hand_over()
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    monkeypatch.setattr(turns.threading, "Lock", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.take(LONG)
    monkeypatch.undo()
    assert desk.take(0)


def test_there_are_never_two_at_once() -> None:
    turns, inside, most = Turns(), [0], [0]

    def work(urgent: bool) -> None:
        for _ in range(300):
            assert turns.take(LONG, urgent)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            turns.hand_over()

    threads = [threading.Thread(target=work, args=(n == 0,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert most == [1]
    assert turns.take(0)

"""What intake promises: one commit for many, an answer for each, and one bad submission hurts only itself."""

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from postroom.daemon import intake as intake_module
from postroom.daemon.intake import Intake
from postroom.errors import TemporaryFailure
from postroom.store import inbound
from postroom.store.engine import Store
from postroom.store.inbound import Accepted, NewInbound


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url, busy_seconds=0.3)
    yield store
    store.dispose()


@pytest.fixture
def intake(store: Store) -> Iterator[Intake]:
    intake = Intake(store, lambda: None)
    intake.start()
    yield intake
    intake.stop()


def mail(text: str, recipient: str = "support@example.com") -> NewInbound:
    raw = f"Subject: {text}\r\n\r\n{text}\r\n".encode()
    digest = hashlib.sha256(raw).hexdigest()
    return NewInbound("support", recipient, raw, digest, "smtp", "ann@example.org", datetime(2026, 11, 23, tzinfo=UTC))


def kept(store: Store) -> int:
    with store.read() as connection:
        return len(inbound.find(connection))


def test_an_answer_comes_after_the_commit(store: Store, intake: Intake) -> None:
    [accepted] = intake.accept([mail("printer on fire")])
    with store.read() as connection:
        assert mail("printer on fire").raw == inbound.raw(connection, accepted.id)
    assert accepted.is_new


def test_the_same_delivery_again_is_recognised(store: Store, intake: Intake) -> None:
    first = intake.accept([mail("printer on fire")])
    second = intake.accept([mail("printer on fire")])
    assert [Accepted(first[0].id, is_new=False)] == second
    assert kept(store) == 1


def test_what_arrives_while_a_commit_runs_is_committed_together(store: Store) -> None:
    intake = Intake(store, lambda: None)
    running, go_on = threading.Event(), threading.Event()

    def hold(_connection: Connection, _accepted: list[Accepted]) -> None:
        running.set()
        assert go_on.wait(10)

    intake.start()
    first = intake.submit([mail("first")], also=hold)
    assert running.wait(10)
    others = [intake.submit([mail(f"number {n}")]) for n in range(50)]
    go_on.set()
    wait([first, *others], 10)
    intake.stop()
    assert len({accepted.id for future in [first, *others] for accepted in future.result()}) == 51
    assert intake.groups == 2


def test_a_group_is_bounded_by_its_octets(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "GROUP_OCTETS", 100)
    intake = Intake(store, lambda: None)
    futures = [intake.submit([mail(f"{n} " + "x" * 60)]) for n in range(3)]
    intake.start()
    wait(futures, 10)
    intake.stop()
    assert intake.groups == 3


def test_a_bad_submission_hurts_only_itself(store: Store) -> None:
    intake = Intake(store, lambda: None)

    def break_it(_connection: Connection, _accepted: list[Accepted]) -> None:
        raise ValueError("mine alone")

    good = intake.submit([mail("good")])
    bad = intake.submit([mail("bad")], also=break_it)
    unwritable = intake.submit([mail("worse", recipient="\udcff@example.com")])
    also_good = intake.submit([mail("also good")])
    intake.start()
    wait([good, bad, unwritable, also_good], 10)
    intake.stop()
    assert good.result()[0].is_new
    assert also_good.result()[0].is_new
    assert isinstance(bad.exception(), ValueError)
    assert unwritable.exception() is not None
    assert kept(store) == 2


def test_what_is_written_along_stands_or_falls_with_the_mail(store: Store, intake: Intake) -> None:
    seen: list[Accepted] = []

    def along(connection: Connection, accepted: list[Accepted]) -> None:
        seen.extend(accepted)
        assert inbound.get(connection, accepted[0].id) is not None

    answers = intake.accept([mail("one"), mail("two")], also=along)
    assert seen == answers


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_locked_database_is_a_temporary_failure_and_then_all_is_well(store: Store, intake: Intake) -> None:
    holder = sqlite3.connect(str(store.path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    futures = [intake.submit([mail(f"number {n}")]) for n in range(20)]
    assert all(isinstance(future.exception(10), TemporaryFailure) for future in futures)
    holder.execute("ROLLBACK")
    holder.close()
    assert intake.accept([mail("number 1")])[0].is_new
    assert kept(store) == 1


def test_a_store_that_hangs_is_a_temporary_failure_in_time(
    store: Store, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "ANSWER_SECONDS", 0.1)
    running, release = threading.Event(), threading.Event()

    def hang(_connection: Connection, _accepted: list[Accepted]) -> None:
        running.set()
        assert_waited(release)

    hanging = intake.submit([mail("first")], also=hang)
    assert_waited(running)
    with pytest.raises(TemporaryFailure, match="does not answer"):
        intake.accept([mail("second")])
    release.set()
    assert hanging.result(10)[0].is_new
    monkeypatch.undo()
    intake.accept([mail("third")])
    assert kept(store) == 2  # the second had not begun, and its waiter was told no


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_commit(store: Store, intake: Intake) -> None:
    running, release = threading.Event(), threading.Event()

    def hold(_connection: Connection, _accepted: list[Accepted]) -> None:
        running.set()
        assert_waited(release)

    waiter = asyncio.create_task(intake.accept_async([mail("first")], also=hold))
    await asyncio.to_thread(running.wait, 10)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    release.set()
    assert not (await intake.accept_async([mail("first")]))[0].is_new
    assert kept(store) == 1


def test_stopping_finishes_what_was_submitted_and_takes_no_more(store: Store) -> None:
    intake = Intake(store, lambda: None)
    futures = [intake.submit([mail(f"number {n}")]) for n in range(10)]
    intake.start()
    intake.stop()
    assert sum(len(future.result(0)) for future in futures) == 10
    with pytest.raises(TemporaryFailure, match="shutting down"):
        intake.accept([mail("too late")])


def test_new_mail_is_announced_and_known_mail_is_not(store: Store) -> None:
    announced: list[int] = []
    intake = Intake(store, lambda: announced.append(1))
    intake.start()
    intake.accept([mail("one")])
    intake.accept([mail("one")])
    intake.stop()
    assert announced == [1]


def test_a_deaf_listener_does_not_stop_the_intake(store: Store) -> None:
    def deaf() -> None:
        raise RuntimeError("the loop is closed")

    intake = Intake(store, deaf)
    intake.start()
    intake.accept([mail("one")])
    assert intake.accept([mail("two")])[0].is_new
    intake.stop()


def assert_waited(event: threading.Event) -> None:
    assert event.wait(10)

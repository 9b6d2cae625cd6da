"""The operator is told of trouble once, and of its end once, however often the daemon starts and however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from peers.house import TestHouse, mail, open_test_house
from sqlalchemy import update

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.alarms import Alarms
from postroom.outbound.policy import BREAKER
from postroom.store import alarms, counters, imap, inbound, smarthosts
from postroom.store.counters import Limit
from postroom.store.engine import Store
from postroom.store.tables import InboundEmail

OPERATOR = {"operator": {"address": "root@example.com"}, "smtp": {"min_free_disk": 0}, "answers": {"all_hour": 2}}
IMAP = {"host": "localhost", "user": "u", "security": "none", "password_env": "X"}
MAILBOX = {"support": {"address": "support@example.com", "queue": "support", "imap": IMAP}}


@pytest.fixture
def desk(store_url: str, tmp_path: Path) -> Iterator[TestHouse]:
    sections: dict[str, Any] = {"mailbox": MAILBOX, "queue": {"support": {}}, "agent": {}, **OPERATOR}
    sections["store"] = {"url": store_url}
    with open_test_house(tmp_path, **sections) as opened:
        yield opened


class Looking:
    """Daemons that look one after the other, at times of the test's."""

    def __init__(self, desk: TestHouse) -> None:
        self.desk, self.now = desk, house.now()
        self.hanging: set[str] = set()

    def after(self, minutes: float, **thresholds: float) -> list[str]:
        """What a daemon that starts anew, with such `[alarms]`, tells when it looks so many minutes later."""
        self.now += timedelta(minutes=minutes)
        h = self.desk.house
        config = msgspec.structs.replace(h.config, alarms=settings.Alarms(**thresholds))
        looking = Alarms(config, h.store, h.notifier, lambda: self.now, lambda: self.hanging)
        return [f"{'over ' if change.is_over else ''}{change.name}" for change in looking.look()]


def trouble(desk: TestHouse, what: str, looking: Looking) -> None:
    with desk.store.write() as connection:
        if what == "mailbox support":
            imap.note_failure(connection, "support", looking.now, "refused")
        elif what == "smarthost outgoing.smtp":
            smarthosts.note_failure(connection, "outgoing.smtp", looking.now, "refused", looking.now)
        elif what == "breaker":
            for _ in range(3):
                counters.take(connection, [Limit(BREAKER, counters.HOUR, 2)], looking.now + timedelta(minutes=16))
        elif what == "quarantine":
            for n in range(desk.house.config.alarms.quarantine):
                raw = mail(text=f"{n}\n")
                new = inbound.NewInbound("support", "support@example.com", raw, f"{n:064}", "smtp", "", looking.now)
                [one] = inbound.accept(connection, [new])
                inbound.quarantine(connection, one.id, "broken", looking.now)
        elif what == "unprocessed mail":
            raw = mail()
            inbound.accept(
                connection,
                [inbound.NewInbound("support", "support@example.com", raw, "0" * 64, "smtp", "", looking.now)],
            )
        elif what == "component intake":
            looking.hanging.add("intake")


def remedy(desk: TestHouse, what: str, looking: Looking) -> None:
    with desk.store.write() as connection:
        if what == "mailbox support":
            imap.note_success(connection, "support", 1, looking.now, None)
        elif what == "smarthost outgoing.smtp":
            smarthosts.note_success(connection, "outgoing.smtp", looking.now)
        elif what == "unprocessed mail":
            connection.execute(update(InboundEmail).values(state="processed"))
    looking.hanging.clear()
    if what in ("breaker", "quarantine"):
        looking.now += timedelta(hours=2)


@pytest.mark.parametrize(
    "what",
    ["mailbox support", "smarthost outgoing.smtp", "breaker", "quarantine", "unprocessed mail", "component intake"],
)
def test_each_is_told_once_by_mail_and_once_when_it_is_over(desk: TestHouse, what: str) -> None:
    looking = Looking(desk)
    trouble(desk, what, looking)
    assert looking.after(16) == [what]
    assert looking.after(1) == []
    sent = desk.sent("operator", "root@example.com")
    assert what in sent.subject
    remedy(desk, what, looking)
    assert looking.after(1) == []
    assert looking.after(11) == [f"over {what}"]
    assert looking.after(1) == []
    assert len(desk.outbox(purpose="operator")) == 2


def test_what_comes_and_goes_is_told_once(desk: TestHouse) -> None:
    looking = Looking(desk)
    looking.hanging.add("intake")
    assert looking.after(0) == ["component intake"]
    for _ in range(5):
        looking.hanging.clear()
        assert looking.after(5) == []
        looking.hanging.add("intake")
        assert looking.after(5) == []
    with desk.store.read() as connection:
        assert [one.name for one in alarms.standing(connection)] == ["component intake"]


def test_a_mailbox_that_is_never_read_is_told_of_too(desk: TestHouse) -> None:
    h, now = desk.house, house.now()
    later = now
    looking = Alarms(h.config, h.store, h.notifier, lambda: later)
    assert looking.look() == []
    later = now + timedelta(minutes=40)
    assert [change.name for change in looking.look()] == ["mailbox support"]


@pytest.mark.parametrize(
    ("what", "minutes", "patient", "never"),
    [
        ("mailbox support", 16, {"failing_minutes": 20}, {"failing_minutes": 0}),
        ("smarthost outgoing.smtp", 16, {"failing_minutes": 20}, {"failing_minutes": 0}),
        ("unprocessed mail", 16, {"oldest_minutes": 20}, {"oldest_minutes": 0}),
        ("quarantine", 0, {"quarantine": 11}, {"quarantine": 0}),
    ],
)
def test_the_configuration_says_from_when_on(
    desk: TestHouse, what: str, minutes: float, patient: dict[str, float], never: dict[str, float]
) -> None:
    looking = Looking(desk)
    trouble(desk, what, looking)
    assert looking.after(minutes, **patient) == []
    assert looking.after(0, **never) == []
    assert looking.after(0) == [what]


def test_it_may_be_over_at_once(desk: TestHouse) -> None:
    looking = Looking(desk)
    looking.hanging.add("intake")
    assert looking.after(0, steady_minutes=0) == ["component intake"]
    looking.hanging.clear()
    assert looking.after(1, steady_minutes=0) == []
    assert looking.after(0, steady_minutes=0) == ["over component intake"]


def test_of_daemons_that_look_at_once_one_tells(desk: TestHouse) -> None:
    h, later = desk.house, house.now() + timedelta(minutes=16)
    trouble(desk, "smarthost outgoing.smtp", Looking(desk))
    others = [Store(h.config.store_url()) for _ in range(2)]
    daemons = [Alarms(h.config, store, h.notifier, lambda: later) for store in (*others, h.store) * 2]
    with ThreadPoolExecutor(len(daemons)) as pool:
        told = [change.name for changes in pool.map(Alarms.look, daemons) for change in changes]
    for store in others:
        store.dispose()
    assert told == ["smarthost outgoing.smtp"]
    assert len(desk.outbox(purpose="operator")) == 1


def test_a_mailbox_that_is_silent_is_told_of_when_the_configuration_says(desk: TestHouse) -> None:
    h, now = desk.house, house.now()
    later = now
    silent = msgspec.structs.replace(h.config, alarms=settings.Alarms(mailbox_silent_hours=0))
    patient = msgspec.structs.replace(h.config, alarms=settings.Alarms(mailbox_silent_hours=2))
    looking = [Alarms(config, h.store, h.notifier, lambda: later) for config in (silent, patient)]
    later = now + timedelta(minutes=40)
    assert [one.look() for one in looking] == [[], []]
    later = now + timedelta(hours=3)
    assert [[change.name for change in one.look()] for one in looking] == [[], ["mailbox support"]]


def test_a_disk_that_fills_is_told_of(tmp_path: Path) -> None:
    sections = OPERATOR | {"smtp": {"min_free_disk": "100000 GiB"}}
    with open_test_house(tmp_path, **sections) as desk:
        assert Looking(desk).after(0) == ["disk"]

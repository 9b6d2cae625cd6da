"""The operator is told of trouble once, and of its end once, however often the daemon starts and however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.house import TestHouse, mail, open_test_house
from sqlalchemy import update

from postroom.daemon import alarms as watching
from postroom.daemon import house
from postroom.daemon.alarms import Alarms
from postroom.outbound.policy import BREAKER
from postroom.store import alarms, counters, imap, inbound, smarthosts
from postroom.store.counters import Limit
from postroom.store.tables import InboundEmail

OPERATOR = {"operator": {"address": "root@example.com"}, "smtp": {"min_free_disk": 0}, "answers": {"all_hour": 2}}
IMAP = {"host": "localhost", "user": "u", "security": "none", "password_env": "X"}
MAILBOX = {"support": {"address": "support@example.com", "queue": "support", "imap": IMAP}}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TestHouse]:
    with open_test_house(tmp_path, **OPERATOR, mailbox=MAILBOX, queue={"support": {}}, agent={}) as opened:
        yield opened


class Looking:
    """Daemons that look one after the other, at times of the test's."""

    def __init__(self, desk: TestHouse) -> None:
        self.desk, self.now = desk, house.now()
        self.hanging: set[str] = set()

    def after(self, minutes: float, config: Any = None) -> list[str]:
        """What a daemon that starts anew tells when it looks so many minutes later."""
        self.now += timedelta(minutes=minutes)
        h = self.desk.house
        looking = Alarms(config or h.config, h.store, h.notifier, lambda: self.now, lambda: self.hanging)
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
            for n in range(watching.QUARANTINED):
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


def test_a_disk_that_fills_is_told_of(tmp_path: Path) -> None:
    sections = OPERATOR | {"smtp": {"min_free_disk": "100000 GiB"}}
    with open_test_house(tmp_path, **sections) as desk:
        assert Looking(desk).after(0) == ["disk"]

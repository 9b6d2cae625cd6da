"""The breaker of automatic mail opens at the limit for all, and closes by itself; of several daemons one opens it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from peers.outgoing import Address, desk_in, mail

import postroom
from postroom.daemon.alarms import Alarms

SETTINGS = """
[answers]
all_hour = 2
[operator]
address = "root@example.com"
"""


@pytest.fixture
def desk(tmp_path):
    with desk_in(tmp_path, SETTINGS) as made:
        yield made


def write(desk, count):
    for _ in range(count):
        number = desk.received
        sender = (Address("", f"c{number}@d{number}.example"),)
        desk.receive(mail(message_id=f"m{number}@d{number}.example", from_=sender))


def states(desk):
    return [row.state for row in desk.outbox("confirmation")]


def told(desk):
    subjects = [desk.mail(row)["Subject"] for row in desk.outbox("operator")]
    return [subject for subject in subjects if "breaker" in subject]


def test_it_closes_by_itself_and_a_flood_of_hours_is_one_alarm_and_one_end(desk):
    alarms = Alarms(desk.config, desk.store, desk.notifier, desk.clock)

    def look():
        for _ in range(2):
            alarms.look()
        return len(told(desk))

    write(desk, 5)
    assert states(desk) == ["pending"] * 2 + ["suppressed"] * 3
    assert desk.outbox("confirmation")[-1].reason.startswith("all-hour: the breaker is open")
    assert look() == 1
    for _ in range(3):  # the flood goes on
        desk.clock.advance(minutes=70)
        assert look() == 1
        write(desk, 4)
        assert states(desk)[-4:] == ["pending"] * 2 + ["suppressed"] * 2
        assert look() == 1
    desk.clock.advance(minutes=125)
    look()
    desk.clock.advance(minutes=15)
    assert look() == 2
    write(desk, 1)
    assert states(desk)[-1] == "pending"
    assert told(desk)[0] != told(desk)[1]


TAKER = """
import json, sys
from datetime import UTC, datetime
from postroom.store import counters
from postroom.store.counters import DAY, HOUR, Limit
from postroom.store.engine import Store
store = Store(sys.argv[1])
now = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
taken = [0, 0]
for n in range(100):
    sender = f"s{n % 10}"
    limits = (Limit(f"sender-hour:{sender}", HOUR, 15), Limit("domain-hour:d", HOUR, 120), Limit("all-hour", HOUR, 110))
    with store.write() as connection:
        reached = counters.take(connection, limits, now)
    taken[0] += reached is None
    taken[1] += reached is not None and reached.count == reached.limit.most + 1 and reached.limit.scope == "all-hour"
print(json.dumps(taken))
"""


def test_two_daemons_on_postgresql_count_as_one(migrated_url):
    """Two processes, a transaction a mail: exactly as many are allowed as the narrowest limit says, and one opens the breaker."""
    command = [sys.executable, "-c", TAKER, migrated_url]
    env = {"PYTHONPATH": str(Path(postroom.__file__).parent.parent), "PATH": "/usr/bin:/bin"}
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)
    ]
    try:
        for process in both:
            assert process.stdout.readline() == "ready\n"
        for process in both:  # at the same time
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0] for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    counted = [json.loads(answer) for answer in answers]
    assert sum(taken for taken, _ in counted) == 110
    assert sum(opened for _, opened in counted) == 1

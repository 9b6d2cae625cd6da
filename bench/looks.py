"""How long does it take to look around in a large store? Each command and each of the daemon's rounds, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from click.testing import CliRunner

from postroom import config
from postroom.cli.main import postroom
from postroom.daemon.alarms import Alarms
from postroom.daemon.gauges import Gauges, Machine
from postroom.daemon.house import open_house
from postroom.daemon.metrics import Metrics
from postroom.daemon.schedule import Schedule

# of somebody who has many tickets, and of an address that none goes to
COMMANDS = (
    "status",
    "tickets list",
    "tickets list --limit 20",
    "tickets list --status open",
    "tickets list --status closed",
    "tickets list --status new --queue support",
    "tickets list --assignee none --status open",
    "tickets list --requester {who}",
    "tickets list --requester nobody@nowhere.example",
    "tickets list --queue nowhere",
    "tickets list --since 2026-02-28",
    "tickets list --since 1h",
    "tickets show {ref}",
    "inbound list",
    "inbound list --state quarantined",
    "inbound list --state processed",
    "inbound show 1",
    "inbound explain 1",
    "outbox list",
    "outbox list --state failed",
    "outbox list --since 1h",
    "outbox list --ticket {ref}",
    "outbox list --recipient {who}",
    "outbox list --recipient nobody@nowhere.example",
    "outbox list --recipient @nowhere.example",
    "addresses list",
    "mailboxes list",
    "report monthly --month 2026-02",
    "report monthly --month 2018-05",
)
WARNING = 30  # the level of logging: what a round says is not asked here


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a store."""

    tickets: int
    what: str
    seconds: float  # that passed, the better of two
    cpu_seconds: float  # of this process and of the database server, in that one
    mistake: str = ""


def look_around(tickets: int, path: Path, who: str, ref: str, server: Callable[[], float]) -> Iterator[Look]:
    """Look at the store of a configuration; `server` says how much processor time its server has used."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(WARNING))
    for command in COMMANDS:
        words = ["-c", str(path), *command.format(who=who, ref=ref).split()]

        def run(words: Sequence[str] = words) -> str:
            ran = CliRunner().invoke(postroom, words, standalone_mode=False)
            return repr(ran.exception) if ran.exception else ""

        yield _timed(tickets, command, run, server)
    with _rounds(path) as rounds:
        for name, round_ in rounds.items():

            def do(round_: Callable[[], object] = round_) -> str:
                round_()
                return ""

            yield _timed(tickets, name, do, server)


@contextmanager
def _rounds(path: Path) -> Iterator[dict[str, Callable[[], object]]]:
    """What the daemon does by the clock, however little there is to do."""
    settings = config.load(str(path))
    with open_house(settings) as house:
        machine = Machine(0, 0, {}, frozenset())
        schedule = Schedule(settings, house.store, notifier=house.notifier)
        rounds: dict[str, Callable[[], object]] = {
            "the daemon's sweep": schedule.sweep,
            "the daemon's alarms": Alarms(settings, house.store, house.notifier, lambda: datetime.now(UTC)).look,
            "/metrics": Gauges(
                lambda: settings, house.store, Metrics(), lambda: machine, lambda: datetime.now(UTC)
            ).render,
        }
        if house.store.is_sqlite:
            rounds["the daemon's tidying"] = schedule.tidy
        yield rounds


def _timed(tickets: int, what: str, work: Callable[[], str], server: Callable[[], float]) -> Look:
    looks = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time() + server()
        mistake = work()
        looks.append(Look(tickets, what, time.perf_counter() - wall, time.process_time() + server() - cpu, mistake))
    return min(looks, key=lambda look: look.cpu_seconds)


def show_looks(looks: Sequence[Look]) -> None:
    """Print a line for each command, a column for each size."""
    sizes = list(dict.fromkeys(look.tickets for look in looks))
    print(f"\n{'CPU ms, in a store of so many tickets':<52}" + "".join(f"{size:>10}" for size in sizes))
    for what in dict.fromkeys(look.what for look in looks):
        these = {look.tickets: look for look in looks if look.what == what}
        words = "".join(f"{1000 * these[size].cpu_seconds:>10.0f}" if size in these else f"{'':>10}" for size in sizes)
        wrong = "; ".join(dict.fromkeys(look.mistake for look in these.values() if look.mistake))
        print(f"{what:<52}{words}{'  WRONG: ' + wrong if wrong else ''}")

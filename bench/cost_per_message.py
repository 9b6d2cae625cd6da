"""What one message costs, and where: taking it in, parsing, the database, and the rest (rules, templates, composing).

Everything runs in this one process, stage after stage, so that nothing waits for anything else; the sum is the work,
not the speed (see end_to_end.py for that). CPU is what counts on a busy machine; wall is with the waiting. As measures of the machine itself: the standard library's parser on the same bytes,
and a bare synced commit for each mail.

    python bench/cost_per_message.py [--count 1000]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import json
import sys
import tempfile
import threading
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import SEED, Mail, make_corpus
from end_to_end import bare_commits
from outcome import CONFIG, mistakes
from sqlalchemy import Engine, event

from postroom.config import parse as parse_config
from postroom.daemon import log as logging
from postroom.daemon.house import House, now, open_house
from postroom.daemon.intake import GROUP_DELIVERIES, Intake
from postroom.daemon.process import Processor
from postroom.parsers.email import parse
from postroom.parsers.parsed import ParsedEmail
from postroom.store.inbound import NewInbound


@dataclass(slots=True)
class Cost:
    """Seconds of this process's work, and seconds that passed: with the waiting for the disk, and for other programs."""

    cpu: float = 0.0
    wall: float = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Add what the block costs, on every thread of this process."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall


class Parsed:
    """Stands where the workers do, and has every mail parsed already: so that what follows is measured alone."""

    def __init__(self, mails: Sequence[Mail]) -> None:
        self.of: dict[bytes, ParsedEmail] = {}
        self.cost: dict[str, Cost] = defaultdict(Cost)  # by kind of mail
        parse(mails[0].raw)  # what is imported and built at the first call is the worker's start
        for mail in mails:
            with self.cost[mail.kind].counted():
                self.of[mail.raw] = parse(mail.raw)

    def total(self) -> Cost:
        """What all of it cost."""
        return Cost(sum(cost.cpu for cost in self.cost.values()), sum(cost.wall for cost in self.cost.values()))

    def parse_all(self, raws: Sequence[bytes]) -> list[ParsedEmail]:
        """What parsing these gave."""
        return [self.of[raw] for raw in raws]


class DatabaseTime:
    """What the database's driver costs: statements and commits."""

    def __init__(self, engine: Engine) -> None:
        self.cost = Cost()
        self.statements = 0
        self.commits = 0
        self._started = threading.local()
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        commit = engine.dialect.do_commit

        def counted_commit(connection: Any) -> None:
            self._before()
            commit(connection)
            self._add()
            self.commits += 1

        engine.dialect.do_commit = counted_commit  # type: ignore[method-assign,assignment]

    def _before(self, *_arguments: Any) -> None:
        self._started.at = time.thread_time(), time.perf_counter()

    def _after(self, *_arguments: Any) -> None:
        self._add()
        self.statements += 1

    def _add(self) -> None:
        cpu, wall = self._started.at
        self.cost.cpu += time.thread_time() - cpu
        self.cost.wall += time.perf_counter() - wall


@contextmanager
def open_desk(folder: Path) -> Iterator[House]:
    """A desk with an empty database in this folder."""
    text = CONFIG.replace("{url}", "sqlite:///postroom.db").replace("{port}", "0")
    config = parse_config(tomllib.loads(text), folder)
    with (folder / "log").open("w") as log:  # as the daemon has one; a line for each message is part of the cost
        logging.configure(config.log, stream=log)
        with open_house(config) as house:
            yield house


def take_in(house: House, mails: Sequence[Mail], together: int) -> Cost:
    """What it costs until all of it is on disk, `together` mails arriving at the same moment."""
    deliveries = [delivery(mail) for mail in mails]
    intake = Intake(house.store, lambda: None)
    intake.start()
    cost = Cost()
    with cost.counted():
        for at in range(0, len(mails), together):
            for answer in [intake.submit([one]) for one in deliveries[at : at + together]]:
                answer.result(60)
    intake.stop()
    return cost


def delivery(mail: Mail) -> NewInbound:
    """The mail as the SMTP door hands it over."""
    digest = hashlib.sha256(mail.raw).hexdigest()
    return NewInbound("support", mail.recipient, mail.raw, digest, "smtp", mail.sender, now())


def main() -> int:
    """Measure, print, and say by the exit status whether the outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=SEED)
    given = options.parse_args()
    mails = list(make_corpus(given.count, given.seed))
    parsed = Parsed(mails)
    with tempfile.TemporaryDirectory(prefix="bench.") as folder, open_desk(Path(folder)) as house:
        alone = take_in(house, mails, 1)
    with tempfile.TemporaryDirectory(prefix="bench.") as folder, open_desk(Path(folder)) as house:
        grouped = take_in(house, mails, GROUP_DELIVERIES)
        database = DatabaseTime(house.store.engine)
        processor = Processor(house.config, house.store, parsed, house.reception, now)  # type: ignore[arg-type]
        effects = Cost()
        with effects.counted():
            processor.drain()
        wrong = mistakes(house.store, mails)
    rest = Cost(effects.cpu - database.cost.cpu, effects.wall - database.cost.wall)
    stages = {
        "take in, in groups": grouped,
        "parse": parsed.total(),
        "effects: database": database.cost,
        "effects: the rest": rest,
    }
    standard, bare = standard_parser(mails), Cost(wall=len(mails) / bare_commits(mails))
    others = {
        "take in, one a commit": alone, **{f"parse: {kind}": cost for kind, cost in parsed.cost.items()},
        "compare: standard library's parser": standard, "compare: bare synced commits": bare,
    }  # fmt: skip
    counts = {f"parse: {kind}": sum(mail.kind == kind for mail in mails) for kind in parsed.cost}
    show(stages, others, counts, len(mails))
    summary = {
        "benchmark": "cost_per_message", "messages": len(mails),
        "cpuMilliseconds": {name: round(1000 * cost.cpu / len(mails), 4) for name, cost in stages.items()},
        "wallMilliseconds": {name: round(1000 * cost.wall / len(mails), 4) for name, cost in stages.items()},
        "statementsPerMessage": round(database.statements / len(mails), 2), "commits": database.commits,
        "parseToStandardLibrary": round(stages["parse"].cpu / standard.cpu, 2),
        "takeInAloneToBareCommit": round(alone.wall / bare.wall, 2), "mistakes": wrong,
    }  # fmt: skip
    for mistake in wrong:
        print(f"WRONG: {mistake}")
    print(json.dumps(summary))
    return 1 if wrong else 0


def standard_parser(mails: Sequence[Mail]) -> Cost:
    """What it costs the standard library to split the same mails into parts and decode these."""
    cost = Cost()
    with cost.counted():
        for mail in mails:
            for part in email.message_from_bytes(mail.raw).walk():
                part.get_payload(decode=True)
    return cost


def show(stages: dict[str, Cost], others: dict[str, Cost], counts: dict[str, int], messages: int) -> None:
    """Print the table: the stages with their sum, then the others, each for one message (of its kind: `counts`)."""
    total = Cost(sum(cost.cpu for cost in stages.values()), sum(cost.wall for cost in stages.values()))
    print(f"{messages} messages, each{'':<20}{'CPU ms':>9}{'share':>8}{'wall ms':>10}")
    for name, cost in [*stages.items(), ("sum", total), *others.items()]:
        each = 1000 / counts.get(name, messages)
        share = f"{cost.cpu / total.cpu:>8.1%}" if name in stages else ""
        print(f"{name:<35}{each * cost.cpu:>9.3f}{share:>8}{each * cost.wall:>10.3f}")


if __name__ == "__main__":
    sys.exit(main())

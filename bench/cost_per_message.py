"""What one message costs, and where: taking it in, parsing, the database, and the rest (rules, templates, composing).

Everything runs in this one process, stage after stage, so that nothing waits for anything else; the sum is the work,
not the speed (see end_to_end.py for that). As measures of the machine itself: the standard library's parser on the same bytes,
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
from pathlib import Path
from typing import Any

from corpus import KINDS, SEED, Mail, make_corpus
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


class Parsed:
    """Stands where the workers do, and has every mail parsed already: so that what follows is measured alone."""

    def __init__(self, mails: Sequence[Mail]) -> None:
        self.of: dict[bytes, ParsedEmail] = {}
        self.seconds: dict[str, float] = defaultdict(float)  # by kind of mail
        for mail in mails:
            start = time.perf_counter()
            self.of[mail.raw] = parse(mail.raw)
            self.seconds[mail.kind] += time.perf_counter() - start

    def parse_all(self, raws: Sequence[bytes]) -> list[ParsedEmail]:
        """What parsing these gave."""
        return [self.of[raw] for raw in raws]


class DatabaseTime:
    """Seconds spent in the database's driver: statements and commits."""

    def __init__(self, engine: Engine) -> None:
        self.seconds = 0.0
        self.statements = 0
        self.commits = 0
        self._started = threading.local()
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        commit = engine.dialect.do_commit

        def timed_commit(connection: Any) -> None:
            start = time.perf_counter()
            commit(connection)
            self.seconds += time.perf_counter() - start
            self.commits += 1

        engine.dialect.do_commit = timed_commit  # type: ignore[method-assign,assignment]

    def _before(self, *_arguments: Any) -> None:
        self._started.at = time.perf_counter()

    def _after(self, *_arguments: Any) -> None:
        self.seconds += time.perf_counter() - self._started.at
        self.statements += 1


@contextmanager
def open_desk(folder: Path) -> Iterator[House]:
    """A desk with an empty database in this folder."""
    text = CONFIG.replace("{url}", "sqlite:///postroom.db").replace("{port}", "0")
    config = parse_config(tomllib.loads(text), folder)
    with (folder / "log").open("w") as log:  # as the daemon has one; a line for each message is part of the cost
        logging.configure(config.log, stream=log)
        with open_house(config) as house:
            yield house


def take_in(house: House, mails: Sequence[Mail], together: int) -> float:
    """Seconds until all of it is on disk, `together` mails arriving at the same moment."""
    intake = Intake(house.store, lambda: None)
    intake.start()
    start = time.perf_counter()
    for at in range(0, len(mails), together):
        waiting = [intake.submit([delivery(mail)]) for mail in mails[at : at + together]]
        for answer in waiting:
            answer.result(60)
    seconds = time.perf_counter() - start
    intake.stop()
    return seconds


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
        start = time.perf_counter()
        processor.drain()
        effects = time.perf_counter() - start
        wrong = mistakes(house.store, mails)
    stages = {
        "take in, in groups": grouped,
        "parse": sum(parsed.seconds.values()),
        "effects: database": min(database.seconds, effects),
        "effects: the rest": max(effects - database.seconds, 0.0),
    }
    baselines = {
        "standard library's parser": standard_parser(mails),
        "bare synced commits": len(mails) / bare_commits(mails),
    }
    show(stages, alone, baselines, parsed, mails)
    per = {name: round(1000 * seconds / len(mails), 4) for name, seconds in (stages | baselines).items()}
    summary = {
        "benchmark": "cost_per_message", "messages": len(mails), "milliseconds": per,
        "takeInAlone": round(1000 * alone / len(mails), 4),
        "statementsPerMessage": round(database.statements / len(mails), 2), "commits": database.commits,
        "parseToStandardLibrary": round(stages["parse"] / baselines["standard library's parser"], 2),
        "takeInAloneToBareCommit": round(alone / baselines["bare synced commits"], 2), "mistakes": wrong,
    }  # fmt: skip
    for mistake in wrong:
        print(f"WRONG: {mistake}")
    print(json.dumps(summary))
    return 1 if wrong else 0


def standard_parser(mails: Sequence[Mail]) -> float:
    """Seconds that the standard library takes to split the same mails into parts and decode these."""
    start = time.perf_counter()
    for mail in mails:
        for part in email.message_from_bytes(mail.raw).walk():
            part.get_payload(decode=True)
    return time.perf_counter() - start


def show(
    stages: dict[str, float], alone: float, baselines: dict[str, float], parsed: Parsed, mails: Sequence[Mail]
) -> None:
    """Print the table."""
    total = sum(stages.values())
    print(f"{'stage':<34}{'ms/message':>12}{'share':>9}")
    for name, seconds in stages.items():
        print(f"{name:<34}{1000 * seconds / len(mails):>12.3f}{seconds / total:>9.1%}")
    print(f"{'sum':<34}{1000 * total / len(mails):>12.3f}")
    print(f"{'take in, one a commit':<34}{1000 * alone / len(mails):>12.3f}")
    for kind in KINDS:
        count = sum(mail.kind == kind for mail in mails)
        if count:
            print(f"{'parse: ' + kind:<34}{1000 * parsed.seconds[kind] / count:>12.3f}")
    for name, seconds in baselines.items():
        print(f"{'for comparison: ' + name:<34}{1000 * seconds / len(mails):>12.3f}")


if __name__ == "__main__":
    sys.exit(main())

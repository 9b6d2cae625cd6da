"""Does every bounce of a corpus settle the delivery that it is about?

    python bench/bounces.py --corpora ../shared/corpora [--min 0.98] [--show 20]

Each bounce of the sets `bounce-*` is taken twice: with a Message-ID of ours planted where it copies that of the mail that
bounced, and, as it is, sent to the signed bounce address of a delivery. The delivery must then be as the set's answers
say: failed, or (for a failure of class 4) failed or delayed. Where there are no answers on recipients it must be settled at all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection

from postroom import config as settings
from postroom.daemon.house import House, open_house
from postroom.outbound.addresses import bounce_address, message_id
from postroom.outbound.returned import Settling, settle_report
from postroom.parsers.email import parse
from postroom.store import outbox
from postroom.store.outbox import NewDelivery

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MAILBOX = "support@example.com"
ENDS = {"failed", "delayed", "delivered", "relayed", "expanded"}
# a Message-ID that the report copies: in a header of its own lines, quoted or indented as may be
COPIED = re.compile(rb"(?im)^[> \t|]*(?:original-)?message-id:[ \t]*(?:\r?\n[> \t|]+)?<?([^\s<>]+@[^\s<>]+)>?")
ANSWERED = re.compile(rb"(?im)^(?:in-reply-to|references):[ \t]*(?:\r?\n[ \t]+)?<([^\s<>]+@[^\s<>]+)>")


@dataclass(frozen=True, slots=True)
class Case:
    """One bounce of a set, and what its answers say."""

    name: str
    raw: bytes
    recipient: str | None
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Result:
    """How one way of planting ended."""

    case: Case
    way: str
    outcome: str
    why: str

    @property
    def is_right(self) -> bool:
        """Whether the delivery ended as the answers say."""
        return self.outcome in self.case.allowed


def cases(corpora: Path) -> Iterator[Case]:
    """Every bounce of the sets `bounce-*`."""
    for folder in sorted(corpora.glob("bounce-*")):
        for line in (folder / "expected.jsonl").read_text("utf-8").splitlines():
            answer = json.loads(line)
            if answer["expect"].get("kind") == "bounce":
                people = answer["expect"].get("bounce", {}).get("recipients", [])
                first = people[0] if people else {}
                raw = (folder / answer["file"]).read_bytes()
                yield Case(f"{folder.name}/{answer['file']}", raw, first.get("address"), _allowed(first))


def _allowed(answer: dict[str, Any]) -> frozenset[str]:
    if answer.get("action"):
        return frozenset({answer["action"]})
    if answer.get("permanent"):
        return frozenset({"failed"})
    return frozenset({"failed", "delayed"}) if "permanent" in answer else frozenset(ENDS)


def place_of(raw: bytes) -> bytes | None:
    """The Message-ID of the mail that bounced, as the report copies it, found without our parser; None where it holds none."""
    split = re.search(rb"\r?\n\r?\n", raw)
    head, body = (raw[: split.end()], raw[split.end() :]) if split else (raw, b"")
    own = {found[1] for found in COPIED.finditer(head)}
    copied = [found[1] for found in COPIED.finditer(body) if found[1] not in own]
    return next(iter([*copied, *(found[1] for found in ANSWERED.finditer(head))]), None)


def run(house: House, case: Case) -> Iterator[Result]:
    """Take the bounce in each way that it has a place for."""
    parsed = parse(case.raw)
    known = parsed.bounce.recipients[0].address if parsed.bounce and parsed.bounce.recipients else "cy@example.org"
    with house.store.write() as connection:
        key = _enqueue(connection, house, case.recipient or known)
        tag = house.signer.bounce(key)
        yield _result(case, "address", settle_report(_settling(connection, house), parsed, [tag]).decision[0])
        place = place_of(case.raw)
        if place is not None:
            row = outbox.by_key(connection, _enqueue(connection, house, case.recipient or known))
            assert row is not None
            planted = parse(case.raw.replace(place, row.email_message_id.encode()))
            yield _result(case, "message-id", settle_report(_settling(connection, house), planted, []).decision[0])


def _settling(connection: Connection, house: House) -> Settling:
    return Settling(connection, house.signer, house.config.answers, NOW)


_keys = iter(range(1, 1_000_000))


def _enqueue(connection: Connection, house: House, recipient: str) -> int:
    key = next(_keys)
    id_ = message_id(house.signer, MAILBOX, key, key)
    sender = bounce_address(house.signer, MAILBOX, key)
    outbox.enqueue(connection, [NewDelivery(
        key, None, None, "reply", False, "support", recipient, NOW, "Hello", sender, id_, f"{key:064x}", b"raw",
    )])  # fmt: skip
    return key


def _result(case: Case, way: str, line: dict[str, Any]) -> Result:
    return Result(case, way, line["outcome"], line["why"])


def main() -> int:
    """Print the figures, and the first misses; 1 where less than `--min` of a way settled as it should."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpora", type=Path, required=True, help="the folder of the sets")
    arguments.add_argument("--min", type=float, default=0.0, help="exit 1 below this part, 0 to 1")
    arguments.add_argument("--show", type=int, default=20, metavar="N", help="the first N misses")
    given = arguments.parse_args()
    with TemporaryDirectory() as folder, open_house(settings.parse({}, Path(folder))) as house:
        results = [result for case in cases(given.corpora) for result in run(house, case)]
    right, all_ = Counter(r.way for r in results if r.is_right), Counter(r.way for r in results)
    for result in [r for r in results if not r.is_right][: given.show]:
        print(
            f"{result.way:10}  {result.case.name}: {result.outcome}, not {'/'.join(sorted(result.case.allowed))}: {result.why}"
        )
    for way, count in all_.items():
        print(f"{way:10}  {right[way]} of {count} settled as they should ({right[way] / count:.1%})")
    print(json.dumps({"bench": "bounces", **{way: {"right": right[way], "of": all_[way]} for way in all_}}))
    return int(any(right[way] < given.min * all_[way] for way in all_) or not all_)


if __name__ == "__main__":
    sys.exit(main())

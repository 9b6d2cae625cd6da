"""What reading a message costs: our `parse` beside the standard library's parser and mail-parser, on the same mail.

Each reads every message whole: all headers decoded, all bodies and attachments decoded. Ours does more (text from HTML,
sanitising, reply and quote, attachments hashed, bounces), and is to take at most twice mail-parser's time on ordinary mail.
CPU of this process, since the machine may be busy; the best of several rounds, the three taking turns.

    python bench/parse.py [--count 400] [--rounds 3] [--mbox FILE]

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import email.header
import email.policy
import json
import logging
import mailbox
import time
from collections.abc import Callable
from pathlib import Path

import mailparser
from corpus import SEED, make_corpus

from postroom.parsers.email import parse

TWICE = 2.0  # times mail-parser's own time: the promise


def main() -> None:
    arguments = _arguments()
    logging.disable(logging.CRITICAL)  # mail-parser logs what it does not handle
    groups = _mail(arguments)
    rows = []
    for name, messages in groups.items():
        costs = _measure(messages, arguments.rounds)
        ours, theirs, standard = costs["postroom"], costs["mail-parser"], costs["stdlib"]
        rows.append({
            "mail": name, "messages": len(messages), "kib": round(sum(map(len, messages)) / len(messages) / 1024, 1),
            "stdlibMs": round(standard, 3), "mailParserMs": round(theirs, 3), "postroomMs": round(ours, 3),
            "timesMailParser": round(ours / theirs, 2), "timesStdlib": round(ours / standard, 2),
        })  # fmt: skip
    print(
        f"{'mail':12} {'messages':>8} {'KiB':>8} {'stdlib ms':>10} {'mail-parser ms':>15} {'postroom ms':>12} {'× mail-parser':>14}"
    )
    for row in rows:
        print(
            f"{row['mail']:12} {row['messages']:>8} {row['kib']:>8} {row['stdlibMs']:>10} {row['mailParserMs']:>15}"
            f" {row['postroomMs']:>12} {row['timesMailParser']:>14}"
        )
    print(json.dumps({"benchmark": "parse", "seed": SEED, "limit": TWICE, "rows": rows}))


def _mail(arguments: argparse.Namespace) -> dict[str, list[bytes]]:
    if arguments.mbox:
        messages = [bytes(message) for message in mailbox.mbox(arguments.mbox)]
        return {"mbox": messages[: arguments.count]}
    mixed = list(make_corpus(arguments.count))
    groups: dict[str, list[bytes]] = {"mixed": [mail.raw for mail in mixed]}
    for mail in mixed:
        groups.setdefault(mail.kind, []).append(mail.raw)
    return groups


def _measure(messages: list[bytes], rounds: int) -> dict[str, float]:
    """Milliseconds a message, the best round of each reader."""
    readers: dict[str, Callable[[bytes], object]] = {
        "stdlib": _read_with_stdlib,
        "mail-parser": _read_with_mail_parser,
        "postroom": parse,
    }
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, read in readers.items():
            began = time.process_time()
            for raw in messages:
                read(raw)
            took = (time.process_time() - began) / len(messages) * 1000
            best[name] = min(took, best.get(name, took))
    return best


def _read_with_stdlib(raw: bytes) -> object:
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    decoded = [
        str(email.header.make_header(email.header.decode_header(value)))
        for value in message.values()
        if isinstance(value, str)
    ]
    bodies = []
    for part in message.walk():
        if not part.is_multipart():
            octets = part.get_payload(decode=True)
            if part.get_content_maintype() == "text" and isinstance(octets, bytes):
                bodies.append(octets.decode(part.get_content_charset("utf-8"), "replace"))
            part.get_filename()
    return decoded, bodies


def _read_with_mail_parser(raw: bytes) -> object:
    read = mailparser.parse_from_bytes(raw)
    return read.from_, read.to, read.subject, read.date, read.text_plain, read.text_html, read.attachments, read.headers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mbox", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

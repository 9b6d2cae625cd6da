"""Mutated mail through the one door, for as long as is asked: nothing may raise, dawdle, or break its promises.

    python tests/parsers/fuzz_parse.py --seconds 60 [--seed 7] [--keep DIR] [FILE or DIR ...]

Seeds are the messages of tests/emails, or those named. What fails is written to DIR, with its reason, and ends the run
with exit 1. The same seed makes the same mutations. With atheris installed, `--coverage` lets it guide them.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from postroom.parsers.attachments import read_part
from postroom.parsers.bodies import read_bodies
from postroom.parsers.email import parse
from postroom.parsers.mime import DEFECTS_KEPT, read_tree
from postroom.parsers.parsed import Address, ParsedEmail

SLOW = 5.0  # seconds of CPU for one message; half of what a worker may take
LONGEST_GUIDED = 32 * 1024  # octets of a message that atheris makes
LARGEST = 4 * 1024 * 1024  # octets of a mutated message
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b"--", b"\n--b\n", b"Content-Type: multipart/mixed; boundary=b\n", b"=?utf-8?q?=00?=",
    b"=?utf-8?B?", b"?=", b"=?utf-7?q?+2AA-?=", b"Content-Transfer-Encoding: base64\n", b"Content-Type: message/rfc822\n\n",
    b"filename*0*=utf-8''%00", b"filename*1=", b"charset=utf-7", b"charset=punycode", b"charset=utf-16", b"charset=iso-2022-jp",
    b"\x1b$B", b"\x1b(B", b"<!--", b"-->", b"<div>", b"<table><tr><td>", b"</table>", b"<a href='", b'"', b"<", b">", b"@", b",", b";",
    b":", b"(", b")", b"\\", b"[", b"&#99999999999;", b"> ", b">", b"On Mon, Ann wrote:\n", b"-- \n", b"begin 644 a\n", b"end\n", b"From: ",
    b"From ", b"Subject: ", b"Final-Recipient: rfc822; a@b\n", b"Status: 5.1.1\n", b"Action: failed\n", b"\xff", b"\xc3", b"\xe2\x80\xae",
    b"\xed\xa0\x80", b"format=flowed; delsp=yes", b"Content-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\x01\x00", b"BEGIN:VEVENT\n",
    b"Content-Type: application/pkcs7-mime; smime-type=signed-data\n", b"\x30\x80\x06\x09", b"Date: ", b"-0000", b"99999999999",
]  # fmt: skip


def main() -> int:
    arguments = _arguments()
    seeds = _seeds(arguments.seeds)
    if arguments.coverage:
        return _guided(seeds, arguments)
    chance = random.Random(arguments.seed)
    until = time.monotonic() + arguments.seconds
    count = slowest = 0.0
    failures = 0
    while time.monotonic() < until and failures < 20:
        mutated = mutate(chance, seeds)
        count += 1
        began = time.process_time()
        problem = check(mutated)
        took = time.process_time() - began
        slowest = max(slowest, took)
        if problem is None and took > SLOW:
            problem = f"took {took:.1f} s for {len(mutated)} octets"
        if problem is not None:
            failures += 1
            _keep(arguments.keep, mutated, problem)
    print(f"{count:.0f} messages, {failures} failures, slowest {slowest:.2f} s, seed {arguments.seed}")
    return 1 if failures else 0


def check(raw: bytes) -> str | None:
    """What is wrong with the parse of these octets, or None."""
    try:
        email = parse(raw)
        problem = broken_promise(email) or lost_part(raw, email)
        for attachment in email.attachments[:5]:
            if hashlib.sha256(read_part(raw, attachment.part)).hexdigest() != attachment.sha256:
                problem = f"part {attachment.part} is another one when it is read again"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    return problem


def broken_promise(email: ParsedEmail) -> str | None:
    """The first promise of `parsed.py` that does not hold."""
    failed = [defect for defect in email.defects if "could not be read (" in defect]
    if failed:
        return failed[0]
    for text in _strings(email):
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text if char > "\ud7ff"):
            return "a string holds a NUL or a lone surrogate"
    if "\n" in email.subject or "\r" in email.subject:
        return "the subject has several lines"
    if any(
        set(message_id) & set("<> \t\r\n")
        for message_id in (*email.references, *email.in_reply_to, email.message_id or "")
    ):
        return "a Message-ID is not bare"
    if any(address.address and "@" not in address.address for address in (*email.from_, *email.to, *email.cc)):
        return "an address has no @"
    return None


def lost_part(raw: bytes, email: ParsedEmail) -> str | None:
    """A leaf of the MIME tree that is neither body nor attachment, and that no defect names."""
    tree = read_tree(raw)
    bodies = read_bodies(tree)
    kept = {attachment.part.partition("!")[0] for attachment in email.attachments}
    for part in tree.root.walk():
        around = ["", *(part.path[:at] for at, char in enumerate(part.path) if char == ".")]
        if part.children or part.path in bodies.parts or kept & {part.path, *around} or not part.body().strip():
            continue
        if len(email.defects) < DEFECTS_KEPT and not any(
            defect.startswith(f"{part.place}: ") for defect in email.defects
        ):
            return f"{part.place} ({part.content_type}) is lost"
    return None


def _strings(email: ParsedEmail) -> list[str]:
    def of(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, tuple):
            return [text for item in value for text in of(item)]
        if isinstance(value, Address):
            return [value.name, value.address]
        slots = getattr(type(value), "__slots__", ())
        return [text for name in slots for text in of(getattr(value, name))] if slots else []

    return of(email)


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed, changed in one to eight places."""
    raw = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 8)):
        chance.choice(_MUTATIONS)(chance, raw, seeds)
        del raw[LARGEST:]
    return bytes(raw)


def _place(chance: random.Random, raw: bytearray) -> int:
    """Anywhere, but often in the headers."""
    return chance.randint(0, min(len(raw), 2_000) if chance.random() < 0.5 else len(raw))


def _flip(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    for _ in range(chance.randint(1, 6)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)


def _insert_token(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    at = _place(chance, raw)
    raw[at:at] = chance.choice(TOKENS)


def _repeat_token(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    at = _place(chance, raw)
    tokens = b"".join(chance.choice(TOKENS) for _ in range(chance.randint(1, 3)))
    raw[at:at] = tokens * int(10 ** chance.uniform(1, 5) / max(len(tokens) / 8, 1))


def _delete(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    at = _place(chance, raw)
    del raw[at : at + int(10 ** chance.uniform(0, 3))]


def _truncate(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    del raw[_place(chance, raw) :]


def _copy(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    at = _place(chance, raw)
    piece = bytes(raw[at : at + int(10 ** chance.uniform(0, 3.5))])
    to = _place(chance, raw)
    raw[to:to] = piece * int(10 ** chance.uniform(0, 2))


def _splice(chance: random.Random, raw: bytearray, seeds: list[bytes]) -> None:
    other = chance.choice(seeds)
    at = chance.randint(0, len(other))
    raw[_place(chance, raw) :] = other[at:]


def _change_line_ends(chance: random.Random, raw: bytearray, _: list[bytes]) -> None:
    ends = [b"\r\n", b"\n", b"\r", b"\n\r"]
    raw[:] = raw.replace(chance.choice(ends), chance.choice(ends))


_MUTATIONS: list[Callable[[random.Random, bytearray, list[bytes]], None]] = [
    _flip, _insert_token, _insert_token, _repeat_token, _delete, _truncate, _copy, _splice, _change_line_ends,
]  # fmt: skip


def _guided(seeds: list[bytes], arguments: argparse.Namespace) -> int:
    """By atheris (libFuzzer), which keeps what reaches new code and ends the process at the first failure."""
    import atheris

    def one(raw: bytes) -> None:
        problem = check(raw)
        if problem is not None:
            raise AssertionError(problem)

    arguments.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / f"{number}.eml").write_bytes(seed[:LONGEST_GUIDED])
        words = Path(folder) / "words"
        words.write_text("".join('"' + "".join(f"\\x{octet:02x}" for octet in token) + '"\n' for token in TOKENS))
        options = [
            f"-max_total_time={arguments.seconds:.0f}", f"-max_len={LONGEST_GUIDED}", "-len_control=0", f"-timeout={SLOW * 2:.0f}",
            f"-dict={words}", f"-artifact_prefix={arguments.keep}/", f"-seed={arguments.seed}",
        ]  # fmt: skip
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()
    return 0


def _keep(folder: Path, raw: bytes, problem: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(raw).hexdigest()[:12]}.eml"
    path.write_bytes(raw)
    print(f"{path}: {problem}", flush=True)


def _seeds(names: list[Path]) -> list[bytes]:
    files = [
        file for name in names for file in (sorted(name.rglob("*")) if name.is_dir() else [name]) if file.is_file()
    ]
    return [file.read_bytes()[: LARGEST // 4] for file in files] or [b"From: a@example.org\n\ntext\n"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--coverage", action="store_true", help="let atheris guide the mutations")
    parser.add_argument("seeds", type=Path, nargs="*", default=[Path(__file__).parents[1] / "emails"])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Made-up threads: who answers whom is known, so a grouping can be judged. The same seed makes the same mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import groupby
from random import Random

START = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
LIST = "users@lists.example.org"
PEOPLE = [f"{name}@{name}.example" for name in ("cy", "di", "ed", "fay", "gus", "hal", "ida", "jo", "kit", "lee")]
SUBJECTS = ["Printer on fire", "Meeting", "Question", "Release 2.0", "Build fails"]  # threads share them


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, and the thread that it belongs to."""

    id: str  # bare Message-ID
    thread: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Written:
    id: str
    references: tuple[str, ...]


def conversations(random: Random, threads: int, mails: int) -> list[Letter]:
    """Customers' threads, whole, oldest first: everybody of a thread is on each of its mails, which names all before it."""
    people = {n: random.sample(PEOPLE, random.randint(1, 3)) for n in range(threads)}
    return _write(random, threads, mails, people, lambda parent: (*parent.references, parent.id), copied=True)


def archive(random: Random, threads: int, mails: int, unseen: float = 0.02) -> list[Letter]:
    """A list's threads, oldest first, as mail programs leave them: References cut, or In-Reply-To alone.

    A share of `unseen` mails was answered, but is not in the archive.
    """

    def references(parent: _Written) -> tuple[str, ...]:
        whole = (*parent.references, parent.id)
        return random.choices([whole, (*whole[:1], *whole[1:][-2:]), whole[-3:], ()], [75, 10, 5, 10])[0]

    letters = _write(random, threads, mails, dict.fromkeys(range(threads), PEOPLE), references, copied=False)
    return [letter for letter in letters if random.random() >= unseen]


def without_references(random: Random, letters: Iterable[Letter], share: float) -> list[Letter]:
    """The same mail, a share of whose reference headers somebody has removed."""
    found = []
    for letter in letters:
        head, _, body = letter.raw.partition(b"\r\n\r\n")
        kept = [
            line for line in head.split(b"\r\n")
            if not (line.startswith((b"In-Reply-To:", b"References:")) and random.random() < share)
        ]  # fmt: skip
        found.append(Letter(letter.id, letter.thread, b"\r\n".join(kept) + b"\r\n\r\n" + body))
    return found


def _write(
    random: Random, threads: int, mails: int, people: Mapping[int, Sequence[str]], references: object, copied: bool
) -> list[Letter]:
    assert callable(references)
    written: dict[int, list[_Written]] = {n: [] for n in range(threads)}
    subjects = {n: random.choice(SUBJECTS) for n in range(threads)}
    letters = []
    for number in range(mails):
        n = number if number < threads else random.randrange(threads)
        thread, author = written[n], random.choice(people[n])
        parent = random.choice(thread) if thread else None
        one = _Written(
            f"{number}.{random.getrandbits(32):x}@{author.partition('@')[2]}", references(parent) if parent else ()
        )
        thread.append(one)
        headers = {
            "From": author, "To": LIST if not copied else "support@example.com", "Cc": ", ".join(people[n]) if copied else "",
            "Subject": ("Re: " if parent else "") + subjects[n], "Date": format_datetime(START + timedelta(minutes=7 * number)),
            "Message-ID": f"<{one.id}>", "In-Reply-To": f"<{parent.id}>" if parent else "",
            "References": " ".join(f"<{ref}>" for ref in one.references),
        }  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        letters.append(Letter(one.id, str(n), f"{head}\r\nWord {number} of thread {n}.\r\n".encode()))
    return letters


def judge(letters: Iterable[Letter], tickets: Mapping[str, str]) -> tuple[float, float]:
    """Precision and recall of a grouping (Message-ID → ticket) by pairs of mails that share a ticket or a thread."""
    both = Counter((letter.thread, tickets[letter.id]) for letter in letters)
    by_thread, by_ticket = Counter[str](), Counter[str]()
    for (thread, ticket), count in both.items():
        by_thread[thread] += count
        by_ticket[ticket] += count
    right, wanted, found = (sum(n * (n - 1) // 2 for n in c.values()) for c in (both, by_thread, by_ticket))
    return right / found, right / wanted


def grouping(letters: Iterable[Letter]) -> set[frozenset[str]]:
    """The Message-IDs of each thread."""
    ordered = sorted(letters, key=lambda letter: letter.thread)
    return {frozenset(one.id for one in group) for _, group in groupby(ordered, key=lambda letter: letter.thread)}

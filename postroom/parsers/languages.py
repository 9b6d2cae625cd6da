"""All the languages that the readers of replies and forwards know, and their words joined for looking up.

The tables are joined at their first use and kept: they never change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from postroom.parsers.language import Language
from postroom.parsers.languages_eastern import EASTERN
from postroom.parsers.languages_northern import NORTHERN
from postroom.parsers.languages_western import WESTERN
from postroom.parsers.lines import fold

LANGUAGES: tuple[Language, ...] = WESTERN + NORTHERN + EASTERN

HEADER_KINDS = ("sender", "date", "to", "cc", "subject")

_BEFORE, _AFTER = r"(?<!\w)", r"(?!\w)"
# Scripts that part no words: a word of theirs needs no boundary to be found.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@cache
def words(field: str) -> frozenset[str]:
    """Every entry of one field of every language, case-folded."""
    return frozenset(
        fold(entry).strip() for language in LANGUAGES for entry in getattr(language, field).split("|") if entry.strip()
    )


@cache
def header_labels() -> dict[str, str]:
    """The label of a header line, case-folded and without its colon → its kind, one of `HEADER_KINDS`."""
    return {label: kind for kind in reversed(HEADER_KINDS) for label in words(kind)}


@cache
def label_length() -> int:
    """The length of the longest label, in characters."""
    return max(map(len, header_labels()))


@cache
def pattern(field: str) -> re.Pattern[str]:
    """Finds any entry of a field as whole words in case-folded text."""
    return re.compile(one_of(words(field)))


def one_of(entries: Iterable[str]) -> str:
    """A pattern of alternatives, the longest first, each on word boundaries where its script has words.

    Within a word one look behind is all the work of a search, and where a word begins one look at its first letter
    leaves few alternatives.
    """
    spaced: list[str] = []
    others: list[str] = []
    for entry in sorted(entries, key=lambda one: (-len(one), one)):
        (spaced if _is_bounded(entry[0]) else others).append(entry)
    ways = [f"{_BEFORE}(?:{by_first(spaced)})"] if spaced else []
    if others:
        ways.append(f"(?=[{re.escape(''.join(sorted({entry[0] for entry in others})))}])(?:{by_first(others)})")
    return f"(?:{'|'.join(ways)})"


def by_first(entries: Iterable[str], *, bounded: bool = True) -> str:
    """Alternatives gathered by their first letter: those of other letters cost a search nothing.

    `bounded`: each goes to the end of a word, if its script has words.
    """
    gathered: dict[str, tuple[list[str], list[str]]] = {}
    for entry in entries:
        free, ending = gathered.setdefault(entry[0], ([], []))
        (ending if bounded and _is_bounded(entry[-1]) else free).append(re.escape(entry[1:]))
    alternatives: list[str] = []
    for first, (free, ending) in gathered.items():
        rests = [*free, f"(?:{'|'.join(ending)}){_AFTER}"] if ending else free
        alternatives.append(f"{re.escape(first)}(?:{'|'.join(rests)})")
    return "|".join(alternatives)


def _is_bounded(character: str) -> bool:
    return character.isalnum() and not _UNSPACED.match(character)

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

    Those with a boundary on both sides share it: at most places of a text one look behind is all the work.
    """
    shared: list[str] = []
    others: list[str] = []
    for entry in sorted(entries, key=lambda one: (-len(one), one)):
        begins, ends = _is_bounded(entry[0]), _is_bounded(entry[-1])
        if begins and ends:
            shared.append(re.escape(entry))
        else:
            others.append((_BEFORE if begins else "") + re.escape(entry) + (_AFTER if ends else ""))
    if shared:
        others.append(f"{_BEFORE}(?:{'|'.join(shared)}){_AFTER}")
    return "(?:" + "|".join(others) + ")"


def _is_bounded(character: str) -> bool:
    return character.isalnum() and not _UNSPACED.match(character)

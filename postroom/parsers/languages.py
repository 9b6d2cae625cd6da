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

LANGUAGES: tuple[Language, ...] = WESTERN + NORTHERN + EASTERN

HEADER_KINDS = ("sender", "date", "to", "cc", "subject")

# Scripts that part no words: a word of theirs needs no boundary to be found.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@cache
def words(field: str) -> frozenset[str]:
    """Every entry of one field of every language, case-folded."""
    return frozenset(
        entry.casefold().strip()
        for language in LANGUAGES
        for entry in getattr(language, field).split("|")
        if entry.strip()
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
    """A pattern of alternatives, the longest first, each on word boundaries where its script has words."""
    return "(?:" + "|".join(map(_bounded, sorted(entries, key=len, reverse=True))) + ")"


def _bounded(entry: str) -> str:
    escaped = re.escape(entry)
    before = r"(?<!\w)" if entry[0].isalnum() and not _UNSPACED.match(entry[0]) else ""
    after = r"(?!\w)" if entry[-1].isalnum() and not _UNSPACED.match(entry[-1]) else ""
    return f"{before}{escaped}{after}"

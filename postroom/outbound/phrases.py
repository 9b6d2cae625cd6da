"""How times, sizes, words and marks are written in a language: the filters of our own that templates have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from postroom import saying
from postroom.outbound.catalogue import Catalogue

BINARY_UNIT = 1024
TIMES_KEPT = 2_048  # written times that are kept: those of one minute are many

# What the desk's settings name by default, for `word`; a name of the operator's own stays as it is.
WORDS = (
    "new", "open", "pending customer", "pending internal", "resolved", "closed", "critical", "high", "medium", "low",
)  # fmt: skip


def filters(words: Catalogue) -> dict[str, Callable[..., Any]]:
    """`when` (a time, in its own zone), `size` (octets), `word` (a status or priority), `said` (a `Saying`), `strong`, `whole`, `breaks`."""
    return {
        "said": partial(said, words=words), "when": partial(when, locale=words.locale), "size": partial(size, locale=words.locale),
        "word": lambda name: words.word(str(name).replace("_", " ")), "strong": strong, "whole": whole, "breaks": breaks,
    }  # fmt: skip


def when(moment: datetime, locale: Locale) -> str:
    """A time as the language writes it, in its own zone and with that named: `November 24, 2026, 1:00 PM CET`."""
    return _when(moment.replace(second=0, microsecond=0), moment.tzname() or "", str(locale))


@lru_cache(TIMES_KEPT)
def _when(moment: datetime, zone: str, locale: str) -> str:
    # equal times of two zones are one key to a cache, so the zone's name is part of it
    named = get_timezone_name(moment, width="short", locale=locale) if moment.tzinfo else ""
    named = named if re.fullmatch(r"[^\W\d_]+", named) and not named.startswith("GMT") else zone
    date, time = format_date(moment, "long", locale=locale), format_time(moment, "short", locale=locale)
    return f"{date}, {time} {named}".replace("\u202f", " ").rstrip()  # CLDR's narrow blank is not in every font


def said(text: Any, words: Catalogue) -> Any:
    """A sentence of ours in the language; whatever else it is stays as it is: a server's answer, a person's words."""
    return saying.said(text, words.word, partial(when, locale=words.locale))


def size(octets: int, locale: Locale) -> str:
    """Octets in the unit that a person would take."""
    return _size(int(octets), str(locale))


@lru_cache(TIMES_KEPT)
def _size(octets: int, locale: str) -> str:
    amount, unit = float(octets), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if amount < BINARY_UNIT:
            break
        amount, unit = amount / BINARY_UNIT, larger
    pattern = "0" if unit == "B" or amount >= 10 else "0.0"
    return f"{format_decimal(amount, pattern, locale=locale)} {unit}"


def strong(text: Any) -> Markup:
    """Text as HTML that stands out, and on one line."""
    return Markup('<strong style="white-space: nowrap">{}</strong>').format(text)


def whole(text: Any) -> Markup:
    """Text as HTML that stays on one line: "T-1042" is not parted at its hyphen."""
    return Markup('<span style="white-space: nowrap">{}</span>').format(text)


def breaks(text: Any) -> Markup:
    """Text as HTML that keeps its lines."""
    return Markup(escape(text).replace("\n", Markup("<br>\n")))  # noqa: S704 (escaped here)

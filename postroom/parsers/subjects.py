"""Which subject is it under its prefixes: `[list] AW: Re[5]: WG: Hello` → `hello`?"""

from __future__ import annotations

import re
from functools import cache

from postroom.parsers.languages import words
from postroom.parsers.lines import fold

MAX_LENGTH = 1_000  # characters that are looked at; nobody's subject is longer
_TAG = re.compile(r"\s*[\[【［]([^\[\]【】［］]{1,60})[\]】］]\s*")
_WRAPPED = re.compile(r"\s*\[(?=[^\[\]]{1,12}:)(.*)\]\s*$")  # Netscape: [Fwd: Hello]
_FWD_BEHIND = re.compile(r"\s*\((?:fwd|fw)\)\s*$", re.IGNORECASE)
_COUNT = r"(?:\s?\[\d{1,4}\]|\s?\(\d{1,4}\)|\s?[*^]\s?\d{1,4}|\d{1,3})?"


def normalise_subject(subject: str) -> str:
    """A subject for comparing, not for showing: without prefixes and list tags, case-folded, single blanks.

    Prefixes come nested, counted, in any language, with or without a blank: `Re[5]:`, `Re (2):`, `AW:Re:x`. A subject
    that is nothing but prefixes or tags is "" or the last tag.
    """
    rest = _collapse(subject)
    while True:
        before = rest
        rest = rest[_prefix_end(rest) :].strip()
        if (tag := _TAG.match(rest)) and rest[tag.end() :].strip():
            rest = rest[tag.end() :].strip()
        if (wrapped := _WRAPPED.match(rest)) and _prefix_end(wrapped[1]):
            rest = wrapped[1].strip()
        rest = _FWD_BEHIND.sub("", rest)
        if rest == before:
            return rest


def has_reply_prefix(subject: str) -> bool:
    """Whether the first prefix of a subject, list tags apart, says that it is a reply: `Re: Fwd: x`, not `Fwd: Re: x`."""
    return _first_prefix(subject) in words("reply")


def has_forward_prefix(subject: str) -> bool:
    """Whether the first prefix of a subject says that it hands a mail on. `VS:` may be either: Danish or Finnish."""
    rest = _collapse(subject)
    return _first_prefix(rest) in words("forward") or (
        _WRAPPED.match(rest) is not None and _FWD_INSIDE.match(rest) is not None
    )


_FWD_INSIDE = re.compile(r"\s*\[(?:fwd|fw|wg|tr)\s?:")


def _first_prefix(subject: str) -> str | None:
    rest = _collapse(subject)
    while (tag := _TAG.match(rest)) and not _prefix().match(rest):
        rest = rest[tag.end() :]
    found = _prefix().match(rest)
    return found[1] if found else None


def _prefix_end(rest: str) -> int:
    """Where the prefixes end that a collapsed subject begins with."""
    end = 0
    while found := _prefix().match(rest, end):
        end = found.end()
    return end


def _collapse(subject: str) -> str:
    return " ".join(fold(subject[:MAX_LENGTH]).split())


@cache
def _prefix() -> re.Pattern[str]:
    alternatives = "|".join(map(re.escape, sorted(words("reply") | words("forward"), key=len, reverse=True)))
    return re.compile(rf"\s*({alternatives})\.?{_COUNT}\s?[:：﹕∶]\s*")

"""Is this line the intro of a quote: "On Friday at 10:00 Ann <ann@example.org> wrote:"?

Mail programs write it in every language, in a hundred orders, wrapped over up to four lines. It is judged by
evidence, not by one pattern for each: a verb of some language, an address, a date and a time, how it begins, that
it ends in a colon, and what stands around it. A person's sentence has some of these, seldom enough.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from postroom.parsers.languages import one_of, pattern, words
from postroom.parsers.lines import BLANKS, fold

WINDOW = 4  # lines that one intro may be wrapped over
MAX_LENGTH = 500  # characters of an intro, unwrapped
GROUPWISE_DEPTH = 3  # quote marks that its intro begins with
_MAX_WORDS = 45
_LIKELY, _SURE = 1, 2

_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"]{1,64}@[^\s<>()\[\],;:\"]{2,255}")
_FULL_DATE = re.compile(
    r"(?<!\d)(?:1[34]|19|20|25)\d\d(?!\d)"  # a year, also a Persian or a Thai one
    r"|(?<!\d)\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,4}(?!\d)"
    r"|\d{1,4}\s?[年년]|\d{1,2}\s?[月월]"
)
_TIME = re.compile(r"(?<!\d)(?:[01]?\d|2[0-4])\s?[:.h]\s?[0-5]\d(?!\d)|\d{1,2}\s?[时時点點시]")
# "ср, 30", "tir. 18.", "1 Jan", "2024-", "11:00 AM", "Wednesday, January 1", "20. 1. 1."
_DATE_START = re.compile(r"\d|[^\s\d]{1,14}[.,]{0,2} ?\d|[^\s\d]{2,14}[.,]{1,2} [^\s\d]{2,14}[.,]? \d")
_ADDRESS_END = re.compile(r"(?:@[^\s<>()@]{2,255}|@[^\s<>()@]{2,255}[>)\]]{1,3})[\"'\s,]*:?$")
_GROUPWISE = re.compile(r">>> .{3,300}\d .{0,40}>>>$")
_END = f"*_\"'”»>‐–—-{BLANKS}"  # what may trail after an intro
_PROSE = re.compile(r"[!?] |\.{2,}|[a-zß-ÿа-я]{3}\. [A-ZÀ-ÞА-Я][a-zß-ÿа-я]+ [a-zß-ÿа-я]")


def find_intro(views: Sequence[str], end: int, *, floor: int, quoted_next: bool, blank_next: bool) -> int | None:
    """The index of the line where an intro begins that ends at line `end`, or None where there is none.

    `views` are lines without their quote marks; lines before `floor` are not looked at. `quoted_next` says that
    the next line that is not blank is quoted, `blank_next` that a blank line or the end follows.
    """
    if not may_end_intro(views[end]):
        return None
    last, colon = _ending(views[end])
    if last is None:
        return None
    found: int | None = None
    best = 0
    joined = ""
    for start in range(end, max(floor, end - WINDOW + 1) - 1, -1):
        line = last if start == end else views[start].strip()
        if not line or (start < end and _ends_sentence(line)):
            break
        below, joined = joined, f"{line} {joined}".strip()
        if len(joined) > MAX_LENGTH:
            break
        alone = (start == floor or not views[start - 1].strip()) and blank_next
        rank = _rank(joined, colon=colon, quoted_next=quoted_next, alone=alone)
        if rank > best or (rank and found == start + 1 and _continues(line, below)):
            found, best = start, max(rank, best)
        if best == _SURE and _begins_with_opener(fold(line)) and _FULL_DATE.search(line):
            break
    return found


def is_groupwise_intro(seen: str) -> bool:
    """Whether a viewed line is GroupWise's intro, which begins as a quote does: `>>> Ann <a@b.org> 1/2/24 >>>`."""
    return _GROUPWISE.match(seen.strip()) is not None


def _ends_sentence(line: str) -> bool:
    """Whether a line ends as no line in the middle of an intro does; abbreviations are none."""
    if line.endswith(("!", "?", ":", ";")):
        return True
    return line.endswith(".") and len(line.rsplit(None, 1)[-1].rstrip(".")) > 5


def may_end_intro(seen: str) -> bool:
    """Whether an intro may end in a viewed line: nearly none does, as it takes a colon at the end or an address."""
    if ":" not in seen:
        return "@" in seen or seen.endswith("--")
    return "@" in seen or seen.endswith("--") or ":>" in seen or ": >" in seen or seen[-40:].rstrip(_END).endswith(":")


def _ending(seen: str) -> tuple[str | None, bool]:
    """The last line of an intro without what trails after it, and whether a colon ends it; None if it is none."""
    if is_groupwise_intro(seen):
        return seen, True
    if ":>" in seen or ": >" in seen:  # the quote went on in the same line
        cut = seen.find(":>") if ":>" in seen else seen.find(": >")
        if _wrote().search(fold(seen[max(0, cut - 40) : cut + 1])):
            return seen[:cut], True
    bare = seen[-MAX_LENGTH:].rstrip(_END)
    if bare.endswith(":"):
        return bare, True
    if "@" in bare or seen.endswith("--"):
        return (bare, False) if _ends_in_verb().search(fold(bare[-40:])) else (None, False)
    return None, False


def _continues(line: str, below: str) -> bool:
    """Whether a line is the beginning of the intro `below`, which is one without it: it brings what that lacks."""
    folded = fold(line)
    count = len(line.split())
    dated = _FULL_DATE.search(line) is not None
    if _begins_with_opener(folded) and _has_digit(line) and count <= 14:
        return True
    if dated and _DATE_START.match(folded) and not _FULL_DATE.search(below):
        return True
    if _ADDRESS.search(line) and not _ADDRESS.search(below) and _few_words_before_address(folded):
        return count <= 14
    # A name whose address was wrapped onto the next line.
    return below.startswith(("<", "(", "[")) and count <= 8


def _rank(line: str, *, colon: bool, quoted_next: bool, alone: bool) -> int:
    """How well a line reads as an intro: 0 not at all, `_LIKELY`, or `_SURE`."""
    if line.count(" ") >= _MAX_WORDS:
        return 0
    if is_groupwise_intro(line):
        return _SURE
    folded = fold(line)
    address = _ADDRESS.search(line) is not None
    date = _FULL_DATE.search(line) is not None
    time = _TIME.search(line) is not None
    opens = _opens(folded)
    if (opener := _quoting().match(folded.lstrip(" -*"))) and colon:
        return _SURE if address or (quoted_next and len(folded) - opener.end() < 60) else 0
    if verb := _wrote().search(folded):
        speaks = _verb_speaks(
            folded, verb, address=address, date=date, time=time, opens=opens, colon=colon,
            quoted_next=quoted_next, alone=alone,
        )  # fmt: skip
        return (_SURE if opens or (address and date) else _LIKELY) if speaks else 0
    sure = colon and address and opens and (date or time) and _ADDRESS_END.search(line)
    return _SURE if sure else 0


def _verb_speaks(
    folded: str, verb: re.Match[str], *, address: bool, date: bool, time: bool, opens: bool, colon: bool,
    quoted_next: bool, alone: bool,
) -> bool:  # fmt: skip
    """Whether a line with a verb of writing is a mail program's, not a person's."""
    after = folded[verb.end() :]
    if after.lstrip().startswith(":") and after.strip(" :*_"):
        return False  # "On Monday you wrote: the printer is broken, and …"
    if _PROSE.search(folded) and not quoted_next:
        return False
    if not (address and date) and _you().search(folded[: verb.start()][-24:]):
        return quoted_next or (opens and date and alone)
    if not colon:
        return address and date and (opens or quoted_next)
    if address and (date or time) and (opens or _few_words_before_address(folded)):
        return True
    if address and _verb_at_address(folded, verb):
        return True
    if opens and date and (time or alone or quoted_next):
        return True
    if date and time and len(folded.split()) <= 16:
        return True
    return quoted_next and (len(folded.split()) <= 7 or (opens and _has_digit(folded)))


def _opens(folded: str) -> bool:
    """Whether a line begins as intros do: with a date, or a word such as "on" with a digit soon after it."""
    begin = folded.lstrip(" -–—*>_\"'([‐")
    if _DATE_START.match(begin):
        return True
    if not _begins_with_opener(begin):
        return False
    return _has_digit(begin[:60])


def _begins_with_opener(folded: str) -> bool:
    return _openers().match(folded.lstrip(" -–—*>_\"'([‐")) is not None


def _few_words_before_address(folded: str) -> bool:
    found = _ADDRESS.search(folded)
    return found is not None and len(folded[: found.start()].split()) <= 7


def _verb_at_address(folded: str, verb: re.Match[str]) -> bool:
    """Whether nothing but a bracket stands between an address and the verb, with a name at most before it."""
    found = _ADDRESS.search(folded)
    if found is None or not _few_words_before_address(folded):
        return False
    between = folded[found.end() : verb.start()] if found.end() <= verb.start() else folded[verb.end() : found.start()]
    return len(between.split()) <= 4 and "." not in between


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


@cache
def _wrote() -> re.Pattern[str]:
    return pattern("wrote")


@cache
def _ends_in_verb() -> re.Pattern[str]:
    return re.compile(one_of(words("wrote")) + r"\s*$")


@cache
def _quoting() -> re.Pattern[str]:
    return pattern("quoting")


@cache
def _openers() -> re.Pattern[str]:
    # Hebrew joins its preposition to the date with a hyphen, so an opener may be followed by anything but a letter.
    return re.compile(
        "(?:" + "|".join(map(re.escape, sorted(words("openers"), key=len, reverse=True))) + r")(?![^\W\d])"
    )


@cache
def _you() -> re.Pattern[str]:
    return re.compile(one_of(words("you")) + r"\s*(?:\S{1,8}\s*)?$")

"""Is there a header block here: "From: … Sent: … To: … Subject: …", as mail programs put above a quoted mail?

In any language of the table, bold or not, wrapped, double spaced, on one line, with or without a separator above it.
A list such as "From: Berlin / To: Paris / Date: 3 May" in a customer's own words is none: it takes a subject or an
address, and a sender.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

from postroom.parsers.languages import HEADER_KINDS, by_first, header_labels, label_length, words
from postroom.parsers.lines import BLANKS, fold, glance_at, plain
from postroom.parsers.separators import read_separator

MAX_LINES = 60  # lines of one block, wrapped lists of recipients among them
_MAX_GAP = 2  # blank lines between two headers of a double-spaced block
_MAX_WRAPPED = 25  # lines that one header may be wrapped over
_MAX_NOTES_SENDER = 100  # characters
_MAX_NOTES_LINES = 14  # lines of a Lotus Notes heading

# Said from a digit on, so that a search skips all that is none.
_DATE_LIKE = re.compile(r"\d(?:[./-]\d|[:h]\d\d|[年년月월]|(?<=1)9\d\d|(?<=2)[05]\d\d)")

_EDGES = " _|•"  # what may stand around a label

_DATE_AND_TIME = re.compile(r"(?:19|20)\d\d.{1,20}\d{1,2}:\d\d")


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """A block from line `start` up to, not including, line `end`; `values` by kind, as written."""

    start: int
    end: int
    values: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)  # the line of each header that has lines of its own

    @property
    def has_address(self) -> bool:
        return "@" in self.values.get("sender", "") or "@" in self.values.get("to", "")


def read_block(views: Sequence[str], start: int, *, announced: bool = False, notes: bool = True) -> HeaderBlock | None:
    """The header block that begins at line `start`, or None.

    `views` are viewed lines without quote marks. `announced`: a separator stands above it, so less will do. `notes`:
    `may_hold_notes` of the views, where that is known.
    """
    if start >= len(views) or not views[start].strip():
        return None
    first = split_header(views[start])
    if first is None:
        block = _read_unpunctuated(views, start) if announced else None
        return block or (read_notes(views, start) if notes else None)
    if first[0] == "cc" or (first[0] == "to" and not announced):
        return None
    block = _read_one_line(views, start) or _gather(views, start)
    return block if _is_convincing(block, announced=announced) else None


@lru_cache(maxsize=4096)  # blocks that may begin at each of many lines overlap
def split_header(seen: str) -> tuple[str, str] | None:
    """The kind and the value of a header line in any language, or None: `*Von:* Ann` → `("sender", "Ann")`."""
    if ":" not in seen:
        return None
    line = plain(seen).lstrip("> -•·")
    colon = line.find(":", 0, label_length() + 3)
    if colon <= 0:
        return None
    kind = header_labels().get(fold(line[:colon].strip(" *_.")))
    if kind is None and line[colon - 1] != ".":
        return None
    if kind is None:
        kind = header_labels().get(fold(line[:colon].strip(" *_")))
    return None if kind is None else (kind, line[colon + 1 :].strip(" *_|\t"))


def _gather(views: Sequence[str], start: int) -> HeaderBlock:
    values: dict[str, str] = {}
    places: dict[str, int] = {}
    kind = ""
    end, position = start, start
    wrapped = gap = 0
    while position < min(len(views), start + MAX_LINES):
        line = views[position]
        if not line.strip():
            gap += 1
            if gap > _MAX_GAP:
                break
        elif header := split_header(line):
            if header[0] in values and header[0] != "cc":
                break  # a second block follows the first
            kind = header[0]
            values.setdefault(kind, header[1])
            places.setdefault(kind, position)
            end, wrapped, gap = position + 1, 0, 0
        elif (gap and not _header_soon(views, position)) or read_separator(line) is not None:
            break
        else:
            wrapped += 1
            wraps = wrapped <= _MAX_WRAPPED and not gap and _is_wrapped(views, position, kind)
            if not wraps and not (kind and _header_soon(views, position)):
                break
            values[kind] = f"{values.get(kind, '')} {line.strip()}".strip()
            places.pop(kind, None)  # wrapped
            gap = 0
            if wraps:
                end = position + 1
        position += 1
    return HeaderBlock(start, end, _split_joined(values), places)


def _is_wrapped(views: Sequence[str], position: int, kind: str) -> bool:
    """Whether a line that is no header goes on a list of addresses: the value above it was wrapped."""
    if kind not in ("to", "cc", "sender"):
        return False
    line = views[position].strip()
    above = views[position - 1].rstrip() if position else ""
    return above.endswith((";", ",", "<", "(", "mailto:")) or (line.startswith(("<", "[")) and "@" in line)


def _header_soon(views: Sequence[str], position: int) -> bool:
    """Whether the next line that is not blank, at most two further on, is a header."""
    for line in views[position + 1 : position + 3]:
        if line.strip():
            return split_header(line) is not None
    return False


def _split_joined(values: dict[str, str]) -> dict[str, str]:
    """Parts headers that stand in one line: `À : a@b.fr Objet : Facture`."""
    parted = dict(values)
    for kind, value in values.items():
        if ":" not in value or kind == "subject":
            continue
        found = [match for match in _joined_labels().finditer(value) if match.start()]
        for number, match in enumerate(found):
            other = header_labels()[fold(match[1])]
            if other in parted:
                continue
            after = found[number + 1].start() if number + 1 < len(found) else len(value)
            parted[other] = value[match.end() : after].strip(" *_|;")
            parted[kind] = parted[kind][: match.start()].strip(" *_|;") if parted[kind] == value else parted[kind]
    return parted


def _read_one_line(views: Sequence[str], start: int) -> HeaderBlock | None:
    """A block whose headers stand in one line: `From: A <a@b.org> Sent: Monday To: B Subject: Hello`."""
    line = plain(views[start])
    found = list(_joined_labels().finditer(line))
    kinds = {header_labels()[fold(match[1])] for match in found}
    if len(kinds) < 3 or "sender" not in kinds or "@" not in line:
        return None
    values: dict[str, str] = {}
    for number, match in enumerate(found):
        after = found[number + 1].start() if number + 1 < len(found) else len(line)
        kind = header_labels()[fold(match[1])]
        values.setdefault(kind, line[match.end() : after].strip(" *_|;"))
    return HeaderBlock(start, start + 1, values)


def _is_convincing(block: HeaderBlock, *, announced: bool) -> bool:
    kinds = block.values.keys() & {"sender", "date", "to", "subject"}
    if announced:
        return len(kinds) >= 2 or ("sender" in kinds and block.has_address)
    if kinds == {"date", "to"}:
        written = block.values["date"]
        return "@" in block.values["to"] and _DATE_AND_TIME.search(written) is not None
    if "sender" not in kinds or len(kinds) < 2:
        return False
    sender = block.values["sender"]
    if len(kinds) >= 3 and "subject" in kinds:
        return "date" in kinds or block.has_address
    dated = _DATE_LIKE.search(block.values.get("date", "")) is not None
    return "@" in sender and (dated or "subject" in kinds)


def may_hold_notes(views: Sequence[str]) -> bool:
    """Whether a heading of Lotus Notes may stand in a text: it has a "cc" without a colon, alone or in a column."""
    longest = label_length()
    # A label alone, or two columns: no other line is so short or has such a gap.
    columns = [
        line
        for line in views
        if line and (len(line) <= longest or "  " in line or "*" in line or line[0] in _EDGES or line[-1] in _EDGES)
    ]
    return _leading_cc().search(glance_at(columns)) is not None and any(
        (field := _notes_field(plain(line))) is not None and field[0] == "cc" for line in columns
    )


def read_notes(views: Sequence[str], start: int) -> HeaderBlock | None:
    """The heading of Lotus Notes: name, date, then "To", "cc" and "Subject" with their values beside or below them."""
    if len(views[start]) > _MAX_NOTES_SENDER or not any(
        len(line) <= _MAX_NOTES_SENDER and _DATE_LIKE.search(line) for line in views[start + 1 : start + 4]
    ):
        return None
    lines = [plain(line) for line in views[start : start + 5]]
    date_line = next((n for n, line in enumerate(lines) if _DATE_LIKE.search(line)), None)
    if not date_line:
        return None
    head = [line for line in lines[:date_line] if line]
    if not head or (len(head) > 1 and not fold(head[1]).startswith("sent by")):
        return None  # the sender stands right above the date
    lines = [plain(line) for line in views[start : start + _MAX_NOTES_LINES]]
    values = {"sender": re.sub(r"(?i)^sent by:?\s*", "", head[0]), "date": lines[date_line]}
    kind, end = "", 0
    for number, line in enumerate(lines[date_line + 1 :], date_line + 1):
        labelled = _notes_field(line)
        if labelled is not None and labelled[0] not in values:
            kind = labelled[0]
            values[kind], end = labelled[1], number + 1
        elif kind == "subject" and (values[kind] or not line):
            if values[kind] or number > end:
                break
        elif kind and line:
            values[kind], end = f"{values[kind]} {line}".strip(), number + 1
        elif line:
            return None
    if not {"to", "cc", "subject"} <= values.keys():
        return None
    return HeaderBlock(start, start + end, values)


def _notes_field(line: str) -> tuple[str, str] | None:
    """A label without a colon, alone or with its value in the next column: `Subject   Hello`."""
    label, _, value = line.partition("  ")
    kind = header_labels().get(fold(label).strip()) if len(label) <= label_length() else None
    return None if kind is None else (kind, value.strip())


def _read_unpunctuated(views: Sequence[str], start: int) -> HeaderBlock | None:
    """The block of eM Client, below its separator: labels without colons, `From "Ann" <ann@example.org>`."""
    values: dict[str, str] = {}
    position = start
    while position < min(len(views), start + len(HEADER_KINDS) + 3):
        match = _leading_label().match(views[position].strip(" *_"))
        if match is None:
            break
        values.setdefault(header_labels()[fold(match[1])], match[2].strip())
        position += 1
    block = HeaderBlock(start, position, values)
    return block if {"sender", "subject"} <= values.keys() and block.has_address else None


@cache
def _joined_labels() -> re.Pattern[str]:
    alternatives = "|".join(map(re.escape, sorted(header_labels(), key=len, reverse=True)))
    return re.compile(rf"(?<![^\W\d_])({alternatives})\s?:(?!//)\s?", re.IGNORECASE)


@cache
def _leading_cc() -> re.Pattern[str]:
    before = re.escape(_EDGES + BLANKS.replace("\n", ""))
    labels = sorted(label for label, kind in header_labels().items() if kind == "cc")
    return re.compile(rf"\n[{before}]*+(?:{by_first(labels, bounded=False)})(?=\s*  |[\s_|•]*(?:\n|\Z))")


@cache
def _leading_label() -> re.Pattern[str]:
    usual = set().union(*(words(kind) for kind in HEADER_KINDS))
    alternatives = "|".join(map(re.escape, sorted(usual, key=len, reverse=True)))
    return re.compile(rf"({alternatives})\s(.+)$", re.IGNORECASE)

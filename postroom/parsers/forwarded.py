"""Does a mail's text hand on another mail, and what does that one say?

A forward is announced by a separator ("---------- Forwarded message ---------", "Begin forwarded message:"), in any
language of the tables, or by a subject ("Fwd:", "WG:", "TR:") above a header block such as Outlook writes for replies and
forwards alike. Without either, a header block is a reply's. What is quoted below a reply's intro is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroom.parsers.header_blocks import HeaderBlock, read_block
from postroom.parsers.intro_lines import find_intro
from postroom.parsers.languages import pattern
from postroom.parsers.lines import fold, split_lines, unquote, view
from postroom.parsers.parsed import Address, Forwarded
from postroom.parsers.separators import Separator, is_rule, is_unannounced_separator, read_separator, which_may_announce
from postroom.parsers.subjects import has_forward_prefix

MAX_LINES = 20_000  # lines looked at for the beginning of a forward
MAX_ADDRESSES = 200
_MAX_LIST = 20_000  # characters of an address list
_LABEL = re.compile(r"[^:：﹕]{1,60}[:：﹕]\s*(.*)$")
_QUOTE_MARK = re.compile(r" {0,3}> ?")
_ADDR_SPEC = re.compile(r"[^\s<>()\[\],;:\"'|]{1,64}@[^\s<>()\[\],;:\"'|]{1,255}")
_DATE_OF_INTRO = re.compile(r"^(.{6,80}?)[,，]?\s*(?:\"|<|[^\W\d_]+ [^\W\d_]+ <)")
_CLOCK_WORDS = frozenset(
    {"am", "pm", "a.m", "p.m", "uhr", "h", "г", "от", "from", "utc", "gmt", "cet", "cest", "est", "pst"}
)
_NAME_EDGES = " \t\"'<>()[]*_,;:|«»“”„"


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a forward begins: its headers, and the line at which its body begins."""

    block: HeaderBlock | None
    body: int
    depth: int  # quote marks that the forward as a whole carries
    intro: str = ""  # in place of a block: "1.2.2024, 10:00, "Ann" <ann@example.org>:"


def read_forwarded(text: str, subject: str = "") -> Forwarded | None:
    """The message that a text hands on inline, or None. `subject` is the mail's own, for what its prefix says."""
    lines = split_lines(text)
    says_forward = has_forward_prefix(subject)
    if not says_forward and not any(map(_announces, which_may_announce(lines[:MAX_LINES]))):
        return None  # nearly all mail
    depths: list[int] = []
    views: list[str] = []
    for line in lines[:MAX_LINES]:
        depth, bare = unquote(view(line))
        depths.append(depth)
        views.append(bare)
    start = _find_start(views, depths, says_forward=says_forward)
    return None if start is None else _read(lines, start)


def _announces(line: str) -> bool:
    return read_separator(unquote(view(line))[1]) is Separator.FORWARDED


def _find_start(views: Sequence[str], depths: Sequence[int], *, says_forward: bool) -> _Start | None:
    """The first mark of a quoted mail, if it is a forward's."""
    top = _top_depth(views, depths)
    for number, line in enumerate(views):
        if not line.strip():
            continue
        if depths[number] > top:
            return None  # a quote before any mark: a reply
        separator = read_separator(line)
        if separator is Separator.FORWARDED:
            return _below_separator(views, depths, number, says_forward=says_forward)
        if separator is Separator.MARKER:
            return None
        if separator is Separator.ORIGINAL or is_unannounced_separator(line) or is_rule(line):
            block = _block_near(views, number + 1)
            if block is not None:
                return _Start(block, block.end, depths[number]) if says_forward else None
            if separator is Separator.ORIGINAL:
                return None
        elif block := read_block(views, number):
            return _Start(block, block.end, depths[number]) if says_forward else None
        elif _is_intro(views, depths, number):
            return _Start(None, number + 1, depths[number], line) if says_forward else None
    return None


def _top_depth(views: Sequence[str], depths: Sequence[int]) -> int:
    """The quote depth at which a forward may begin: 1 where the first quoted line itself announces it (Apple Mail)."""
    for depth, line in zip(depths, views, strict=True):
        if depth and line.strip():
            return depth if read_separator(line) is Separator.FORWARDED else 0
    return 0


def _below_separator(views: Sequence[str], depths: Sequence[int], number: int, *, says_forward: bool) -> _Start | None:
    block = _block_near(views, number + 1)
    if block is not None:
        return _Start(block, block.end, depths[block.start])
    below = next((n for n in range(number + 1, min(number + 4, len(views))) if views[n].strip()), None)
    if below is None:
        return None
    for end in range(below, min(below + 4, len(views))):
        if find_intro(views, end, floor=below, quoted_next=False, blank_next=True) is not None:
            return _Start(None, end + 1, depths[below], " ".join(views[below : end + 1]))
    return _Start(None, number + 1, depths[below]) if says_forward else None


def _block_near(views: Sequence[str], number: int) -> HeaderBlock | None:
    below = next((n for n in range(number, min(number + 5, len(views))) if views[n].strip()), None)
    return None if below is None else read_block(views, below, announced=True)


def _is_intro(views: Sequence[str], depths: Sequence[int], number: int) -> bool:
    below = next((n for n in range(number + 1, min(number + 4, len(views))) if views[n].strip()), None)
    quoted_next = below is not None and depths[below] > depths[number]
    blank_next = below is None or below > number + 1
    return (
        find_intro(views, number, floor=max(0, number - 3), quoted_next=quoted_next, blank_next=blank_next) is not None
    )


def _read(lines: Sequence[str], start: _Start) -> Forwarded:
    body = _body(lines, start)
    if start.block is None:
        sender = read_addresses(start.intro)[-1:] if "@" in start.intro else ()
        date = _DATE_OF_INTRO.match(start.intro)
        sender = tuple(Address(_name_in_intro(one.name), one.address) for one in sender)
        return Forwarded(sender=_named(sender), date=date[1].strip(" ,") if date else None, text=body)
    values = start.block.values
    return Forwarded(
        sender=_named(read_addresses(values.get("sender", ""))[:1]),
        to=read_addresses(values.get("to", "")),
        cc=read_addresses(values.get("cc", "")),
        date=_as_written(lines, start, "date") or None,
        subject=_as_written(lines, start, "subject"),
        text=body,
    )


def _name_in_intro(written: str) -> str:
    """The name in what an intro says before the address: `01.01.2024, 10:00 Uhr schrieb "Ann`."""
    behind_date = written[max((n + 1 for n, character in enumerate(written) if character.isdigit()), default=0) :]
    words_left = pattern("wrote").sub("", fold(behind_date)).split()
    kept = [
        word for word in behind_date.split() if fold(word) in words_left and fold(word).strip(".,") not in _CLOCK_WORDS
    ]
    return " ".join(kept).strip(_NAME_EDGES)


def _named(addresses: Sequence[Address]) -> Address | None:
    return addresses[0] if addresses else None


def _as_written(lines: Sequence[str], start: _Start, kind: str) -> str:
    """A header's value out of the line itself: a view has other colons, commas and blanks."""
    assert start.block is not None
    value = start.block.values.get(kind, "")
    place = start.block.places.get(kind)
    if place is None:
        return value
    line = _unquoted(lines[place], start.depth)
    found = _LABEL.match(line[: len(line) if len(line) < _MAX_LIST else _MAX_LIST])
    written = " ".join(found[1].strip(" *_|\t").split()) if found else ""
    # Another header may follow in the same line, and was parted from the value.
    return written if len(written) <= len(value) + 2 or len(line) > len(value) + 80 else value


def _body(lines: Sequence[str], start: _Start) -> str:
    kept: list[str] = []
    for line in lines[start.body :]:
        if start.depth and line.strip() and not _QUOTE_MARK.match(line):
            break  # the forwarder's own words below a quoted forward
        bare = _unquoted(line, start.depth)
        if bare.strip().startswith("-") and read_separator(view(bare)) is Separator.FORWARDED and _ends_forward(bare):
            break
        kept.append(bare)
    return "\n".join(kept).strip()


def _ends_forward(line: str) -> bool:
    """Whether a separator closes a forward: "-------- Конец пересылаемого сообщения --------"."""
    return re.search(r"(?i)\b(?:end|ende|fin|fine|конец|кінець|koniec)\b", line) is not None


def _unquoted(line: str, depth: int) -> str:
    for _ in range(depth):
        mark = _QUOTE_MARK.match(line)
        if mark is None:
            break
        line = line[mark.end() :]
    return line


def read_addresses(written: str) -> tuple[Address, ...]:
    """The people that a header line for readers names: `"Ann" <ann@example.org>; Bob [mailto:bob@example.org]`.

    A name without an address is one too, with `address` "": Outlook writes names only.
    """
    written = written[:_MAX_LIST]
    found: list[Address] = []
    begin = 0
    for match in _ADDR_SPEC.finditer(written):
        name = written[begin : match.start()].removesuffix("mailto:")
        begin = match.end()
        address = _lower_domain(match[0].strip(".'"))
        name = name.rpartition(";")[2].strip(_NAME_EDGES) if ";" in name else name.strip(_NAME_EDGES)
        if found and not name and found[-1].address == address:
            continue  # a@b.org <mailto:a@b.org>
        found.append(Address(name.removesuffix("mailto:").strip(_NAME_EDGES), address))
        if len(found) >= MAX_ADDRESSES:
            break
    if found:
        return tuple(found)
    names = [name.strip(_NAME_EDGES) for name in written.split(";")[:MAX_ADDRESSES]]
    return tuple(Address(name, "") for name in names if name)


def _lower_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"

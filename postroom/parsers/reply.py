"""What did the author write now, and what is quoted, and what is signature?

Whole lines are put on one of three piles, so that reply, quote and signature together hold every word of the mail: this
folds, it never deletes. Patterns see capped views of lines, and each line past `MAX_LINES` is put where the line
before it went: the work is linear in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postroom.parsers.intro_lines import GROUPWISE_DEPTH, is_groupwise_intro
from postroom.parsers.lines import QUOTE_WITHIN, split_lines, unquote, view_all
from postroom.parsers.parting import Part, Parting, runs_of
from postroom.parsers.trimmings import (
    fold_banner,
    fold_below_device,
    fold_pgp_armour,
    fold_rules_above_history,
    fold_signatures,
    may_have_device_lines,
)

MAX_LINES = 20_000  # lines that are judged; nobody types more, and what follows them is more of the same


@dataclass(frozen=True, slots=True)
class Reply:
    """A text in three piles. `quoted_text` and `signature` are None where there is none."""

    reply_text: str
    quoted_text: str | None = None
    signature: str | None = None


def read_reply(text: str) -> Reply:
    """What the author of a plain-text mail wrote now, apart from quotes and signature."""
    lines = split_lines(text)
    return read_lines(lines, [None] * len(lines))


def read_lines(lines: Sequence[str], known: Sequence[Part | None]) -> Reply:
    """The same from lines, of which some are already `known` to be a part (by the marks of an HTML body)."""
    judged = min(len(lines), MAX_LINES)
    views = view_all(lines[:judged])
    quoted = [part is Part.QUOTE for part in known[:judged]]
    for number, seen in enumerate(views):
        if ">" not in seen[:QUOTE_WITHIN]:
            continue
        depth, bare = unquote(seen)
        if depth and not (
            (depth >= GROUPWISE_DEPTH and is_groupwise_intro(seen))
            or (number and _ends_address(views[number - 1], bare))
        ):
            views[number], quoted[number] = bare, True
    text = Parting(lines, views, quoted, known)
    parts = text.read()
    fold_banner(text, parts)
    fold_pgp_armour(text, parts)
    devices = may_have_device_lines(text, parts)
    if devices:
        fold_below_device(text, parts)
    fold_signatures(text, parts, devices=devices)
    fold_rules_above_history(text, parts)
    parts.extend([parts[-1] if parts else Part.TEXT] * (len(lines) - judged))
    return _pile(lines, parts)


def _ends_address(above: str, bare: str) -> bool:
    """Whether a line's `>` closes the address of an intro that was wrapped: `Ann <ann@example.org` / `>:`."""
    return bare.endswith(":") and len(bare) < 40 and above.rfind("<") > above.rfind(">")


def _pile(lines: Sequence[str], parts: Sequence[Part]) -> Reply:
    if parts.count(Part.TEXT) == len(parts):
        return Reply("\n".join(lines).strip())
    piles: dict[Part, list[str]] = {Part.TEXT: [], Part.QUOTE: [], Part.SIGNATURE: []}
    for part, start, end in runs_of(parts):
        if part is Part.TEXT:
            shown = piles[Part.TEXT]
            shown += _one_gap(lines[start:end], shown) if start else lines[:end]
        else:
            piles[part if part is Part.SIGNATURE else Part.QUOTE] += lines[start:end]
    return Reply(
        reply_text="\n".join(piles[Part.TEXT]).strip(),
        quoted_text="\n".join(piles[Part.QUOTE]).strip("\n") or None,
        signature="\n".join(piles[Part.SIGNATURE]).strip() or None,
    )


def _one_gap(below: Sequence[str], above: Sequence[str]) -> list[str]:
    """What stands below a fold, without the blank lines that would double those above it."""
    first = next((n for n, line in enumerate(below) if line.strip()), len(below))
    gap = below[:1] if first and above and above[-1].strip() else ()
    return [*gap, *below[first:]]

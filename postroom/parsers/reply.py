"""What did the author write now, and what is quoted, and what is signature?

Whole lines are put on one of three piles, so that reply, quote and signature together hold every word of the mail:
this folds, it never deletes. One pass over the lines says what each is; where marks contradict each other, the
reading that shows more of the author's words is taken. Work is linear in the text: patterns see capped views of
lines, intro lines are looked for in windows of four lines, header blocks in windows of sixty and only where one
begins, and each line past `MAX_LINES` is put where the line before it went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from postroom.parsers.header_blocks import HeaderBlock, read_block
from postroom.parsers.intro_lines import find_intro, is_groupwise_intro
from postroom.parsers.lines import split_lines, unquote, view
from postroom.parsers.separators import Separator, is_rule, is_unannounced_separator, read_separator
from postroom.parsers.signatures import find_signature, is_banner, is_device_line, is_own_after_signature

MAX_LINES = 20_000  # lines that are judged; nobody types more, and what follows them is more of the same
_WRAPPED_AT = 50  # characters of a quoted line from which on the unquoted line below may be its rest
_LONG_QUOTE = 15  # lines; a single quote above an answer is kept if it is no longer


@dataclass(frozen=True, slots=True)
class Reply:
    """A text in three piles. `quoted_text` and `signature` are None where there is none."""

    reply_text: str
    quoted_text: str | None = None
    signature: str | None = None


class Part(Enum):
    """What a run of lines is."""

    TEXT = "text"  # the author's own
    INTRO = "intro"  # announces a quote
    QUOTE = "quote"  # quoted line by line: the author may go on below it
    HISTORY = "history"  # all the rest is older
    SIGNATURE = "signature"


@dataclass(slots=True)
class _Run:
    part: Part
    start: int
    end: int


def read_reply(text: str) -> Reply:
    """What the author of a plain-text mail wrote now, apart from quotes and signature."""
    lines = split_lines(text)
    return read_lines(lines, [None] * len(lines))


def read_lines(lines: Sequence[str], known: Sequence[Part | None]) -> Reply:
    """The same from lines, of which some are already `known` to be a part (by the marks of an HTML body)."""
    judged = min(len(lines), MAX_LINES)
    views: list[str] = []
    quoted: list[bool] = []
    for line, part in zip(lines[:judged], known, strict=False):
        seen = view(line)
        depth, bare = unquote(seen)
        if depth and (is_groupwise_intro(seen) or (views and _ends_address(views[-1], bare))):
            depth, bare = 0, seen
        views.append(bare)
        quoted.append(depth > 0 or part is Part.QUOTE)
    parts = _Parting(lines, views, quoted, known).read()
    parts.extend([parts[-1] if parts else Part.TEXT] * (len(lines) - judged))
    return _pile(lines, parts)


class _Parting:
    """One reading of a text: says of each line what it is."""

    def __init__(
        self, lines: Sequence[str], views: list[str], quoted: list[bool], known: Sequence[Part | None]
    ) -> None:
        self.lines = lines
        self.views = views
        self.quoted = quoted
        self.known = known
        self.size = len(views)
        self.next_nonblank = _next_nonblank(views)

    def read(self) -> list[Part]:
        runs = self._runs()
        parts = [Part.TEXT] * self.size
        for run in runs:
            parts[run.start : run.end] = [run.part] * (run.end - run.start)
        self._keep_answered_quotes(runs, parts)
        self._fold_banner(parts)
        self._fold_below_device(parts)
        self._fold_signatures(parts)
        self._fold_rules_above_history(parts)
        return parts

    def _runs(self) -> list[_Run]:
        """The text as runs of lines, in order and without gaps."""
        runs: list[_Run] = []
        position = 0
        wrote_above = False
        while position < self.size:
            run = self._run_at(position, wrote_above=wrote_above)
            wrote_above = wrote_above or bool(self.views[position].strip())
            if run.start < position:  # an intro that began on lines already read
                _give_back(runs, run.start)
            if run.part is Part.TEXT and runs and runs[-1].part is Part.TEXT:
                runs[-1].end = run.end
            else:
                runs.append(run)
            position = run.end
        return runs

    def _run_at(self, position: int, *, wrote_above: bool) -> _Run:
        known = self.known[position]
        if known in (Part.HISTORY, Part.SIGNATURE, Part.INTRO):
            return _Run(known, position, self._end_of_known(position, known))
        if self.quoted[position]:
            return _Run(Part.QUOTE, position, self._end_of_quote(position))
        line = self.views[position]
        if not line.strip():
            return _Run(Part.TEXT, position, position + 1)
        if run := self._separator_at(position, wrote_above=wrote_above):
            return run
        if run := self._header_block_at(position, wrote_above=wrote_above):
            return run
        if run := self._intro_at(position):
            return run
        return _Run(Part.TEXT, position, position + 1)

    def _end_of_known(self, position: int, part: Part) -> int:
        end = position
        while end < self.size and self.known[end] is part:
            end += 1
        return end

    def _end_of_quote(self, position: int) -> int:
        """The end of a quote: blank lines between quoted ones are its own."""
        end = position
        while end < self.size:
            if self.quoted[end]:
                end += 1
            elif not self.views[end].strip() and (below := self.next_nonblank[end]) < self.size and self.quoted[below]:
                end = below
            elif self._is_wrapped_quote(end):
                end += 1
            else:
                break
        return end

    def _is_wrapped_quote(self, number: int) -> bool:
        """Whether a line between two quoted ones is the rest of the upper one, wrapped on its way."""
        if number + 1 >= self.size or not self.quoted[number + 1] or not self.quoted[number - 1]:
            return False
        above, line = self.views[number - 1], self.views[number].strip()
        long = len(above) >= _WRAPPED_AT and not above.endswith(("?", ":"))
        return long and bool(line) and (line[0].islower() or not above.endswith((".", "!")))

    def _separator_at(self, position: int, *, wrote_above: bool) -> _Run | None:
        separator = read_separator(self.views[position])
        if separator is Separator.MARKER:
            below = self.next_nonblank[position + 1] if position + 1 < self.size else self.size
            if not wrote_above and below < self.size and not self.quoted[below]:
                return _Run(Part.INTRO, position, position + 1)
            return _Run(Part.HISTORY, position, self.size)
        if separator is not None:
            return self._older_mail(position, self._block_below(position + 1))
        if is_rule(self.views[position]) or is_unannounced_separator(self.views[position]):
            block = self._block_below(position + 1)
            if block is not None and (wrote_above or not is_rule(self.views[position])):
                return self._older_mail(position, block)
        return None

    def _block_below(self, position: int) -> HeaderBlock | None:
        if position >= self.size:
            return None
        below = self.next_nonblank[position]
        if below - position > 3:
            return None
        return read_block(self.views, below, announced=True)

    def _header_block_at(self, position: int, *, wrote_above: bool) -> _Run | None:
        block = read_block(self.views, position)
        if block is None:
            return None
        if not wrote_above and self._rest_is_own(block.end):
            return _Run(Part.INTRO, position, block.end)
        return self._older_mail(position, block)

    def _rest_is_own(self, position: int) -> bool:
        """Whether unquoted text follows a header block that begins a mail: a contact form, or an answer below it."""
        below = self.next_nonblank[position] if position < self.size else self.size
        return below < self.size and not self.quoted[below] and self.known[below] is None

    def _older_mail(self, position: int, block: HeaderBlock | None) -> _Run:
        """The run from a separator or a header block on: to the end, or only the heading where `>` marks the mail."""
        end = block.end if block else position + 1
        below = self.next_nonblank[end] if end < self.size else self.size
        if below < self.size and self.quoted[below]:
            return _Run(Part.INTRO, position, end)
        return _Run(Part.HISTORY, position, self.size)

    def _intro_at(self, position: int) -> _Run | None:
        after = position + 1
        below = self.next_nonblank[after] if after < self.size else self.size
        quoted_next = below < self.size and (self.quoted[below] or self.known[below] is Part.HISTORY)
        floor = position
        while floor > 0 and position - floor < 3 and not self.quoted[floor - 1] and self.known[floor - 1] is None:
            floor -= 1
        start = find_intro(
            self.views, position, floor=floor, quoted_next=quoted_next,
            blank_next=after >= self.size or not self.views[after].strip(),
        )  # fmt: skip
        if start is None:
            return None
        if quoted_next:
            return _Run(Part.INTRO, start, after)
        return _Run(Part.HISTORY, start, self.size)

    def _keep_answered_quotes(self, runs: list[_Run], parts: list[Part]) -> None:
        """Shows the quotes that the author answered in between; a quote that stands above one answer stays folded."""
        quotes = [n for n, run in enumerate(runs) if run.part is Part.QUOTE and self._answered(runs, n)]
        if not quotes:
            return
        introduced = self._introduced(runs, quotes[0])
        single = runs[quotes[0]]
        if len(quotes) == 1 and (introduced or single.end - single.start > _LONG_QUOTE):
            return
        for number in quotes:
            run = runs[number]
            parts[run.start : run.end] = [Part.TEXT] * (run.end - run.start)

    def _introduced(self, runs: list[_Run], number: int) -> bool:
        above = number - 1
        if above > 0 and not any(map(str.strip, self.views[runs[above].start : runs[above].end])):
            above -= 1  # blank lines
        return above >= 0 and runs[above].part is Part.INTRO

    def _answered(self, runs: list[_Run], number: int) -> bool:
        """Whether words of the author that are not only a signature follow a quote directly."""
        if number + 1 >= len(runs) or runs[number + 1].part is not Part.TEXT:
            return False
        run = runs[number + 1]
        views = self.views[run.start : run.end]
        first = next((line for line in views if line.strip()), None)
        return first is not None and not _begins_signature(first)

    def _fold_banner(self, parts: list[Part]) -> None:
        """Folds a gateway's warning above the author's text."""
        first = next((n for n in range(self.size) if self.views[n].strip()), None)
        if first is None or parts[first] is not Part.TEXT or not is_banner(self.views[first]):
            return
        end = first
        while end < self.size and self.views[end].strip() and parts[end] is Part.TEXT:
            end += 1
        if any(parts[n] is Part.TEXT and self.views[n].strip() for n in range(end, self.size)):
            parts[first:end] = [Part.HISTORY] * (end - first)

    def _fold_below_device(self, parts: list[Part]) -> None:
        """Folds what stands without a mark below "Sent from my …": that line is put right above older mail."""
        first = next((n for n in range(self.size) if parts[n] is Part.TEXT and self.views[n].strip()), self.size)
        for number in range(first + 1, self.size):
            if parts[number] is not Part.TEXT:
                return
            alone = not self.views[number - 1].strip() and (
                number + 1 == self.size or not self.views[number + 1].strip()
            )
            if alone and is_device_line(self.views[number]):
                break
        else:
            return
        below = self.next_nonblank[number + 1]
        if below >= self.size or parts[below] is not Part.TEXT or is_own_after_signature(self.views[below]):
            return
        parts[number] = Part.SIGNATURE
        while below < self.size and parts[below] is Part.TEXT:
            parts[below] = Part.HISTORY
            below += 1

    def _fold_rules_above_history(self, parts: list[Part]) -> None:
        """Folds the rule that a program draws above older mail."""
        for number in range(1, self.size):
            if parts[number] is not Part.HISTORY or parts[number - 1] is Part.HISTORY:
                continue
            above = number - 1
            while above > 0 and not self.views[above].strip() and parts[above] is Part.TEXT:
                above -= 1
            if parts[above] is Part.TEXT and is_rule(self.views[above]) and self.views[above].strip():
                parts[above:number] = [Part.HISTORY] * (number - above)

    def _fold_signatures(self, parts: list[Part]) -> None:
        """Takes the signature off each stretch of text that a folded part or the end follows."""
        start = 0
        while start < self.size:
            end = start
            while end < self.size and parts[end] is parts[start]:
                end += 1
            if parts[start] is Part.TEXT:
                self._fold_signature(parts, start, end)
            start = end

    def _fold_signature(self, parts: list[Part], start: int, end: int) -> None:
        begin = max((n + 1 for n in range(start, end) if self.quoted[n]), default=start)
        above = any(parts[n] in (Part.TEXT, Part.QUOTE) and self.views[n].strip() for n in range(begin))
        found = find_signature(self.views[begin:end], self.lines[begin:end], anything_above=above)
        if found is not None:
            parts[begin + found[0] : begin + found[1]] = [Part.SIGNATURE] * (found[1] - found[0])


def _ends_address(above: str, bare: str) -> bool:
    """Whether a line's `>` closes the address of an intro that was wrapped: `Ann <ann@example.org` / `>:`."""
    return bare.endswith(":") and len(bare) < 40 and above.rfind("<") > above.rfind(">")


def _begins_signature(line: str) -> bool:
    return line.strip() in ("--", "-- ", "—", "__") or is_device_line(line)


def _give_back(runs: list[_Run], start: int) -> None:
    while runs and runs[-1].start >= start:
        runs.pop()
    if runs:
        runs[-1].end = min(runs[-1].end, start)


def _next_nonblank(views: list[str]) -> list[int]:
    """For each line the number of the first line from it on that is not blank, or the number of lines."""
    found = [len(views)] * (len(views) + 1)
    for number in range(len(views) - 1, -1, -1):
        found[number] = number if views[number].strip() else found[number + 1]
    return found


def _pile(lines: Sequence[str], parts: Sequence[Part]) -> Reply:
    piles: dict[Part, list[str]] = {Part.TEXT: [], Part.QUOTE: [], Part.SIGNATURE: []}
    seam = False  # something was folded since the last line of the reply
    for line, part in zip(lines, parts, strict=True):
        if part is not Part.TEXT:
            piles[part if part is Part.SIGNATURE else Part.QUOTE].append(line)
            seam = True
            continue
        shown = piles[Part.TEXT]
        if seam and not line.strip() and (not shown or not shown[-1].strip()):
            continue  # blank lines before and after what was folded are one gap
        seam = seam and not line.strip()
        shown.append(line)
    return Reply(
        reply_text="\n".join(piles[Part.TEXT]).strip(),
        quoted_text="\n".join(piles[Part.QUOTE]).strip("\n") or None,
        signature="\n".join(piles[Part.SIGNATURE]).strip() or None,
    )

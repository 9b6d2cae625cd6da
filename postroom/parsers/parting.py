"""Which lines of a text are the author's own, which quoted, and which older mail?

One pass over the lines makes runs of them; where marks contradict each other, the reading that shows more of the author's
words is taken. The work is linear in the text: intro lines are looked for in windows of four lines, header blocks in
windows of sixty and only where one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from postroom.parsers.device_lines import is_device_line
from postroom.parsers.header_blocks import HeaderBlock, may_hold_notes, read_block, read_notes
from postroom.parsers.intro_lines import find_intro, may_end_intro
from postroom.parsers.prose import is_prose
from postroom.parsers.quote_marks import carries, find_own_mark, is_elision
from postroom.parsers.separators import Separator, is_rule, is_unannounced_separator, read_separator

_WRAPPED_AT = 50  # characters of a quoted line from which on the unquoted line below may be its rest
_ELISIONS = 3  # lines such as "[...]" between an intro and its quote
_OWN_MARKS = 5  # quote marks other than `>` that one mail has
_LONG_QUOTE = 15  # lines; a single quote above an answer is kept if it is no longer


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


class Parting:
    """One reading of a text: says of each line what it is."""

    def __init__(
        self, lines: Sequence[str], views: list[str], quoted: list[bool], known: Sequence[Part | None]
    ) -> None:
        self.lines = lines
        self.views = views
        self.quoted = quoted
        self.known = known
        self.size = len(views)
        self.blank = [not view for view in views]
        self.next_nonblank = _next_nonblank(self.blank)
        self.own_marks = 0
        self._notes = may_hold_notes(views)

    def read(self) -> list[Part]:
        runs = self._runs()
        parts = [Part.TEXT] * self.size
        for run in runs:
            parts[run.start : run.end] = [run.part] * (run.end - run.start)
        self._keep_answered_quotes(runs, parts)
        return parts

    def _runs(self) -> list[_Run]:
        """The text as runs of lines, in order and without gaps."""
        runs: list[_Run] = []
        position = 0
        wrote_above = False
        while position < self.size:
            end = self._end_of_prose(position)
            if end > position:
                wrote_above = wrote_above or self.next_nonblank[position] < end
                _add_text(runs, position, end)
                position = end
                if end == self.size:
                    break
            run = self._run_at(position, wrote_above=wrote_above)
            wrote_above = wrote_above or not self.blank[position]
            if run.start < position:  # an intro that began on lines already read
                _give_back(runs, run.start)
            if run.part is Part.TEXT:
                _add_text(runs, run.start, run.end)
            else:
                runs.append(run)
            position = run.end
        return runs

    def _run_at(self, position: int, *, wrote_above: bool) -> _Run:
        known = self.known[position]
        if known in (Part.HISTORY, Part.SIGNATURE, Part.INTRO):
            return _Run(known, position, self._end_of_known(position, known))
        if self.quoted[position]:
            end = self._end_of_quote(position)
            if self.views[end - 1].endswith(":") and (below := self.next_nonblank[end]) < self.size:
                # Emacs quotes the intro and marks the quote with initials.
                end = self._end_of_quote(position) if self._read_own_mark(below) else end
            return _Run(Part.QUOTE, position, end)
        if self.blank[position]:
            return _Run(Part.TEXT, position, position + 1)
        if run := self._separator_at(position, wrote_above=wrote_above):
            return run
        if run := self._header_block_at(position, wrote_above=wrote_above):
            return run
        if run := self._intro_at(position):
            return run
        return _Run(Part.TEXT, position, position + 1)

    def _end_of_prose(self, position: int) -> int:
        """The first line from there on that needs a closer look: most are the author's, for certain and at one look."""
        views, known, quoted = self.views, self.known, self.quoted
        for number in range(position, self.size):
            if quoted[number] or known[number] is not None:
                return number
            seen = views[number]
            if seen and (not is_prose(seen) or (self._notes and read_notes(views, number))):
                return number
        return self.size

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
            elif self.blank[end] and (below := self.next_nonblank[end]) < self.size and self.quoted[below]:
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
        if line.startswith(("(http", "<http", "http")) and line.endswith(">"):
            return True  # a link, and the mark of the line below
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
        return read_block(self.views, below, announced=True, notes=self._notes)

    def _header_block_at(self, position: int, *, wrote_above: bool) -> _Run | None:
        block = read_block(self.views, position, notes=self._notes)
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
        if not may_end_intro(self.views[position]):
            return None
        after = position + 1
        below = self.next_nonblank[after] if after < self.size else self.size
        quoted_next = below < self.size and (self.quoted[below] or self.known[below] is Part.HISTORY)
        floor = position
        while floor > 0 and position - floor < 3 and not self.quoted[floor - 1] and self.known[floor - 1] is None:
            floor -= 1
        start = find_intro(
            self.views, position, floor=floor, quoted_next=quoted_next,
            blank_next=after >= self.size or self.blank[after],
        )  # fmt: skip
        if start is None:
            return None
        quote = after if quoted_next else self._find_quote(after)
        if quote is not None:
            return _Run(Part.INTRO, start, quote)
        if self.next_nonblank[0] == start:
            # A mail that begins with an intro and goes on unquoted: what its author wrote must be in there.
            return _Run(Part.INTRO, start, after)
        return _Run(Part.HISTORY, start, self.size)

    def _find_quote(self, position: int) -> int | None:
        """Where quoted lines follow an intro after all: with a mark of their own, or below a "[...]"."""
        for _ in range(_ELISIONS):
            below = self.next_nonblank[position] if position < self.size else self.size
            if below >= self.size:
                return None
            if self.quoted[below] or self._read_own_mark(below):
                return position
            if not is_elision(self.views[below]):
                return None
            position = below + 1
        return None

    def _read_own_mark(self, first: int) -> bool:
        """Takes the lines from `first` on that carry the mail's own quote mark for quoted."""
        mark = find_own_mark(self.views, first) if self.own_marks < _OWN_MARKS else None
        if mark is None:
            return False
        self.own_marks += 1
        for number in range(first, self.size):
            if carries(self.views[number], mark) or carries(self.views[number], ">"):
                self.quoted[number] = True
        return True

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
        if above > 0 and not any(self.views[runs[above].start : runs[above].end]):
            above -= 1  # blank lines
        return above >= 0 and runs[above].part is Part.INTRO

    def _answered(self, runs: list[_Run], number: int) -> bool:
        """Whether words of the author that are not only a signature follow a quote directly."""
        if number + 1 >= len(runs) or runs[number + 1].part is not Part.TEXT:
            return False
        run = runs[number + 1]
        views = self.views[run.start : run.end]
        first = next(filter(None, views), None)
        return first is not None and not _begins_signature(first)


def runs_of(parts: Sequence[Part]) -> list[tuple[Part, int, int]]:
    """The stretches of lines that are the same part: which, from where, up to where."""
    runs: list[tuple[Part, int, int]] = []
    start = 0
    for part, run in groupby(parts):
        end = start + len(list(run))
        runs.append((part, start, end))
        start = end
    return runs


def _begins_signature(line: str) -> bool:
    return line.strip() in ("--", "-- ", "—", "__") or is_device_line(line)


def _add_text(runs: list[_Run], start: int, end: int) -> None:
    if runs and runs[-1].part is Part.TEXT:
        runs[-1].end = end
    else:
        runs.append(_Run(Part.TEXT, start, end))


def _give_back(runs: list[_Run], start: int) -> None:
    while runs and runs[-1].start >= start:
        runs.pop()
    if runs:
        runs[-1].end = min(runs[-1].end, start)


def _next_nonblank(blank: list[bool]) -> list[int]:
    """For each line the number of the first line from it on that is not blank, or the number of lines."""
    found = [len(blank)] * (len(blank) + 1)
    for number in range(len(blank) - 1, -1, -1):
        found[number] = found[number + 1] if blank[number] else number
    return found

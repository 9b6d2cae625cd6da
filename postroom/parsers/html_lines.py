"""Text set in lines: blanks collapse, blocks begin lines, tables stand in columns. What HTML means once its tags are known."""

from __future__ import annotations

import re
import unicodedata

MAX_COLUMNS = 20  # of such a table
MAX_COLUMN = 40  # characters of a cell in a table that is set in columns

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_INVISIBLE = " \t\u00a0\u200b\u200c\u200d\u034f\u00ad\u2007\ufeff"  # what fills the hidden first lines of newsletters


class Lines:
    """Text being set in lines: blanks collapse, blocks begin new lines, paragraphs keep one empty line apart."""

    __slots__ = ("_blank_due", "_blank_prefix", "_line", "_space_due", "lines")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._space_due = False
        self._blank_due = False
        self._blank_prefix = ""

    def add(self, text: str, prefix: str, *, raw: bool = False) -> None:
        if raw:
            first, *rest = text.split("\n")
            self._put(first, prefix)
            for line in rest:
                self.break_line(prefix, force=True)
                self._put(line, prefix)
            return
        collapsed = _BLANKS.sub(" ", text)
        if collapsed == " ":
            self._space_due = bool(self._line)
            return
        if collapsed.startswith(" "):
            self._space_due = bool(self._line)
        self._put(collapsed.strip(" "), prefix)
        self._space_due = collapsed.endswith(" ")

    def _put(self, text: str, prefix: str) -> None:
        if not text:
            return
        if not self._line:
            if self._blank_due and self.lines:
                self.lines.append(min(self._blank_prefix, prefix, key=len).rstrip())
            self._line.append(prefix)
        elif self._space_due:
            self._line.append(" ")
        self._blank_due = self._space_due = False
        self._line.append(text)

    def break_line(self, prefix: str, *, force: bool = False) -> None:
        if self._line:
            line = "".join(self._line).rstrip(" \t")
            self.lines.append(f"{line} " if line.endswith("--") and self._line[-1].startswith("--") else line)
            self._line.clear()
        elif force:
            self.lines.append(prefix.rstrip())
        self._space_due = False

    def paragraph(self, prefix: str) -> None:
        self.break_line(prefix)
        if self.lines and not (self._blank_due and len(self._blank_prefix) <= len(prefix)):
            self._blank_due, self._blank_prefix = True, prefix


class Table:
    __slots__ = ("is_simple", "outer", "rows")

    def __init__(self, outer: Lines, first: Lines) -> None:
        self.outer = outer
        self.rows: list[list[list[str]]] = [[first.lines]]
        self.is_simple = True  # no table within it


def set_table(table: Table) -> list[str]:
    rows = [[cell for cell in row if any(line.strip() for line in cell)] for row in table.rows]
    rows = [row for row in rows if row]
    if table.is_simple and _is_data(rows):
        widths = [
            max(_width(row[column][0]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))
        ]
        return [
            "  ".join(cell[0] + " " * (widths[column] - _width(cell[0])) for column, cell in enumerate(row)).rstrip()
            for row in rows
        ]
    lines: list[str] = []
    for row in rows:
        if all(len(cell) == 1 for cell in row) and table.is_simple:
            lines.append("  ".join(cell[0] for cell in row))
        else:
            for cell in row:
                lines.extend(cell)
    return lines


def _is_data(rows: list[list[list[str]]]) -> bool:
    return (
        len(rows) > 1
        and 1 < max(map(len, rows)) <= MAX_COLUMNS
        and all(len(cell) == 1 and _width(cell[0]) <= MAX_COLUMN for row in rows for cell in row)
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.combining(char) else 1 for char in text
    )


def collapse_blank_lines(lines: list[str]) -> str:
    """No more than two empty lines in a row, none at the start."""
    kept: list[str] = []
    blank = 0
    for line in lines:
        blank = 0 if line.strip(_INVISIBLE) else blank + 1
        if blank <= 2 and (kept or not blank):
            kept.append(line if not blank else "")
    return "\n".join(kept)

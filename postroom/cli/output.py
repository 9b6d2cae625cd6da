"""How do rows become JSON Lines, or something that a person likes to read?

Colour is for terminals only. What strangers wrote is cleaned of control characters before it is shown: a
subject must not move the cursor or turn the text around.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from postroom.saying import Saying

# C0 and C1 (but not newline and tab), and what changes the direction of text (UAX #9)
UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
TOKEN = re.compile(r"\+[a-z2-7]{36,64}@", re.IGNORECASE)
WIDE = 100_000  # columns of a table that goes into a file or a pipe: nothing is cut there
LONG = 26  # columns of a terminal, for an address
NOTHING = "–"


def print_json(item: dict[str, Any]) -> None:
    """One object on one line, flushed at once, so that a reader has it as soon as it is made."""
    import msgspec

    out = sys.stdout.buffer
    out.write(msgspec.json.encode(item, enc_hook=_in_english) + b"\n")
    out.flush()


def _in_english(value: Any) -> str:
    if isinstance(value, Saying):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no JSON")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], nothing: str) -> None:
    """A table for a person, or the words `nothing` where it would be empty.

    A column whose name ends in `>` is right-aligned; on a terminal those in `~` are cut, and the last one is wrapped.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        last, right, long = column == columns[-1], column.endswith(">"), column.endswith("~")
        table.add_column(
            column.rstrip(">~"), justify="right" if right else "left", no_wrap=not last,
            overflow="fold" if last else "ellipsis", max_width=LONG if long and terminal else None,
            min_width=_name_width(cells) if column == columns[0] else None,
        )  # fmt: skip
    for row in cells:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    if terminal:
        Console(highlight=False).print(table)
        return
    console = Console(width=WIDE, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _name_width(cells: Sequence[Sequence[str]]) -> int:
    """How wide the first column is: it names the row, and is what one types next."""
    return min(max(len(row[0]) for row in cells), LONG)


def field(name: str, value: Any) -> None:
    """One `name  value` line of what is shown of a single thing; nothing where there is no value."""
    if value not in (None, "", [], ()):
        click.echo(f"{click.style(f'{name + chr(58):<13}', dim=True)} {one_line(shown(value))}")


def heading(words: str) -> None:
    """A line above what follows."""
    click.echo("\n" + click.style(one_line(words), bold=True))


def body(text: str, indent: str = "    ") -> None:
    """What somebody wrote, line by line."""
    for line in clean(text).strip("\n").split("\n"):
        click.echo((indent + line).rstrip())


def shown(value: Any) -> str:
    """A value in a person's form."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def clean(text: str) -> str:
    """Text that does nothing to a terminal but be read."""
    return UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Clean text on one line."""
    return " ".join(clean(text).split())


def without_tokens(value: Any) -> Any:
    """The same, with every signed token behind a `+` hidden: whoever reads one over a shoulder could write into its ticket."""
    if isinstance(value, str):
        return TOKEN.sub("+*@", value)
    if isinstance(value, dict):
        return {key: without_tokens(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_tokens(item) for item in value]
    return value


def utc(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second; None stays None."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: int) -> str:
    """Seconds in the largest unit that is not zero."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(octets: int) -> str:
    """Octets in a person's unit."""
    amount = float(octets)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"

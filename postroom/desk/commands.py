"""Which commands does an agent's mail begin with, and what is left for people to read?

    #assign bob
    #priority high

    Dear Cy,            ← from the first line on that is no command, everything is text

Pure: what a command means, and whether it is right, is a row of `command_table`. A `#` with a blank, a digit or
another sign behind it is text ("# 1 problem", "#1234"); a `#` with a word is a command, perhaps one that does not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"  # what mail programs leave at the beginning of a line
COMMAND = re.compile(r"#([^\W\d_][^\s:]*):?(?:\s+(\S.*))?")
STRAY_NOTE = re.compile(r"#note\b", re.IGNORECASE)
LINE_MAX = 200  # characters of a line that are repeated to the agent


@dataclass(frozen=True, slots=True)
class Command:
    """One line that orders something."""

    line: str  # as it was written
    name: str  # lower case, without `#`
    argument: str  # what follows the name; "" where nothing does


@dataclass(frozen=True, slots=True)
class Reading:
    """What an agent wrote, taken apart."""

    commands: tuple[Command, ...]
    text: str  # what is left
    is_on_top: bool  # nothing stands above it in the mail: it is the agent's own word
    stray_note: str | None = None  # a line `#note` below text: whoever wrote it means what follows to be internal


def read(reply: str, mail: str) -> Reading:
    """The commands at the top of `reply` (what its author wrote), and the text behind them.

    `mail` is the mail's whole text. Where something stands above the reply there, it may be an older mail that was not
    recognised as one, and its words a customer's: `is_on_top` is False, and no command of it may be obeyed.
    """
    lines = reply.splitlines()
    commands: list[Command] = []
    text = len(lines)
    for number, line in enumerate(lines):
        bare = line.strip().strip(INVISIBLE).strip()
        if not bare:
            continue
        found = COMMAND.fullmatch(bare)
        if found is None:
            text = number
            break
        commands.append(Command(bare[:LINE_MAX], found[1].lower(), found[2] or ""))
    rest = lines[text:]
    stray = next((line.rstrip()[:LINE_MAX] for line in rest if STRAY_NOTE.match(line)), None)
    return Reading(tuple(commands), "\n".join(rest).strip(), begins_with(mail, reply), stray)


def begins_with(mail: str, reply: str) -> bool:
    """Whether the mail's text begins with the reply: with the same first line that is not blank."""
    return first_line(mail) == first_line(reply)


def first_line(text: str) -> str:
    """The first line of a text that is not blank, bare; "" where there is none."""
    return next((bare for line in text.splitlines() if (bare := line.strip().strip(INVISIBLE).strip())), "")

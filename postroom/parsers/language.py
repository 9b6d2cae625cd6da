"""Which words do mail programs of one language write around quoted mail?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language. Each field is a list, parted by `|`, in any case.

    `openers` begin an intro line ("On … wrote:"), `wrote` are its verbs, `quoting` begin one without a verb
    ("Quoting …"), `you` are the subjects that make such a line a person's own sentence.
    The next five are the labels of a header block. `original` and `forwarded` stand between dashes above it.
    `device` begin or end the line that a telephone adds ("Sent from my …"); `closings` are formulas that end a
    letter, `thanks` do so only where a name follows. `legal` is found in footers that a company's mail server adds, each alone; of `notice` it takes two in a line.
    `reply` and `forward` are subject prefixes, `above` asks to write above a line.
    """

    code: str
    openers: str = ""
    wrote: str = ""
    quoting: str = ""
    you: str = ""
    sender: str = ""
    date: str = ""
    to: str = ""
    cc: str = ""
    subject: str = ""
    original: str = ""
    forwarded: str = ""
    device: str = ""
    closings: str = ""
    thanks: str = ""
    legal: str = ""
    notice: str = ""
    reply: str = ""
    forward: str = ""
    above: str = ""

"""Which mark does this mail put before quoted lines, where it is not `>`?

The Bat! and Emacs put initials (`AL> `), others `| `, `: `, `) ` or what their owner fancied (`--] `). Such a mark is believed
right below an intro line only, and only where two lines in a row carry it; initials are believed at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r" {0,4}((?:[A-Za-z]{1,10}>{1,3}|[-=~+]{1,2}[\]>)|:]|[|:)#%}\]!]{1,2}))")

_ELISION = re.compile(r"\[[^\[\]@]{1,20}\]$|<[a-z ]{3,12}>$|[-\s]*(?:8<|>8|✂)[-\s]*$|\(?(?:\.{3,5}|…)\)?$")


def find_own_mark(views: Sequence[str], first: int) -> str | None:
    """The mark that line `first`, the one below an intro, and the next line begin with, or None."""
    found = _MARK.match(views[first]) if first < len(views) else None
    if found is None:
        return None
    following = views[first + 1] if first + 1 < len(views) else ""
    if found[1] == "|" and views[first].rstrip().endswith("|"):
        return None  # a table
    if found[1][0].isalpha() or carries(following, found[1]):
        return found[1]
    return None if following.strip() or len(found[1]) < 2 else found[1]


def carries(seen: str, mark: str) -> bool:
    """Whether a viewed line begins with that mark."""
    return seen.lstrip(" ").startswith(mark)


def is_elision(seen: str) -> bool:
    """Whether a viewed line says that something was left out: `[...]`, `<snip>`, `[lost]`, `8<`."""
    return _ELISION.match(seen.strip()) is not None

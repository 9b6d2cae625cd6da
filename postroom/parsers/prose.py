"""Is this line plain prose, so that no reader of marks needs to look at it?

Nearly every line of mail is. Separators, rules, header blocks and intros each take a sign that prose seldom has: they begin
with dashes or other signs, or have a label and a colon, a colon at their end or an address in them. One look for all of those signs spares four readers
a look each.
"""

from __future__ import annotations

import re

from postroom.parsers.header_blocks import split_header
from postroom.parsers.intro_lines import may_end_intro
from postroom.parsers.separators import MAX_UNANNOUNCED, UNDASHED_INITIALS, is_unannounced_separator

# `@` for intros without a colon, the rest for "reply above this line" and its like; a hyphen or a dash alone is none.
_SIGN = re.compile(r"[@#=_—*>^↑\[+~–-](?:(?<![–-])|[–=#-])")
_OPENINGS = frozenset('¿¡"„“«(「')  # with which no mark begins


def is_prose(seen: str) -> bool:
    """Whether a viewed line without quote marks is neither a separator nor a rule, a header or the end of an intro.

    It may still be the sender's name in the heading of Lotus Notes, which has no label: what stands below shows that.
    """
    return (
        (seen[:1].isalnum() or seen[:1] in _OPENINGS)
        and seen[0] not in UNDASHED_INITIALS
        and _SIGN.search(seen) is None
        and (":" not in seen or (not may_end_intro(seen) and split_header(seen) is None))
        and (len(seen) > MAX_UNANNOUNCED or not is_unannounced_separator(seen))
    )

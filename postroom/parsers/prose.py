"""Is this line plain prose, so that no reader of marks needs to look at it?

Nearly every line of mail is. Separators, rules, header blocks and intros each take a sign that prose seldom has: they begin
with dashes or other signs, or have a colon or an address in them. One look for all of those signs spares four readers
a look each.
"""

from __future__ import annotations

import re

from postroom.parsers.separators import UNDASHED_INITIALS, is_unannounced_separator

# A colon for header lines and intros, `@` for intros without one, the rest for "reply above this line" and its like;
# a hyphen or a dash alone is none.
_SIGN = re.compile(r"[:@#=_—*>^↑\[+~–-](?:(?<![–-])|[–=#-])")


def is_prose(seen: str) -> bool:
    """Whether a viewed line without quote marks is neither a separator nor a rule, a header or the end of an intro.

    It may still be the sender's name in the heading of Lotus Notes, which has no label: what stands below shows that.
    """
    return (
        seen[:1].isalnum()
        and seen[0] not in UNDASHED_INITIALS
        and _SIGN.search(seen) is None
        and not is_unannounced_separator(seen)
    )

"""Whose address a line of a mail system's notice names: one that got no mail, or one that can help.

A failed address stands at the beginning of a line (`<a@b>:`, `  a@b`, `>>> a@b`) or behind a label (`RCPT TO:<a@b>`).
"""

from __future__ import annotations

from collections.abc import Iterable

from postroom.parsers.bounce_addresses import domain_of, find_addresses
from postroom.parsers.bounce_forms import CONTACTS, OTHER_LABELS, RECIPIENT_LABELS
from postroom.parsers.status import has_failure_words

CONTACT_REACH = 60  # characters between "contact" and the address
LABEL = 60  # characters
LINE_LOOKED_AT = 400  # characters, in which the address stands

_DECORATION = " \t<>*-–•·|#'\"‘“„「【[(0123456789.)"
_AFTER_ADDRESS = (":", "(", "[", ",", ";", "...", "…", "<", "-", "–", "->", "\t", "#", "=", "'", '"')


def leading_address(content: str, previous: str) -> tuple[str | None, str]:
    """The address that a line begins with, and the rest of the line; none where the line is prose about an address."""
    start = content.lstrip(_DECORATION)
    address = next(iter(find_addresses(start[:LINE_LOOKED_AT])), None)
    if address is None or not _starts_with(start, address):
        return None, ""
    after = start[start.index("@") + 1 if address[0] != '"' else start.index('"@') + 2 :]
    after = after[len(domain_of(address)) :].lstrip(">\"')]*. \t|").strip()
    # "… please contact" on the line before, and the address at the beginning of this one: wrapped prose.
    if any(words in previous[-60:].lower() for words in CONTACTS) and not after.startswith(":"):
        return None, ""
    if after and not after.startswith(_AFTER_ADDRESS) and not _is_reason(after):
        return None, ""
    code = content[: len(content) - len(content.lstrip(_DECORATION))].strip("<> ")  # "550 <a@b>... User unknown"
    return address, content if code[:3].isdigit() else after.lstrip(":;,-–> \t")


def labelled_address(content: str) -> tuple[str | None, str]:
    """The address behind a label, and what follows it: `RCPT TO:<a@b>`, `Failed recipient: a@b`."""
    at = content.find("@")
    if not 0 < at < LINE_LOOKED_AT // 2:
        return None, ""
    address = next(iter(find_addresses(content[:LINE_LOOKED_AT])), None)
    if address is None:
        return None, ""
    local = address.rpartition("@")[0]
    place = content.find(local)
    label = content[: max(place, 0)].lower().strip(" \t<>*-'\"")
    if not label or len(label) > LABEL or label.startswith("<<<") or label[:3].isdigit():
        return None, ""
    if any(other in label for other in OTHER_LABELS) or not any(word in label for word in RECIPIENT_LABELS):
        return None, ""
    if not label.endswith((":", "=", "to", "recipient", "(", "user", "for", "address", "mailto")) and " " in label:
        return None, ""
    return address, content if has_failure_words(content) else content[place + len(address) :].strip(" >:;,)'\"")


def listed_with(address: str, content: str) -> list[str]:
    """The other addresses of a line that holds nothing but addresses: `a@b; c@d`."""
    addresses = find_addresses(content)
    if len(addresses) < 2 or len(content) > sum(len(one) + 8 for one in addresses):
        return []
    rest = content.lower()
    for one in addresses:
        rest = rest.replace(one.lower(), "", 1)
    return [] if rest.strip(_DECORATION + ",;>\"'") else [one for one in addresses if one.lower() != address.lower()]


def contacts(lines: Iterable[str]) -> set[str]:
    """Addresses that the notice names as the sender's, or as those of somebody who can help."""
    found: set[str] = set()
    previous = ""
    for line in lines:
        if "@" in line:
            # "… please contact" may end the line before.
            lowered = ("" if ":" in previous or "@" in previous else previous[-60:].lower()) + " " + line.lower()
            end = 0
            for address in find_addresses(line):
                start = lowered.find(address.lower(), end)
                if any(words in lowered[max(end, start - CONTACT_REACH) : max(start, 0)] for words in CONTACTS):
                    found.add(address.lower())
                end = max(end, start + len(address))
        previous = line
    return found


def _starts_with(text: str, address: str) -> bool:
    return text.startswith(address.rpartition("@")[0])


def _is_reason(after: str) -> bool:
    """`a@b 550 no such user`, `a@b on Wed, 15 Feb`, `a@b user unknown`, but not `a@b for help`."""
    return after[:3].isdigit() or after.lower().startswith(
        ("on ", "user ", "host ", "said", "failed", "unknown", "due to", "is ")
    )

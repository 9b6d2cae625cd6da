"""Which language does a mail say that it is in, or that its author would like?"""

from __future__ import annotations

import re

from postroom.parsers.parsed import ParsedEmail

HEADERS = ("content-language", "accept-language")  # RFC 3282
TAG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?(?=[-_;,\s(]|$)")


def language_of(email: ParsedEmail) -> str | None:
    """The first language that it names, as `de` or `pt_BR` (RFC 5646 §2.1); None where it names none."""
    for name in HEADERS:
        found = TAG.match(email.header(name) or "")
        if found is not None:
            return f"{found[1].lower()}_{found[3].upper()}" if found[3] else found[1].lower()
    return None

"""Why was a mail not taken, as far as its sender can do something about it? By enhanced status codes (RFC 3463 §3)."""

from __future__ import annotations

from postroom.parsers.status import find_status

# The subject and detail of a code, or its subject alone, and what `templates/causes.j2` says of it.
CAUSES = {
    "1.2": "domain", "1.10": "domain", "4.4": "domain", "4.3": "domain", "1.7": "refused", "1.8": "refused", "1": "unknown",
    "2.1": "disabled", "2.2": "full", "2.3": "too-big", "2": "disabled", "3.4": "too-big", "3.1": "full", "4": "expired",
    "7.17": "unknown", "7": "refused", "6": "refused",
}  # fmt: skip


def cause_of(reason: str) -> str:
    """unknown, domain, full, disabled, too-big, refused, expired; "" where the words of the other side do not tell."""
    status = find_status(reason)
    if status is None:
        return "expired" if reason.startswith("gave up") else ""
    _, _, detail = status.partition(".")
    return CAUSES.get(detail) or CAUSES.get(detail.partition(".")[0], "")

"""Delivery status notifications: the fields that say what became of each recipient (RFC 3464, RFC 6533).

The fields are read from text, wherever it stood: a `message/delivery-status` part, one that a relay renamed, or the
body of a report that lost its MIME structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from postroom.parsers.bounce_addresses import clean_address
from postroom.parsers.parsed import BouncedRecipient
from postroom.parsers.status import derived_status, explicit_status, find_status, is_vague

LINES_READ = 10_000  # of one report; 1,000 recipients of ten fields
LINE_READ = 2_000  # characters of one line
FIELD_KEPT = 4_000  # characters of one unfolded field
DIAGNOSTIC_KEPT = 1_000  # characters
RECIPIENTS_KEPT = 1_000

_Group = dict[str, str]  # field name in lower case → value, of one recipient

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9\-]{2,40})[ \t]*:[ \t]*(.*)")
_PER_RECIPIENT = frozenset({
    "original-recipient", "final-recipient", "x-actual-recipient", "action", "status", "remote-mta", "diagnostic-code",
    "last-attempt-date", "final-log-id", "will-retry-until", "localized-diagnostic",
})  # fmt: skip
_NAMES_RECIPIENT = ("final-recipient", "original-recipient", "x-actual-recipient")
_OPENS_GROUP = frozenset({"final-recipient", "original-recipient", "action", "status"})

# RFC 3464 §2.3.3, and what others write.
_ACTIONS = (
    ("failed", ("fail", "error", "undeliver", "reject", "bounce", "denied", "expired", "dropped")),
    ("delayed", ("delay", "warn", "defer", "retry")),
    ("relayed", ("relay", "transfer")),
    ("expanded", ("expand",)),
    ("delivered", ("deliver", "success", "sent")),
)
_ANSWER = re.compile(r"[45]\d\d[ \-]#?[45]\.\d")  # a diagnostic that begins as an SMTP reply does (RFC 2034)
_HEX_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3


def read_report(text: str) -> tuple[BouncedRecipient, ...]:
    """The recipients of a report's fields, one each, in their order; none where there are no such fields."""
    recipients: dict[str, BouncedRecipient] = {}
    for group in _groups(text):
        recipient = _recipient(group)
        if recipient is None:
            continue
        known = recipients.get(recipient.address.lower())
        if known is None or (known.status is None and recipient.status is not None):
            recipients[recipient.address.lower()] = recipient
        if len(recipients) >= RECIPIENTS_KEPT:
            break
    return tuple(recipients.values())


def has_report_fields(text: str) -> bool:
    """Whether the text holds the fields of at least one recipient, by RFC 3464 §2.3: a recipient with an action or status."""
    return any(_names_recipient(group) and ("action" in group or "status" in group) for group in _groups(text))


def is_permanent(action: str, status: str | None) -> bool:
    """Whether sending to the address again is useless: given up, and not for a transient cause (RFC 3463 §3.1)."""
    return action == "failed" and (status is None or status.startswith("5."))


def _groups(text: str) -> Iterator[_Group]:
    """Groups of fields that belong to one recipient. A blank line parts them, unless it stands in the middle of one."""
    pending: _Group = {}
    for group in _raw_groups(text):
        # Some mail systems put a blank line between all fields.
        if pending and not _names_recipient(group) and not pending.keys() & group.keys():
            pending = {**pending, **group}
            continue
        if pending:
            yield pending
        pending = group
    if pending:
        yield pending


def _raw_groups(text: str) -> Iterator[_Group]:
    group: _Group = {}
    field: str | None = None
    for line in _lines(text):
        if not line.strip():
            if group:
                yield group
            group, field = {}, None
            continue
        if line[0] in " \t" and field is not None:
            if len(group[field]) < FIELD_KEPT:
                group[field] += " " + line.strip()
            continue
        found = _FIELD.match(line.lstrip())
        name = found[1].lower() if found else ""
        if found is None or name not in _PER_RECIPIENT:
            # A diagnostic that was wrapped without being indented goes on; every other line ends its field.
            if found is None and field == "diagnostic-code" and len(group[field]) < DIAGNOSTIC_KEPT:
                group[field] += " " + line.strip()
            else:
                field = None
            continue
        if name in group and name in _OPENS_GROUP:
            yield group
            group = {}
        field = name
        group.setdefault(name, found[2].strip())
    if group:
        yield group


def _lines(text: str) -> Iterable[str]:
    return (line[:LINE_READ] for line in text.split("\n", LINES_READ)[:LINES_READ])


def _names_recipient(group: _Group) -> bool:
    return any(name in group for name in _NAMES_RECIPIENT)


def _recipient(group: _Group) -> BouncedRecipient | None:
    address = next(filter(None, (typed_address(group.get(name, "")) for name in _NAMES_RECIPIENT)), None)
    if address is None:
        return None
    diagnostic = _diagnostic(group)
    status = _status(group.get("status", ""), diagnostic or "")
    action = _action(group.get("action", ""), status)
    return BouncedRecipient(address, action, status, is_permanent(action, status), diagnostic)


def typed_address(value: str) -> str | None:
    """The mailbox of `rfc822; a@b`, whatever is wrong with its form, or None where it names none.

    Escapes of RFC 6533 are undone; an X.400 address stays as it is.
    """
    kind, semicolon, rest = value.partition(";")
    kind, rest = (kind.strip().lower(), rest.strip()) if semicolon else ("", value.strip())
    if kind == "utf-8":
        rest = _HEX_ESCAPE.sub(_unescaped, rest)
    address = clean_address(rest) or clean_address(value)
    if address is not None:
        return address
    bare = rest.strip("<> ")
    # A damaged domain, "a@#b.example", is still what it reports; an X.400 address has no domain at all.
    return (
        bare if kind.startswith(("x400", "x.400")) or (0 < bare.find("@") < len(bare) - 1 and " " not in bare) else None
    )


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    # Controls, surrogates and what is past Unicode stay as they were written.
    return chr(code) if 0x20 < code < 0xD800 or 0xE000 <= code <= 0x10FFFF else found[0]


def _diagnostic(group: _Group) -> str | None:
    value = group.get("diagnostic-code", "") or group.get("localized-diagnostic", "")
    kind, semicolon, rest = value.partition(";")
    if semicolon and " " not in kind.strip() and len(kind) < 30:
        value = rest
    return " ".join(value.split())[:DIAGNOSTIC_KEPT] or None


def _status(value: str, diagnostic: str) -> str | None:
    """The field's code; or the diagnostic's, where the field says little ("5.0.0") or the remote host answered otherwise."""
    status = explicit_status(value) or _success(value)
    if status is None:
        return find_status(diagnostic) or derived_status(value)
    said = explicit_status(diagnostic)
    if said is None or is_vague(said):
        return status
    return said if is_vague(status) or _ANSWER.match(diagnostic) else status


def _success(value: str) -> str | None:
    code = value.strip().split(" ")[0]
    return code if re.fullmatch(r"2\.\d{1,3}\.\d{1,3}", code) else None


def _action(value: str, status: str | None) -> str:
    lowered = value.lower()
    for action, beginnings in _ACTIONS:
        if any(beginning in lowered for beginning in beginnings):
            return action
    if status is not None and status[0] in "24" and status != "4.4.7":
        return "delivered" if status[0] == "2" else "delayed"
    return "failed"

"""Which envelope did a message have that was delivered into a folder? Its last server wrote it into the header.

A small scan of the raw bytes, linear and bounded: the mail itself is parsed elsewhere, apart from the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postroom.desk.mailboxes import Mailboxes

HEADER_SCANNED = 256 << 10  # octets
ADDRESS_LENGTH = 320  # octets: a local part, "@" and a domain at their longest (RFC 5321 §4.5.3.1)
RECIPIENT_FIELDS = (b"delivered-to", b"x-original-to", b"envelope-to")
SENDER_FIELD = b"return-path"


def recipient(raw: bytes, mailboxes: Mailboxes, mailbox: str, default: str) -> str:
    """The address, in lower case, that `raw` was delivered to, where `mailbox` serves it; else `default`.

    The same bytes give the same address, so that a message seen again under a new UID is recognised.
    """
    for name, value in _fields(raw, RECIPIENT_FIELDS):
        if name in RECIPIENT_FIELDS:
            for part in value.split(b","):
                address = _address(part)
                if address and (served := mailboxes.find(address)) and served.mailbox == mailbox:
                    return address.lower()
    return default.lower()


def sender(raw: bytes) -> str | None:
    """The envelope's sender as Return-Path has it (RFC 5321 §4.4): "" is the null sender, None is unknown."""
    for name, value in _fields(raw, (SENDER_FIELD,)):
        if name == SENDER_FIELD:
            return "" if value.strip() == b"<>" else _address(value)
    return None


def _fields(raw: bytes, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Name in lower case and unfolded value of each header field (RFC 5322 §2.2); none where there is none of those `wanted`."""
    header = raw[: _end(raw)]
    lower = header.lower()
    if not any(name in lower for name in wanted):  # as in most mail that is imported: spare it the lines
        return
    name, parts = b"", [b""]
    for ended in header.split(b"\n"):
        line = ended.rstrip(b"\r")
        if line[:1] in (b" ", b"\t"):
            parts.append(line)
            continue
        if name:
            yield name, b"".join(parts)
        if not line:
            return
        name, _, value = line.partition(b":")
        name, parts = name.strip().lower(), [value]
    if name:
        yield name, b"".join(parts)


def _end(raw: bytes) -> int:
    """Where the header ends, within what is scanned of it."""
    end = raw.find(b"\n\n", 0, HEADER_SCANNED)
    end = HEADER_SCANNED if end < 0 else end
    other = raw.find(b"\n\r\n", 0, end)  # of either kind the first: a body is not searched for the other
    return end if other < 0 else other


def _address(value: bytes) -> str | None:
    """One address in printable characters without blanks; None for anything else."""
    value = value.strip()
    if value.startswith(b"<") and value.endswith(b">"):
        value = value[1:-1]
    try:
        address = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = address.isprintable() and " " not in address and not set("<>,") & set(address)
    return address if plain and "@" in address and len(value) <= ADDRESS_LENGTH else None

"""Outlook's own marks of a conversation, Thread-Index and Thread-Topic, echoed to the one whose mail bore them.

Outlook and Exchange thread by them before anything else (MS-OXOMSG §2.2.1.3). They mean nothing to us: they find no
ticket. An index is 22 octets for the conversation (a 1, five of its time, a GUID), then five for each answer; ours adds five.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from postroom.parsers.parsed import ParsedEmail

HEAD_OCTETS, CHILD_OCTETS = 22, 5
MAX_CHILDREN = 60  # answers of a conversation whose index we go on with: the field fits one line
RESERVED = 1  # the first octet, and the uppermost of today's FILETIMEs
FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
FAR = 1 << 49  # 100 ns, about 1.8 years: a difference from here on is told less exactly
Marks = tuple[tuple[str, str], ...]


def marks(index: str | None, topic: str | None, now: datetime, chance: int) -> Marks:
    """The fields that answer a mail with that Thread-Index and Thread-Topic; none where it had no index.

    `chance`: any number; it tells two answers of one moment apart.
    """
    octets = _octets("".join(index.split())) if index else None
    if octets is None:
        return ()
    child = ("Thread-Index", base64.b64encode(octets + _child(octets, now, chance)).decode())
    return (("Thread-Topic", topic), child) if topic else (child,)


def marks_of_mail(email: ParsedEmail, now: datetime) -> Marks:
    """The fields that answer a mail which has just come in."""
    return marks(email.header("thread-index"), email.header("thread-topic"), now, len(email.text))


def marks_of_row(row: Any, recipient: str, now: datetime) -> Marks:
    """The same for a message of a ticket; only for the one who wrote it."""
    return marks(row.thread_index, row.thread_topic, now, int(row.id)) if row.author_address == recipient else ()


def _octets(text: str) -> bytes | None:
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    children, rest = divmod(len(octets) - HEAD_OCTETS, CHILD_OCTETS)
    return octets if 0 <= children < MAX_CHILDREN and not rest and octets[0] == RESERVED else None


def _child(octets: bytes, now: datetime, chance: int) -> bytes:
    """The block of an answer: how long after the conversation began, and four bits of chance (MS-OXOMSG §2.2.1.3.2)."""
    began = int.from_bytes(octets[:6], "big") << 16
    age = now - FILETIME_EPOCH
    ticks = (age.days * 86_400 + age.seconds) * 10_000_000 + age.microseconds * 10
    passed = max(ticks - began, 0)
    is_far = passed >= FAR
    delta = (passed >> (23 if is_far else 18)) & 0x7FFF_FFFF
    return (delta | (is_far << 31)).to_bytes(4, "big") + bytes([(chance & 0xF) << 4])

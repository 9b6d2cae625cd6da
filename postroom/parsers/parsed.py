"""The values that reading a message yields: what the bytes say, and nothing else.

All are frozen and made of plain Python types, so that a parse worker can hand them over as they are.
No string holds a NUL or a lone surrogate: both databases would refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What sort of mail it is, as `postroom parse` names it."""

    MESSAGE = "message"
    AUTO_REPLY = "auto-reply"
    BOUNCE = "bounce"  # a delivery status notification, whatever its action (RFC 3464)
    COMPLAINT = "complaint"  # a feedback report (RFC 5965)
    RECEIPT = "receipt"  # a disposition notification (RFC 8098)


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of an address list (RFC 5322 §3.4)."""

    name: str  # decoded display name, "" where there is none
    address: str  # addr-spec, its domain in lower case


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a person would call an attachment: a leaf of the MIME tree, still inside the raw message."""

    part: str  # where it is in the raw message: `parsers.attachments.read_part(raw, part)` gives its bytes
    filename: str  # shown to people, never used on disk
    content_type: str
    size: int  # octets, decoded
    sha256: str  # hex, of the decoded octets
    inline: bool = False
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Automatic:
    """Whether a machine wrote it, and whether answering it automatically is forbidden (RFC 3834)."""

    is_automatic: bool = False
    reason: str | None = None  # the header and value that says so
    unanswerable: str | None = None  # why no automatic answer may be sent, also where a person wrote (lists)


@dataclass(frozen=True, slots=True)
class BouncedRecipient:
    """One recipient of a delivery status notification (RFC 3464 §2.3)."""

    address: str
    action: str  # failed, delayed, delivered, relayed, expanded
    status: str | None = None  # enhanced status code, "5.1.1" (RFC 3463)
    permanent: bool = False
    diagnostic: str | None = None


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a delivery status notification reports."""

    recipients: tuple[BouncedRecipient, ...] = ()
    original_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """Which mail a report is about, in the words of the report; the outermost copy first."""

    message_ids: tuple[str, ...] = ()  # bare
    senders: tuple[str, ...] = ()  # the envelope senders that it went out with
    feedback: str | None = None  # of a complaint: abuse, opt-out, not-spam, ... (RFC 5965 §7.3)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The message that this one hands on, inline or attached."""

    sender: Address | None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    date: str | None = None  # as written
    subject: str = ""
    text: str = ""
    message_id: str | None = None  # where it is attached; who forwards inline hands on none
    attachments: tuple[Attachment, ...] = ()  # of an attached message; those of an inline one are the mail's own


@dataclass(frozen=True, slots=True)
class ParsedEmail:
    """What a message says. The names are those of `postroom parse --json`, in snake case."""

    message_id: str | None = None  # bare: no angle brackets, no blanks
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    date: datetime | None = None  # aware, UTC
    from_: tuple[Address, ...] = ()
    sender: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""  # decoded, one line
    text: str = ""
    html: str | None = None  # sanitised
    reply_text: str = ""  # only what the author wrote now
    quoted_text: str | None = None
    signature: str | None = None
    attachments: tuple[Attachment, ...] = ()
    without_words: tuple[str, ...] = ()  # where `reply_text` is empty: the parts of the files that its author put there
    kind: Kind = Kind.MESSAGE
    automatic: Automatic = Automatic()
    bounce: Bounce | None = None
    reported: Reported | None = None  # of a bounce, a complaint or a receipt
    forwarded: Forwarded | None = None
    defects: tuple[str, ...] = ()
    # lower-case name and decoded value of each top-level field, as in the mail
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    hops: int = 0  # `Received` lines
    body_digest: str = ""  # SHA-256, hex, of the body's octets with line ends and trailing blanks made equal

    def header(self, name: str) -> str | None:
        """The first top-level header of that name, decoded and unfolded, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    def all_headers(self, name: str) -> tuple[str, ...]:
        """Every top-level header of that name, from the top."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key == wanted)

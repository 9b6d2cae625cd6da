"""The door to bounces: whether a message is a delivery status notification, and what it reports (RFC 3464, and custom).

The structure speaks first (`multipart/report`, `message/delivery-status`), then the headers (a mail system as sender, no
envelope sender, X-Failed-Recipients) together with the words of mail systems. Words alone prove nothing: a customer who
quotes or forwards a bounce writes a message.
"""

from __future__ import annotations

from dataclasses import replace

from postroom.parsers import mime
from postroom.parsers.bounce_addresses import domain_of, find_addresses
from postroom.parsers.bounce_forms import LIST_REFUSALS, SUBJECTS
from postroom.parsers.bounce_text import (
    Notice,
    bare_names,
    is_notice,
    opens_as_notice,
    read_notice,
    read_recipients,
    read_refused,
)
from postroom.parsers.dsn import has_report_fields, is_permanent, read_report
from postroom.parsers.parsed import Bounce, BouncedRecipient
from postroom.parsers.reports import report_type
from postroom.parsers.senders import has_null_sender, is_list_manager, is_mail_system
from postroom.parsers.status import explicit_status, has_failure_words, has_reply_code, is_vague, vagueness

PARTS_READ = 200  # of one bounce; a report has three
REPORTS_READ = 10  # machine-readable parts of one bounce; by RFC 6522 there is one
HEADER_LINES = 2_000  # of a copied message, until its Message-ID is found
OWN_HEADERS = ("to", "from", "return-path", "delivered-to", "x-original-to", "envelope-to", "reply-to", "cc")

_STATUS_TYPES = ("delivery-status", "xdelivery-status", "x-delivery-status", "global-delivery-status")
_ORIGINAL_TYPES = frozenset({
    "message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers",
    "message/global-headers", "message/partial", "text/rfc822",
})  # fmt: skip
_ANSWER_PREFIXES = ("re:", "re :", "fw:", "fwd:", "aw:", "wg:", "tr:", "sv:", "vs:", "rv:", "antw:", "i:", "r:", "odp:")


def find_bounce(tree: mime.Tree, text: str) -> Bounce | None:
    """What a delivery status notification reports, or None where the message is none. `text` is its body as text."""
    root = tree.root
    parts = _outer_parts(root)
    reports = _reports(root, parts)
    if not reports and not _may_be_notice(root):  # nearly all mail
        return None
    notice = read_notice(text)
    if not _is_bounce(root, notice, bool(reports)):
        return None
    return Bounce(_recipients(root, notice, reports, parts), _original_message_id(root, parts, notice))


def _may_be_notice(root: mime.Part) -> bool:
    """Whether anything but its words says that a mail system wrote it."""
    return (
        report_type(root) is not None
        or root.header("x-failed-recipients") is not None
        or is_mail_system(root)
        or has_null_sender(root)
        or is_list_manager(root)
        or _submitted_by_machine(root)
    )


def _is_bounce(root: mime.Part, notice: Notice, has_report: bool) -> bool:
    if report_type(root) == "delivery-status":
        return True
    subject = _subject(root)
    answers = subject.startswith(_ANSWER_PREFIXES)
    says_so = any(words in subject for words in SUBJECTS) and not answers
    daemon, null = is_mail_system(root), has_null_sender(root)
    if has_report:
        return daemon or null or says_so or _submitted_by_machine(root)
    if root.header("x-failed-recipients") is not None:
        return True
    if daemon and says_so:
        return True
    fields = has_report_fields("\n".join(notice.lines))
    words = is_notice(notice)
    if daemon:
        # A postmaster is a person, too, and answers mail about bounces; but in words of their own.
        return fields or (words and (null or not answers or opens_as_notice(notice)))
    if null:
        told = words or fields or has_failure_words(notice.words)
        return fields or (told and says_so) or (words and _has_reply_code(notice))
    if _refuses_list_mail(root, notice):
        return True
    # Parcel services write "delivery failed", too, but no enhanced codes.
    coded = explicit_status(notice.words) is not None
    return _submitted_by_machine(root) and not answers and (fields or (words and says_so and coded))


def _refuses_list_mail(root: mime.Part, notice: Notice) -> bool:
    return is_list_manager(root) and any(phrase in notice.words for phrase in LIST_REFUSALS)


def _recipients(
    root: mime.Part, notice: Notice, reports: tuple[BouncedRecipient, ...], parts: list[mime.Part]
) -> tuple[BouncedRecipient, ...]:
    """The report's recipients, completed from the notice; from the notice alone where there is no report."""
    named = [address for value in root.all_headers("x-failed-recipients") for address in find_addresses(value)]
    own = {
        address.lower() for name in OWN_HEADERS for value in root.all_headers(name) for address in find_addresses(value)
    }
    own -= {address.lower() for address in named}
    if not named and not reports and _refuses_list_mail(root, notice):
        return read_refused(notice, own)
    in_words = read_recipients(notice, named=named, own=own)
    if reports:
        return tuple(_completed(recipient, in_words, notice, alone=len(reports) == 1) for recipient in reports)
    if in_words:
        return in_words
    # A relay or scanner put a notice of its own around the report.
    inside = read_report(notice.original) or _reports_inside(parts)
    if inside:
        return inside
    if from_domain := next(iter(find_addresses(root.header("from") or "")), None):
        in_words = bare_names(notice, domain_of(from_domain))
    return in_words or _written_to(parts, notice)


def _reports_inside(parts: list[mime.Part]) -> tuple[BouncedRecipient, ...]:
    for part in parts:
        if part.content_type == "message/rfc822" and part.children:
            embedded = part.children[0]
            return _reports(embedded, _outer_parts(embedded))
    return ()


def _completed(
    recipient: BouncedRecipient, in_words: tuple[BouncedRecipient, ...], notice: Notice, *, alone: bool
) -> BouncedRecipient:
    """The recipient with what its fields leave out: some reports say "5.0.0" and tell the cause in their prose only."""
    if recipient.action not in {"failed", "delayed"}:
        return recipient
    said = next((other for other in in_words if other.address.lower() == recipient.address.lower()), None)
    if said is None and len(in_words) == 1:
        said = in_words[0]
    status = recipient.status or (said.status if said else None)
    # A report that repeats its vague code in the diagnostic means it; but "expired" is never the cause.
    if (
        status is not None
        and is_vague(status)
        and (status.endswith(".4.7") or status not in (recipient.diagnostic or ""))
    ):
        written = said.status if said else explicit_status("\n".join(notice.lines)) if alone else None
        status = _more_telling(status, written, notice)
    return replace(
        recipient,
        status=status,
        permanent=is_permanent(recipient.action, status),
        diagnostic=recipient.diagnostic or (said.diagnostic if said else None),
    )


def _more_telling(status: str, other: str | None, notice: Notice) -> str:
    """The other code, if it is written in the notice, names a cause, and is of the same class."""
    if other is None or other not in notice.words or other[0] != status[0] or vagueness(other) >= vagueness(status):
        return status
    return other


def _written_to(parts: list[mime.Part], notice: Notice) -> tuple[BouncedRecipient, ...]:
    """The one address that the original was written to, where the notice names nobody."""
    for part in parts:
        if part.content_type in _ORIGINAL_TYPES:
            field = _embedded_header(part, "to")
            addresses = list(dict.fromkeys(find_addresses(field or "")))
            if len(addresses) == 1:
                return read_recipients(notice, named=addresses)
    return ()


def _reports(root: mime.Part, parts: list[mime.Part]) -> tuple[BouncedRecipient, ...]:
    """The recipients of all parts that are, or would be, `message/delivery-status`."""
    stated = [part for part in parts if part.content_type.partition("/")[2] in _STATUS_TYPES]
    recipients = [recipient for part in stated[:REPORTS_READ] for recipient in read_report(part.text())]
    if not recipients and report_type(root) is not None:
        # A report that lost its parts, or whose types nobody knows.
        others = [
            part for part in parts if part.content_type not in _ORIGINAL_TYPES | {"text/html"} and not part.children
        ]
        recipients = [recipient for part in others[:REPORTS_READ] for recipient in read_report(part.text())]
    return tuple({recipient.address.lower(): recipient for recipient in reversed(recipients)}.values())[::-1]


def _outer_parts(root: mime.Part) -> list[mime.Part]:
    """The parts of the message itself, in their order, and not of the messages inside it."""
    parts: list[mime.Part] = []
    waiting = [root]
    while waiting and len(parts) < PARTS_READ:
        part = waiting.pop()
        parts.append(part)
        if part.is_multipart:
            waiting.extend(reversed(part.children))
    return parts


def _original_message_id(root: mime.Part, parts: list[mime.Part], notice: Notice) -> str | None:
    """The original's Message-ID: from its copy, its headers, the text, else from what the bounce says it answers."""
    for part in parts:
        if part.content_type in _ORIGINAL_TYPES:
            found = _bare_id(_embedded_header(part, "message-id"))
            if found is not None:
                return found
    return (
        _bare_id(_header_in("message-id", notice.original))
        or _bare_id(_header_in("message-id", "\n".join(notice.lines)))
        or _bare_id(root.header("in-reply-to"))
        or _bare_id((root.header("references") or "").rpartition("<")[2])
    )


def _embedded_header(part: mime.Part, name: str) -> str | None:
    if part.children:
        return part.children[0].header(name)
    return _header_in(name, part.text())


def _header_in(name: str, text: str) -> str | None:
    """A header field's value in a text, unfolded, also where it is quoted or indented."""
    lines = text.split("\n", HEADER_LINES)[:HEADER_LINES]
    for number, line in enumerate(lines):
        start = line[:200].lstrip("> \t|").lower()
        if start.startswith(name + ":"):
            value = line.partition(":")[2].strip()
            if not value and number + 1 < len(lines):
                value = lines[number + 1].strip()
            return value[:1000]
    return None


def _bare_id(value: str | None) -> str | None:
    if not value:
        return None
    inside = value.partition("<")[2].partition(">")[0] if "<" in value else value.partition(">")[0].split(" ")[0]
    return "".join(inside.split()) or None


def _subject(root: mime.Part) -> str:
    return " ".join((root.header("subject") or "").lower().split())


def _submitted_by_machine(root: mime.Part) -> bool:
    return any(not value.strip().lower().startswith("no") for value in root.all_headers("auto-submitted"))


def _has_reply_code(notice: Notice) -> bool:
    return explicit_status(notice.words) is not None or has_reply_code(notice.words)

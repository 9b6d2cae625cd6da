"""Mail that no person wrote, and mail that must get no automatic answer (RFC 3834, RFC 2919, RFC 5436).

Two questions, apart on purpose. `is_automatic`: a machine wrote it. `unanswerable`: an automatic answer is forbidden,
also where a person may have written: a list's mail, bulk mail, a no-reply address. A subject is weak evidence; it
counts only together with something that people's mail programs do not write.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroom.parsers import mime
from postroom.parsers.automatic_words import BODIES, SUBJECTS
from postroom.parsers.bounce import find_bounce
from postroom.parsers.feedback import is_complaint
from postroom.parsers.parsed import Automatic, Bounce, Kind
from postroom.parsers.receipts import is_receipt
from postroom.parsers.senders import has_null_sender, is_mailer_daemon, unanswerable_address

VALUE_SHOWN = 100  # characters of a header that a reason repeats
BODY_READ = 4_000  # characters of the body in which a machine says that it is one


@dataclass(frozen=True, slots=True)
class Classification:
    """What sort of mail it is, and what follows from that for answering it."""

    kind: Kind
    automatic: Automatic
    bounce: Bounce | None


@dataclass(frozen=True, slots=True)
class _Sign:
    """A header that tells something, as a reason to store."""

    reason: str
    replies: bool = False  # it says that this is a reply, not only that a machine wrote it


# Responders of all ages; the value only matters where it is a denial.
_AUTO_REPLY_HEADERS = (
    "x-autoreply", "x-auto-reply", "x-autorespond", "x-autoresponder", "x-autoresponse", "x-autoreply-from",
    "x-auto-reply-from", "x-mail-autoreply", "x-amazon-auto-reply", "x-vacation", "x-autoreply-type",
)  # fmt: skip
_GENERATED_HEADERS = ("x-ms-exchange-generated-message-source", "x-cron-env", "x-auto-generated")
_LIST_HEADERS = (
    "list-id", "list-post", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-help", "list-owner",
    "list-archive", "list-software", "list-url", "mailing-list", "x-mailing-list", "x-mailinglist", "x-beenthere",
    "x-mailman-version", "x-ml-name", "x-list",
)  # fmt: skip
_LOOP_HEADERS = ("x-loop", "x-no-loop", "x-loop-detect", "x-ms-exchange-inbox-rules-loop")
_BULK_HEADERS = ("feedback-id", "x-feedback-id", "x-campaignid", "x-mailgun-tag", "x-csa-complaints")

_DENIALS = frozenset({"no", "false", "0", "none", "off"})
_PRECEDENCE = ("precedence", "x-precedence", "preference")
_REPLY_PRECEDENCE = frozenset({"auto_reply", "auto-reply", "autoreply"})
_UNANSWERABLE_PRECEDENCE = frozenset({"bulk", "junk", "list", *_REPLY_PRECEDENCE})
_SUPPRESSES_ANSWERS = frozenset({"all", "autoreply", "oof"})
_OPENING_BRACKETS = " \t[({<*'\"„“«【〔-"


def classify(tree: mime.Tree, text: str) -> Classification:
    """The kind of a message, whether a machine wrote it, and what a bounce reports. `text` is the body as text."""
    root = tree.root
    kind, bounce = _report(tree, text)
    if kind is not Kind.MESSAGE:
        reason = _REPORT_REASONS[kind]
        return Classification(kind, Automatic(True, reason, reason), bounce)
    sign = _sign_of_machine(root, text)
    if sign is not None:
        kind = Kind.AUTO_REPLY if sign.replies else Kind.MESSAGE
        return Classification(kind, Automatic(True, sign.reason, sign.reason), None)
    return Classification(Kind.MESSAGE, Automatic(False, None, _why_unanswerable(root)), None)


_REPORT_REASONS = {
    Kind.BOUNCE: "a delivery status notification",
    Kind.COMPLAINT: "a feedback report",
    Kind.RECEIPT: "a disposition notification",
}


def _report(tree: mime.Tree, text: str) -> tuple[Kind, Bounce | None]:
    if is_complaint(tree):
        return Kind.COMPLAINT, None
    if is_receipt(tree, text):
        return Kind.RECEIPT, None
    bounce = find_bounce(tree, text)
    return (Kind.MESSAGE, None) if bounce is None else (Kind.BOUNCE, bounce)


def _sign_of_machine(root: mime.Part, text: str) -> _Sign | None:
    """The strongest sign that a machine wrote it: one that names a reply, before one that only names a machine."""
    signs = _header_signs(root)
    replies = next((sign for sign in signs if sign.replies), None)
    if replies is not None:
        return replies
    subject = _reply_subject(root)
    support = None if subject is None else signs[0].reason if signs else _supporting(root, text)
    if subject is not None and support is not None:
        return _Sign(f"Subject: {subject[:VALUE_SHOWN]}; {support}", replies=True)
    return signs[0] if signs else None


def _header_signs(root: mime.Part) -> list[_Sign]:
    signs: list[_Sign] = []
    for value in root.all_headers("auto-submitted"):
        keyword = _keyword(value)
        if keyword not in {"no", ""}:
            replies = keyword.startswith("auto-replied") or any(
                w in value.lower() for w in ("vacation", "owner-email=")
            )
            signs.append(_Sign(_reason("Auto-Submitted", value), replies))
    signs += [
        _Sign(_reason(name, value), replies=True)
        for name in _AUTO_REPLY_HEADERS
        for value in root.all_headers(name)
        if _keyword(value) not in _DENIALS
    ]
    for name in _PRECEDENCE:
        for value in root.all_headers(name):
            if _keyword(value) in _REPLY_PRECEDENCE:
                signs.append(_Sign(_reason(name, value), replies=True))
    for name in _GENERATED_HEADERS:
        for value in root.all_headers(name):
            if _keyword(value) not in _DENIALS:
                signs.append(_Sign(_reason(name, value)))
    if _is(root, "x-autogenerated", "reply"):  # other values are of forwards and mirrors of people's mail
        signs.append(_Sign("X-Autogenerated: Reply", replies=True))
    if _is(root, "x-fc-machinegenerated", "true"):
        signs.append(_Sign("X-FC-MachineGenerated: true"))
    if _is(root, "x-amazon-mail-relay-type", "notification"):
        signs.append(_Sign("X-AMAZON-MAIL-RELAY-TYPE: notification"))
    if has_null_sender(root):
        # Programs that answer write without a sender (RFC 3834 §3.3); people's programs never do.
        answers = root.header("in-reply-to") is not None or _precedence(root) is not None
        signs.append(_Sign("Return-Path: <>", replies=answers))
    elif is_mailer_daemon(root):
        signs.append(_Sign(_reason("From", root.header("from") or "")))
    return signs


def _supporting(root: mime.Part, text: str) -> str | None:
    """What makes a subject like "Automatic reply" believable: a header that people's mail lacks, or the body's own words."""
    found = _suppressed(root)
    if found is None and _list_header(root) is None:  # a list adds the others to what its members write
        found = _precedence(root) or _first(root, _LOOP_HEADERS)
    if found is not None:
        return found
    opening = " ".join(text[:BODY_READ].lower().split())
    words = next((words for words in BODIES if words in opening), None)
    return f'body: "{words}"' if words is not None else None


def _why_unanswerable(root: mime.Part) -> str | None:
    """Why no automatic answer may go out although a person may have written it, or None."""
    found = (
        _list_header(root) or _precedence(root) or _suppressed(root) or _first(root, (*_LOOP_HEADERS, *_BULK_HEADERS))
    )
    if found is not None:
        return found
    if _is(root, "x-ack", "no") or any(_keyword(value) not in _DENIALS for value in root.all_headers("x-no-ack")):
        return "X-Ack: no"
    address = unanswerable_address(root)
    return f"From: {address}" if address is not None else None


def _list_header(root: mime.Part) -> str | None:
    return _first(root, _LIST_HEADERS)


def _first(root: mime.Part, names: tuple[str, ...]) -> str | None:
    for name in names:
        value = root.header(name)
        if value is not None:
            return _reason(name, value)
    return None


def _precedence(root: mime.Part) -> str | None:
    for name in _PRECEDENCE:
        for value in root.all_headers(name):
            if _keyword(value) in _UNANSWERABLE_PRECEDENCE:
                return _reason(name, value)
    return None


def _suppressed(root: mime.Part) -> str | None:
    for value in root.all_headers("x-auto-response-suppress"):
        if any(token.strip().lower() in _SUPPRESSES_ANSWERS for token in value.replace(";", ",").split(",")):
            return _reason("X-Auto-Response-Suppress", value)
    return None


def _reply_subject(root: mime.Part) -> str | None:
    """The subject where it begins as those of automatic replies do; behind "Re:" it is a person's answer to one."""
    subject = " ".join((root.header("subject") or "").split())
    return subject if subject.lstrip(_OPENING_BRACKETS).lower().startswith(SUBJECTS) else None


def _keyword(value: str) -> str:
    """A field's keyword without comments and parameters, in lower case (RFC 3834 §5: `auto-replied (vacation); x=y`)."""
    kept: list[str] = []
    depth = 0
    for character in value[:1000]:
        if character == "(":
            depth += 1
        elif character == ")":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(character)
    return "".join(kept).partition(";")[0].strip().strip("\"'").lower()


def _is(root: mime.Part, name: str, wanted: str) -> bool:
    return any(_keyword(value) == wanted for value in root.all_headers(name))


def _reason(name: str, value: str) -> str:
    name = "-".join(word.capitalize() for word in name.split("-"))
    return f"{name}: {' '.join(value.split())[:VALUE_SHOWN]}"

"""Complaints: feedback reports (RFC 5965, RFC 6591), and the older form of Microsoft's programme."""

from __future__ import annotations

from postroom.parsers import mime
from postroom.parsers.bounce_addresses import clean_address, domain_of
from postroom.parsers.reports import report_type

_JMRP_SUBJECT = "complaint about message from "
_JMRP_DOMAINS = ("hotmail.com", "live.com", "outlook.com", "microsoft.com")


def is_complaint(tree: mime.Tree) -> bool:
    """Whether the message itself, not one attached to it, is a feedback report."""
    return report_type(tree.root) == "feedback-report" or _is_jmrp(tree.root)


def _is_jmrp(root: mime.Part) -> bool:
    """Junk Mail Reporting before ARF: a fixed subject, and the message complained about as the first part."""
    subject = " ".join((root.header("subject") or "").lower().split())
    if not subject.startswith(_JMRP_SUBJECT):
        return False
    sender = clean_address(root.header("from") or "")
    return (
        sender is not None
        and domain_of(sender).endswith(_JMRP_DOMAINS)
        and any(part.content_type == "message/rfc822" for part in root.children[:1])
    )

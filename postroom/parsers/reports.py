"""Reports of mail systems: what sort of `multipart/report` a message is (RFC 6522)."""

from __future__ import annotations

from postroom.parsers import mime

_BY_PART = {
    "delivery-status": "delivery-status",
    "global-delivery-status": "delivery-status",
    "disposition-notification": "disposition-notification",
    "global-disposition-notification": "disposition-notification",
    "feedback-report": "feedback-report",
}


def report_type(root: mime.Part) -> str | None:
    """`delivery-status`, `disposition-notification`, `feedback-report` or another; "" where unknown; None: no report.

    The parameter says it, else the report's machine-readable part. A report that lost its parts still is one.
    """
    if "multipart/report" not in (root.content_type, root.declared_type):
        return None
    named = root.params.get("report-type", "").strip().lower()
    if named:
        return named.removeprefix("global-")
    subtypes = (part.content_type.partition("/")[2] for part in root.children)
    return next((_BY_PART[subtype] for subtype in subtypes if subtype in _BY_PART), "")

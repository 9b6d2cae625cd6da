"""Which mail is a report about? Its Message-ID, and the envelope sender that it went out with.

A report holds a copy of the mail, or its header (RFC 3462, RFC 6522 §3); a complaint says the envelope sender in a
field of its own, `Original-Mail-From` (RFC 5965 §3.2), a receipt the Message-ID, `Original-Message-ID` (RFC 8098
§3.2.5). A copy that was delivered bears the envelope sender in its `Return-Path` (RFC 5321 §4.4). Reports are
returned and wrapped in others: the whole tree is looked through, the outer one first.
"""

from __future__ import annotations

from postroom.parsers import mime
from postroom.parsers.bounce_addresses import clean_address
from postroom.parsers.parsed import Reported

PARTS_READ = 200  # of one report
LINES_READ = 2_000  # of one part's text
LINE_READ = 1_000  # characters
KEPT = 10  # of each kind: a report is about one mail, or a few

_ID_FIELDS = ("message-id", "original-message-id", "x-original-message-id")
_SENDER_FIELDS = ("return-path", "original-mail-from", "x-return-path", "x-envelope-from", "x-original-return-path")
_SAY_FIELDS = ("text/", "message/")  # types whose text may hold the fields of a mail


def read_reported(root: mime.Part) -> Reported:
    """What a report says of the mail that it is about; its own fields are not asked."""
    ids: dict[str, None] = {}
    senders: dict[str, None] = {}
    feedback: str | None = None
    waiting = [*reversed(root.children)] or [root]
    seen = 0
    while waiting and seen < PARTS_READ:
        part = waiting.pop()
        seen += 1
        waiting.extend(reversed(part.children))
        if part is not root:
            _read_header(part, ids, senders)
        if not part.children and part.content_type.startswith(_SAY_FIELDS) and part.content_type != "text/html":
            feedback = _read_text(part.text(), ids, senders) or feedback
    return Reported(tuple(ids)[:KEPT], tuple(senders)[:KEPT], feedback)


def _read_header(part: mime.Part, ids: dict[str, None], senders: dict[str, None]) -> None:
    for name in _ID_FIELDS:
        for value in part.all_headers(name)[:KEPT]:
            _add(ids, _bare_id(value))
    for name in _SENDER_FIELDS:
        for value in part.all_headers(name)[:KEPT]:
            _add(senders, clean_address(value))


def _read_text(text: str, ids: dict[str, None], senders: dict[str, None]) -> str | None:
    """Fields that stand in a text, quoted or indented as they may be; the kind of feedback, where it is said."""
    lines = text.split("\n", LINES_READ)[:LINES_READ]
    feedback = None
    for number, line in enumerate(lines):
        name, colon, value = line[:LINE_READ].lstrip("> \t|*").partition(":")
        name = name.strip().lower()
        if not colon or name not in _FIELDS:
            continue
        if not value.strip() and number + 1 < len(lines):  # folded before its value
            value = lines[number + 1][:LINE_READ].lstrip("> \t|")
        if name == "feedback-type":
            feedback = value.strip().lower() or feedback
        elif name in _ID_FIELDS:
            _add(ids, _bare_id(value))
        else:
            _add(senders, clean_address(value))
    return feedback


_FIELDS = frozenset({*_ID_FIELDS, *_SENDER_FIELDS, "feedback-type"})


def _add(found: dict[str, None], value: str | None) -> None:
    if value and len(found) < KEPT:
        found[value] = None


def _bare_id(value: str) -> str | None:
    inside = value.partition("<")[2].partition(">")[0] if "<" in value else value.strip().partition(" ")[0]
    bare = "".join(inside.split()).rstrip(">")
    return bare if "@" in bare else None

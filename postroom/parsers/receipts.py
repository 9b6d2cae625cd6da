"""Receipts: disposition notifications (RFC 8098), and Exchange's older ones that are only text."""

from __future__ import annotations

from postroom.parsers import mime
from postroom.parsers.reports import report_type

_OPENING = 600  # characters of the body in which an old receipt says what it is

# Subject of an old receipt, and what its body says: only both together are one.
_SUBJECTS = (
    "read:", "not read:", "gelesen:", "ungelesen:", "lu :", "lu:", "non lu", "leído:", "no leído:", "letto:", "non letto:",
    "lida:", "lido:", "não lida:", "gelezen:", "niet gelezen:", "läst:", "oläst:", "læst:", "lest:", "luettu:",
    "przeczytano:", "přečteno:", "olvasott:", "okundu:", "прочитано:", "已读:", "已讀:", "開封済み:", "읽음:", "return receipt",
)  # fmt: skip
_OPENINGS = (
    "your message",
    "your document",
    "ihre nachricht",
    "votre message",
    "su mensaje",
    "return receipt",
    "il messaggio",
)
_BODIES = (
    "was read on", "was displayed on", "was deleted without being read", "was received by:", "wurde gelesen",
    "a été lu", "se leyó", "se ha leído", "è stato letto", "foi lida", "foi lido", "is gelezen", "lästes", "blev læst",
    "ble lest", "luettiin", "została przeczytana", "byla přečtena", "elolvas", "okundu", "прочитано", "已读", "已讀",
    "開封", "읽었",
)  # fmt: skip


def is_receipt(tree: mime.Tree, text: str) -> bool:
    """Whether the message itself is a disposition notification."""
    return report_type(tree.root) == "disposition-notification" or _is_old_receipt(tree.root, text)


def _is_old_receipt(root: mime.Part, text: str) -> bool:
    subject = " ".join((root.header("subject") or "").lower().split())
    if not subject.startswith(_SUBJECTS):
        return False
    opening = " ".join(text[:_OPENING].lower().split())
    says_so = any(words in opening for words in _BODIES)
    return says_so and (opening.startswith(_OPENINGS) or root.header("auto-submitted") is not None)

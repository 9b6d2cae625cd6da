"""Which files did its author put into a mail in which he wrote no word?

A file that is attached, and a picture that stands above everything which may be another's: quotes, history, a signature.
A signature's logo, the pictures of a mail that is quoted, and what programs attach by themselves are not his answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from postroom.parsers.html_tokens import Tag, tokens, unescape
from postroom.parsers.parsed import Attachment
from postroom.parsers.reply_html import MAX_LENGTH, new_html

# what a mail program attaches to whatever is sent: signatures and keys
BY_PROGRAMS = frozenset({
    "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature", "application/pgp-keys",
})  # fmt: skip
SHOWING = frozenset({"img", "object", "embed", "video", "audio"})  # what a body shows that was pasted into it
_CID = re.compile(r"cid:([^\s\"'<>)]{1,998}+)", re.IGNORECASE)
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad"


def files_without_words(attachments: Sequence[Attachment], html: str | None) -> tuple[str, ...]:
    """The parts of the files that the author put into a mail without a word; `html`: its raw HTML, if it has one."""
    if not attachments:
        return ()
    pasted = pasted_pictures(html) if html else frozenset[str]()
    return tuple(
        file.part for file in attachments
        if file.content_type not in BY_PROGRAMS
        and (not file.inline or file.content_id is None or file.content_id.strip("<> ").lower() in pasted)
    )  # fmt: skip


def pasted_pictures(html: str) -> frozenset[str]:
    """The Content-IDs, in lower case, of what the raw HTML shows above any text, but for what is marked as another's."""
    new = new_html(html) if len(html) <= MAX_LENGTH else None
    found: set[str] = set()
    for token in tokens(new or ""):
        if isinstance(token, Tag):
            if token.name not in SHOWING:
                continue
            found.update(_CID.findall(unescape(token.source[token.attributes_at : token.end])))
        elif unescape(token).strip().strip(_INVISIBLE).strip():
            break  # the author wrote none: from here on it may be a signature, or the beginning of a quote
    return frozenset(name.strip("<> ").lower() for name in found)

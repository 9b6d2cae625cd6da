"""The ids in Message-ID, In-Reply-To and References: bare, without angle brackets and blanks (RFC 5322 §3.6.4).

Broken forms too: without brackets, folded in the middle, with a phrase around them. What a phrase names in angle brackets
besides the id (`Message from Ann <ann@example.org> of "Mon, …" <id>`, RFC 822 §4.6.2) is an address, and no id.
"""

from __future__ import annotations

import re

from postroom.parsers import headers

MAX_IDS = 1_000  # of one header
ID_LENGTH = 998  # octets; a line can hold no more (RFC 5322 §2.1.1)
_HEAD = 4 * 1024  # octets kept of the beginning of an overlong header: the root is there, the parents at its end

_BRACKETED = re.compile(r"<([^<>]++)>")
_USUAL = re.compile(rb"<([!-;=?-~]{1,998})>")  # one id, and nothing beside it
_NOT_BARE = re.compile(r"[\s<>]++")
_NAMES_A_PERSON = re.compile(r"\bfrom\b[^\"]*+$", re.IGNORECASE)


def read_message_id(value: bytes) -> str | None:
    """The one id of a Message-ID header, or None."""
    written = headers.unfold(value[: headers.STRUCTURED_OCTETS])
    if usual := _USUAL.fullmatch(written):
        return usual[1].decode("ascii")
    text = headers.read_raw(written)
    found = next((cleaned for match in _BRACKETED.finditer(text) if (cleaned := _clean(match[1]))), None)
    words = text.split()
    return found or _clean(next((word for word in words if "@" in word), text)) or None


def read_ids(value: bytes) -> list[str]:
    """The ids of a References or In-Reply-To header, in their order, each once."""
    if len(value) > headers.STRUCTURED_OCTETS:
        value = value[:_HEAD] + b" " + value[len(value) - headers.STRUCTURED_OCTETS + _HEAD :]
    written = headers.unfold(value)
    if b"=?" not in written and (usual := _USUAL.fullmatch(written)):
        return [usual[1].decode("ascii")]
    # some programs encode a long References as if it were text (RFC 2047 §5 forbids it)
    text = headers.decode_words(headers.read_raw(written))
    matches = list(_BRACKETED.finditer(text))
    found: dict[str, None] = {}
    end = 0
    for match in matches:
        before, end = text[end : match.start()], match.end()
        if len(matches) > 1 and not before.isspace() and _NAMES_A_PERSON.search(before):
            continue
        cleaned = _clean(match[1])
        if cleaned:
            found[cleaned] = None
    if not matches:
        words = [_clean(word.strip(",;\"'")) for word in text.split()]
        found = dict.fromkeys(word for word in words if "@" in word[1:-1])
    return list(found)[:MAX_IDS]


def _clean(text: str) -> str:
    if text.isascii() and text.isprintable() and len(text) <= ID_LENGTH and not _NOT_BARE.search(text):
        return text  # nearly every id
    bare = _NOT_BARE.sub("", headers.one_line(text))[:ID_LENGTH]
    return bare if bare.isascii() else bare.encode()[:ID_LENGTH].decode(errors="ignore")

"""Addresses in a mail server's prose: `<a@b>:`, `RCPT TO:<a@b>`, `mailto:a@b`, `'a@b'`. Loose, linear, in the order of the text.

Not for header fields: those have a grammar, this text has none.
"""

from __future__ import annotations

LOCAL_PART = 128  # characters looked at; RFC 5321 §4.5.3.1.1 allows 64, signed bounce addresses are longer
DOMAIN = 255  # characters, RFC 5321 §4.5.3.1.2
ADDRESSES_READ = 1_000  # of one text

_NOT_LOCAL = frozenset(' \t\r\n\v\f"<>()[]{},;:|\\@«»“”„‘’`…。、，：；（）【】「」『』<>《》〈〉\u00a0\u3000\ufeff')
_NOT_DOMAIN = _NOT_LOCAL | frozenset("'!#$%&*+/=?^~")


def find_addresses(text: str) -> list[str]:
    """Each address in the text, its domain in lower case; without regard to sense."""
    found: list[str] = []
    at = text.find("@")
    while at >= 0 and len(found) < ADDRESSES_READ:
        address = _address_around(text, at)
        if address is not None:
            found.append(address)
        at = text.find("@", at + 1)
    return found


def clean_address(text: str) -> str | None:
    """The first address in a field's value, or None: `<a@b> (comment)` is `a@b`."""
    return next(iter(find_addresses(text)), None)


def domain_of(address: str) -> str:
    """What follows the last `@`, in lower case."""
    return address.rpartition("@")[2].lower()


def _address_around(text: str, at: int) -> str | None:
    local, domain = _local_before(text, at), _domain_after(text, at)
    return f"{local}@{domain}" if local and domain else None


def _local_before(text: str, at: int) -> str:
    if at and text[at - 1] == '"':  # a quoted string (RFC 5321 §4.1.2)
        opening = text.rfind('"', max(0, at - LOCAL_PART), at - 1)
        return text[opening:at] if 0 <= opening < at - 2 else ""
    start = at
    while start and at - start < LOCAL_PART and text[start - 1] not in _NOT_LOCAL:
        start -= 1
    local = text[start:at].lstrip("'*-.·•>/")
    if local[:5].lower() == "smtp=":  # of an X.400 address, "dda:SMTP=ann@example.net"
        local = local[5:]
    return "" if "//" in local else local  # a user name in a URL


def _domain_after(text: str, at: int) -> str:
    end = at + 1
    if text[end : end + 1] == "[":  # an address literal (RFC 5321 §4.1.3)
        closing = text.find("]", end, end + 64)
        return text[end : closing + 1].lower() if closing > 0 else ""
    while end < len(text) and end - at <= DOMAIN and text[end] not in _NOT_DOMAIN:
        end += 1
    domain = text[at + 1 : end].rstrip(".-_").lower()
    return domain if domain and domain[0] not in ".-_" else ""

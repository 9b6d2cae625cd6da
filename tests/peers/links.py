"""What a mail program does with a `mailto:` link: it opens a mail, and a person sends it (RFC 6068)."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, unquote

from peers.house import mail

from postroom.parsers.parsed import ParsedEmail

LINK = re.compile(r"mailto:[^\s<>\"]+")


def links_of(received: ParsedEmail) -> list[str]:
    """The links of a mail's text, in their order; its HTML has the same."""
    links = list(dict.fromkeys(LINK.findall(received.text)))
    assert list(dict.fromkeys(map(unescape, LINK.findall(received.html or "")))) in ([], links)
    return links


def opened(link: str) -> tuple[str, str, str]:
    """The address, subject and body of the mail that a link opens."""
    address, _, query = link.removeprefix("mailto:").partition("?")
    fields = dict(parse_qsl(query.replace("+", "%2B"), strict_parsing=True))
    return unquote(address), fields["subject"], fields["body"]


def press(link: str, sender: str, more: str = "", **changes: Any) -> tuple[bytes, str]:
    """The mail that is sent by pressing a link, and the address that it goes to. `more` is written below what is there."""
    address, subject, body = opened(link)
    fields = {"subject": subject, **changes}
    return mail(sender, fields.pop("To", address), text=f"{body}{more}\n", **fields), address

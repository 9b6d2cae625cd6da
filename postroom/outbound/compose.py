"""The bytes of a mail.

A serialiser of our own for the few shapes that we send: it is some ten times faster than the standard
library's, and the tests let two independent parsers read what it writes. Lines end in CRLF, every value
passes through a function of `headers`, so a value can never begin a header of its own; the same mail
always makes the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from postroom.outbound import headers
from postroom.parsers.parsed import Address

CRLF = b"\r\n"
ASCII = bytes(range(128))
MAX_PLAIN_LINE = 78  # characters; longer lines are encoded (RFC 5322 §2.1.1)
MAX_WIRE_LINE = 998  # octets without CRLF (RFC 5321 §4.5.3.1.6)
LINE_END = re.compile(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")  # what the two above look for, and LF not
FROM_LINE = re.compile(rb"^From ", re.MULTILINE)  # mbox writers would make it ">From "
CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")


@dataclass(frozen=True, slots=True)
class File:
    """What is attached."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None  # bare, of a picture that the HTML shows


@dataclass(frozen=True, slots=True)
class Mail:
    """Who says something to whom, and in which thread. Whatever a value holds, it stays in its field."""

    sender: Address
    to: tuple[Address, ...]
    subject: str
    content: bytes = field(repr=False)  # of `content_of`
    message_id: str  # bare, ours
    date: datetime  # aware
    cc: tuple[Address, ...] = ()
    reply_to: Address | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    outlook: tuple[tuple[str, str], ...] = ()  # Thread-Topic and Thread-Index
    marks: tuple[tuple[str, str], ...] = ()  # further headers, such as Auto-Submitted


def compose(mail: Mail) -> bytes:
    """The mail as it goes on the wire (RFC 5322, 2045–2047, 2231; 6532 where an address needs it)."""
    return _head(mail).encode() + mail.content


def content_of(text: str, html: str | None = None, files: Sequence[File] = ()) -> bytes:
    """What a mail says, as MIME: text, the same as HTML with its pictures, and files; many mails may have the same."""
    # "=_" is in no encoded body, and a text that holds its own digest nobody can write
    boundary = "=_" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
    content = _text("plain", text)
    pictures = [file for file in files if html is not None and file.content_id and f"cid:{file.content_id}" in html]
    if html is not None:
        rich = _text("html", html)
        if pictures:
            rich = _multipart("related", boundary + "r", [rich, *(_file(file, is_shown=True) for file in pictures)])
        content = _multipart("alternative", boundary, [content, rich])
    attached = [file for file in files if file not in pictures]
    if attached:
        content = _multipart("mixed", boundary + "m", [content, *(_file(file) for file in attached)])
    return content


def digest_of(raw: bytes) -> str:
    """The SHA-256 of the bytes, in hex: where the store keeps them."""
    return hashlib.sha256(raw).hexdigest()


def _head(mail: Mail) -> str:
    lines = [
        f"Date: {format_datetime(mail.date)}",
        headers.addresses("From", (mail.sender,)),
        headers.addresses("To", mail.to),
    ]
    if mail.cc:
        lines.append(headers.addresses("Cc", mail.cc))
    if mail.reply_to:
        lines.append(headers.addresses("Reply-To", (mail.reply_to,)))
    lines += [headers.unstructured("Subject", mail.subject), headers.message_ids("Message-ID", (mail.message_id,))]
    if mail.in_reply_to and (line := headers.message_ids("In-Reply-To", (mail.in_reply_to,))):
        lines.append(line)
    if mail.references and (line := headers.message_ids("References", mail.references)):
        lines.append(line)
    lines += [headers.unstructured(name, value) for name, value in (*mail.marks, *mail.outlook)]
    lines.append("MIME-Version: 1.0\r\n")
    return "\r\n".join(lines)


def _multipart(subtype: str, boundary: str, parts: list[bytes]) -> bytes:
    dash = b"--" + boundary.encode()
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join(dash + CRLF + part + CRLF for part in parts) + dash + b"--" + CRLF


def _text(subtype: str, text: str) -> bytes:
    """A text part in the encoding that fits it: as it is, quoted-printable, or base64 (RFC 2045 §6)."""
    text = text.rstrip()
    if ODD.search(text):
        text = NOT_IN_TEXT.sub("", LINE_END.sub("\n", text))
    text = text.replace("\n", "\r\n") + "\r\n"
    octets = text.encode()
    foreign = len(octets.translate(None, ASCII))
    if not foreign and max(map(len, text.split("\r\n"))) <= MAX_PLAIN_LINE and "\nFrom " not in "\n" + text:
        encoding, body = "7bit", octets
    elif foreign * 6 > len(octets):  # quoted-printable triples a foreign octet, base64 adds a third to each
        encoding, body = "base64", encodebytes(octets).replace(b"\n", CRLF)
    else:
        encoding, body = "quoted-printable", FROM_LINE.sub(b"=46rom =\r\n", b2a_qp(octets))
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def _file(file: File, *, is_shown: bool = False) -> bytes:
    """An attachment, or a picture that the HTML shows (RFC 2392). An attached message may not be encoded (RFC 2046 §5.2.1): it goes as it is, or as a file."""
    content_type = file.content_type.lower()
    if not CONTENT_TYPE.fullmatch(content_type) or content_type.startswith("multipart/"):
        content_type = "application/octet-stream"
    encoding, body = "base64", encodebytes(file.content).replace(b"\n", CRLF)
    if content_type.startswith("message/"):
        content = re.sub(rb"\r\n|\r|\n", CRLF, file.content)
        if content.isascii() and b"\0" not in content and max(map(len, content.split(CRLF))) <= MAX_WIRE_LINE:
            encoding, body = "7bit", content if content.endswith(CRLF) else content + CRLF
        else:
            content_type = "application/octet-stream"
    disposition = (
        f"Content-ID: <{file.content_id}>\r\nContent-Disposition: inline"
        if is_shown
        else "Content-Disposition: attachment"
    )
    head = (
        f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        f"{disposition}{headers.parameter('filename', file.filename)}\r\n\r\n"
    )
    return head.encode() + body

"""`postroom parse`: what a message says, for a person or as JSON, without storing it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from postroom.parsers.parsed import Address, ParsedEmail


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line for each FILE.")
@click.option("--text", "mode", flag_value="text", help="Take each FILE as a bare plain-text body in UTF-8.")
@click.option("--html", "mode", flag_value="html", help="Take each FILE as a bare HTML body in UTF-8.")
def command(files: tuple[str, ...], *, as_json: bool, mode: str | None) -> int:
    """Parse mail without storing it. A FILE of `-` is standard input."""
    status = 0
    for index, name in enumerate(files):
        try:
            raw = sys.stdin.buffer.read() if name == "-" else _read(name)
        except OSError as error:
            status = 1
            reason = error.strerror or str(error)
            print(f"postroom: {name}: {reason}", file=sys.stderr)
            if as_json:
                _print_json({"file": name, "error": reason})
            continue
        email = _parse(raw, mode)
        if as_json:
            _print_json(to_json(email, name))
        else:
            if index:
                print()
            _print(email, name if len(files) > 1 else None, raw if mode is None else b"")
    return status


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def _parse(raw: bytes, mode: str | None) -> ParsedEmail:
    from postroom.parsers.email import parse

    if mode is None:
        return parse(raw)
    kind = "html" if mode == "html" else "plain"
    head = f"MIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return parse(head.encode() + raw)


def to_json(email: ParsedEmail, name: str) -> dict[str, Any]:
    """The object of INTERFACE.md, `postroom parse --json`."""
    forwarded, bounce = email.forwarded, email.bounce
    return {
        "file": name,
        "messageId": email.message_id,
        "inReplyTo": list(email.in_reply_to),
        "references": list(email.references),
        "date": email.date.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0") if email.date else None,
        "from": _addresses(email.from_),
        "replyTo": _addresses(email.reply_to),
        "to": _addresses(email.to),
        "cc": _addresses(email.cc),
        "subject": email.subject,
        "text": email.text,
        "html": email.html,
        "replyText": email.reply_text,
        "quotedText": email.quoted_text,
        "signature": email.signature,
        "attachments": [
            {
                "filename": attachment.filename, "contentType": attachment.content_type, "size": attachment.size,
                "sha256": attachment.sha256, "inline": attachment.inline, "contentId": attachment.content_id,
            }
            for attachment in email.attachments
        ],
        "kind": str(email.kind),
        "automatic": {"isAutomatic": email.automatic.is_automatic, "reason": email.automatic.reason},
        "bounce": None if bounce is None else {
            "recipients": [
                {
                    "address": recipient.address, "action": recipient.action, "status": recipient.status,
                    "permanent": recipient.permanent, "diagnostic": recipient.diagnostic,
                }
                for recipient in bounce.recipients
            ],
            "originalMessageId": bounce.original_message_id,
        },
        "forwarded": None if forwarded is None else {
            "from": None if forwarded.sender is None else _addresses((forwarded.sender,))[0],
            "to": _addresses(forwarded.to), "cc": _addresses(forwarded.cc), "date": forwarded.date,
            "subject": forwarded.subject, "text": forwarded.text,
        },
        "defects": list(email.defects),
    }  # fmt: skip


def _addresses(found: tuple[Address, ...]) -> list[dict[str, str]]:
    return [{"name": address.name, "address": address.address} for address in found]


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def _print(email: ParsedEmail, name: str | None, raw: bytes) -> None:
    """For a person: what a mail program would show, and what we make of it."""
    if name is not None:
        print(f"== {_plain(name)} ==")
    rows = [
        ("From", _shown(email.from_)), ("Reply-To", _shown(email.reply_to)), ("To", _shown(email.to)), ("Cc", _shown(email.cc)),
        ("Date", email.date.strftime("%Y-%m-%d %H:%M:%S UTC") if email.date else ""), ("Subject", email.subject),
        ("Message-ID", email.message_id or ""), ("In-Reply-To", ", ".join(email.in_reply_to)),
        ("Kind", str(email.kind) if email.kind != "message" else ""), ("Automatic", email.automatic.reason or ""),
    ]  # fmt: skip
    for label, value in rows:
        if value:
            print(f"{label + ':':12} {_plain(value)}")
    for recipient in email.bounce.recipients if email.bounce else ():
        print(
            f"{'Bounced:':12} {_plain(recipient.address)}  {recipient.action} {recipient.status or ''} {_plain(recipient.diagnostic or '')[:200]}"
        )
    if email.forwarded:
        sender = _shown((email.forwarded.sender,)) if email.forwarded.sender else "somebody"
        print(
            f"{'Forwarded:':12} {_plain(email.forwarded.subject)}, from {_plain(sender)}, {_plain(email.forwarded.date or 'no date')}"
        )
    for attachment in email.attachments:
        print(
            f"{'Attachment:':12} {_plain(attachment.filename)}  {attachment.content_type}, {attachment.size} octets{', inline' if attachment.inline else ''}"
        )
    _print_route(raw)
    for defect in email.defects:
        print(f"{'Defect:':12} {_plain(defect)}")
    for title, text in (("", email.reply_text), ("signature", email.signature), ("quoted", email.quoted_text)):
        if text:
            print(f"\n--- {title} ---\n" if title else "")
            print(_plain(text, keep="\n\t"))


def _print_route(raw: bytes) -> None:
    from postroom.parsers.route import read_route

    for hop in read_route(raw):
        at = hop.at.strftime("%Y-%m-%d %H:%M:%S") if hop.at else "?"
        print(f"{'Hop:':12} {at}  {hop.delay:+.0f} s  {_plain(hop.sender) or '?'} -> {_plain(hop.by) or '?'}")


def _shown(found: tuple[Address, ...]) -> str:
    """Names and addresses; of international domains the ASCII form too, since letters can look alike."""
    from postroom.parsers.addresses import ascii_address

    shown = []
    for one in found:
        ascii_form = "" if one.address.rpartition("@")[2].isascii() else f" ({ascii_address(one.address)})"
        shown.append((f"{one.name} <{one.address}>" if one.name else one.address) + ascii_form)
    return ", ".join(shown)


def _plain(text: str, keep: str = "") -> str:
    """Without what a terminal would obey."""
    shown = "".join(char if char.isprintable() or char in keep else "\ufffd" for char in text)
    return shown.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8", "replace")

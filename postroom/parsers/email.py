"""The one door of this room: bytes in, what they say out, whatever they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from postroom.parsers import headers, mime
from postroom.parsers.addresses import MAX_ADDRESSES, read_addresses
from postroom.parsers.attachments import list_attachments
from postroom.parsers.automatic import classify
from postroom.parsers.bodies import Bodies, read_bodies
from postroom.parsers.dates import read_date
from postroom.parsers.forwarded import read_forwarded
from postroom.parsers.message_ids import read_ids, read_message_id
from postroom.parsers.parsed import Address, Attachment, Automatic, Bounce, Forwarded, Kind, ParsedEmail, Reported
from postroom.parsers.reply import Reply, read_reply
from postroom.parsers.reply_html import read_html_reply
from postroom.parsers.reported import read_reported
from postroom.parsers.sanitise import sanitise
from postroom.parsers.wordless import files_without_words

HEADER_VALUE_KEPT = 16 * 1024  # characters of one header in `ParsedEmail.headers`
HEADERS_KEPT = 1_000
REPORTS = (Kind.BOUNCE, Kind.COMPLAINT, Kind.RECEIPT)
WHITE_SPACE = b" \t\r\n"

_Step = TypeVar("_Step")
_NOT_KEPT = ("received", "dkim-signature", "arc-", "x-received", "domainkey-signature", "x-google-dkim-signature")


def parse(raw: bytes, *, brief: bool = False) -> ParsedEmail:
    """What a message says. Never raises for what the message holds: damage is named in `defects`.

    `brief` leaves out what the desk has no use for, and is dear: the sanitised HTML (None), the files' digests ("").
    """
    return _Reading(_take_apart(raw), brief).read()


def _take_apart(raw: bytes) -> mime.Tree:
    try:
        return mime.read_tree(raw)
    except Exception as error:  # never seen; but then all of it is shown as text
        return mime.Tree(mime.unread_part(raw), [f"the message could not be taken apart ({type(error).__name__})"])


class _Reading:
    """One message being read, step by step; a step that fails becomes a defect, and the others go on."""

    def __init__(self, tree: mime.Tree, brief: bool) -> None:
        self._tree = tree
        self._brief = brief
        self._root = tree.root

    def read(self) -> ParsedEmail:
        root = self._root
        bodies = self._step("the body", lambda: read_bodies(self._tree), Bodies())
        no_attachments: tuple[Attachment, ...] = ()
        attachments = self._step(
            "the attachments", lambda: list_attachments(self._tree, bodies, brief=self._brief), no_attachments
        )
        reply_text, quoted_text, signature = self._read_reply(bodies)
        kind, automatic, bounce = self._classify(bodies)
        subject = self._step("the subject", lambda: root.header("subject") or "", "")
        self._note_limits(bodies)
        return ParsedEmail(
            message_id=self._step("Message-ID", self._message_id, None),
            in_reply_to=self._ids("in-reply-to"),
            references=self._ids("references"),
            date=self._step("Date", lambda: read_date(root.header("date") or ""), None),
            from_=self._addresses("from"),
            sender=self._addresses("sender"),
            reply_to=self._addresses("reply-to"),
            to=self._addresses("to"),
            cc=self._addresses("cc"),
            subject=subject,
            text=bodies.text,
            html=self._step("the HTML", lambda: self._html(bodies), None),
            reply_text=reply_text,
            quoted_text=quoted_text,
            signature=signature,
            attachments=attachments,
            without_words=self._without_words(reply_text, attachments, bodies),
            kind=kind,
            automatic=automatic,
            bounce=bounce,
            reported=self._step("what it reports", lambda: self._reported(kind), None),
            forwarded=self._step("the forwarded message", lambda: self._forwarded(bodies, subject, kind), None),
            headers=self._step("the headers", self._headers, ()),
            hops=len(root.all_raw_headers("received")),
            body_digest=body_digest(root.body()),
            defects=tuple(self._tree.defects),
        )

    def _step(self, what: str, read: Callable[[], _Step], otherwise: _Step) -> _Step:
        """The edge of STYLE.md: reading degrades, it does not fail."""
        try:
            return read()
        except Exception as error:
            self._tree.note(f"{what} could not be read ({type(error).__name__})")
            return otherwise

    def _message_id(self) -> str | None:
        value = self._root.raw_header("message-id")
        return None if value is None else read_message_id(value)

    def _ids(self, name: str) -> tuple[str, ...]:
        def read() -> tuple[str, ...]:
            found: dict[str, None] = {}
            for value in self._root.all_raw_headers(name)[:20]:
                found.update(dict.fromkeys(read_ids(value)))
            return tuple(found)

        return self._step(name, read, ())

    def _addresses(self, name: str) -> tuple[Address, ...]:
        def read() -> tuple[Address, ...]:
            found: list[Address] = []
            for value in self._root.all_raw_headers(name)[:20]:
                found += read_addresses(value, hint=self._root.hint)
            if len(found) >= MAX_ADDRESSES:
                self._tree.note(f"{name}: more than {MAX_ADDRESSES} addresses; the rest was not read")
            return tuple(found[:MAX_ADDRESSES])

        return self._step(name, read, ())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        texts = islice(self._root.texts(but=_NOT_KEPT), HEADERS_KEPT)
        return tuple((name, text[:HEADER_VALUE_KEPT]) for name, text in texts)

    def _read_reply(self, bodies: Bodies) -> tuple[str, str | None, str | None]:
        def read() -> Reply:
            found = read_html_reply(html) if bodies.from_html and (html := bodies.html) else None
            return found or read_reply(bodies.text)

        reply = self._step("the reply", read, Reply(bodies.text, None, None))
        return reply.reply_text, reply.quoted_text, reply.signature

    def _without_words(self, reply_text: str, attachments: tuple[Attachment, ...], bodies: Bodies) -> tuple[str, ...]:
        if reply_text.strip():
            return ()
        return self._step("its files", lambda: files_without_words(attachments, bodies.html), ())

    def _classify(self, bodies: Bodies) -> tuple[Kind, Automatic, Bounce | None]:
        found = self._step("the kind", lambda: classify(self._tree, bodies.text), None)
        return (Kind.MESSAGE, Automatic(), None) if found is None else (found.kind, found.automatic, found.bounce)

    def _reported(self, kind: Kind) -> Reported | None:
        return read_reported(self._root) if kind in REPORTS else None

    def _html(self, bodies: Bodies) -> str | None:
        if self._brief or (html := bodies.html) is None:
            return None
        shown, defect = sanitise(html)
        if defect is not None:
            self._tree.note(defect)
        return shown

    def _forwarded(self, bodies: Bodies, subject: str, kind: Kind) -> Forwarded | None:
        if kind is not Kind.MESSAGE:
            return None  # a report returns a message, it does not hand it on
        return read_forwarded(bodies.text, subject) or self._attached_message()

    def _attached_message(self) -> Forwarded | None:
        """The first message that is attached to this one."""
        part = next(
            (part for part in self._root.walk() if part.content_type.startswith("message/") and part.children), None
        )
        if part is None or not part.children:
            return None
        message = part.children[0]
        senders = read_addresses(message.raw_header("from") or b"", hint=message.hint)
        tree = mime.Tree(message)
        bodies = read_bodies(tree)
        id_ = message.raw_header("message-id")
        return Forwarded(
            sender=senders[0] if senders else None,
            to=tuple(read_addresses(message.raw_header("to") or b"", hint=message.hint)),
            cc=tuple(read_addresses(message.raw_header("cc") or b"", hint=message.hint)),
            date=message.header("date"),
            subject=message.header("subject") or "",
            text=bodies.text,
            message_id=None if id_ is None else read_message_id(id_),
            attachments=list_attachments(tree, bodies, brief=self._brief),
        )

    def _note_limits(self, bodies: Bodies) -> None:
        if bodies.is_cut:
            self._tree.note("the text is longer than 4 Mi characters; the rest is in the raw message only")
        if self._root.header_size <= headers.STRUCTURED_OCTETS:
            return  # nor is any field longer
        for name, value in self._root.fields():
            if len(value) > headers.STRUCTURED_OCTETS:
                self._tree.note(f"{name}: longer than 16 KiB; the rest was not read")


def body_digest(body: bytes) -> str:
    """What `ParsedEmail.body_digest` is of a body; equal for bodies that differ in what relays change.

    That is white space: line ends, blanks at the ends of lines, empty lines at the end, another wrapping.
    """
    return hashlib.sha256(body.translate(None, WHITE_SPACE)).hexdigest()

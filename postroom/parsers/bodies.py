"""Which parts of a message are its body, and what do they say: as text, and as HTML (RFC 2046 §5.1, RFC 2387).

A body is a row of segments, one behind the other, each in one or both forms: `multipart/alternative` has both forms of one
segment, `multipart/mixed` (where Apple Mail puts pictures between paragraphs) several segments. What is body is no
attachment, and what is no body is one.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from postroom.parsers import flowed, invitations, tnef, transfer
from postroom.parsers.html import to_text
from postroom.parsers.mime import Part, Tree

TEXT_CHARACTERS = 4 * 1024 * 1024  # of the body; more stays in the raw message
SEGMENTS = 200  # texts that are joined; more are attachments

# Text that is a file to its reader, not something that the author wrote.
_FILES = frozenset({
    "text/calendar", "text/x-vcalendar", "text/vcard", "text/x-vcard", "text/directory", "text/csv", "text/css", "text/xml",
    "text/javascript", "text/rfc822-headers", "text/rfc822", "text/x-amp-html", "text/rtf", "text/tab-separated-values",
})  # fmt: skip
_CALENDARS = frozenset({"text/calendar", "application/ics", "text/x-vcalendar"})
TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_HTML = frozenset({"text/html", "text/xhtml", "application/xhtml+xml"})
_NEVER_DAMAGED = frozenset({"identity", "quoted-printable"})  # encodings of which any octets can be read
_ENRICHED = frozenset({"text/enriched", "text/richtext"})
_ENRICHED_TAG = re.compile(r"<(/?[A-Za-z-]{1,60}+)>")
_WORDS = re.compile(r"\w+")


@dataclass(slots=True)
class Segment:
    """One stretch of the body, in one form or both."""

    plain: str | None = None
    html: Callable[[], str] | None = None  # decoded when it is asked for: where there is a plain form it seldom is


@dataclass(slots=True)
class Bodies:
    """The body, and which parts it was read from."""

    text: str = ""
    read_html: Callable[[], str] | None = None
    parts: set[str] = field(default_factory=set)  # paths of the parts that are body
    from_html: bool = False  # the text was made from HTML, all of it
    uuencoded: dict[str, list[transfer.UuBlock]] = field(default_factory=dict)  # files found in the text of a part
    is_cut: bool = False

    @property
    def html(self) -> str | None:
        """As written: not sanitised."""
        return None if self.read_html is None else self.read_html()


def read_bodies(tree: Tree) -> Bodies:
    """The body of a message; of one that holds nothing but an attached message, an empty one."""
    bodies = Bodies()
    segments = _merge_doubled(_segments(tree.root, bodies, is_first=True))
    texts = [_text_of(segment) for segment in segments]
    bodies.text = "".join(text if text.endswith("\n") else f"{text}\n" for text in texts[:-1]) + "".join(texts[-1:])
    bodies.from_html = bool(segments) and all(not (segment.plain or "").strip() for segment in segments)
    if any(segment.html is not None for segment in segments):
        bodies.read_html = _join_html(segments)
    if not bodies.text.strip() and bodies.read_html is None:
        _read_instead(tree, bodies)
    if len(bodies.text) > TEXT_CHARACTERS:
        bodies.text, bodies.is_cut = bodies.text[:TEXT_CHARACTERS], True
    return bodies


def _read_instead(tree: Tree, bodies: Bodies) -> None:
    """Where no text is: what an invitation says, or the text in a `winmail.dat`. Both stay attachments as well."""
    for part in tree.root.walk():
        if part.content_type in _CALENDARS:
            bodies.text = bodies.text or invitations.describe(part.text())
        elif part.content_type in TNEF or (part.filename or "").lower() == "winmail.dat":
            opened = tnef.open_tnef(part.decoded())
            bodies.text = bodies.text or opened.text or to_text(opened.html or "", quote_marks=True)
            html = bodies.html or opened.html
            bodies.read_html = None if html is None else lambda html=html: html
        elif (
            part.content_type == "multipart/encrypted" or part.params.get("smime-type", "").lower() == "enveloped-data"
        ):
            tree.note(f"{part.place}: encrypted; it can be read by its recipient only")


def _segments(part: Part, bodies: Bodies, *, is_first: bool) -> list[Segment]:
    """What the part adds to the body. `is_first`: nothing before it did."""
    if len(bodies.parts) >= SEGMENTS:
        return []
    if part.content_type == "multipart/alternative":
        return _alternative(part, bodies, is_first=is_first)
    if part.content_type == "multipart/related":
        return _related(part, bodies, is_first=is_first)
    if part.is_multipart:
        children = part.children[:1] if part.content_type == "multipart/signed" else part.children
        found: list[Segment] = []
        for child in children:
            found += _segments(child, bodies, is_first=is_first and not found)
        return found
    if part.children and "pkcs7-mime" in part.content_type:
        bodies.parts.add(part.path)
        return _segments(part.children[0], bodies, is_first=is_first)
    return _leaf(part, bodies, is_first=is_first)


def _alternative(part: Part, bodies: Bodies, *, is_first: bool) -> list[Segment]:
    """RFC 2046 §5.1.4: the same thing in several forms; the plainest text, and the last HTML."""
    plain: list[Segment] = []
    rich: list[Segment] = []
    for child in part.children:
        found = _segments(child, bodies, is_first=is_first)
        if any(segment.html is not None for segment in found):
            rich = found
            if not plain and any((segment.plain or "").strip() for segment in found):
                plain = [Segment(plain=segment.plain) for segment in found if segment.plain is not None]
        elif not any((segment.plain or "").strip() for segment in plain):
            plain = found or plain
        elif child.content_type == "text/plain" and _adds_words(found, plain):
            plain += found  # two texts of the same type are no alternatives, whatever they are called
    if not rich:
        return plain
    text = "\n".join(segment.plain or "" for segment in plain)
    whole = Segment(text if text.strip() else None, _join_html(rich))
    return [whole]


def _adds_words(found: list[Segment], plain: list[Segment]) -> bool:
    known = {word for segment in plain for word in _WORDS.findall(segment.plain or "")}
    return any(word not in known for segment in found for word in _WORDS.findall(segment.plain or ""))


def _related(part: Part, bodies: Bodies, *, is_first: bool) -> list[Segment]:
    """RFC 2387: the root is the body, the rest are its pictures; text without a Content-ID is body all the same."""
    start = part.params.get("start", "").strip("<> ")
    root = next((child for child in part.children if start and _content_id(child) == start), None)
    found: list[Segment] = []
    for child in part.children:
        wanted = child is root or (root is None and not found) or child.is_multipart or not _content_id(child)
        if wanted:
            found += _segments(child, bodies, is_first=is_first and not found)
    return found


def _leaf(part: Part, bodies: Bodies, *, is_first: bool) -> list[Segment]:
    kind = part.content_type
    if not (kind.startswith("text/") or kind in _HTML) or kind in _FILES or not _is_body(part, is_first=is_first):
        return []
    bodies.parts.add(part.path)
    if kind in _HTML:
        return [Segment(html=_read_later(part))]
    if kind in _ENRICHED:
        return [Segment(plain=_read_enriched(part.text()))]
    return [Segment(plain=_read_plain(part, bodies))]


def _is_body(part: Part, *, is_first: bool) -> bool:
    """A named text is a file, unless it comes first and says that it is to be shown."""
    if part.disposition == "attachment":
        return part.path == "" and part.filename is None
    if not part.filename:
        return True
    return is_first and part.disposition in (None, "inline") and _is_body_name(part)


def _is_body_name(part: Part) -> bool:
    return part.path == "" or part.content_type in _HTML or part.content_type == "text/plain"


def _read_plain(part: Part, bodies: Bodies) -> str:
    octets = part.decoded()
    if b"begin" in octets and part.encoding in ("identity", "quoted-printable", "base64"):
        blocks = transfer.find_uuencoded(octets)
        if blocks:
            bodies.uuencoded[part.path] = blocks
            octets = _without(octets, blocks)
    text = part.text_of(octets)
    if part.params.get("format", "").lower().strip() == "flowed":
        return flowed.unflow(text, delsp=part.params.get("delsp", "").lower().strip() == "yes")
    return text


def _without(octets: bytes, blocks: list[transfer.UuBlock]) -> bytes:
    kept: list[bytes] = []
    position = 0
    for block in blocks:
        kept.append(octets[position : block.start])
        position = block.end
    return b"".join([*kept, octets[position:]])


def _read_enriched(text: str) -> str:
    """RFC 1896: a single line break is a blank, n of them are n - 1, `<<` is `<`."""
    plain = re.sub(r"\n(\n*)", lambda match: match[1] or " ", text.replace("<<", "\ufdd0"))
    plain = re.sub(r"<param>[^<]*+</param>", "", plain, flags=re.IGNORECASE)
    return _ENRICHED_TAG.sub("", plain).replace("\ufdd0", "<")


def _merge_doubled(segments: list[Segment]) -> list[Segment]:
    """Text followed by the same words in HTML, sent as `mixed` where `alternative` was meant."""
    if len(segments) == 2 and segments[0].html is None and segments[1].plain is None:
        plain, rich = segments[0].plain or "", _html_of(segments[1])
        if _start_of(plain) and _start_of(plain) == _start_of(to_text(rich[:20_000])):
            return [Segment(plain, segments[1].html)]
    return segments


def _start_of(text: str) -> list[str]:
    return _WORDS.findall(text[:2_000])[:40]


def _text_of(segment: Segment) -> str:
    if segment.plain is not None and (segment.plain.strip() or segment.html is None):
        return segment.plain
    return to_text(_html_of(segment), quote_marks=True)


def _read_later(part: Part) -> Callable[[], str]:
    """The part's text for whoever asks, at the cost of decoding it once; what may be damaged is read now, to name that."""
    read = cache(part.text)
    if part.encoding not in _NEVER_DAMAGED:
        read()
    return read


def _join_html(segments: list[Segment]) -> Callable[[], str]:
    if len(segments) == 1 and segments[0].html is not None:
        return segments[0].html
    return cache(lambda: "\n".join(map(_html_of, segments)))


def _html_of(segment: Segment) -> str:
    if segment.html is not None:
        return segment.html()
    return f'<div style="white-space: pre-wrap">{entities.escape(segment.plain or "")}</div>'


def _content_id(part: Part) -> str:
    return (part.header("content-id") or "").strip("<> ")

"""Which parts of an HTML body are marked as quote, history or signature by the program that wrote it?

The HTML is read once, tag by tag; what stands around a tag is looked at in short pieces, and seldom: the work is linear in
the HTML. Marks are classes, ids and attributes that mail programs put there, as they come through webmail
sanitisers with prefixes such as `x_` too; and a border above a block whose text begins as a mail's headers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postroom.parsers.header_blocks import split_header
from postroom.parsers.html_tokens import Tag, tokens, unescape
from postroom.parsers.intro_lines import find_intro
from postroom.parsers.lines import view
from postroom.parsers.parting import Part
from postroom.parsers.separators import Separator, read_separator

MAX_MARKS = 200  # marked ranges; a mail of more is taken as text
MAX_PEEKS = 60  # elements whose neighbourhood is read to judge them
_MAX_TOKENS = 40  # class names of one element
_SHORTEST_ATTRIBUTE = 4  # characters: ` id=x` and such
_PEEK = 4_000  # characters of HTML behind a tag that are read to see how its text begins
_PEEK_BACK = 1_500  # and before one
_VOID = frozenset({"hr", "br", "img", "meta", "link", "input", "base", "col", "area", "wbr", "source"})

_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?td|/?li|/?h[1-6]|/?table|/?blockquote|hr)\b[^<>]{0,500}>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]{0,2000}>|<!--.*?-->|^[^<>]{0,500}>")

# Class and id tokens: the program, and what the element holds. Compared without prefixes of sanitisers.
_HISTORY_TOKENS = frozenset({
    "yahoo_quoted", "yahooquoted", "protonmail_quote", "zmail_extra", "inoteshistory", "moz-forward-container",
    "mail-editor-reference-message-container", "ms-outlook-mobile-reference-message", "gmail_quote_attribution",
    "missive_quote", "front-blockquote", "freshdesk_quote", "tutanota_quote", "hs_reply", "isreplycontent",
    "quoted-text", "quotedtext", "reply-quote", "outlook-reply", "canaryblockquote", "canary-quoted",
    "bloop_original_html", "original-message", "forwarded-message", "quotedcontent",
    "zm_quote", "oldmessage", "replyforwardmessage", "superhuman-quote", "edo_quoted", "newton_quote",
})  # fmt: skip
_QUOTE_TOKENS = frozenset(
    {"clean_bq", "history_container", "cite", "cite2", "gmail_quote", "quote", "blockquote_zmail", "mail-quote"}
)
_REST_TOKENS = frozenset({
    "divrplyfwdmsg", "appendonsend", "outlookmessageheader", "stopspelling", "zwchr", "divrpfwdmsg",
    "replysplit", "orm", "lineBreakAtBeginningOfMessage".lower() + "-reply", "zmail_extra_hr", "yahoo_quoted_begin",
})  # fmt: skip
_INTRO_TOKENS = frozenset(
    {"moz-cite-prefix", "gmail_attr", "airmail_on", "reply-intro", "moz-email-headers-table", "x-evo-attribution"}
)
_SIGNATURE_TOKENS = frozenset({
    "gmail_signature", "moz-signature", "protonmail_signature_block", "protonmail_signature_block-user",
    "ms-outlook-mobile-signature", "outlooksignature", "applemailsignature", "spneditorsign", "composer_signature", "yahoo-signature",
    "x-zm-signature", "bloop_sign", "mobile-signature", "sender_signature", "messagesignaturesection", "lineBreakAtBeginningOfSignature".lower(),
    "email-signature", "mailsignature", "outlook-signature", "edo_signature", "nylas-signature",
})  # fmt: skip
_SIGNATURE_IDS = frozenset({"signature", "sig"})  # whole ids only: `Signature` is Outlook on the web's
_PREFIX = re.compile(r"^(?:x_|ecx|m_-?\d+|ydp[0-9a-f]{4,12}|yiv\d+|v1|v2|-)+")
_SUFFIX = re.compile(r"(?:_container|_body|_\d+|-\d+|_id[_\w-]*)$")
_BORDER_TOP = re.compile(r"border-top\s*:\s*(?:solid|[\d.]+p[tx]\s+solid|#)", re.IGNORECASE)
_BORDER_LEFT = re.compile(r"border-(?:left|right)(?:-\w+)?\s*:\s*(?!none|0|medium none)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Element:
    """A start tag at [start, end) of the HTML, with its attributes."""

    name: str  # in lower case
    start: int
    end: int
    attributes: dict[str, str]

    def tokens(self) -> list[str]:
        """The class, id and name tokens in lower case, without what sanitisers put before them."""
        joined = " ".join(self.attributes.get(key, "") for key in ("class", "id", "name"))
        found: list[str] = []
        for token in joined.lower().split()[:_MAX_TOKENS]:
            bare = _PREFIX.sub("", token)
            found.extend((bare, _SUFFIX.sub("", bare)))
        return found


@dataclass(frozen=True, slots=True)
class Mark:
    """The part that the HTML of [start, end) is."""

    start: int
    end: int
    part: Part


def find_marks(html: str) -> list[Mark]:
    """The marked ranges of an HTML body, in order, none within another; empty where no program left a mark."""
    marks: list[Mark] = []
    tags = _tags(html)
    peeks = MAX_PEEKS
    for tag in tags:
        if len(marks) >= MAX_MARKS:
            return []
        element = _element(tag)
        if element is None:
            continue
        if _is_frame(element):
            marks.extend(_read_frame(html, element, tags))
            continue
        part, rest = _judge(html, element, peek=peeks > 0)
        peeks -= element.name == "blockquote" or "border-top" in element.attributes.get("style", "")
        if part is None:
            continue
        if rest:
            marks.append(Mark(element.start, len(html), part))
            break
        marks.append(Mark(element.start, _end_of(element, tags, len(html)), part))
    return marks


def _tags(html: str) -> Iterator[Tag]:
    return (token for token in tokens(html) if isinstance(token, Tag))


def _element(tag: Tag) -> _Element | None:
    """The element that a start tag opens, if it can carry a mark."""
    if tag.is_end or (tag.end - tag.attributes_at < _SHORTEST_ATTRIBUTE and tag.name != "blockquote"):
        return None
    start = tag.source.rfind("<", 0, tag.attributes_at)
    return _Element(tag.name, start, min(tag.end + 1, len(tag.source)), tag.attributes())


def _judge(html: str, tag: _Element, *, peek: bool) -> tuple[Part | None, bool]:
    """What an element is, and whether everything behind it is the same."""
    tokens = tag.tokens()
    if any(token in _REST_TOKENS for token in tokens) or tag.attributes.get("data-marker") == "__DIVIDER__":
        return Part.HISTORY, True
    if "messagereplysection" in tokens:  # Spark
        return Part.HISTORY, True
    if any(token in _HISTORY_TOKENS for token in tokens):
        return Part.HISTORY, False
    if any(token in _INTRO_TOKENS for token in tokens):
        return Part.INTRO, False
    if (
        any(token in _SIGNATURE_TOKENS for token in tokens)
        or _PREFIX.sub("", tag.attributes.get("id", "").lower()) in _SIGNATURE_IDS
    ):
        return Part.SIGNATURE, False
    if tag.attributes.get("data-smartmail") == "gmail_signature":
        return Part.SIGNATURE, False
    if tag.name == "blockquote":
        return (Part.QUOTE if _is_quote(html, tag, tokens, peek=peek) else None), False
    if tag.attributes.get("name", "").lower() == "quote":  # GMX, web.de
        return Part.HISTORY, False
    style = tag.attributes.get("style", "")
    if peek and style and _BORDER_TOP.search(style) and begins_as_headers(html, tag.end):
        return Part.HISTORY, True
    return None, False


def _is_quote(html: str, tag: _Element, tokens: list[str], *, peek: bool) -> bool:
    """Whether a blockquote quotes a mail; Gmail's indent and a person's own citation are blockquotes too."""
    if tag.attributes.get("type", "").lower() == "cite" or any(token in _QUOTE_TOKENS for token in tokens):
        return True
    style = tag.attributes.get("style", "")
    if "border:none" in style.replace(" ", "").lower():
        return False
    return bool(_BORDER_LEFT.search(style)) or "cite" in tag.attributes or (peek and _follows_intro(html, tag.start))


def _follows_intro(html: str, position: int) -> bool:
    lines = [view(line).strip() for line in text_lines(html[max(0, position - _PEEK_BACK) : position])]
    lines = [line for line in lines if line][-4:]
    if not lines:
        return False
    found = find_intro(lines, len(lines) - 1, floor=0, quoted_next=True, blank_next=True)
    return found is not None


def begins_as_headers(html: str, position: int) -> bool:
    """Whether the text behind a tag begins with a mail's header line: `From: …`, in any language."""
    lines = [line for line in text_lines(html[position : position + _PEEK]) if line.strip()]
    header = split_header(view(lines[0])) if lines else None
    return header is not None and header[0] in ("sender", "date", "subject", "to")


def text_lines(fragment: str) -> list[str]:
    """The rough text of a short piece of HTML, by lines: enough to judge, not to show."""
    text = " ".join(fragment.split())
    text = _ANY_TAG.sub("", _BREAK.sub("\n", text))
    return [line.strip() for line in unescape(text).split("\n")]


def _is_frame(tag: _Element) -> bool:
    """Gmail's `div.gmail_quote`: around the intro, the quotes and, where one answers in between, the answers."""
    return tag.name != "blockquote" and any(token in ("gmail_quote", "gmail_quote_container") for token in tag.tokens())


def _read_frame(html: str, frame: _Element, tags: Iterator[Tag]) -> list[Mark]:
    inner: list[Mark] = []
    depth, end, forwards = 1, len(html), False
    for tag in tags:
        if tag.name == frame.name:
            depth += -1 if tag.is_end else 1
            if not depth:
                end = tag.end + 1
                break
        element = _element(tag)
        if element is None or forwards or len(inner) >= MAX_MARKS:
            continue
        marked = element.tokens()
        if element.name == "blockquote" and ("gmail_quote" in marked or element.attributes.get("type") == "cite"):
            inner.append(Mark(element.start, _end_of(element, tags, len(html)), Part.QUOTE))
        elif "gmail_attr" in marked:
            intro = Mark(element.start, _end_of(element, tags, len(html)), Part.INTRO)
            depth -= element.name == frame.name  # its own end has been read
            forwards = _announces_forward(html, intro)
            inner.append(intro)
    if forwards or not any(mark.part is Part.QUOTE for mark in inner):
        return [Mark(frame.start, end, Part.HISTORY)]
    return inner


def _announces_forward(html: str, mark: Mark) -> bool:
    lines = text_lines(html[mark.start : min(mark.end, mark.start + _PEEK)])
    return any(read_separator(view(line)) is Separator.FORWARDED for line in lines)


def _end_of(element: _Element, tags: Iterator[Tag], size: int) -> int:
    """The end of an element: its own closing tag, those of the same name within it counted; else the HTML's end."""
    if element.name in _VOID:
        return element.end
    depth = 1
    for tag in tags:
        if tag.name != element.name:
            continue
        depth += -1 if tag.is_end else 1
        if not depth:
            return min(tag.end + 1, size)
    return size

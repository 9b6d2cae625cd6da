"""HTML cut into tags and text, in one pass, whatever it is (the tokenizer of the HTML standard, §13.2.5, made short).

Linear on anything: a search for an end that is not there is made once for the whole document.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

ATTRIBUTES_READ = 100  # of one tag

# A whole tag: quotes count only behind `=`, so that a stray one in a tag does not swallow the page.
_TAG = re.compile(r"""<(/?)([A-Za-z][^\s/>]{0,99}+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>""")
_TAG_AS_IT_IS = re.compile(r"<(/?)([A-Za-z][^\s/>]{0,99}+)([^>]*+)(?:>|$)")
_MARKUP = re.compile(r"<(?=[A-Za-z!?]|/[A-Za-z])")
_ATTRIBUTE = re.compile(r"""[\s/]*+([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?""")
_NUMBERED = re.compile(r"&#(?:[xX]0*+[0-9a-fA-F]{7,}|0*+\d{8,});?")
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "template")
}


class Tag:
    """A start tag, or the end tag of an element: `source[start : end + 1]`, its attributes at `source[attributes_at:end]`."""

    __slots__ = ("attributes_at", "end", "is_end", "name", "source", "start")

    def __init__(self, name: str, is_end: bool, source: str, start: int, attributes_at: int, end: int) -> None:
        self.name = name  # lower case
        self.is_end = is_end
        self.source = source
        self.start, self.attributes_at, self.end = start, attributes_at, end

    def attributes(self) -> dict[str, str]:
        """The attributes by lower-case name, the first of each, entities undone."""
        found: dict[str, str] = {}
        position = self.attributes_at
        while len(found) < ATTRIBUTES_READ and (match := _ATTRIBUTE.match(self.source, position, self.end)):
            found.setdefault(match[1].lower(), unescape(match[2] or match[3] or match[4] or ""))
            position = match.end()
        return found


def unescape(text: str) -> str:
    """Character references undone (HTML standard, §13.2.5.72)."""
    if "&" not in text:
        return text
    if "&#" in text:
        text = _NUMBERED.sub("\ufffd", text)  # more digits than Python turns into a number
    return html.unescape(text)


def tokens(source: str) -> Iterator[Tag | str]:
    """Tags, and the text between them as it is written: comments, declarations and scripts left out."""
    position, length = 0, len(source)
    without_end: set[str] = set()  # what was looked for in vain
    pattern = _TAG
    while position < length:
        markup = _MARKUP.search(source, position)
        if markup is None:
            yield source[position:]
            return
        start = markup.start()
        if start > position:
            yield source[position:start]
        match = pattern.match(source, start)
        if match is None and source[start + 1] not in "!?":
            pattern = _TAG_AS_IT_IS  # a quote or a tag that never closes: from here on, up to the next `>`
            match = pattern.match(source, start)
        if match is None:
            position = _skip_declaration(source, start, without_end)
            continue
        name, is_end = match[2].lower(), source[start + 1] == "/"
        attributes_at, end = match.span(3)
        yield Tag(name, is_end, source, start, attributes_at, end)
        position = match.end()
        if not is_end and name in _RAW_TEXT and name not in without_end:
            position = _skip_raw_text(source, position, name, without_end)


def _skip_declaration(source: str, start: int, without_end: set[str]) -> int:
    if source.startswith("<!--", start) and "-->" not in without_end:
        end = source.find("-->", start + 2)
        if end >= 0:
            return end + 3
        without_end.add("-->")
    end = source.find(">", start)
    return len(source) if end < 0 else end + 1


def _skip_raw_text(source: str, position: int, name: str, without_end: set[str]) -> int:
    match = _RAW_TEXT[name].search(source, position)
    if match is None:
        without_end.add(name)
        return position
    return match.start()

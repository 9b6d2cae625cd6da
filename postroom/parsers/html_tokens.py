"""HTML cut into tags and text, in one pass, whatever it is (the tokenizer of the HTML standard, §13.2.5, made short).

Linear on anything: a search for an end that is not there is made once for the whole document.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

ATTRIBUTES_READ = 100  # of one tag

_NAME = re.compile(r"[A-Za-z][^\s/>]{0,99}+")
_ATTRIBUTE = re.compile(r"""[\s/]*+([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?""")
_TAG_END = re.compile(r"""(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>""")
_NUMBERED = re.compile(r"&#(?:[xX]0*+[0-9a-fA-F]{7,}|0*+\d{8,})")
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "template")
}


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag, or the end tag of an element; its attributes are in `source[attributes:end]`, read on demand."""

    name: str  # lower case
    is_end: bool
    source: str
    attributes_at: int
    end: int

    def attributes(self) -> dict[str, str]:
        """The attributes by lower-case name, the first of each, entities undone."""
        found: dict[str, str] = {}
        position = self.attributes_at
        while position < self.end and len(found) < ATTRIBUTES_READ:
            match = _ATTRIBUTE.match(self.source, position, self.end)
            if match is None:
                break
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
    ends: dict[str, bool] = {}
    while position < length:
        start = source.find("<", position)
        if start < 0:
            yield source[position:]
            return
        if start > position:
            yield source[position:start]
        following = source[start + 1 : start + 2]
        if following in ("!", "?"):
            position = _skip_declaration(source, start, ends)
            continue
        name = _NAME.match(source, start + 2 if following == "/" else start + 1)
        if name is None:
            yield "<"
            position = start + 1
            continue
        end = _end_of_tag(source, name.end(), ends)
        tag = Tag(name[0].lower(), following == "/", source, name.end(), end - 1)
        yield tag
        position = _skip_raw_text(source, end, tag, ends)


def _skip_declaration(source: str, start: int, ends: dict[str, bool]) -> int:
    if source.startswith("<!--", start):
        end = -1 if ends.get("-->") else source.find("-->", start + 2)
        if end >= 0:
            return end + 3
        ends["-->"] = True
    end = source.find(">", start)
    return len(source) if end < 0 else end + 1


def _end_of_tag(source: str, position: int, ends: dict[str, bool]) -> int:
    """Past the `>` of a tag, which may stand in a quoted value; where quotes never close, at the next one."""
    end = source.find(">", position)
    if end < 0:
        return len(source) + 1
    if ends.get("quote") or not ('"' in source[position:end] or "'" in source[position:end]):
        return end + 1
    match = _TAG_END.match(source, position)
    if match is None:
        ends["quote"] = True
        return end + 1
    return match.end()


def _skip_raw_text(source: str, position: int, tag: Tag, ends: dict[str, bool]) -> int:
    closing = None if tag.is_end else _RAW_TEXT.get(tag.name)
    if closing is None or ends.get(tag.name):
        return position
    match = closing.search(source, position)
    if match is None:
        ends[tag.name] = True
        return position
    return match.start()

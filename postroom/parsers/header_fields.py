"""Where is each field of a header block, and where does the body begin (RFC 5322 §2.2), however broken the block is?

One pass over its lines. Offsets only: nothing is copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

STRAY_LINES = 60  # in a row within a header: lines that lost the blank before them
LONG_LINE = 50  # octets, from which on a header may have been wrapped

_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:")
# A field with all its folds, each of which has more than blanks: one look at what nearly every field is.
_WHOLE_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+\n(?:[ \t]++[^\s][^\n]*+\n)*+)")
_BLOCK_END = re.compile(rb"\n\r*+\n")
_KNOWN_FIELDS = frozenset({
    b"received", b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version", b"return-path", b"delivered-to",
    b"reply-to", b"references", b"in-reply-to", b"dkim-signature", b"sender", b"authentication-results", b"received-spf",
    b"user-agent", b"envelope-to", b"auto-submitted", b"precedence", b"thread-topic", b"thread-index", b"importance",
})  # fmt: skip


@dataclass(slots=True)
class HeaderFields:
    """The fields of a block by lower-case name, as begin and end of their values; and what was wrong with it."""

    body_at: int
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)


def begins_field(octets: bytes, position: int) -> bool:
    """Whether a field's name and its colon stand there."""
    return _FIELD.match(octets, position) is not None


def find_fields(octets: bytes, start: int, end: int, allowance: int) -> HeaderFields:
    """The fields of the block that begins at `start`; those that begin after `allowance` octets are passed over."""
    found = HeaderFields(end)
    limit = start + allowance
    position = start
    last: list[tuple[int, int]] | None = None
    spans, whole_field = found.spans, _WHOLE_FIELD.match
    while position < end:
        if position >= limit:
            found.defects.append("the header is too long; its end was not read")
            block_end = _BLOCK_END.search(octets, max(position - 1, start), end)
            found.body_at = block_end.end() if block_end else end
            break
        whole = whole_field(octets, position, end)
        if whole is not None and (begin := whole.end()) <= limit:
            name = whole[1].lower().decode("ascii")
            last = spans.get(name)
            if last is None:
                last = spans[name] = []
            last.append(whole.span(2))
            position = begin
            continue
        line_end = octets.find(b"\n", position, end)
        next_line = end if line_end < 0 else line_end + 1
        if octets[position] in b" \t" and last is not None and not _ends_block(octets, position, next_line, end):
            last[-1] = (last[-1][0], next_line)
        elif matched := _FIELD.match(octets, position, next_line):
            last = found.spans.setdefault(matched[1].decode("ascii").lower(), [])
            last.append((matched.end(), next_line))
        elif not octets[position:next_line].strip():
            found.body_at = next_line
            break
        elif octets.startswith((b"From ", b">From "), position):
            pass  # of an mbox
        elif last is not None and (after := _after_stray_lines(octets, next_line, end)) is not None:
            found.defects.append("a line of the header is no field")
            if last[-1][1] == position and position - last[-1][0] >= LONG_LINE:
                last[-1] = (last[-1][0], after)  # wrapped without a blank
            next_line = after
        else:
            found.defects.append("no blank line between header and body")
            found.body_at = position
            break
        position = next_line
    return found


def _ends_block(octets: bytes, position: int, next_line: int, end: int) -> bool:
    """A line of blanks alone is a fold (RFC 5322 §4.2), unless what follows can be neither field nor fold."""
    if octets[position:next_line].strip():
        return False
    return not (_FIELD.match(octets, next_line, end) or octets[next_line : next_line + 1] in (b" ", b"\t"))


def _after_stray_lines(octets: bytes, position: int, end: int) -> int | None:
    """Where the header goes on behind lines that are no fields, or None where it does not: there the body has begun."""
    for _ in range(STRAY_LINES):
        following = octets.find(b"\n", position, end)
        line = octets[position : end if following < 0 else following]
        field_name = _FIELD.match(line)
        if field_name is not None and _is_known(field_name[1].lower()):
            return position
        if following < 0 or not line.strip():
            return None
        position = following + 1
    return None


def _is_known(name: bytes) -> bool:
    """Whether it is surely a header field's name: prose has colons, too."""
    return name in _KNOWN_FIELDS or name.startswith((b"x-", b"content-", b"list-", b"arc-", b"resent-"))

"""Is this line a separator: "-----Original Message-----", "Begin forwarded message:", "reply above this line"?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import cache

from postroom.parsers.languages import pattern, words
from postroom.parsers.lines import VIEW_LENGTH, fold

_MAX_LENGTH = 160  # characters of a separator
MAX_UNANNOUNCED = 60  # of one without dashes
_RULE = re.compile(r"[\s_=*·.•‐–—―─━-]{3,}$")
_DASHES = re.compile(r"[\s>|*_=~#+‐–—―─━-]*")
_LOTUS = re.compile(r"-----\s?(?!begin|end).{2,120}\s?:\s?-----$")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{4}")
_ENDINGS = "-–—‐―=_─━#~:：+*"  # a separator has one at an end; lines that begin with a letter have it at theirs
_EMPHASIS = " *_\t\r\v\f"
_ENDS_OF_PROSE = ".,!?。、！？…”»"  # and a view leaves them as they are
_ENDS_OR_HIDES = "-=#~:+);>"  # a separator, or what a view makes nothing of: a link, an entity
_QUOTED_BLANKS = "> "
_UNDASHED = "original"  # how those begin that stand without dashes
UNDASHED_INITIALS = "oO"
_TOBIT = re.compile(r"original message processed by david|originalnachricht verarbeitet von david")
# Each begins with a character of its own, so that a search skips whatever is none of them.
_MARKER_SIGNS = re.compile(r"#(?:#-|##)|-(?:-|##|=[=-])|=(?:=|-[=-])|___|—|––|\*\*\*|>>>|\^|↑|\[|\+\+\+|~~~")
_HEAD = 2  # characters that such a phrase begins with, none of them a blank
_DOT_ABOVE = "\u0307"  # of a Turkish capital, which `fold` takes away
_MOST_WORDS = 4  # of a phrase that names an original message


class Separator(Enum):
    """What a separator line announces."""

    ORIGINAL = "original"  # the mail that is answered
    FORWARDED = "forwarded"  # a mail that is handed on
    MARKER = "marker"  # write above this line: all below it is ours


def read_separator(seen: str) -> Separator | None:
    """What a viewed line without quote marks announces, or None where it is no separator."""
    line = seen.strip()
    if not line or len(line) > _MAX_LENGTH:
        return None
    if _is_marker(line):
        return Separator.MARKER
    if line[0].isalnum() and line[-1] not in _ENDINGS and fold(line[:8]) != _UNDASHED:
        return None  # nearly every line of prose
    dashed = line.lstrip(" *_>|")[:1] in "-–—‐=_─━#~+" and line.rstrip(" *_")[-1:] in "-–—‐=_─━#~:+"
    phrase = _phrase(line)
    if not phrase or len(phrase) > 80:
        return None
    if phrase in words("forwarded") and (dashed or line.rstrip(" *_").endswith(":")):
        # "Begin forwarded message:" stands without dashes; a bare "Forwarded:" is too little.
        return Separator.FORWARDED if dashed or " " in phrase or len(phrase) > 12 or _CJK.match(phrase) else None
    if _TOBIT.match(phrase):
        return Separator.ORIGINAL
    if not dashed:
        return None
    if phrase in words("original"):
        return Separator.ORIGINAL
    if _LOTUS.match(line):  # iNotes: -----"Ann" <ann@example.org> wrote: -----
        return Separator.ORIGINAL if pattern("wrote").search(phrase) else _forwarded_by(phrase)
    return _forwarded_by(phrase)


def which_may_announce(lines: Sequence[str]) -> list[str]:
    """Those of lines that are not viewed yet that may be a separator of a forward: they end in a dash, a sign or a colon.

    A look at each end, so that mail that hands nothing on is not read again for that.
    """
    prose = _ENDS_OF_PROSE
    return [
        line
        for line in lines
        if line and ((not line[-1].isalnum() and line[-1] not in prose and _may_end(line)) or len(line) > VIEW_LENGTH)
    ]


def _may_end(line: str) -> bool:
    end = line.rstrip(_EMPHASIS)[-1:]
    if end == ">" and not line.strip(_QUOTED_BLANKS):
        return False  # a blank line that is quoted
    return end in _ENDS_OR_HIDES or not (end.isascii() or end.isalnum())


def is_rule(seen: str) -> bool:
    """Whether a line is only dashes, underscores or the like."""
    line = seen.strip()
    return bool(line) and not line[0].isalnum() and _RULE.match(line) is not None


def is_unannounced_separator(seen: str) -> bool:
    """Whether a line names an original message without any dashes: a separator only above a header block."""
    if not 0 < len(seen) <= MAX_UNANNOUNCED:
        return False
    head = seen[: 2 * _HEAD].casefold()
    if seen[0].isalnum() and head[:_HEAD] not in _original_heads() and _DOT_ABOVE not in head:
        return False  # nearly every line of prose
    if seen[0].isalnum() and seen[-1] not in _ENDINGS and len(seen.split(None, _MOST_WORDS)) > _MOST_WORDS:
        return False
    return _phrase(seen.strip()) in words("original")


def _phrase(line: str) -> str:
    begin = None if line[:1].isalnum() else _DASHES.match(line)
    inner = line[begin.end() if begin else 0 :].rstrip(" *_=~#:+‐–—―─━-")
    return " ".join(fold(inner).split())


def _forwarded_by(phrase: str) -> Separator | None:
    """`----- Forwarded by Ann/Acme on 01/02/2024 10:00 -----` of Lotus Notes; mailx' `----- Forwarded message from …`."""
    return Separator.FORWARDED if _forwarded_prefix().match(phrase) else None


def _is_marker(line: str) -> bool:
    if len(line) > _MAX_LENGTH or not _MARKER_SIGNS.search(line):
        return False
    return pattern("above").search(fold(line)) is not None


@cache
def _original_heads() -> frozenset[str]:
    return frozenset(phrase[:_HEAD] for phrase in words("original"))


@cache
def _forwarded_prefix() -> re.Pattern[str]:
    alternatives = "|".join(map(re.escape, sorted(words("forwarded"), key=len, reverse=True)))
    return re.compile(
        rf"(?:{alternatives})\s(?:by|from|von|par|da|por|door|av|af|от|przez|de|on|le|am|at)\s|forwarded by\s|weitergeleitet von\s|transféré par\s|reenviado por\s|inoltrato da\s|doorgestuurd door\s"
    )

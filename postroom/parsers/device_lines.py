"""Is this line what a telephone or a mail program adds by itself: "Sent from my iPhone", "Get Outlook for iOS"?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from postroom.parsers.languages import by_first, one_of, words
from postroom.parsers.lines import BLANKS, fold, glance_at, plain

_MAX_DEVICE = 110  # characters of a "Sent from my …" line
_MAX_DEVICE_WORDS = 11
_STOPS = f".!{BLANKS}"
_EDGES = " -–—_*[]()<>!|"  # what may stand around such a line
_LAST_WORDS = (
    "から送信", "에서 보냄", "에서 전송", "küldve", "gönderildi", "gesendet", "lähetetty", "傳送", "发送", "से भेजा गया",
    "bidalia", "verzonden", "verstuurd",
)  # fmt: skip
_SENTENCE = re.compile(r"[.?!] |\w: ")
_PERSONS_WORDS = re.compile(
    r"\b(?:is|was|are|were|to|by|and|but|that|(?<!['’])ist|war|und|est|et|this|please|you|yesterday|today)\b"
)
_LINK = re.compile(r"<?https?://[^\s<>]{1,400}>?|<[^<>]{1,400}>")
_BRAND = re.compile(r"iphone|ipad|android|blackberry|samsung|galaxy|huawei|xiaomi|verizon|at&t|t-mobile")


def is_device_line(seen: str) -> bool:
    """Whether a viewed line is what a telephone or a mail program adds by itself: "Sent from my iPhone"."""
    line = plain(seen)
    if not line or len(line) > _MAX_DEVICE + 400:
        return False
    if "<" in line or "http" in line:
        line = _LINK.sub("", line)
    line = line.strip(_EDGES)
    if not 6 <= len(line) <= _MAX_DEVICE:
        return False
    folded = fold(line)
    starts = _starts_as_device().match(folded) is not None
    if not starts and not folded.rstrip(_STOPS).endswith(_LAST_WORDS):
        return False  # nearly every line
    if len(line.split()) > _MAX_DEVICE_WORDS or _SENTENCE.search(folded) or folded.endswith(("?", ":")):
        return False
    if "," in folded and not _BRAND.search(folded):
        return False
    return not _person_speaks(folded) if starts else _ends_as_device().search(folded) is not None


def may_hold_device_line(views: Sequence[str]) -> bool:
    """Whether any of the views may be such a line, at the cost of one look: nearly never one is."""
    glance = glance_at(views)
    if _line_starts_as_device().search(glance) or _line_ends_as_device().search(f"{glance}\n"[::-1]):
        return True
    if "<" not in glance and "http" not in glance:
        return False
    # A link is taken out of its line before that is read.
    return any(is_device_line(seen) for seen in views if "<" in seen or "http" in seen)


def _person_speaks(folded: str) -> bool:
    """Whether "sent from …" goes on as a sentence does: "Sent from my desk is easier than …"."""
    return _PERSONS_WORDS.search(folded[9:]) is not None


@cache
def _starts_as_device() -> re.Pattern[str]:
    return re.compile(one_of(words("device")))


@cache
def _line_starts_as_device() -> re.Pattern[str]:
    return re.compile(rf"\n[{re.escape(_EDGES)}•]*+(?:{by_first(sorted(words('device')), bounded=False)})")


@cache
def _line_ends_as_device() -> re.Pattern[str]:
    """For a text read backwards, in which a line break stands before the end of each line."""
    backwards = sorted(ending[::-1] for ending in _LAST_WORDS)
    after = re.escape(_EDGES + _STOPS.replace("\n", ""))
    return re.compile(rf"\n[{after}•]*+(?:{by_first(backwards, bounded=False)})")


@cache
def _ends_as_device() -> re.Pattern[str]:
    devices = r"(?:iphone|ipad|ipod|android|blackberry|samsung|galaxy|huawei|xiaomi|nokia|windows|outlook|yahoo|mail|handy|mobil|smartphone|スマ|携帯|手机|手機|skynet|tablet|phone)"
    return re.compile(rf"{devices}.{{0,30}}(?:{'|'.join(_LAST_WORDS)})[.!\s]*$")

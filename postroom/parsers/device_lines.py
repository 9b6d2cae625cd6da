"""Is this line what a telephone or a mail program adds by itself: "Sent from my iPhone", "Get Outlook for iOS"?"""

from __future__ import annotations

import re
from functools import cache

from postroom.parsers.languages import one_of, words
from postroom.parsers.lines import fold, plain

_MAX_DEVICE = 110  # characters of a "Sent from my …" line
_MAX_DEVICE_WORDS = 11
_LINK = re.compile(r"<?https?://[^\s<>]{1,400}>?|<[^<>]{1,400}>")
_BRAND = re.compile(r"iphone|ipad|android|blackberry|samsung|galaxy|huawei|xiaomi|verizon|at&t|t-mobile")


def is_device_line(seen: str) -> bool:
    """Whether a viewed line is what a telephone or a mail program adds by itself: "Sent from my iPhone"."""
    line = plain(seen)
    if not line or len(line) > _MAX_DEVICE + 400:
        return False
    line = (_LINK.sub("", line) if "<" in line or "http" in line else line).strip(" -–—_*[]()<>!|")
    if not 6 <= len(line) <= _MAX_DEVICE or len(line.split()) > _MAX_DEVICE_WORDS:
        return False
    folded = fold(line)
    if re.search(r"[.?!] ", folded) or folded.endswith(("?", ":")) or re.search(r"\w: ", folded):
        return False
    if "," in folded and not _BRAND.search(folded):
        return False
    if _starts_as_device().match(folded):
        return not _person_speaks(folded)
    return _ends_as_device().search(folded) is not None


def _person_speaks(folded: str) -> bool:
    """Whether "sent from …" goes on as a sentence does: "Sent from my desk is easier than …"."""
    return (
        re.search(
            r"\b(?:is|was|are|were|to|by|and|but|that|(?<!['’])ist|war|und|est|et|this|please|you|yesterday|today)\b",
            folded[9:],
        )
        is not None
    )


@cache
def _starts_as_device() -> re.Pattern[str]:
    return re.compile(one_of(words("device")))


@cache
def _ends_as_device() -> re.Pattern[str]:
    ends = [
        "から送信",
        "에서 보냄",
        "에서 전송",
        "küldve",
        "gönderildi",
        "gesendet",
        "lähetetty",
        "傳送",
        "发送",
        "से भेजा गया",
        "bidalia",
        "verzonden",
        "verstuurd",
    ]
    devices = r"(?:iphone|ipad|ipod|android|blackberry|samsung|galaxy|huawei|xiaomi|nokia|windows|outlook|yahoo|mail|handy|mobil|smartphone|スマ|携帯|手机|手機|skynet|tablet|phone)"
    return re.compile(rf"{devices}.{{0,30}}(?:{'|'.join(ends)})[.!\s]*$")

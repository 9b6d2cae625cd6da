"""When a message says it was written: RFC 5322 §3.3, its obsolete forms, and the ones that are in no RFC.

`Wed, 25 Nov 2026 10:11:12 +0100 (CET)`, `Wed Nov 25 10:11:12 2026`, `2026-11-25T10:11:12Z`, month names of other
languages, a missing zone, a year of two digits. The parts are found by what they look like, not by where they stand.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

DATE_LENGTH = 200  # characters

# As nearly every program writes it (RFC 5322 §3.3).
_USUAL = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})(?: \([A-Z]{1,5}\))?",
    re.ASCII,
)
_ISO = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_TIME = re.compile(r"(?<!\d)(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2}))?(?:[.,]\d+)?(?:\s*([AaPp])\.?[Mm]\b)?")
_OFFSET = re.compile(r"([+-])\s*(\d{1,2}):?(\d{2})?(?!\d)")
_COMMENT = re.compile(r"\([^()]*+\)?")
_MONTHS = {
    "jan": 1, "ene": 1, "gen": 1, "янв": 1, "sty": 1, "feb": 2, "fév": 2, "fev": 2, "фев": 2, "lut": 2,
    "mar": 3, "mrz": 3, "mär": 3, "maa": 3, "мар": 3, "mrt": 3, "apr": 4, "avr": 4, "abr": 4, "апр": 4, "kwi": 4,
    "may": 5, "mai": 5, "maj": 5, "mei": 5, "mag": 5, "май": 5, "мая": 5, "jun": 6, "giu": 6, "июн": 6, "cze": 6,
    "jul": 7, "lug": 7, "июл": 7, "lip": 7, "aug": 8, "aoû": 8, "aou": 8, "ago": 8, "авг": 8, "sie": 8,
    "sep": 9, "set": 9, "сен": 9, "wrz": 9, "oct": 10, "okt": 10, "ott": 10, "out": 10, "окт": 10, "paź": 10,
    "nov": 11, "ноя": 11, "lis": 11, "dec": 12, "dez": 12, "déc": 12, "dic": 12, "des": 12, "дек": 12, "gru": 12,
}  # fmt: skip
# In minutes. RFC 5322 §4.3; the single letters of RFC 822 were defined backwards, and mean nothing.
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "bst": 60, "ist": 330, "cet": 60, "met": 60, "mez": 60, "cest": 120, "mest": 120,
    "mesz": 120, "eet": 120, "eest": 180, "msk": 180, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "akst": -540, "hst": -600, "jst": 540, "kst": 540, "hkt": 480,
    "sgt": 480, "aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780,
}  # fmt: skip


def read_date(text: str) -> datetime | None:
    """The moment in UTC, or None where no date can be made out. Without a zone it is taken for UTC (RFC 5322 §4.3)."""
    usual = _USUAL.fullmatch(text)
    if usual is not None and (month := _MONTHS.get(usual[2].lower())):
        clock = (int(usual[4]), int(usual[5]), int(usual[6]))
        return _moment(int(usual[3]), month, int(usual[1]), clock, _zone(usual[7]))
    plain = _COMMENT.sub(" ", text[:DATE_LENGTH]).strip()
    return _iso(plain) or _spelled(plain)


def _iso(text: str) -> datetime | None:
    found = _ISO.search(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    return _moment(year, month, day, (hour, minute, second), _zone(text[found.end() :]))


def _spelled(text: str) -> datetime | None:
    time = _TIME.search(text)
    clock = (0, 0, 0)
    rest, after = text, ""
    if time is not None:
        hour = int(time[1])
        if time[4]:
            hour = hour % 12 + (12 if time[4] in "Pp" else 0)
        clock = (hour, int(time[2]), int(time[3] or 0))
        rest, after = text[: time.start()] + " | " + text[time.end() :], text[time.end() :]
    month = 0
    numbers: list[str] = []
    for word in re.findall(r"\|\s*[+-]?|[^\W\d_]+|[+-]?\d+", rest.lower()):
        if word.isalpha():
            month = month or _MONTHS.get(word[:3], 0)
        elif word.isdecimal():
            numbers.append(word)
        elif (
            word.startswith("-")
            and word[1:].isdecimal()
            and len(word) <= 5
            and (len(numbers) < 2 and not after.strip().startswith(word))
        ):
            numbers.append(word[1:])  # 25-Nov-2026
    if not month or len(numbers) < 2:
        return None
    first, second = numbers[0], numbers[1]
    if len(first) == 4:
        first, second = second, first
    if len(first) > 2:
        return None
    return _moment(_year(second), month, int(first), clock, _zone(after))


def _year(digits: str) -> int:
    """RFC 5322 §4.3: two digits are 1950 to 2049, three are counted from 1900."""
    year = int(digits[:4])
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _zone(text: str) -> int:
    """Minutes east of Greenwich."""
    offset = _OFFSET.search(text)
    if offset is not None:
        hours, minutes = int(offset[2]), int(offset[3] or 0)
        if hours <= 14 and minutes < 60:
            return (hours * 60 + minutes) * (-1 if offset[1] == "-" else 1)
        return 0
    return next((_ZONES[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _ZONES), 0)


def _moment(year: int, month: int, day: int, clock: tuple[int, int, int], zone: int) -> datetime | None:
    hour, minute, second = clock
    try:
        local = datetime(year, month, day, hour % 24, minute, min(second, 59), tzinfo=UTC)
        return (local + timedelta(days=1) if hour == 24 else local) - timedelta(minutes=zone)
    except (ValueError, OverflowError):
        return None

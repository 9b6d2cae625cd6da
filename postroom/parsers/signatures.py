"""Where does a signature begin in what an author wrote?

Signatures are what a program, a company or a habit puts below the words: the block after `-- `, the formula with
name and title, "Sent from my …", legal footers, list footers. "Thanks!" alone is a word to us and stays; "Thanks,"
with a name below is a formula. A postscript below a signature is the author's again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from postroom.parsers.languages import one_of, pattern, words
from postroom.parsers.lines import fold, plain
from postroom.parsers.separators import is_rule

_MAX_TAIL = 60  # lines that are not blank, from the end, in which a formula is looked for
_MAX_FORMULAS = 8  # formulas that are tried
_MAX_AFTER_DASHES = 25  # lines that are not blank below a bare "--", which is a signature only if it is short
_MAX_FORMULA = 70  # characters of a formula
_MAX_FORMULA_WORDS = 8
_MAX_DEVICE = 110  # characters of a "Sent from my …" line
_MAX_DEVICE_WORDS = 11
_NOTICE = 60  # characters; a legal notice is no shorter
_PROSE_WORDS = 12  # a line of so many words in a signature is prose, or legal text

_DELIMITER = re.compile(r"(?:--|–|—|––|——|\\--|- -)\s?$")
_STRICT_DELIMITER = re.compile(r"-- $")
_NAME_LINE = re.compile(r"(?:[-–—~]{1,2}\s?|/\s?)([^\W\d_][\w.'’-]*(?:\s[^\W\d_][\w.'’-]*){0,3})[,.!]?$")
_CONTACT = re.compile(
    r"@|https?:|www\.|(?:\+|00)\d[\d ()./-]{6,}|(?<!\d)0\d[\d ()./-]{6,}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}"
    r"|(?i:\b(?:tel|phone|mobile|mob|cell|fax|fon|telefon|tél|tlf|gsm|móvil)\b\.?:?)|[☎📞📱📧✆]"
)
_LINK = re.compile(r"<?https?://[^\s<>]{1,400}>?|<[^<>]{1,400}>")
_FOOTER_HEADING = re.compile(
    r"(?i)(?:e-?mail |legal |confidentiality |rechtlicher )?(?:disclaimer|hinweis|notice|haftungsausschluss|avertissement|aviso legal|confidentiality|vertraulichkeitshinweis|confidentialité|riservatezza)[ :.]*$"
)
_BRAND = re.compile(r"iphone|ipad|android|blackberry|samsung|galaxy|huawei|xiaomi|verizon|at&t|t-mobile")
_IMAGE = re.compile(
    r"(?i)!\[[^\]]{0,80}\](?:\(|$)|\[(?:cid|image|img|logo)\b|\[?<?https?://\S{1,300}\.(?:png|gif|jpe?g)"
)
_POSTSCRIPT = re.compile(
    r"p\.?\s?s\.?(?:\s?[:,.–—-]|\s\w)|ps:|nb:|n\.b\.|p\.d\.|zs\.|з\.ы\.|ps\.|p\.s\.", re.IGNORECASE
)
_TRAILING = re.compile(r"[\s,.!:;…–—*_~-]+$")
_LIST_FOOTER = re.compile(
    r"(?i)mailing list|unsubscribe|listinfo|mailman|google groups|groups\.io|lists?\.|avast|avg\.com|virus|github|you received this|to view this discussion|newsletter|sympa|view it on"
)
_BANNER = re.compile(
    r"(?i)\[?\s*(?:⚠|caution|warning|external|achtung|attention|vorsicht|externe?r? (?:e-?mail|absender)|you don't (?:often )?get email from|"
    r"e-?mail extern|correo externo|waarschuwing|opgelet|attenzione|atención|precaución|this (?:e-?mail|message) (?:originated|came|was sent) from outside|"
    r"uwaga|advarsel|varning|diese e-?mail (?:kommt|stammt) von|sie erhalten nicht)"
)
_BANNER_WORDS = re.compile(
    r"(?i)external|outside|extern|externo|esterno|click|links?|attachment|phishing|untrusted|learn why|anhänge|pièces|bijlagen|allegati|adjuntos|sender|absender|expéditeur"
)
_JA_FORMULA_END = re.compile(r"(?:願い(?:いた|致)?します|願い申し上げます|敬具|草々|以上です|드림|올림)[。.\s]*$")


def find_signature(views: Sequence[str], raw: Sequence[str], *, anything_above: bool) -> tuple[int, int] | None:
    """The lines [start, end) of a stretch of an author's text that are signature, or None.

    `views` are the viewed lines, `raw` the same as written (the blank after `--` counts). `anything_above`: words
    stand above the stretch, so that all of it may be signature. Lines from `end` on are the author's again.
    """
    first = next((n for n, line in enumerate(views) if line.strip()), None)
    if first is None:
        return None
    floor = first if anything_above else first + 1
    found = [
        span
        for span in (
            _find_delimiter(views, raw, first),
            _find_formula(views, floor),
            _find_name_line(views, floor),
            _find_footer(views, floor),
            _find_device(views, first),
        )
        if span is not None
    ]
    if not found:
        return None
    start = min(span[0] for span in found)
    # What begins later and reaches further goes on with it: "Regards, Ann", then "-- " and the rest.
    end = max(span[1] for span in found)
    if _keeps_words(views, found, start, end):
        end = min(found)[1]
    while start - 1 > first and (is_rule(views[start - 1]) or not views[start - 1].strip()):
        start -= 1
    return start, end


def _keeps_words(views: Sequence[str], found: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether the author's words stand between the first signature and the others."""
    covered = set[int]()
    for span in found:
        covered.update(range(*span))
    return any(n not in covered and views[n].strip() for n in range(start, end))


def is_device_line(seen: str) -> bool:
    """Whether a viewed line is what a telephone or a mail program adds by itself: "Sent from my iPhone"."""
    line = plain(seen)
    if not line or len(line) > _MAX_DEVICE + 400:
        return False
    line = _LINK.sub("", line).strip(" -–—_*[]()<>!|")
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


def is_own_after_signature(seen: str) -> bool:
    """Whether a viewed line below a signature is not older mail: a postscript, a footer, an address, a rule."""
    line = seen.strip()
    return bool(
        _POSTSCRIPT.match(line) or _is_footer_line(line) or is_rule(line) or _CONTACT.search(line) or _formula(line)
    ) or is_device_line(line)


def is_banner(seen: str) -> bool:
    """Whether a viewed line is a gateway's warning about mail from outside, put above the author's text."""
    line = plain(seen).lstrip("> ")
    return _BANNER.match(line) is not None and _BANNER_WORDS.search(line) is not None


def is_formula(seen: str) -> bool:
    """Whether a viewed line is a closing formula in any language, with a name behind it or not."""
    return _formula(seen) is not None


def _formula(seen: str) -> str | None:
    """`closing` or `thanks` for a line that is such a formula, else None."""
    line = plain(seen)
    if not line or len(line) > _MAX_FORMULA or len(line.split()) > _MAX_FORMULA_WORDS:
        return None
    folded = _TRAILING.sub("", fold(line).lstrip("-–—/ "))
    folded = folded.replace("\u2019", "'").strip("\u2764\ufe0f🎉😊🙂🙏👍 ")
    folded = _TRAILING.sub("", folded)
    if folded in words("closings") or _JA_FORMULA_END.search(folded):
        return "closing"
    if folded in words("thanks"):
        return "thanks"
    head, comma, tail = folded.partition(",")
    if comma and head.strip() in words("closings") and _looks_like_name(line.partition(",")[2]):
        return "closing"
    if comma and head.strip() in words("thanks") and tail.strip() in words("closings"):
        return "closing"
    for parted in (" / ", "/", " & ", " | "):
        if parted in folded and any(part.strip() in words("closings") for part in folded.split(parted)):
            return "closing"
    if found := _formula_core().search(folded):
        before, after = folded[: found.start()].split(), line[found.end() :]
        if len(before) <= 3 and (
            not after.strip(" ,.!") or after.lstrip().startswith(("aus ", "from ", "de ", "fra ", "från ", "z ", "à "))
        ):
            return "closing"
    return None


def _looks_like_name(text: str) -> bool:
    parts = text.strip(" ,.!*_").split()
    return 0 < len(parts) <= 4 and all(part[:1].isupper() or not part[:1].isascii() for part in parts)


def _find_delimiter(views: Sequence[str], raw: Sequence[str], first: int) -> tuple[int, int] | None:
    below = sum(1 for line in views if line.strip())
    for number in range(first, len(views)):
        line = views[number]
        below -= bool(line.strip())
        if number + 1 < len(views) and below <= _MAX_AFTER_DASHES and is_rule(line) and _image_below(raw, number):
            return number, len(views)
        if len(line) > 8 or not _DELIMITER.match(line.strip()):
            continue
        if _STRICT_DELIMITER.match(raw[number].lstrip()) or 0 < below <= _MAX_AFTER_DASHES:
            return number, len(views)
    return None


def _image_below(raw: Sequence[str], number: int) -> bool:
    return any(_IMAGE.match(line.strip()) for line in raw[number + 1 : number + 4])


def _find_formula(views: Sequence[str], floor: int) -> tuple[int, int] | None:
    """The first formula, in the last lines, that a signature follows; and where that ends."""
    tail, nonblank = len(views), 0
    while tail > floor and nonblank < _MAX_TAIL:
        tail -= 1
        nonblank += bool(views[tail].strip())
    tried = 0
    for number in range(tail, len(views)):
        kind = _formula(views[number])
        if kind is None:
            continue
        end = _end_of_formula(views, number, needs_name=kind == "thanks")
        if end is not None:
            return number, end
        tried += 1
        if tried >= _MAX_FORMULAS:
            break
    return None


def _end_of_formula(views: Sequence[str], number: int, *, needs_name: bool) -> int | None:
    """Where the signature ends that a formula begins, or None where prose follows it."""
    following = [n for n in range(number + 1, len(views)) if views[n].strip()]
    if not following:
        return None if needs_name else len(views)
    below = views[following[0]]
    if needs_name and not _is_name(below):
        return None
    contact = False
    for position, n in enumerate(following):
        line = views[n]
        if _POSTSCRIPT.match(line.strip()):
            return n
        if _is_footer_line(line) or is_device_line(line):
            return _end_of_footer(views, n)
        if _CONTACT.search(line):
            contact = True
        elif _is_prose(line) and not contact:
            return None if not position else n
    return len(views)


def _end_of_footer(views: Sequence[str], number: int) -> int:
    return next((n for n in range(number + 1, len(views)) if _POSTSCRIPT.match(views[n].strip())), len(views))


def _is_name(seen: str) -> bool:
    line = plain(seen)
    return (
        len(line) <= 50
        and len(line.split()) <= 5
        and not line.endswith(("?", "!", ":", ";"))
        and not is_device_line(seen)
        and _formula(seen) is None
    )


def _is_prose(line: str) -> bool:
    spaced = line.split()
    return len(spaced) >= _PROSE_WORDS or (len(spaced) >= 7 and line.rstrip(" *_").endswith((".", "!", "?", "。")))


def _find_name_line(views: Sequence[str], floor: int) -> tuple[int, int] | None:
    """`-Ann`, `/Ann` or `– Ann Smith` on the last line, footers apart."""
    last = _last_nonblank(views, len(views), floor)
    while last is not None and (
        is_device_line(views[last]) or _LIST_FOOTER.search(views[last]) or is_rule(views[last])
    ):
        last = _last_nonblank(views, last, floor)
    if last is None:
        return None
    match = _NAME_LINE.match(views[last].strip())
    if match is None or not _looks_like_name(match[1]):
        return None
    above = _last_nonblank(views, last, 0)
    if above is not None and views[above].strip()[:1] in "-–—/~*•":
        return None  # the last of a list
    return last, len(views)


def _last_nonblank(views: Sequence[str], before: int, floor: int) -> int | None:
    return next((n for n in range(before - 1, floor - 1, -1) if views[n].strip()), None)


def _find_footer(views: Sequence[str], floor: int) -> tuple[int, int] | None:
    """Where the legal text or the list's footer begins that ends the mail."""
    start = None
    for number in range(len(views) - 1, floor - 1, -1):
        line = views[number]
        if not line.strip():
            continue
        begins = number == 0 or not views[number - 1].strip() or is_rule(views[number - 1])
        below = views[number + 1 : number + 5]
        if ((is_rule(line) or line.strip() == "__") and any(_LIST_FOOTER.search(one) for one in below)) or (
            begins and _is_footer_line(line)
        ):
            start = number
        elif begins and not (_LIST_FOOTER.search(line) or (start is not None and _CONTACT.search(line))):
            break
    return None if start is None else (start, len(views))


def _is_footer_line(line: str) -> bool:
    if _FOOTER_HEADING.match(plain(line)):
        return True
    folded = fold(line)
    if len(folded.split()) >= 2 and _legal().search(folded):
        return True
    return len(folded) >= _NOTICE and len(set(_notice().findall(folded))) >= 2


def _find_device(views: Sequence[str], first: int) -> tuple[int, int] | None:
    for number in range(first, len(views)):
        if not is_device_line(views[number]):
            continue
        following = [n for n in range(number + 1, len(views)) if views[n].strip()]
        if number == first:
            # Some programs put it above the text.
            return (number, number + 1) if following else (number, len(views))
        if not following or all(not _is_prose(views[n]) or _is_footer_line(views[n]) for n in following):
            return number, len(views)
        return None
    return None


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


@cache
def _formula_core() -> re.Pattern[str]:
    cores = [
        "regards", "wishes", "grüße", "grüßen", "grüsse", "grüssen", "gruß", "gruss", "gruesse", "gruessen",
        "salutations", "cordialement", "saludos", "saludo", "saluti", "saluto", "hilsen", "hilsner", "hälsningar",
        "hälsning", "groet", "groeten", "cumprimentos", "abraço", "abraços", "saudações", "atenciosamente",
        "terveisin", "pozdrawiam", "pozdrowieniami", "pozdravem", "pozdravom", "pozdrav", "poštovanjem", "poštovanjem",
        "üdvözlettel", "tisztelettel", "уважением", "повагою", "уважение", "saygılarımla", "stimă", "sincerely",
        "χαιρετισμούς", "εκτίμηση", "התחיות", "בברכה", "التحيات", "تحياتي", "kveðja", "kveðju",
    ]  # fmt: skip
    return re.compile(one_of(cores))


@cache
def _notice() -> re.Pattern[str]:
    # Parts of words too: "получателям" of "получател".
    return re.compile("|".join(map(re.escape, sorted(words("notice"), key=len, reverse=True))))


@cache
def _legal() -> re.Pattern[str]:
    return pattern("legal")

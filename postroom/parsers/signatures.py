"""Where does a signature begin in what an author wrote?

Signatures are what a program, a company or a habit puts below the words: the block after `-- `, the formula with
name and title, "Sent from my …", legal footers, list footers. "Thanks!" alone is a word to us and stays; "Thanks,"
with a name below is a formula. A postscript below a signature is the author's again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from postroom.parsers.device_lines import is_device_line
from postroom.parsers.languages import by_first, pattern, words
from postroom.parsers.lines import BLANKS, EDGES, fold, plain
from postroom.parsers.separators import is_rule

_MAX_TAIL = 60  # lines that are not blank, from the end, in which a formula is looked for
_MAX_FORMULAS = 8  # formulas that are tried
_MAX_AFTER_DASHES = 25  # lines that are not blank below a bare "--", which is a signature only if it is short
_MAX_SLOGANS = 5  # lines of prose below a formula and an address; more are a text
_MAX_FORMULA = 70  # characters of a formula
_MAX_FORMULA_WORDS = 8
_WORDS_BEFORE_CORE = 3  # "With the kindest regards"
_NOTICE = 60  # characters; a legal notice is no shorter
_PROSE_WORDS = 12  # a line of so many words in a signature is prose, or legal text

_DELIMITER = re.compile(r"(?:--|–|—|––|——|\\--|- --)\s?$")
_STRICT_DELIMITER = re.compile(r"-- $")
_NAME_LINE = re.compile(r"(?:[-–—~]{1,2}\s?|/\s?)([^\W\d_][\w.'’-]*(?:\s[^\W\d_][\w.'’-]*){0,3})[,.!]?$")
# Said from its first sign on, so that a search skips all that is none.
_NUMBER = re.compile(
    r"[+\d](?:(?<=\+)\d[\d ()./-]{6,}|(?<=0)(?<!\d0)\d[\d ()./-]{6,}\d|(?<=0)0\d[\d ()./-]{6,}|\d\d\)?[ .-]\d{3}[ .-]\d{4})"
)
_CONTACT_WORD = re.compile(r"(?i:\b(?:tel|phone|mobile|mob|cell|fax|fon|telefon|tél|tlf|gsm|móvil)\b)")
_CONTACT_SIGNS = ("@", "https:", "http:", "www.", "☎", "📞", "📱", "📧", "✆")
_FOOTER_HEADING = re.compile(
    r"(?i)(?:e-?mail |legal |confidentiality |rechtlicher )?(?:disclaimer|hinweis|notice|haftungsausschluss|avertissement|aviso legal|confidentiality|vertraulichkeitshinweis|confidentialité|riservatezza)[ :.]*$"
)
_LIST_URL = re.compile(r"(?i)<?https?://\S{1,200}(?:listinfo|/lists?/|unsubscribe)\S{0,200}$")
_IMAGE = re.compile(
    r"(?i)!\[[^\]]{0,80}\](?:\(|$)|\[(?:cid|image|img|logo)\b|\[?<?https?://\S{1,300}\.(?:png|gif|jpe?g)"
)
_POSTSCRIPT = re.compile(
    r"p\.?\s?s\.?(?:\s?[:,.–—-]|\s\w)|ps:|nb:|n\.b\.|p\.d\.|zs\.|з\.ы\.|ps\.|p\.s\.", re.IGNORECASE
)
_TRAILING = f",.!:;…–—*_~-{BLANKS}"
_LIST_FOOTER = re.compile(  # in lower case
    r"mailing list|unsubscribe|listinfo|mailman|google groups|groups\.io|list\.|lists\.|avast|avg\.com|virus|github|you received this|to view this discussion|newsletter|sympa|view it on"
)
_BANNER = re.compile(
    r"(?i)\[?\s*(?:⚠|caution|warning|external|achtung|attention|vorsicht|externe?r? (?:e-?mail|absender)|you don't (?:often )?get email from|"
    r"e-?mail extern|correo externo|waarschuwing|opgelet|attenzione|atención|precaución|this (?:e-?mail|message) (?:originated|came|was sent) from outside|"
    r"uwaga|advarsel|varning|diese e-?mail (?:kommt|stammt) von|sie erhalten nicht)"
)
_BANNER_WORDS = re.compile(
    r"(?i)external|outside|extern|externo|esterno|click|links?|attachment|phishing|untrusted|learn why|anhänge|pièces|bijlagen|allegati|adjuntos|sender|absender|expéditeur"
)
_FORMULA_CORES = frozenset({
    "regards", "wishes", "grüße", "grüßen", "grüsse", "grüssen", "gruß", "gruss", "gruesse", "gruessen",
    "salutations", "cordialement", "saludos", "saludo", "saluti", "saluto", "hilsen", "hilsner", "hälsningar",
    "hälsning", "groet", "groeten", "cumprimentos", "abraço", "abraços", "saudações", "atenciosamente",
    "terveisin", "pozdrawiam", "pozdrowieniami", "pozdravem", "pozdravom", "pozdrav", "poštovanjem",
    "üdvözlettel", "tisztelettel", "уважением", "повагою", "уважение", "saygılarımla", "stimă", "sincerely",
    "χαιρετισμούς", "εκτίμηση", "התחיות", "בברכה", "التحيات", "تحياتي", "kveðja", "kveðju",
})  # fmt: skip
_JA_FORMULA_END = re.compile(r"(?:願い(?:いた|致)?します|願い申し上げます|敬具|草々|以上です|드림|올림)[。.\s]*$")
_LAST_BEFORE_CJK = "\u2fff"  # as characters are numbered: such a formula ends behind it


def find_signatures(
    views: Sequence[str], raw: Sequence[str], *, anything_above: bool, devices: bool
) -> list[tuple[int, int]]:
    """The spans [start, end) of a stretch of an author's text that are signature, in order; what is between stays.

    `views` are the viewed lines, "" where one is blank, `raw` the same as written (the blank after `--` counts).
    `anything_above`: words stand above the stretch, so that all of it may be signature. `devices`: one of the lines may
    be "Sent from my …".
    """
    first = next((n for n, line in enumerate(views) if line), None)
    if first is None:
        return []
    floor = first if anything_above else first + 1
    candidates = (
        _find_delimiter(views, raw, first),
        _find_formula(views, floor),
        _find_name_line(views, floor),
        _find_footer(views, floor),
        _find_device(views, first) if devices else None,
    )
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in candidates if span is not None):
        begin = start
        while begin - 1 > first and (not views[begin - 1] or is_rule(views[begin - 1])):
            begin -= 1
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def is_own_after_signature(seen: str) -> bool:
    """Whether a viewed line below a signature is not older mail: a postscript, a footer, an address, a rule."""
    line = seen.strip()
    return bool(
        _POSTSCRIPT.match(line) or _is_footer_line(line) or is_rule(line) or _has_contact(line) or _formula(line)
    ) or is_device_line(line)


def _has_contact(line: str) -> bool:
    """Whether a viewed line has an address, a link or a telephone number in it."""
    return (
        any(sign in line for sign in _CONTACT_SIGNS)
        or _NUMBER.search(line) is not None
        or _CONTACT_WORD.search(line) is not None
    )


def is_banner(seen: str) -> bool:
    """Whether a viewed line is a gateway's warning about mail from outside, put above the author's text."""
    line = plain(seen).lstrip("> ")
    return _BANNER.match(line) is not None and _BANNER_WORDS.search(line) is not None


def is_formula(seen: str) -> bool:
    """Whether a viewed line is a closing formula in any language, with a name behind it or not."""
    return _formula(seen) is not None


def _formula(seen: str) -> str | None:
    """`closing` or `thanks` for a line that is such a formula, else None."""
    if len(seen) > _MAX_FORMULA and not (seen[0] in EDGES or seen[-1] in EDGES or "*" in seen):
        return None
    line = plain(seen)
    if not line or len(line) > _MAX_FORMULA:
        return None
    if line.count(" ") >= _MAX_FORMULA_WORDS and len(line.split()) > _MAX_FORMULA_WORDS:
        return None
    folded = fold(line).lstrip("-–—/ ").rstrip(_TRAILING)
    closings = words("closings")
    if not folded.isascii():
        folded = folded.replace("\u2019", "'").strip("\u2764\ufe0f🎉😊🙂🙏👍 ").rstrip(_TRAILING)
        if folded[-1:] > _LAST_BEFORE_CJK and _JA_FORMULA_END.search(folded):
            return "closing"
    if folded in closings:
        return "closing"
    if folded in words("thanks"):
        return "thanks"
    if "," in folded:
        head, _, tail = folded.partition(",")
        if head.strip() in closings and _looks_like_name(line.partition(",")[2]):
            return "closing"
        if head.strip() in words("thanks") and tail.strip() in closings:
            return "closing"
    if "/" in folded or "&" in folded or "|" in folded:
        for parted in (" / ", "/", " & ", " | "):
            if parted in folded and any(part.strip() in closings for part in folded.split(parted)):
                return "closing"
    if found := _formula_core().search(folded):
        before, after = folded[: found.start()].split(), line[found.end() :]
        if len(before) <= _WORDS_BEFORE_CORE and (
            not after.strip(" ,.!") or after.lstrip().startswith(("aus ", "from ", "de ", "fra ", "från ", "z ", "à "))
        ):
            return "closing"
    return None


def _looks_like_name(text: str) -> bool:
    parts = text.strip(" ,.!*_").split()
    return 0 < len(parts) <= 4 and all(part[:1].isupper() or not part[:1].isascii() for part in parts)


def _find_delimiter(views: Sequence[str], raw: Sequence[str], first: int) -> tuple[int, int] | None:
    if all(line[0].isalnum() for line in views if line):
        return None  # nearly all text: neither a delimiter nor a rule begins so
    below = sum(1 for line in views if line)
    for number in range(first, len(views)):
        line = views[number]
        below -= bool(line)
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
        nonblank += bool(views[tail])
    tried = 0
    for number in range(tail, len(views)):
        kind = _formula(views[number]) if views[number] else None
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
    following = [n for n in range(number + 1, len(views)) if views[n]]
    if not following:
        return None if needs_name else len(views)
    below = views[following[0]]
    if needs_name and not _is_name(below):
        return None
    contact = False
    prose: list[int] = []
    for position, n in enumerate(following):
        line = views[n]
        if _POSTSCRIPT.match(line.strip()):
            return n
        if _is_footer_line(line) or is_device_line(line):
            return _end_of_footer(views, n)
        if _has_contact(line):
            contact = True
        elif _is_prose(line):
            prose.append(n)
            if not contact or len(prose) > _MAX_SLOGANS:
                return None if not position else prose[0]
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
    while last is not None and (is_device_line(views[last]) or _is_lists(views[last]) or is_rule(views[last])):
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
    return next((n for n in range(before - 1, floor - 1, -1) if views[n]), None)


def _find_footer(views: Sequence[str], floor: int) -> tuple[int, int] | None:
    """Where the legal text or the list's footer begins that ends the mail."""
    start = None
    for number in range(len(views) - 1, floor - 1, -1):
        line = views[number]
        if not line:
            continue
        begins = number == 0 or not views[number - 1] or is_rule(views[number - 1])
        below = views[number + 1 : number + 5]
        if (
            ((is_rule(line) or line.strip() == "__") and any(map(_is_lists, below)))
            or (begins and _is_footer_line(line))
            or (begins and _LIST_URL.match(line.strip()))
        ):
            start = number
        elif begins and not (_is_lists(line) or (start is not None and _has_contact(line))):
            break
    return None if start is None else (start, len(views))


def _is_lists(line: str) -> bool:
    return _LIST_FOOTER.search(line.lower()) is not None


def _is_footer_line(line: str) -> bool:
    if _FOOTER_HEADING.match(plain(line)):
        return True
    folded = fold(line)
    if len(folded.split()) >= 2 and _legal().search(folded):
        return True
    return len(folded) >= _NOTICE and len(set(_notice().findall(folded))) >= 2


def _find_device(views: Sequence[str], first: int) -> tuple[int, int] | None:
    if first < len(views) and is_device_line(views[first]):
        # Some programs put it above the text.
        return (first, first + 1) if any(views[first + 1 :]) else (first, len(views))
    number = next((n for n in range(first + 1, len(views)) if views[n] and is_device_line(views[n])), None)
    if number is None:
        return None
    # Prose below it makes it a line of the text.
    below = views[number + 1 :]
    return None if any(_is_prose(line) and not _is_footer_line(line) for line in below) else (number, len(views))


@cache
def _formula_core() -> re.Pattern[str]:
    # Each first letter before the look behind it, so that a search skips all other letters.
    rests: dict[str, list[str]] = {}
    for core in sorted(_FORMULA_CORES, key=len, reverse=True):
        rests.setdefault(core[0], []).append(core[1:])
    return re.compile("|".join(rf"{first}(?<!\w{first})(?:{'|'.join(each)})(?!\w)" for first, each in rests.items()))


@cache
def _notice() -> re.Pattern[str]:
    # Parts of words too: "получателям" of "получател".
    return re.compile(by_first(sorted(words("notice"), key=len, reverse=True), bounded=False))


@cache
def _legal() -> re.Pattern[str]:
    return pattern("legal")

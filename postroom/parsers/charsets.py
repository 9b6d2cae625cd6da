"""Octets to text: which charset is it really, and no string that a database would refuse.

A label is looked up by the WHATWG Encoding Standard (where `gb2312` means GBK and `iso-8859-1` windows-1252), with what
mail needs on top. Where it is missing or the octets contradict it, the octets decide. Only codecs of the list below are
ever used: Python's own lookup would also find `punycode`, `idna` and `zlib`, which hostile mail could make expensive.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

DETECTED_OCTETS = 64 * 1024  # shown to the detector; more does not make it surer
DAMAGE_TOLERATED = 0.05  # of the characters outside ASCII may be unreadable before the label is doubted

_JAPANESE_ESCAPE = re.compile(rb"\x1b\$[@B]|\x1b\(J|\x1b\(I")
_ISO_2022_JP_SEGMENT = re.compile(rb"\x1b(\$[@B]|\([BJIH]|\$\([DOPQ])")

# What mail says and the Encoding Standard does not know, refuses, or reads too narrowly.
_MAIL_LABELS = {
    "utf-7": "utf-7", "utf7": "utf-7", "unicode-1-1-utf-7": "utf-7", "csunicode11utf7": "utf-7", "utf8mb4": "utf-8",
    "iso-2022-kr": "iso2022_kr", "csiso2022kr": "iso2022_kr", "hz-gb-2312": "hz", "hz": "hz",
    "gb2312": "gb18030", "gbk": "gb18030", "gb_2312-80": "gb18030", "x-gbk": "gb18030", "cp936": "gb18030",
    "euc-cn": "gb18030", "gb18030": "gb18030", "ms936": "gb18030",
    "big5-hkscs": "big5hkscs", "cp950": "cp950", "euc-tw": "big5hkscs",
    "cp932": "cp932", "windows-31j": "cp932", "sjis": "cp932", "shift-jis": "cp932", "shift_jis": "cp932",
    "x-sjis": "cp932", "ms_kanji": "cp932",
    "iso-2022-jp-1": "iso-2022-jp", "iso-2022-jp-2": "iso-2022-jp", "iso-2022-jp-3": "iso-2022-jp",
    "iso-2022-jp-ms": "iso-2022-jp", "cp50220": "iso-2022-jp", "cp50221": "iso-2022-jp",
    "cp949": "cp949", "ks_c_5601-1987": "cp949", "johab": "johab",
    "cp437": "cp437", "ibm437": "cp437", "437": "cp437", "cp737": "cp737", "cp775": "cp775", "cp850": "cp850",
    "ibm850": "cp850", "850": "cp850", "cp-850": "cp850", "cp852": "cp852", "ibm852": "cp852", "cp855": "cp855",
    "ibm855": "cp855", "cp857": "cp857", "cp858": "cp858", "cp860": "cp860", "cp861": "cp861", "cp862": "cp862",
    "cp863": "cp863", "cp864": "cp864", "cp865": "cp865", "cp869": "cp869",
    "mac": "mac_roman", "macroman": "mac_roman", "x-mac-roman": "mac_roman", "macintosh": "mac_roman",
    "x-mac-latin2": "mac_latin2", "x-mac-ce": "mac_latin2", "x-mac-greek": "mac_greek", "x-mac-turkish": "mac_turkish",
    "x-mac-icelandic": "mac_iceland", "koi8-t": "koi8_t", "tcvn": "cp1258", "viscii": "cp1258",
    "utf-16": "utf-16", "utf-32": "utf-32", "utf-32le": "utf-32-le", "utf-32be": "utf-32-be", "ucs-2": "utf-16",
    "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874",
    "iso-8859-1-windows-3.1-latin-1": "cp1252", "ansi_x3.4-1968": "ascii", "us-ascii": "ascii", "ascii": "ascii",
    "646": "ascii", "iso646-us": "ascii", "iso_646.irv:1991": "ascii", "us_ascii": "ascii", "usascii": "ascii",
}  # fmt: skip
# The Encoding Standard's names, and the codecs of Python that read them; single octets without a meaning are kept apart.
_WHATWG_CODECS = {
    "utf-8": "utf-8", "ibm866": "cp866", "iso-8859-8-i": "iso8859_8", "iso-8859-8": "iso8859_8",
    "macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "windows-874": "cp874", "gbk": "gb18030",
    "gb18030": "gb18030", "big5": "big5hkscs", "euc-jp": "euc_jp", "iso-2022-jp": "iso-2022-jp",
    "shift_jis": "cp932", "euc-kr": "cp949", "utf-16be": "utf-16-be", "utf-16le": "utf-16", "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
}  # fmt: skip
_UNLIKELY = frozenset({"utf-8", "ascii", "utf-16", "utf-16-be", "utf-32", "johab"})  # detected, where they cannot be
_WESTERN = frozenset({"ascii", "cp1252"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BOM_BEGINS = frozenset(bom[:1] for bom, _ in _BOMS)


def decode(data: bytes, label: str | None = None, *, hint: str | None = None) -> str:
    """The text of these octets, scrubbed; never raises.

    `label` is what the mail says of them, `hint` a weaker word: a charset that the rest of the mail is written in.
    """
    if data.isascii() and b"\x1b" not in data and (label is None or lookup(label) not in _NOT_ASCII):
        return scrub(data.decode("ascii"))
    return scrub(_decode(data, lookup(label), lookup(hint)))


def lookup(label: str | None) -> str | None:
    """The codec that a charset label means, or None where nobody knows it; `iso-2022-jp` is read by `decode` alone."""
    if not label or len(label) > 40:
        return None
    return _lookup(label.strip(" \t\r\n\"'<>;,.").lower())


def scrub(text: str) -> str:
    """The text without NULs and with U+FFFD for lone surrogates: PostgreSQL refuses the first, every database the other."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        try:
            text.encode("utf-16-le")  # refuses surrogates, in a tenth of the time that a search for them takes
        except UnicodeEncodeError:
            # Halves that belong together (UTF-7, CESU-8) become one character.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "")
    return text


def detect(data: bytes) -> str | None:
    """The codec that octets outside ASCII and UTF-8 suggest, or None."""
    import cchardet  # noqa: PLC0415 - most mail says its charset, and says it rightly

    sample = data[:DETECTED_OCTETS]
    found = _by_script(sample) or lookup(cchardet.detect(sample)["encoding"])
    return None if found is None or found in _UNLIKELY or found.startswith(("cp4", "cp7", "cp8", "mac")) else found


def _by_script(sample: bytes) -> str | None:
    """Short texts that the detector's statistics do not reach: kana and Hangul in the rows where these codecs have them."""
    for codec, low, high, share in (
        ("euc_jp", "\u3040", "\u30ff", 0.3),
        ("cp932", "\u3040", "\u30ff", 0.3),
        ("euc_kr", "\uac00", "\ud7a3", 0.8),
    ):
        try:
            outside = [
                char
                for char in sample[:2_000].decode(codec, "strict" if len(sample) <= 2_000 else "ignore")
                if char > "\x7f"
            ]
        except UnicodeDecodeError:
            continue
        if outside and sum(low <= char <= high for char in outside) >= share * len(outside):
            return "cp949" if codec == "euc_kr" else codec
    return None


@lru_cache(maxsize=512)
def _lookup(label: str) -> str | None:
    import webencodings  # noqa: PLC0415 - see above

    label = label.partition("*")[0]  # a language, by RFC 2231 §5
    known = _MAIL_LABELS.get(label) or _MAIL_LABELS.get(label.replace("_", "-"))
    if known is not None:
        return known
    for spelling in (
        label,
        label.replace("_", "-"),
        label.removeprefix("x-"),
        re.sub(r"^cp-?(?=125\d$)", "windows-", label),
    ):
        found = webencodings.lookup(spelling)
        if found is not None and found.name not in ("replacement", "x-user-defined"):
            return _python_codec(found.name)
    iso = re.fullmatch(r"iso[-_]?(?:8859)?[-_]?(\d{1,2})", label) or re.fullmatch(
        r"(?:iso)?[-_]?8859[-_](\d{1,2})\D*", label
    )
    found = webencodings.lookup(f"iso-8859-{iso[1]}") if iso else None
    return _python_codec(found.name) if found else None


def _python_codec(name: str) -> str:
    return _WHATWG_CODECS.get(name) or name.replace("windows-", "cp").replace("iso-8859-", "iso8859_")


_NOT_ASCII = frozenset(
    {"utf-7", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "hz", "iso2022_kr"}
)


def _decode(data: bytes, codec: str | None, hint: str | None) -> str:
    if data[:1] in _BOM_BEGINS:
        for bom, codec_of_bom in _BOMS:
            if data.startswith(bom):
                return data.decode(codec_of_bom, "replace").lstrip("\ufeff")
    if codec in ("iso-2022-jp", None) or codec in _WESTERN:
        if b"\x1b" in data and _JAPANESE_ESCAPE.search(data):
            return _decode_iso_2022_jp(data)
        if codec == "iso-2022-jp":
            codec = None
    if codec is None or codec in _WESTERN:
        return _decode_unlabelled(data, codec, hint)
    try:
        return data.decode(codec)
    except (UnicodeError, LookupError):
        return _decode_contradicted(data, codec, hint)


def _decode_unlabelled(data: bytes, codec: str | None, hint: str | None) -> str:
    """No label, or a Western one: programs that know no other charset say so, too. Valid UTF-8 is UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > 2 and error.reason == "unexpected end of data":  # cut off in the middle of a character
            return data.decode("utf-8", "replace")
    if codec == "cp1252":
        return _decode_single(data, codec)
    if hint is not None and hint not in ("utf-8", "ascii"):
        return _decode_labelled(data, hint)
    return _decode_labelled(data, detect(data) or "cp1252")


def _decode_labelled(data: bytes, codec: str) -> str:
    if codec == "iso-2022-jp":
        return _decode_iso_2022_jp(data)
    try:
        return data.decode(codec)
    except (UnicodeError, LookupError):
        return _decode_single(data, codec)


def _decode_single(data: bytes, codec: str) -> str:
    """By a charset of single octets; one without a meaning there (0x81 in windows-1252) becomes its C1 control."""
    if codec in ("ascii", "cp1252"):
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return "".join(_CP1252[octet] for octet in data)
    return data.decode(codec, "replace")


_CP1252 = [bytes([octet]).decode("cp1252", "ignore") or chr(octet) for octet in range(256)]


def _decode_contradicted(data: bytes, codec: str, hint: str | None) -> str:
    """The octets are not what the label says: a little damage is damage, more is another charset."""
    text = data.decode(codec, "replace")
    outside = len(text) - _ascii_count(text)
    if text.count("\ufffd") <= max(1, outside * DAMAGE_TOLERATED) and outside > 1:
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if codec == "utf-8" and error.reason == "unexpected end of data":
            return text
    if codec != "utf-8" and text.count("\ufffd") * 4 < outside:
        return text
    found = hint if hint not in (None, codec, "ascii", "utf-8") else detect(data)
    if found is None and codec == "utf-8":
        found = "cp1252"
    return text if found in (None, codec) or found is None else _decode_labelled(data, found)


def _ascii_count(text: str) -> int:
    return len(text.encode("ascii", "ignore"))


def _decode_iso_2022_jp(data: bytes) -> str:
    """ISO-2022-JP as it is written: with the NEC and IBM characters and half-width katakana that its RFC 1468 lacks."""
    try:
        return data.decode("iso2022_jp")
    except UnicodeDecodeError:
        pass
    pieces = _ISO_2022_JP_SEGMENT.split(data)
    text = [_decode_unlabelled(pieces[0], None, None)]
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        text.append(_decode_segment(escape, piece))
    return "".join(text)


def _decode_segment(escape: bytes, piece: bytes) -> str:
    if escape in (b"$@", b"$B"):
        # A line break ends double octets, also where the escape back was forgotten.
        lines = piece.split(b"\n", 1)
        high = bytes(octet | 0x80 if 0x20 < octet < 0x7F else octet for octet in lines[0])
        rest = "\n" + _decode_unlabelled(lines[1], None, None) if len(lines) > 1 else ""
        return high.decode("euc_jis_2004", "replace") + rest
    if escape == b"(I":
        return bytes(octet | 0x80 if 0x20 < octet < 0x60 else octet for octet in piece).decode("cp932", "replace")
    if escape.startswith(b"$("):
        return (b"\x1b" + escape + piece).decode("iso2022_jp_ext", "replace")
    return piece.decode("cp1252", "replace")

"""Who is named in an address header: strict addr-specs, apart from the display names (RFC 5322 §3.4, RFC 6532).

The structure is read first and encoded words are undone only in display names, so that no encoded word becomes an
address, and no comma or angle bracket within one becomes structure (CVE-2023-27043 and its kin). What is meant as a mailbox
and has no addr-spec that RFC 5322 would accept is kept with an empty address: a `From` of two is never taken for one of one.
One pass over the header.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from postroom.parsers import headers
from postroom.parsers.parsed import Address

MAX_ADDRESSES = 1_000
LOCAL_PART = 128  # characters; RFC 5321 §4.5.3.1.1 says 64, variable envelope return paths say more
DOMAIN = 255  # octets (RFC 5321 §4.5.3.1.2)

_TOKEN = re.compile(
    r"""(?P<blank>\s++)|(?P<quoted>"(?:[^"\\]++|\\.)*+")|(?P<literal>\[[^\[\]\s\\]*+\])"""
    r"""|(?P<special>[<>,;:(])|(?P<word>[^\s"<>,;:(\[]++)|(?P<other>.)""",
    re.DOTALL,
)
_SIMPLE = re.compile(
    r"""(?:"([^"\\<>]*+)" ?|([^"<>,;:()\[\]\\@]*+))<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-]++@[A-Za-z0-9.\-]++)>"""
)
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]"
_LOCAL = re.compile(rf"\.?{_ATOM}++(?:\.++{_ATOM}++)*+\.?")  # doubled and final dots: mobile carriers gave them out
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])++"')
_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_\-]*+"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*+")
_OUTSIDE_ASCII = re.compile(r"[^\x00-\x7f]++")
_LITERAL = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|[Ii][Pp][Vv]6:[0-9A-Fa-f:.]{2,45})\]")
_SPACED = re.compile(r" ?([@.]) ?")
_ROUTE = re.compile(r"@[^:<>]*+:")


def read_addresses(value: bytes, *, hint: str | None = None) -> list[Address]:
    """The mailboxes of an address header, groups opened, in their order; `value` as it stands in the mail."""
    return list(_read_again(value, hint)) if len(value) <= headers.KEPT_OCTETS else _read(value, hint)


@lru_cache(maxsize=1024)  # the same people write again and again, and all of them to the same few addresses
def _read_again(value: bytes, hint: str | None) -> tuple[Address, ...]:
    return tuple(_read(value, hint))


def _read(value: bytes, hint: str | None) -> list[Address]:
    value = value.replace(b"\x00", b"\x01")  # decoding would drop it, and make an address of what was none
    if len(value) > headers.STRUCTURED_OCTETS:
        value = value[: value.rfind(b",", 0, headers.STRUCTURED_OCTETS) + 1]  # never a half of an address
    text = headers.read_raw(headers.unfold(value), hint=hint)
    return _read_simple(text) or _Reader(text).read()


def _read_simple(text: str) -> list[Address] | None:
    """One mailbox in the form that nearly all have, read without the grammar; None for any other."""
    simple = _SIMPLE.fullmatch(text)
    address = None if simple is None else addr_spec(simple[3])
    if simple is None or address is None:
        return None
    return [Address(_name(simple[1] or simple[2] or ""), address)]


def read_address_text(text: str) -> list[Address]:
    """The same of a header that is already text: one of a quoted mail."""
    return _Reader(headers.one_line(text[: headers.STRUCTURED_OCTETS])).read()


def addr_spec(text: str) -> str | None:
    """The addr-spec with its domain in lower case, or None where it is none (RFC 5322 §3.4.1, RFC 6531 §3.3)."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not 0 < len(local) <= LOCAL_PART or len(domain) > DOMAIN or "=?" in text:
        return None
    domain = domain.rstrip(".")
    if not text.isascii():
        local, domain = unicodedata.normalize("NFC", local), unicodedata.normalize("NFC", domain)
        if not (_is_international(local) and _is_international(domain)):
            return None
    if _QUOTED_LOCAL.fullmatch(_ascii_like(local)):
        plain = _ESCAPE.sub(r"\1", local[1:-1])
        local = plain if _LOCAL.fullmatch(_ascii_like(plain)) else local
    elif not _LOCAL.fullmatch(_ascii_like(local)):
        return None
    if not (_DOMAIN.fullmatch(_ascii_like(domain)) or _LITERAL.fullmatch(domain)):
        return None
    return f"{local}@{domain.lower()}"


def _is_international(text: str) -> bool:
    """Letters, digits and marks (RFC 6532 §3.1), none of which would turn into another (a full-width `@`, RFC 5895 §2)."""
    outside = "".join(_OUTSIDE_ASCII.findall(text))
    written = all(
        char.isalnum() or unicodedata.category(char)[0] == "M" or char in "\u00b7\u200c\u200d\u30fb" for char in outside
    )
    return written and unicodedata.is_normalized("NFKC", outside)


def _ascii_like(text: str) -> str:
    return text if text.isascii() else _OUTSIDE_ASCII.sub("x", text)


def ascii_domain(domain: str) -> str | None:
    """The domain in its ASCII form, `xn--…` for international labels (RFC 3490), or None where it has none."""
    if domain.isascii():
        return domain.lower()
    if len(domain) > DOMAIN:
        return None
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None


def ascii_address(address: str) -> str | None:
    """The address with its domain in ASCII; None where that has no ASCII form. The local part stays (RFC 6531)."""
    local, _, domain = address.rpartition("@")
    found = ascii_domain(domain)
    return None if found is None else f"{local}@{found}"


class _Reader:
    """Reads one header, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: list[Address] = []
        self._open_quotes = '"' in text
        self._open_comments = "(" in text
        self._in_group = False
        self._position = 0
        self._last_semicolon = text.rfind(";")
        self._start_mailbox()

    def read(self) -> list[Address]:
        position = 0
        while position < len(self._text) and len(self._found) < MAX_ADDRESSES:
            token = _TOKEN.match(self._text, position)
            if token is None:
                break
            position = token.end()
            kind, text = token.lastgroup, token[0]
            if kind == "special":
                position = self._special(text, position)
            elif kind == "quoted" and self._open_quotes:
                self._add_quoted(text)
            elif kind in ("quoted", "other") and text[0] == '"':
                self._open_quotes = False  # never closed: from here on a quote is only a quote
                position = token.start() + 1
            elif kind == "blank":
                self._add(" ", " ")
            else:
                self._add(text, text)
            self._position = position
        self._end_mailbox()
        return self._found[:MAX_ADDRESSES]

    def _start_mailbox(self) -> None:
        self._phrase: list[str] = []
        self._spec: list[str] = []
        self._comments: list[str] = []
        self._angle: str | None = None
        self._in_angle = False

    def _add(self, shown: str, spec: str) -> None:
        if self._in_angle:
            self._spec.append(spec)
        else:
            self._phrase.append(shown)

    def _add_quoted(self, text: str) -> None:
        followed_by_at = self._in_angle
        self._add(text if followed_by_at else "\ufdd0" + _ESCAPE.sub(r"\1", text[1:-1]) + "\ufdd0", text)

    def _special(self, char: str, position: int) -> int:
        if char == "(":
            return self._comment(position)
        if char == "<":
            if self._angle is not None:
                self._end_mailbox()
            self._in_angle, self._spec = True, []
        elif char == ">":
            if self._in_angle:
                self._angle, self._in_angle = "".join(self._spec), False
        elif char == ",":
            if self._in_angle and self._spec and "".join(self._spec).lstrip().startswith("@"):
                self._spec.append(char)  # a route (RFC 5322 §4.4)
            else:
                self._end_mailbox()
        elif char == ";":
            self._end_mailbox()
            self._in_group = False
        elif self._in_angle:
            self._spec.append(char)
        else:
            self._colon()
        return position

    def _colon(self) -> None:
        """The name before it is a group's (RFC 5322 §3.4), or part of a display name."""
        ends = self._last_semicolon > self._position or not self._text[self._position + 1 :].strip()
        if not ends or self._in_group or self._angle is not None or not "".join(self._phrase).strip():
            self._phrase.append(":")
            return
        self._in_group = True
        self._start_mailbox()

    def _comment(self, position: int) -> int:
        if not self._open_comments:
            self._add("(", "(")
            return position
        depth = 1
        for mark in _COMMENT_MARK.finditer(self._text, position):
            depth += {"(": 1, ")": -1}.get(mark[0], 0)
            if depth == 0:
                self._comments.append(_ESCAPE.sub(r"\1", self._text[position : mark.start()]))
                self._add(" ", "")
                return mark.end()
        self._open_comments = False
        self._add("(", "(")
        return position

    def _end_mailbox(self) -> None:
        if self._in_angle:  # never closed
            self._angle = "".join(self._spec)
        shown = "".join(self._phrase)
        if self._angle is not None:
            self._take(_spec_of_angle(self._angle), shown, self._angle)
        elif shown.strip() or self._comments:
            self._take_bare(shown)
        self._start_mailbox()

    def _take(self, address: str | None, shown: str, written: str) -> None:
        name = _name(shown)
        if self._found and not self._found[-1].address and name and self._joins:
            # `Smith, Ann <ann@example.org>`: the comma should have been quoted. It adds to a name, never an address.
            name = f"{self._found.pop().name}, {name}"
        name = name or _name("".join(self._comments[:1]))
        if address is None:
            name = name or _name(written)
            address = ""
        self._joins = False
        if name or address:
            self._found.append(Address(name, address))

    _joins = False

    def _take_bare(self, shown: str) -> None:
        """`ann@example.org (Ann)`, `Ann ann@example.org`, or a name alone."""
        bare = shown.replace("\ufdd0", '"').strip()
        whole = addr_spec(_SPACED.sub(r"\1", bare)) if "@" in bare else None
        if whole is not None:
            self._take(whole, "", bare)
            return
        words = bare.removeprefix("mailto:").split()
        found = [(word, spec) for word in words if "@" in word and (spec := addr_spec(word.strip("'\"")))]
        if not found:
            self._take(None, shown, bare)
            self._joins = True
            return
        rest = " ".join(word for word in words if word not in {written for written, _ in found})
        for index, (written, spec) in enumerate(found):
            self._take(spec, rest if index == 0 else "", written)


def _spec_of_angle(written: str) -> str | None:
    text = written.strip()
    route = _ROUTE.match(text)
    if route:
        text = text[route.end() :]
    if text[:7].lower() == "mailto:":
        text = text[7:]
    text = text.strip("<>'\" ") if not text.startswith('"') or text.endswith('"') else text
    return addr_spec(text) or addr_spec(_SPACED.sub(r"\1", text))


def _name(shown: str) -> str:
    return headers.one_line(headers.decode_words(" ".join(shown.replace("\ufdd0", "").split())))

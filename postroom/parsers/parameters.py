"""The parameters of a structured header, as programs write them: RFC 2045, RFC 2231, and all that is neither.

`filename*0*=utf-8''a%20; filename*1=b.pdf`, `filename="=?utf-8?B?...?="`, `name=my file.pdf`, a missing quote, a missing
semicolon: each gives the name that its sender meant. Linear in the length of the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from postroom.parsers import charsets

PARAMETERS_READ = 200  # of one header; no real one has more than the few lines of a long file name

# Possessive quantifiers (`++`) keep each of these linear: a run is read once, and never given back.
_GAP = re.compile(r"[;,\s]*+")
_NAME = re.compile(r"([^\s;=\"(),]++)\s*+=\s*+")
_SECTION = re.compile(r"(.+?)\*(?:(\d{1,3})(\*?))?$")
_NEXT_PARAMETER = re.compile(r"(?<=\S)\s++[A-Za-z][A-Za-z0-9*_-]*+\s*+=\s*+[\"A-Za-z0-9]")
_COMMENT = re.compile(r"(?<=\S)\s++\([^()]*+\)\s*+$")
_AFTER_QUOTE = re.compile(r"\s*+(?:[;(]|$)|,?\s++[A-Za-z][A-Za-z0-9*_-]*+\s*+=")
_UNQUOTED_RUN = re.compile(r'[^"\\]++')


def read_parameters(header: str, decode_words: Callable[[str], str]) -> tuple[str, dict[str, str]]:
    """The value before the first semicolon, and the parameters by lower-case name, decoded.

    `header` is unfolded; `decode_words` undoes encoded words, which RFC 2047 §5 forbids here and half the world writes.
    """
    value, written = split_parameters(header)
    return value, _assemble(written, decode_words)


def split_parameters(header: str) -> tuple[str, list[tuple[str, str]]]:
    """The value and the parameters as written: quotes undone, names in lower case, nothing decoded."""
    end = header.find(";")
    value = header if end < 0 else header[:end]
    position = len(value)
    blank = re.search(r"\s", value.strip())
    if blank and "=" in value:  # `text/plain charset=utf-8`: the semicolon is missing
        position = len(value) - len(value.lstrip()) + blank.start()
        value = value.strip()[: blank.start()]
    parameters: list[tuple[str, str]] = []
    while position < len(header) and len(parameters) < PARAMETERS_READ:
        gap = _GAP.match(header, position)
        position = gap.end() if gap else position
        name = _NAME.match(header, position)
        if name is None:
            position = header.find(";", position + 1)
            if position < 0:
                break
            continue
        text, position = _value_at(header, name.end())
        parameters.append((name[1].lower(), text))
    return _COMMENT.sub("", value).strip(), parameters


def _value_at(header: str, start: int) -> tuple[str, int]:
    if header.startswith('"', start):
        return _quoted_at(header, start + 1)
    end = header.find(";", start)
    text = header[start:] if end < 0 else header[start:end]
    following = _NEXT_PARAMETER.search(text)
    if following:
        text = text[: following.start()]
    return _COMMENT.sub("", text).strip().strip('"'), start + len(text)


def _quoted_at(header: str, start: int) -> tuple[str, int]:
    """A quoted string. A quote in the middle of a name is part of it: `"a "b".pdf"`; only `\\"` and `\\\\` are escapes,
    as Windows programs write paths with single backslashes."""
    pieces: list[str] = []
    position = start
    while position < len(header):
        char = header[position]
        if char == "\\" and position + 1 < len(header) and header[position + 1] in '\\"':
            if (
                header[position + 1] == '"'
                and _AFTER_QUOTE.match(header, position + 2)
                and header.find('"', position + 2) < 0
            ):
                pieces.append("\\")  # a path that ends in a backslash
                return "".join(pieces), position + 2
            pieces.append(header[position + 1])
            position += 2
        elif char == '"':
            if _AFTER_QUOTE.match(header, position + 1):
                return "".join(pieces), position + 1
            pieces.append(char)
            position += 1
        else:
            run = _UNQUOTED_RUN.match(header, position)
            pieces.append(run[0] if run else char)  # a lone backslash stands for itself
            position = run.end() if run else position + 1
    text = "".join(pieces)  # never closed: up to the next parameter, if there seems to be one
    cut = text.find(";")
    return (text, len(header)) if cut < 0 else (text[:cut], start + cut)


def _assemble(written: list[tuple[str, str]], decode_words: Callable[[str], str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in written:
        section = _SECTION.fullmatch(name)
        if section is None:
            plain.setdefault(name, decode_words(value))
        elif section[2] is None:
            sections.setdefault(section[1], {}).setdefault(0, (value, True))
        else:
            sections.setdefault(section[1], {}).setdefault(int(section[2]), (value, section[3] == "*"))
    for name, numbered in sections.items():
        joined = _join_sections(numbered, decode_words)
        if joined:  # RFC 6266 §4.3, RFC 2231: the extended form is the better one
            plain[name] = joined
    return plain


def _join_sections(numbered: dict[int, tuple[str, bool]], decode_words: Callable[[str], str]) -> str:
    """RFC 2231 §3 and §4: in the order of their numbers, the charset in the first, octets joined before decoding."""
    charset: str | None = None
    octets = bytearray()
    words: list[str] = []
    extended = any(is_extended for _, is_extended in numbered.values())
    for index, number in enumerate(sorted(numbered)):
        value, is_extended = numbered[number]
        if index == 0 and is_extended and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        words.append(value)
        octets += unquote_to_bytes(value) if is_extended else value.encode("utf-8", "surrogateescape")
    if not extended or "=?" in words[0]:
        return decode_words("".join(words))
    return charsets.decode(bytes(octets), charset or "utf-8")

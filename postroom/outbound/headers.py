"""Header fields: each function returns one whole field, folded, without its last CRLF.

Whatever the value holds, the result is one field: controls and line ends become blanks before anything
else (CVE-2024-6923 and its kin were values that ended their line).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from postroom.outbound.addresses import as_written, is_message_id
from postroom.parsers.parsed import Address

FOLD_AT = 76  # characters; RFC 5322 §2.1.1 wants 78, RFC 2047 §2 wants 76 where a word is encoded
MAX_ENCODED_WORD = 75  # characters (RFC 2047 §2)
MAX_FIELD = 998  # octets: a field that some program unfolds still fits one line
MAX_VALUE = 900  # characters of a subject or a name that we write; the rest is cut
MAX_QUOTED = 60  # characters of a name in quotes; longer ones are encoded, so that they can be folded
MAX_FILENAME = 200  # characters

NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
PRINTABLE = re.compile(r"[\x20-\x7e]*")
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
Q_SAFE = re.compile(r"[A-Za-z0-9!*+/-]")  # RFC 2047 §5 (3): what may stand in a phrase
TOKEN = re.compile(r"[A-Za-z0-9!#$&+^_`{|}~.-]+")


def one_line(text: str) -> str:
    """The text on one line: controls and line ends are blanks."""
    return NOT_IN_A_LINE.sub(" ", text).strip()


def unstructured(name: str, value: str) -> str:
    """A field of free text, such as Subject (RFC 5322 §2.2.1, RFC 2047)."""
    text = one_line(value)[:MAX_VALUE].rstrip()
    if name == "Thread-Index" and BASE64.fullmatch(text):  # readers do not decode words in it
        return f"{name}: {text}"
    if PRINTABLE.fullmatch(text) and "=?" not in text:
        if len(name) + 2 + len(text) <= FOLD_AT:
            return f"{name}: {text}"
        if max(map(len, text.split(" "))) <= FOLD_AT - len(name) - 2 and "  " not in text:
            return _fold(f"{name}:", text.split(" "))
    return f"{name}: " + "\r\n ".join(_encoded_words(text, FOLD_AT - len(name) - 2))


def addresses(name: str, people: Sequence[Address]) -> str:
    """A field of addresses, such as To (RFC 5322 §3.6.3)."""
    listed = [
        _address(person, FOLD_AT - len(name) - 2 if number == 0 else FOLD_AT) for number, person in enumerate(people)
    ]
    return f"{name}: " + ",\r\n ".join(listed)


def message_ids(name: str, ids: Iterable[str]) -> str:
    """A field of Message-IDs, one a line; those that could break the field are left out, "" where none is left."""
    good = [f"<{id_}>" for id_ in ids if is_message_id(id_)]
    return f"{name}: " + "\r\n ".join(good) if good else ""


def bounded_references(ids: Sequence[str]) -> tuple[str, ...]:
    """The Message-IDs that a References field can hold within one line: the root, and the newest (RFC 5322 §3.6.4)."""
    unique = list(dict.fromkeys(id_ for id_ in ids if is_message_id(id_)))
    room = MAX_FIELD - len("References:")
    sizes = [len(id_) + len("\r\n <>") for id_ in unique]
    if sum(sizes) <= room:
        return tuple(unique)
    room -= sizes[0]
    kept: list[str] = []
    for id_, size in zip(reversed(unique[1:]), reversed(sizes[1:]), strict=True):
        if size > room:
            break
        kept.append(id_)
        room -= size
    return (unique[0], *reversed(kept))


def parameter(name: str, value: str) -> str:
    """`;` and a parameter on lines of its own; what is not ASCII, or long, as RFC 2231 has it."""
    text = one_line(value)[:MAX_FILENAME].rstrip() or "file"
    if PRINTABLE.fullmatch(text) and len(text) <= MAX_QUOTED and "=?" not in text:
        return f';\r\n {name}="{_escape(text)}"'
    octets = quote(text, safe="!#$&+^_`{|}~.-")
    if len(octets) <= MAX_QUOTED:
        return f";\r\n {name}*=utf-8''{octets}"
    pieces = re.findall(r"(?:%..|[^%]){1,20}", octets)
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def _address(person: Address, room: int) -> str:
    spec = as_written(person.address)
    name = one_line(person.name)[:MAX_VALUE].rstrip()
    if not name:
        return spec
    if ATOMS.fullmatch(name) and "=?" not in name and len(name) <= MAX_QUOTED:
        phrase = name
    elif PRINTABLE.fullmatch(name) and "=?" not in name and len(name) <= MAX_QUOTED:
        phrase = f'"{_escape(name)}"'
    else:
        phrase = "\r\n ".join(_encoded_words(name, room))
    last = phrase.rpartition("\r\n")[2]
    blank = " " if len(last) + len(spec) + 3 <= room else "\r\n "
    return f"{phrase}{blank}<{spec}>"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _fold(start: str, words: list[str]) -> str:
    lines, line = [], start
    for word in words:
        if len(line) + 1 + len(word) > FOLD_AT:
            lines.append(line)
            line = ""
        line += " " + word
    return "\r\n".join([*lines, line])


def _encoded_words(text: str, first_room: int) -> list[str]:
    """The text as encoded words, whole characters in each (RFC 2047 §5), the first within `first_room`."""
    octets = text.encode()
    plain = len(Q_SAFE.findall(text)) + text.count(" ")
    as_q = plain + 3 * (len(octets) - plain) <= len(octets) * 4 // 3 + 4
    room = max(min(first_room, MAX_ENCODED_WORD), 24) - len("=?utf-8?q??=")
    return list(_q_words(text, room) if as_q else _b_words(text, room))


def _q_words(text: str, room: int) -> Iterator[str]:
    word, used = "", 0
    for character in text:
        piece, size = _q(character)
        if used + size > room:
            yield f"=?utf-8?q?{word}?="
            word, used, room = "", 0, MAX_ENCODED_WORD - len("=?utf-8?q??=")
        word += piece
        used += size
    yield f"=?utf-8?q?{word}?="


def _b_words(text: str, room: int) -> Iterator[str]:
    """Words in base64; none but the last is padded: GMime takes padding for the end of all that follows."""
    at = 0
    while at < len(text):
        end, good, size = at, at, 0
        while end < len(text) and (size := size + len(text[end].encode())) <= room // 4 * 3:
            end += 1
            good = good if size % 3 else end
        if end == len(text):
            good = end
        if good == at:  # no whole triplets from here on: a character in the other encoding shifts them
            good = at + 1
            yield f"=?utf-8?q?{_q(text[at])[0]}?="
        else:
            yield f"=?utf-8?b?{b64encode(text[at:good].encode()).decode()}?="
        at, room = good, MAX_ENCODED_WORD - len("=?utf-8?b??=")


def _q(character: str) -> tuple[str, int]:
    if Q_SAFE.fullmatch(character):
        return character, 1
    if character == " ":
        return "_", 1
    piece = "".join(f"={octet:02X}" for octet in character.encode())
    return piece, len(piece)

"""Which mails do these paths hold? `.eml` files, mboxes, Maildirs, directories of these, and standard input.

What a path is, its content says. A file that somebody named, or that lies where only mail lies, has to be mail;
in any other directory a file that is none is passed over, and said to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from postroom.daemon.mbox import is_separator, read_mbox

HEAD = 64 << 10  # octets in which a mail shows that it is one
STANDARD_INPUT = "-"

MBOX_SUFFIXES = (".mbox", ".mbx")  # an empty mbox is an empty folder
MAIL_SUFFIXES = (".eml", ".mail", *MBOX_SUFFIXES)
BEGINS_WITH_FIELD = re.compile(rb"[!-9;-~]{1,77}[ \t]*:")  # RFC 5322 §2.2, and blanks as in §4.5
ANY_FIELD = re.compile(rb"^[!-9;-~]{1,77}[ \t]*:(?:[ \t]|\r?$)", re.MULTILINE)
MAIL_FIELD = re.compile(
    rb"^(from|to|cc|date|subject|message-id|received|return-path|delivered-to|reply-to|sender|mime-version|"
    rb"content-type|x-mailer|in-reply-to|references)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Found:
    """One mail, or why there is none where one was looked for."""

    name: str  # the path as given or found, with the mail's number for an mbox
    raw: bytes | None = field(default=None, repr=False)
    problem: str | None = None  # it should have been mail
    passed_over: bool = False  # it need not have been


def find_mails(paths: Iterable[str], stdin: BinaryIO, max_size: int) -> Iterator[Found]:
    """Every mail of these paths, in their order; within a directory by name, with numbers as numbers."""
    for path in paths:
        if path == STANDARD_INPUT:
            yield from _read(stdin, "standard input", max_size)
        elif not os.path.exists(path):
            yield Found(path, problem="there is no such file or directory")
        elif os.path.isdir(path):
            yield from _directory_with_mail(Path(path), max_size)
        else:
            yield from _file(Path(path), max_size)


def count_octets(paths: Iterable[str]) -> int | None:
    """How many octets these paths hold, roughly; None where it cannot be known beforehand."""
    total = 0
    for path in paths:
        if path == STANDARD_INPUT:
            return None
        for file in _files(Path(path)) if os.path.isdir(path) else [Path(path)]:
            try:
                total += file.stat().st_size
            except OSError:
                continue
    return total


def _directory_with_mail(folder: Path, max_size: int) -> Iterator[Found]:
    empty = True
    for found in _directory(folder, max_size):
        empty = empty and found.passed_over
        yield found
    if empty:
        yield Found(str(folder), problem="holds no mail: no .eml file, no mbox, no Maildir")


def _directory(folder: Path, max_size: int) -> Iterator[Found]:
    in_maildir = is_maildir(folder)
    for path in _files(folder):
        claims_to_be_mail = in_maildir or path.parent.name in ("cur", "new") or path.suffix.lower() in MAIL_SUFFIXES
        yield from _file(path, max_size, named=claims_to_be_mail)


def is_maildir(folder: Path) -> bool:
    """Whether the folder is a Maildir: `tmp` may have been lost by copying."""
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def _files(folder: Path) -> Iterator[Path]:
    """The regular files of a folder and of those in it; of a Maildir its mail. What is hidden is left out."""
    if is_maildir(folder):
        inside = [path for sub in ("new", "cur") for path in _entries(folder / sub) if path.is_file()]
        yield from sorted(inside, key=_by_arrival)
        return
    for path in sorted(_entries(folder), key=_by_name):
        if path.is_dir():
            if not path.is_symlink():
                yield from _files(path)
        elif path.is_file():
            yield path


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _by_name(path: Path) -> list[tuple[int, str]]:
    """`9.eml` before `10.eml`; MH's folders are numbered too."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", path.name)
    ]


def _by_arrival(path: Path) -> tuple[float, str]:
    """A Maildir's names begin with the time of arrival; another name is as old as its file."""
    seconds, dot, _ = path.name.partition(".")
    if dot and seconds.isascii() and seconds.isdecimal() and len(seconds) < 12:
        return float(seconds), path.name
    return path.stat().st_mtime, path.name


def _file(path: Path, max_size: int, named: bool = True) -> Iterator[Found]:
    try:
        with path.open("rb") as stream:
            yield from _read(stream, str(path), max_size, named, path.suffix.lower() == ".eml")
    except OSError as error:
        yield Found(str(path), problem=f"cannot be read: {error.strerror}")


def _read(stream: BinaryIO, name: str, max_size: int, named: bool = True, is_eml: bool = False) -> Iterator[Found]:
    """The mails of an open file. `named`: it has to be mail. `is_eml`: it is one mail, whatever it looks like."""
    head = stream.read(HEAD)
    whole = cast(BinaryIO, _Rejoined(head, stream))
    first_line = head[: head.find(b"\n") + 1]
    if not is_eml and is_separator(first_line, first=named):
        for number, raw in enumerate(read_mbox(whole, max_size), 1):
            yield _mail(f"{name}, mail {number}", raw)
    elif is_surely_mail(head) or (named and may_be_mail(head, anywhere=is_eml)):
        raw = whole.read(max_size + 1)
        yield _mail(name, raw if len(raw) <= max_size else None)
    elif named and (head or not name.endswith(MBOX_SUFFIXES)):
        yield Found(name, problem="is no mail: it has no header" if head else "is no mail: it is empty")
    else:
        yield Found(name, passed_over=True)


def may_be_mail(head: bytes, anywhere: bool = False) -> bool:
    """Whether bytes begin with anything like a header, or hold one `anywhere`: enough for what was said to be mail."""
    fields = ANY_FIELD.search(head if anywhere else _header(head)) or MAIL_FIELD.search(_header(head))
    return bool(fields) and not is_binary(head)


def is_surely_mail(head: bytes) -> bool:
    """Whether bytes begin with a header that has two of mail's own fields: a text of "Note: this" has not."""
    header = _header(head)
    fields = {match[1].lower() for match in MAIL_FIELD.finditer(header)}
    return bool(BEGINS_WITH_FIELD.match(header)) and len(fields) >= 2


def is_binary(head: bytes) -> bool:
    """Whether bytes hold what no text holds, and nothing of mail either."""
    return b"\0" in head and not MAIL_FIELD.search(_header(head))


def _header(head: bytes) -> bytes:
    return BLANK_LINE.split(head.lstrip(b"\r\n"), maxsplit=1)[0]


def _mail(name: str, raw: bytes | None) -> Found:
    return Found(name, raw) if raw is not None else Found(name, problem="is larger than smtp.max_size allows")


class _Rejoined:
    """A stream from its beginning, after its head was read: a pipe cannot go back."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = BytesIO(head), rest

    def read(self, size: int) -> bytes:
        data = self._head.read(size)
        return data + self._rest.read(size - len(data)) if len(data) < size else data

    def readline(self, size: int) -> bytes:
        line = self._head.readline(size)
        if not line.endswith(b"\n") and len(line) < size:
            line += self._rest.readline(size - len(line))
        return line

"""Whom does a note name with an `@`, and which of its names looks like an agent's and is nobody's?

An agent's own name always counts. A name of nobody's is told to the writer only where he surely meant a colleague: it is nearly
one of theirs, or he speaks to it at the beginning of a line. Style sheets, code, quotations and addresses are full of `@`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NEAR = 0.75  # how like a colleague's a name is that was mistyped: "bret" is that near to "bert"
SHORTEST_WORD = 3  # letters of a word of a title that may be meant
NAMED = re.compile(r"(?<![\w.@])@([\w.+-]+(?:@[\w.-]+)?)")  # "@ann", "@ann@example.com"
# between white space or brackets and the end of a word: neither a path, a call, a handle of 41 letters, nor half an address
MEANT = re.compile(r"(?<![^\s(\[\"'„“‚«,;:])@([^\W\d_][\w.+-]{0,39}(?:@[\w.-]{1,100})?)(?![\w@/\\\\=(\[{<*])")
SPOKEN_TO = re.compile(
    r"\s*(?:(?:hi|hey|hello|hallo|moin|dear|liebe|lieber|servus)\s+)?@[\w.+@-]+(?:[\s,;&+/]*(?:(?:and|und)\s+)?@[\w.+@-]+)*",
    re.IGNORECASE,
)
FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)|`[^`\n]*`", re.MULTILINE | re.DOTALL)
NOT_SAID = re.compile(r"(?: {4}|\t|\s*>)|.*(?:[{}]|;\s*$)")  # lines of code, and what somebody else wrote
# what CSS, documentation and programs mark with an @, wherever it stands (CSS at-rules; JSDoc, Java and Python in common use)
AT_WORDS = frozenset({
    "charset", "container", "counter-style", "font-face", "import", "keyframes", "layer", "media", "namespace", "page", "property",
    "scope", "starting-style", "supports", "tailwind", "apply", "include", "mixin", "extend", "author", "deprecated", "override", "param",
    "params", "return", "returns", "see", "since", "test", "throws", "todo", "version", "dataclass", "staticmethod", "classmethod", "autowired",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Colleague:
    """One whom a note may name."""

    name: str
    title: str
    address: str  # lower case


def named(text: str) -> set[str]:
    """Every name and address behind an `@`, in lower case, whoever it may be."""
    return {_bare(found[1]) for found in NAMED.finditer(text)}


def misnamed(text: str, colleagues: Iterable[Colleague]) -> list[str]:
    """The names, in lower case and in order, that are no colleague's, though the writer surely meant one."""
    from difflib import get_close_matches  # noqa: PLC0415 (most notes name nobody)

    known, alike, domains = set[str](), set[str](), set[str]()
    for one in colleagues:
        local, _, domain = one.address.partition("@")
        known |= {one.name.lower(), one.address}
        words = (word for word in re.findall(r"\w+", one.title.lower()) if len(word) >= SHORTEST_WORD)
        alike |= {one.name.lower(), local, *words}
        domains.add(domain)
    found = set[str]()
    for line in _said(text):
        head = SPOKEN_TO.match(line)
        end = head.end() if head else 0
        for mention in MEANT.finditer(line):
            name = _bare(mention[1])
            local, _, domain = name.partition("@")
            if name in known or local in AT_WORDS or (domain and domain not in domains):
                continue
            if mention.start() < end or domain or get_close_matches(local, alike, 1, NEAR):
                found.add(name)
    return sorted(found)


def _said(text: str) -> Iterator[str]:
    """The lines in which the writer speaks himself."""
    return (line for line in FENCED.sub(" ", text).splitlines() if not NOT_SAID.match(line))


def _bare(name: str) -> str:
    return name.rstrip(".-").lower()

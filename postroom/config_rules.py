"""`[[rule]]` and `[block]`: how mail that opens a ticket is routed, and whose mail opens none.

What the rules mean is `desk/routing.py`'s matter; here is how they are written, and what can be wrong with them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from postroom.config_section import Section, Size
from postroom.errors import ConfigError

ASSIGN_MODES = ("none", "round_robin", "least_loaded")
RULES_MAX = 500
PATTERN_MAX = 200  # characters of a regular expression
REPEATS_MAX = 2  # of a pattern's `*`, `+` and `{m,n}`: with each one the time for a hostile text grows by its length
OPTIONAL_MAX = 10  # of a pattern's `?`: each one may double the time
ADDRESS = re.compile(r"[^\s@<>,;]*@[A-Za-z0-9.-]+|[^\s@<>,;]*@[^\s@<>,;\x00-\x7f][^\s@<>,;]*")
TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?:)?|[)|]|[*+]|\?|\{\d*,?\d*\}|.", re.DOTALL)

Words = str | tuple[str, ...]


class Text(Section, frozen=True, kw_only=True):
    """What a text must be like: all that is given must hold; of several words one is enough. Case does not matter."""

    contains: Words = ()
    equals: Words = ()
    matches: str = ""  # a regular expression, of the bounded kind that `check_pattern` lets through


class Header(Text, frozen=True, kw_only=True):
    """One header of the mail; without a condition it is enough that it is there."""

    name: str


class SizeOf(Section, frozen=True, kw_only=True):
    """The octets of the whole mail."""

    over: Size | None = None
    under: Size | None = None


class When(Section, frozen=True, kw_only=True):
    """`when`: every condition that is given must hold."""

    mailbox: Words = ()
    from_: Words = msgspec.field(default=(), name="from")  # addresses, and `@domain` for all of one
    to: Words = ()  # of To, Cc and the envelope's recipient
    subject: Text | None = None
    header: Header | tuple[Header, ...] = ()
    size: SizeOf | None = None
    list: bool | None = None  # it came through a mailing list
    automatic: bool | None = None  # a machine wrote it
    authentication: Literal["pass", "fail", "none"] | None = None
    has_attachment: bool | None = None
    body: Text | None = None


class Then(Section, frozen=True, kw_only=True):
    """`then`: what becomes of the ticket that the mail opens."""

    queue: str = ""
    priority: str = ""
    type: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    assign: str = ""  # one of ASSIGN_MODES, or an agent
    spam: bool = False
    ignore: str = ""  # the reason why the mail opens no ticket
    stop: bool = False


class Rule(Section, frozen=True, kw_only=True):
    """`[[rule]]`: one rule of the ordered list."""

    name: str
    when: When
    then: Then


class Block(Section, frozen=True, kw_only=True):
    """`[block]`: whose mail is kept and goes no further."""

    senders: tuple[str, ...] = ()  # addresses, and `@domain` for all of one


@dataclass(frozen=True, slots=True)
class Known:
    """What the rest of the configuration names."""

    queues: Collection[str]
    mailboxes: Collection[str]
    agents: Collection[str]
    choices: Mapping[str, Sequence[str]]  # of priority, type and category


def check_rules(rules: Sequence[Rule], block: Block, known: Known) -> None:
    """ConfigError with the key's path for a rule that cannot be meant so."""
    if len(rules) > RULES_MAX:
        raise ConfigError(f"rule: {len(rules)} rules are more than {RULES_MAX}")
    names: dict[str, int] = {}
    for number, rule in enumerate(rules):
        path = f"rule[{number}]"
        if not rule.name.strip() or not rule.name.isprintable() or len(rule.name) > 100:
            raise ConfigError(f"{path}.name: is no name of 1 to 100 characters")
        if rule.name in names:
            raise ConfigError(f"{path}.name: is rule[{names[rule.name]}]'s already")
        names[rule.name] = number
        _check_when(rule.when, f"{path}.when", known)
        _check_then(rule.then, f"{path}.then", known)
    for number, sender in enumerate(block.senders):
        _check_address(sender, f"block.senders[{number}]")


def check_assign(assign: str, path: str, agents: Collection[str]) -> None:
    """ConfigError where it is neither a way to assign nor an agent."""
    if assign not in ASSIGN_MODES and assign not in agents:
        raise ConfigError(f"{path}: {assign!r} is none of {', '.join(ASSIGN_MODES)}, and there is no such [agent.NAME]")


def check_pattern(pattern: str, path: str) -> None:
    """ConfigError for a regular expression that is wrong, or that a hostile text could keep busy.

    What may be repeated is one character or class, never a group, and not often: so the time is bounded by the
    length of the text, which is capped.
    """
    if len(pattern) > PATTERN_MAX:
        raise ConfigError(f"{path}: is longer than {PATTERN_MAX} characters")
    try:
        re.compile(pattern, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{path}: is no regular expression: {' '.join(str(error).split())}") from None
    repeats = optional = 0
    before = ""
    for part in TOKEN.findall(pattern):
        if re.fullmatch(r"[*+]|\{.+\}", part) and before not in ("", "(", "(?:", "|"):
            if before == ")":
                raise ConfigError(f"{path}: repeats a group, which can take for ever; repeat a character or a [class]")
            repeats += before not in ("*", "+") and not re.fullmatch(r"\{\d+\}", part)
        elif part == "?":
            if before == "(":
                raise ConfigError(f"{path}: of the extensions (?...) only the group (?:...) is possible")
            optional += 1
        elif re.fullmatch(r"\\[1-9]", part):
            raise ConfigError(f"{path}: refers back to a group, which can take for ever")
        before = part
    if repeats > REPEATS_MAX or optional > OPTIONAL_MAX:
        raise ConfigError(f"{path}: has more than {REPEATS_MAX} of * + {{m,n}}, or more than {OPTIONAL_MAX} of ?")


def listed(words: Words) -> tuple[str, ...]:
    """One word, or several, as several."""
    return (words,) if isinstance(words, str) else words


def headers_of(when: When) -> tuple[Header, ...]:
    """The conditions on headers, one or several."""
    return (when.header,) if isinstance(when.header, Header) else when.header


def _check_when(when: When, path: str, known: Known) -> None:
    if when == When():
        raise ConfigError(f"{path}: names no condition, so it would hold for every mail")
    for mailbox in listed(when.mailbox):
        if mailbox not in known.mailboxes:
            raise ConfigError(f"{path}.mailbox: there is no [mailbox.{mailbox}]")
    for key, addresses in (("from", when.from_), ("to", when.to)):
        for address in listed(addresses):
            _check_address(address, f"{path}.{key}")
    for where, text in _texts(when):
        if not text.matches and not listed(text.contains) and not listed(text.equals) and not isinstance(text, Header):
            raise ConfigError(f"{path}.{where}: says nothing; give contains, equals or matches")
        if "" in listed(text.contains):
            raise ConfigError(f"{path}.{where}.contains: is empty, so every text contains it")
        if text.matches:
            check_pattern(text.matches, f"{path}.{where}.matches")
    if when.size is not None and when.size == SizeOf():
        raise ConfigError(f"{path}.size: says nothing; give over or under")


def _texts(when: When) -> Iterator[tuple[str, Text]]:
    if when.subject is not None:
        yield "subject", when.subject
    several = not isinstance(when.header, Header)
    for number, header in enumerate(headers_of(when)):
        yield f"header[{number}]" if several else "header", header
    if when.body is not None:
        yield "body", when.body


def _check_then(then: Then, path: str, known: Known) -> None:
    if then == Then():
        raise ConfigError(f"{path}: says nothing that would be done")
    if then.queue and then.queue not in known.queues:
        raise ConfigError(f"{path}.queue: there is no [queue.{then.queue}]")
    for key, value in (("priority", then.priority), ("type", then.type), ("category", then.category)):
        if value and value not in known.choices[key]:
            there_are = ", ".join(known.choices[key]) or "nothing that the configuration names"
            raise ConfigError(f"{path}.{key}: {value!r} is none of {there_are}")
    if then.assign:
        check_assign(then.assign, f"{path}.assign", known.agents)
    if not all(tag.strip() and tag.isprintable() for tag in then.tags):
        raise ConfigError(f"{path}.tags: a tag is a word")


def _check_address(address: str, path: str) -> None:
    if not ADDRESS.fullmatch(address):
        raise ConfigError(f"{path}: {address!r} is neither an address nor @domain")

"""Which queue does a new ticket go to, with which priority, type, tags and agent? And which mail opens none?

Pure: the rules of the configuration and the facts about a mail in, a `Route` out, with every rule that was tried and
why it held or not. Rules are asked in their order; a later one has the last word, `stop` and `ignore` end it. A text
of a stranger's is only ever compared, and a regular expression sees no more of it than `MATCHED_MAX`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from postroom.config_rules import Block, Rule, Text, Then, When, headers_of, listed
from postroom.parsers.parsed import ParsedEmail

SPAM = "spam"  # the tag of a ticket that nobody is told of
COMPARED_MAX = 100_000  # characters of a text in which words are looked for
MATCHED_MAX = 2_000  # characters of a body that a regular expression sees, line by line
LINE_MAX = 200  # characters of a line, a subject or a header that a regular expression sees
SHOWN_MAX = 60  # characters of a value that a decision repeats
TRIED_SHOWN_MAX = 50  # rules that did not hold, as far as a decision names them
ALL_MAX = 20  # headers of one name that are compared

Held = tuple[bool, str]  # whether a condition holds, and in words what it says


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask about a mail."""

    email: ParsedEmail
    mailbox: str
    recipient: str  # the envelope's
    author: str  # the address of its author, as the mailbox takes it; "" where it is not known
    size: int  # octets
    authenticated: bool | None  # None: nobody checked


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule, whether it held, and by which conditions, or which one did not."""

    rule: str
    held: bool
    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a new ticket goes. What is "" is left as it would be without rules."""

    queue: str
    priority: str = ""
    ticket_type: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    assign: str = ""
    is_spam: bool = False
    ignore: str = ""  # why the mail opens no ticket
    why: str = ""  # the queue's reason
    tried: tuple[Tried, ...] = ()

    @property
    def ignored_by(self) -> str:
        """The rule that ignores the mail."""
        return self.tried[-1].rule if self.ignore and self.tried else ""

    def lines(self) -> tuple[dict[str, Any], ...]:
        """The lines of the decision: each rule that held, and what came of all of them."""
        held = [_line(tried.rule, tried.why) for tried in self.tried if tried.held]
        others = {tried.rule: tried.why for tried in self.tried if not tried.held}
        evidence = {"did not hold": dict(list(others.items())[:TRIED_SHOWN_MAX])} if others else {}
        return (*held, {**_line("route", self.in_words()), "evidence": evidence})

    def in_words(self) -> str:
        """The route as a sentence."""
        if self.ignore:
            return f"ignored: {self.ignore}"
        words = [f"queue {self.queue} ({self.why})"]
        words += [f"{name} {value}" for name, value in (
            ("priority", self.priority), ("type", self.ticket_type), ("category", self.category),
            ("tags", ", ".join(self.tags)), ("assigned by", self.assign),
        ) if value]  # fmt: skip
        return "; ".join([*words, *(["spam: nobody is told"] if self.is_spam else [])])


def route(rules: Sequence[Rule], facts: Facts, queue: str) -> Route:
    """The route of a mail that opens a ticket; `queue` is the mailbox's."""
    tried: list[Tried] = []
    said: dict[str, Any] = {"queue": queue, "why": f"mailbox {facts.mailbox}'s"}
    tags: list[str] = []
    for rule in rules:
        tried.append(try_rule(rule, facts))
        if not tried[-1].held:
            continue
        then = rule.then
        values = {"queue": then.queue, "priority": then.priority, "ticket_type": then.type, "category": then.category}
        said |= {key: value for key, value in {**values, "assign": then.assign}.items() if value}
        if then.queue:
            said["why"] = f"rule {rule.name}"
        tags += [tag.strip().lower() for tag in (*then.tags, *([SPAM] if then.spam else []))]
        if then.ignore:
            said["ignore"] = then.ignore
        if then.ignore or then.stop:
            break
    unique = tuple(sorted(set(tags)))
    return Route(**said, tags=unique, is_spam=SPAM in unique, tried=tuple(tried))


def try_rule(rule: Rule, facts: Facts) -> Tried:
    """Whether a rule holds: the first condition that does not ends it."""
    held: list[str] = []
    for holds, words in _conditions(rule.when, facts):
        if not holds:
            return Tried(rule.name, False, f"not so: {words}")
        held.append(words)
    return Tried(rule.name, True, f"{'; '.join(held)} → {effects(rule.then)}")


def blocked_by(block: Block, email: ParsedEmail, author: str, envelope: str | None) -> str | None:
    """Why a mail is blocked: an address of its sender's that the list has; None where there is none."""
    senders = dict.fromkeys((author, *(a.address for a in (*email.from_, *email.sender)), envelope or ""))
    for address in filter(None, senders):
        found = next((entry for entry in block.senders if is_address(entry, address)), None)
        if found is not None:
            return f"{address[:SHOWN_MAX]} is blocked by {found} of block.senders"
    return None


def is_address(wanted: str, address: str) -> bool:
    """Whether `wanted` (an address, or `@domain` for all of one) means `address`; case does not matter."""
    wanted, address = wanted.casefold(), address.casefold()
    return address.endswith(wanted) if wanted.startswith("@") else address == wanted


def effects(then: Then) -> str:
    """What a rule does, in words."""
    values = (
        ("queue", then.queue), ("priority", then.priority), ("type", then.type), ("category", then.category),
        ("tags", ", ".join(then.tags)), ("assign", then.assign), ("ignore", then.ignore),
    )  # fmt: skip
    words = [f"{name} {value}" for name, value in values if value]
    return ", ".join([*words, *(name for name in ("spam", "stop") if getattr(then, name))])


def conditions_in_words(when: When) -> list[str]:
    """What a rule asks, in words."""
    words = [
        f"{key} is {_any(listed(value))}"
        for key, value in (("mailbox", when.mailbox), ("from", when.from_), ("to", when.to))
        if value
    ]
    for name, text in [
        ("subject", when.subject),
        *((f"header {h.name}", h) for h in headers_of(when)),
        ("body", when.body),
    ]:
        if text is not None:
            words.append(f"{name} {_wanted(text)}")
    if when.size is not None:
        words.append(f"size {_bounds(when)}")
    words += [f"{key} is {value}" for key, value in (
        ("list", when.list), ("automatic", when.automatic), ("authentication", when.authentication),
        ("has_attachment", when.has_attachment),
    ) if value is not None]  # fmt: skip
    return words


def _conditions(when: When, facts: Facts) -> Iterator[Held]:
    """Each condition that is given, those that cost little first."""
    email = facts.email
    if when.mailbox:
        yield facts.mailbox in listed(when.mailbox), f"mailbox is {_any(listed(when.mailbox))}"
    if when.list is not None:
        yield _is_list(email) is when.list, "it came through a list" if when.list else "it came through no list"
    if when.automatic is not None:
        wrote = "a machine wrote it" if when.automatic else "a person wrote it"
        yield email.automatic.is_automatic is when.automatic, wrote
    if when.authentication is not None:
        is_so = {True: "pass", False: "fail", None: "none"}[facts.authenticated] == when.authentication
        yield is_so, f"authentication is {when.authentication}"
    if when.has_attachment is not None:
        files = any(not file.inline for file in email.attachments)
        yield files is when.has_attachment, "it has a file" if when.has_attachment else "it has no file"
    if when.size is not None:
        over, under = when.size.over, when.size.under
        yield (over is None or facts.size > over) and (under is None or facts.size < under), f"size {_bounds(when)}"
    if when.from_:
        senders = (facts.author, *(a.address for a in email.from_))
        yield _is_any(listed(when.from_), senders), f"from is {_any(listed(when.from_))}"
    if when.to:
        recipients = (facts.recipient, *(a.address for a in (*email.to, *email.cc)))
        yield _is_any(listed(when.to), recipients), f"to is {_any(listed(when.to))}"
    if when.subject is not None:
        yield _says(when.subject, (email.subject,), LINE_MAX), f"subject {_wanted(when.subject)}"
    for header in headers_of(when):
        values = email.all_headers(header.name)[:ALL_MAX]
        yield bool(values) and _says(header, values, LINE_MAX), f"header {header.name} {_wanted(header)}"
    if when.body is not None:
        yield _says(when.body, (email.text,), MATCHED_MAX), f"body {_wanted(when.body)}"


def _says(text: Text, values: Iterable[str], matched: int) -> bool:
    """Whether one of the values is as it must be."""
    return any(_is_like(text, value[:COMPARED_MAX], matched) for value in values)


def _is_like(text: Text, value: str, matched: int) -> bool:
    folded = value.casefold()
    contains, equals = listed(text.contains), listed(text.equals)
    if contains and not any(word.casefold() in folded for word in contains):
        return False
    if equals and folded.strip() not in [word.casefold().strip() for word in equals]:
        return False
    if not text.matches:
        return True
    pattern = re.compile(text.matches, re.IGNORECASE)  # checked and bounded when the configuration was read
    return any(pattern.search(line[:LINE_MAX]) for line in value[:matched].splitlines() or [""])


def _is_any(wanted: Iterable[str], addresses: Iterable[str]) -> bool:
    found = [address for address in addresses if address]
    return any(is_address(one, address) for one in wanted for address in found)


def _is_list(email: ParsedEmail) -> bool:
    """RFC 2369 and 2919 headers, or the older Precedence."""
    precedence = (email.header("precedence") or "").strip().lower()
    return precedence == "list" or any(name.startswith("list-") for name, _ in email.headers)


def _wanted(text: Text) -> str:
    words = [
        f"{verb} {_any([repr(word[:SHOWN_MAX]) for word in listed(value)])}"
        for verb, value in (("contains", text.contains), ("equals", text.equals)) if value
    ]  # fmt: skip
    if text.matches:
        words.append(f"matches {text.matches!r}")
    return " and ".join(words) or "is there"


def _bounds(when: When) -> str:
    assert when.size is not None
    over, under = when.size.over, when.size.under
    words = [f"over {over}" if over is not None else "", f"under {under}" if under is not None else ""]
    return f"{' and '.join(filter(None, words))} octets"


def _any(words: Sequence[str]) -> str:
    return " or ".join(words)


def _line(rule: str, why: str) -> dict[str, Any]:
    return {"step": "route", "rule": rule, "outcome": "held", "why": why, "evidence": {}}

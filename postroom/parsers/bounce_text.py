"""Bounces in prose: who did not get the message, and why, out of a mail system's notice (no standard).

One general reader instead of one for each vendor: mail systems name the failed address at the beginning of a line
(`<a@b>:`, `  a@b`, `>>> a@b`) or behind a label (`RCPT TO:<a@b>`, `Failed recipient: a@b`), and the reason in the lines
that follow. The words are in `bounce_forms`. Linear in the text, which is read to a limit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from postroom.parsers.bounce_addresses import domain_of, find_addresses
from postroom.parsers.bounce_forms import (
    ARRIVED,
    CONTACTS,
    GIVEN_UP,
    NOTICES,
    ORIGINAL_MARKS,
    OTHER_LABELS,
    RECIPIENT_LABELS,
    STILL_TRYING,
)
from postroom.parsers.dsn import DIAGNOSTIC_KEPT, LINE_READ, RECIPIENTS_KEPT, is_permanent, read_report
from postroom.parsers.parsed import BouncedRecipient
from postroom.parsers.status import derived_status, explicit_status, find_status, has_failure_words

NOTICE_LINES = 400  # the longest real ones have about 100 before the copy of the original
NOTICE_READ = 60_000  # characters
REASON_LINES = 12  # that belong to one recipient
OPENING = 120  # characters in which a mail system has said what it is about
CONTACT_REACH = 60  # characters between "contact" and the address
BARE_NAMES = 20  # recipients without a domain

_DECORATION = " \t<>*-–•·|#'\"‘“„「【[(0123456789.)"
_AFTER_ADDRESS = (":", "(", "[", ",", ";", "...", "…", "<", "-", "–", "->", "\t", "#", "=", "'", '"')


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail system's text, parted from the copy of the original."""

    lines: tuple[str, ...]
    original: str  # what follows the notice: headers of the original, or nothing
    words: str = field(repr=False)  # the lines in lower case with single blanks, for phrases that are wrapped


@dataclass(slots=True)
class _Block:
    """A recipient and the lines that speak of it."""

    address: str
    indent: int
    lines: list[str] = field(default_factory=list)
    closed: bool = False
    gap: bool = False  # a blank line since the address: what follows belongs to it only if it gives a reason

    def add(self, line: str) -> None:
        """Take a line that names nobody else, if it may belong to this recipient."""
        if self.closed or len(self.lines) >= REASON_LINES or not line.strip("-_=*#~ "):
            self.closed = True
        elif not self.gap or line.endswith(":") or has_failure_words(line):
            self.lines.append(line)
        else:
            self.closed = True

    def left_gap(self) -> None:
        """Note a blank line, which ends the reason, unless it has not begun."""
        if self.lines and not self.lines[-1].endswith(":"):
            self.closed = True
        self.gap = True


def read_notice(text: str) -> Notice:
    """The notice in a body: its lines up to the copy of the original, quoted ones left out, and what follows them."""
    lines: list[str] = []
    rest = ""
    everything = text.split("\n", NOTICE_LINES)
    room = NOTICE_READ
    for number, line in enumerate(everything[:NOTICE_LINES]):
        if _begins_original(line, lines):
            rest = "\n".join(everything[number:])
            break
        if not _is_quoted(line) and room > 0:
            lines.append(line[: min(LINE_READ, room)].rstrip())
            room -= len(lines[-1])
    return Notice(tuple(lines), rest, " ".join("\n".join(lines).lower().replace("’", "'").split()))


def is_notice(notice: Notice) -> bool:
    """Whether these are words that mail systems write when they could not deliver."""
    return any(phrase in notice.words for phrase in NOTICES)


def opens_as_notice(notice: Notice) -> bool:
    """Whether such words stand at the very beginning, where a person's own would."""
    return any(phrase in notice.words[:OPENING] for phrase in NOTICES)


def read_recipients(
    notice: Notice, *, named: Collection[str] = (), own: Collection[str] = ()
) -> tuple[BouncedRecipient, ...]:
    """The recipients that a notice speaks of, with what it says of each.

    `named`: addresses that the headers name as failed (X-Failed-Recipients), which then are all there are. `own`:
    addresses, in lower case, that are the sender's or the mail system's, so recipients only where no other is.
    """
    reported = read_report("\n".join(notice.lines))
    if reported:
        return reported
    own = {*own, *_contacts(notice)}
    blocks = _blocks(notice)
    if named:
        by_address = {block.address.lower(): block for block in blocks}
        blocks = [by_address.get(address.lower()) or _Block(address, 0) for address in dict.fromkeys(named)]
    else:
        foreign = [block for block in blocks if block.address.lower() not in own]
        blocks = foreign or _inline(notice, own) or blocks
    return tuple(_recipient(block, notice, alone=len(blocks) == 1) for block in blocks[:RECIPIENTS_KEPT])


def read_refused(notice: Notice, own: Collection[str]) -> tuple[BouncedRecipient, ...]:
    """The list that turned a message away: the first address that the notice speaks of."""
    return tuple(_recipient(block, notice, alone=True) for block in _inline(notice, {*own, *_contacts(notice)})[:1])


def bare_names(notice: Notice, domain: str) -> tuple[BouncedRecipient, ...]:
    """Recipients that are named without a domain below "following recipients", at that domain: `ann`, `ann: unknown`."""
    blocks: dict[str, _Block] = {}
    listing = False
    for line in notice.lines:
        name, colon, reason = line.strip().strip("<>*- ").partition("...")[0].partition(":")
        named = bool(name) and len(name) < 64 and not any(c in " @<>()/" for c in name) and line[:1] in "\t <"
        if any(
            announced in line.lower() for announced in ("recipient", "following address", "fatal errors", "affected")
        ):
            listing = True
        elif listing and named and (not colon or has_failure_words(reason)) and len(blocks) < BARE_NAMES:
            blocks[name] = _Block(f"{name}@{domain}", 0, [reason.strip()] if reason else [])
        elif name and blocks:
            break
    return tuple(_recipient(block, notice, alone=len(blocks) == 1) for block in blocks.values())


def action_of(notice: Notice, subject: str = "") -> str:
    """failed, delayed or delivered: what the notice says became of the message."""
    subject = subject.lower()
    if any(phrase in notice.words for phrase in GIVEN_UP):
        return "failed"
    if any(phrase in notice.words for phrase in STILL_TRYING) or any(w in subject for w in ("delay", "warning")):
        return "delayed"
    return "delivered" if any(phrase in notice.words for phrase in ARRIVED) else "failed"


def _begins_original(line: str, before: list[str]) -> bool:
    lowered = line[:160].lower().strip()
    if lowered.startswith(("received: from", "received: by", "received: (", "return-path: <", "return-path:<")):
        return any(earlier.strip() for earlier in before)
    if len(lowered) > 120 or not lowered:
        return False
    # "… delete your own text from the attached returned message." is prose that was wrapped.
    begins_paragraph = lowered[0] in "-=_*|#<" or not before or not before[-1].strip()
    return begins_paragraph and any(mark in lowered for mark in ORIGINAL_MARKS)


def _is_quoted(line: str) -> bool:
    """A person's quotation, not the `>>> RCPT TO` of a transcript, nor the `> a@b` of MDaemon."""
    return line.startswith("> ") and not (len(line) < 120 and line[2:].lstrip(" <").partition("@")[0].isalnum())


def _blocks(notice: Notice) -> list[_Block]:
    blocks: dict[str, _Block] = {}
    current: _Block | None = None
    previous = ""
    for line in notice.lines:
        content = line.strip()
        if not content:
            if current is not None:
                current.left_gap()
            previous = ""
            continue
        indent = len(line) - len(line.lstrip())
        inside = current is not None and not current.closed and bool(current.lines) and indent > current.indent
        address, reason = (None, "") if inside else _leading_address(content, previous)
        if address is None and not inside:
            address, reason = _labelled_address(content)
        if address is not None:
            current = blocks.setdefault(address.lower(), _Block(address, indent))
            current.closed = current.gap = False
            others = _listed_with(address, content)
            for other in others:  # one reason for all of them
                blocks.setdefault(other.lower(), _Block(other, indent, current.lines, closed=True))
            if reason and not others:
                current.lines.append(reason)
        elif current is not None:
            current.add(content)
        previous = content
        if len(blocks) >= RECIPIENTS_KEPT:
            break
    return list(blocks.values())


def _listed_with(address: str, content: str) -> list[str]:
    """The other addresses of a line that holds nothing but addresses: `a@b; c@d`."""
    addresses = find_addresses(content)
    if len(addresses) < 2 or len(content) > sum(len(one) + 8 for one in addresses):
        return []
    rest = content.lower()
    for one in addresses:
        rest = rest.replace(one.lower(), "", 1)
    return [] if rest.strip(_DECORATION + ",;>\"'") else [one for one in addresses if one.lower() != address.lower()]


def _leading_address(content: str, previous: str) -> tuple[str | None, str]:
    """The address that a line begins with, and the rest of the line; none where the line is prose about an address."""
    start = content.lstrip(_DECORATION)[:LINE_READ]
    address = next(iter(find_addresses(start[:400])), None)
    if address is None or not _starts_with(start, address):
        return None, ""
    after = start[start.index("@") + 1 if address[0] != '"' else start.index('"@') + 2 :]
    after = after[len(domain_of(address)) :].lstrip(">\"')]*. \t|").strip()
    # "… please contact" on the line before, and the address at the beginning of this one: wrapped prose.
    if any(words in previous[-60:].lower() for words in CONTACTS) and not after.startswith(":"):
        return None, ""
    if after and not after.startswith(_AFTER_ADDRESS) and not _is_reason(after):
        return None, ""
    return address, after.lstrip(":;,-–> \t")


def _starts_with(text: str, address: str) -> bool:
    return text.startswith(address.rpartition("@")[0])


def _is_reason(after: str) -> bool:
    """`a@b 550 no such user`, `a@b on Wed, 15 Feb`, `a@b user unknown`, but not `a@b for help`."""
    return after[:3].isdigit() or after.lower().startswith(
        ("on ", "user ", "host ", "said", "failed", "unknown", "due to", "is ")
    )


def _labelled_address(content: str) -> tuple[str | None, str]:
    """The address behind a label, and what follows it: `RCPT TO:<a@b>`, `Failed recipient: a@b`."""
    at = content.find("@")
    if not 0 < at < 200:
        return None, ""
    address = next(iter(find_addresses(content[:400])), None)
    if address is None:
        return None, ""
    local = address.rpartition("@")[0]
    place = content.find(local)
    label = content[: max(place, 0)].lower().strip(" \t<>*-'\"")
    if not label or len(label) > 60 or label.startswith("<<<") or label[:3].isdigit():
        return None, ""
    if any(other in label for other in OTHER_LABELS) or not any(word in label for word in RECIPIENT_LABELS):
        return None, ""
    if not label.endswith((":", "=", "to", "recipient", "(", "user", "for", "address", "mailto")) and " " in label:
        return None, ""
    return address, content if has_failure_words(content) else content[place + len(address) :].strip(" >:;,)'\"")


def _inline(notice: Notice, own: Collection[str]) -> list[_Block]:
    """Addresses in sentences about a failure, then any address at all: "Your message to a@b could not be delivered"."""
    about_failure: dict[str, _Block] = {}
    anywhere: dict[str, _Block] = {}
    for number, line in enumerate(notice.lines):
        if "@" not in line:
            continue
        around = " ".join(notice.lines[max(0, number - 1) : number + 2])
        lowered = around.lower()
        for address in find_addresses(line):
            if address.lower() in own:
                continue
            block = _Block(address, 0, [around.strip()])
            anywhere.setdefault(address.lower(), block)
            if has_failure_words(around) or any(phrase in lowered for phrase in NOTICES):
                about_failure.setdefault(address.lower(), block)
    return list((about_failure or anywhere).values())


def _contacts(notice: Notice) -> set[str]:
    """Addresses that the notice names as the sender's, or as those of somebody who can help."""
    found: set[str] = set()
    previous = ""
    for line in notice.lines:
        if "@" in line:
            # "… please contact" may end the line before.
            lowered = ("" if ":" in previous or "@" in previous else previous[-60:].lower()) + " " + line.lower()
            end = 0
            for address in find_addresses(line):
                start = lowered.find(address.lower(), end)
                if any(words in lowered[max(end, start - CONTACT_REACH) : max(start, 0)] for words in CONTACTS):
                    found.add(address.lower())
                end = max(end, start + len(address))
        previous = line
    return found


def _recipient(block: _Block, notice: Notice, *, alone: bool) -> BouncedRecipient:
    reason = " ".join(" ".join(block.lines).split())
    telling = reason
    if find_status(reason) is None:
        telling = " ".join(line.strip() for line in notice.lines if _tells_of(line, block.address))
        telling = telling or (_telling_lines(notice) if alone else "")
    action = action_of(notice)
    explicit = explicit_status(telling) or (explicit_status("\n".join(notice.lines)) if alone else None)
    status = explicit or find_status(telling) or (derived_status(_telling_lines(notice)) if alone else None)
    if action == "delayed" and status is not None and explicit is None:
        status = "4" + status[1:]
    if action == "delivered":
        status = status if status is not None and status[0] == "2" else None
    diagnostic = (reason or telling)[:DIAGNOSTIC_KEPT].strip() or None
    return BouncedRecipient(block.address, action, status, is_permanent(action, status), diagnostic)


def _tells_of(line: str, address: str) -> bool:
    return address.lower() in line.lower() and find_status(line) is not None


def _telling_lines(notice: Notice) -> str:
    """The lines that say why, where they don't stand with the recipient: of a transcript, or after "because:"."""
    telling = [line.strip() for line in notice.lines if find_status(line) is not None]
    return " ".join(telling[:REASON_LINES])

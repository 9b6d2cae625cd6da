"""Bounces in prose: who did not get the message, and why, out of a mail system's notice (no standard).

One general reader instead of one for each vendor: mail systems name the failed address at the beginning of a line
(`<a@b>:`, `  a@b`, `>>> a@b`) or behind a label (`RCPT TO:<a@b>`, `Failed recipient: a@b`), and the reason in the lines
that follow. The words are in `bounce_forms`. Linear in the text, which is read to a limit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from postroom.parsers.bounce_addresses import find_addresses
from postroom.parsers.bounce_forms import ARRIVED, GIVEN_UP, NOTICES, ORIGINAL_MARKS, STILL_TRYING
from postroom.parsers.bounce_lines import contacts, labelled_address, leading_address, listed_with
from postroom.parsers.dsn import DIAGNOSTIC_KEPT, LINE_READ, RECIPIENTS_KEPT, is_permanent, read_report
from postroom.parsers.parsed import BouncedRecipient
from postroom.parsers.status import derived_status, explicit_status, find_status, has_failure_words

NOTICE_LINES = 400  # the longest real ones have about 100 before the copy of the original
NOTICE_READ = 60_000  # characters
REASON_LINES = 12  # that belong to one recipient
OPENING = 120  # characters in which a mail system has said what it is about
BARE_NAMES = 20  # recipients without a domain


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
    own = {*own, *contacts(notice.lines)}
    blocks = _blocks(notice)
    if named:
        by_address = {block.address.lower(): block for block in blocks}
        blocks = [by_address.get(address.lower()) or _Block(address, 0) for address in dict.fromkeys(named)]
    else:
        foreign = [block for block in blocks if block.address.lower() not in own]
        blocks = foreign or _inline(notice, own) or blocks
    return _told(blocks[:RECIPIENTS_KEPT], notice)


def read_refused(notice: Notice, own: Collection[str]) -> tuple[BouncedRecipient, ...]:
    """The list that turned a message away: the first address that the notice speaks of."""
    return _told(_inline(notice, {*own, *contacts(notice.lines)})[:1], notice)


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
    return _told(list(blocks.values()), notice)


def _action_of(notice: Notice) -> str:
    """failed, delayed or delivered: what the notice says became of the message."""
    if any(phrase in notice.words for phrase in GIVEN_UP):
        return "failed"
    if any(phrase in notice.words for phrase in STILL_TRYING):
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
        address, reason = (None, "") if inside else leading_address(content, previous)
        if address is None and not inside:
            address, reason = labelled_address(content)
        if address is not None:
            current = blocks.setdefault(address.lower(), _Block(address, indent))
            current.closed = current.gap = False
            others = listed_with(address, content)
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


def _told(blocks: list[_Block], notice: Notice) -> tuple[BouncedRecipient, ...]:
    action = _action_of(notice)
    return tuple(_recipient(block, notice, action, alone=len(blocks) == 1) for block in blocks)


def _recipient(block: _Block, notice: Notice, action: str, *, alone: bool) -> BouncedRecipient:
    reason = " ".join(" ".join(block.lines).split())
    telling = reason
    if find_status(reason) is None:
        telling = " ".join(line.strip() for line in notice.lines if _tells_of(line, block.address))
        telling = telling or (_telling_lines(notice) if alone else "")
    explicit = explicit_status(telling)
    if explicit is None and alone and (explicit := explicit_status("\n".join(notice.lines))) is not None:
        telling = next(line.strip() for line in notice.lines if explicit in line)
    status = explicit or find_status(telling) or (derived_status(_telling_lines(notice)) if alone else None)
    if action == "delayed" and status is not None and explicit is None:
        status = "4" + status[1:]
    if action == "delivered":
        status = status if status is not None and status[0] == "2" else None
    diagnostic = (telling or reason)[:DIAGNOSTIC_KEPT].strip(" .:;,") or None
    return BouncedRecipient(block.address, action, status, is_permanent(action, status), diagnostic)


def _tells_of(line: str, address: str) -> bool:
    return address.lower() in line.lower() and find_status(line) is not None


def _telling_lines(notice: Notice) -> str:
    """The lines that say why, where they don't stand with the recipient: of a transcript, or after "because:"."""
    telling = [line.strip() for line in notice.lines if find_status(line) is not None]
    return " ".join(telling[:REASON_LINES])

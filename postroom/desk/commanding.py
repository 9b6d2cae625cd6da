"""Carries out the commands of a proven agent's mail: all of them, or none.

That they are a proven agent's, others have made sure of. Every command is checked before one is carried out, and what
is carried out lies in a savepoint: where the desk refuses one after all, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from postroom.desk.command_table import TABLE, Doing, Meaning, meaning_of
from postroom.desk.commands import Command, Reading
from postroom.desk.happened import Happened, What, Wrong
from postroom.desk.tickets import Desk, Incoming
from postroom.errors import UserError
from postroom.saying import Saying

WRONG_MAX = 50  # wrong lines that an agent is told of
TAKES_TEXT = ("note", "solution", "approve", "refuse")
INTERNAL = frozenset(("note", "approve", "refuse"))  # what stands below them is not for the customer
ALL_NAMES = ", ".join(f"#{meaning.names[0]}" for meaning in TABLE)

Line = dict[str, Any]  # of a decision
Order = tuple[Command, Meaning, Any]  # the last is what the check made of the argument


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What came of a mail's commands. Where something is `wrong`, nothing did."""

    ticket: Row[Any]  # as it is now; another one after a merge
    text: str  # what is left for people to read
    is_note: bool  # that text is not for the customer
    said: frozenset[str] = frozenset()  # what the commands settle: status, assignee, ...
    happened: tuple[Happened, ...] = ()
    lines: tuple[Line, ...] = ()  # of the decision
    wrong: tuple[Wrong, ...] = ()
    solution: int | None = None  # the one that the text proposes
    in_review: bool = False  # and which the customer does not get yet


def obey(
    connection: Connection, desk: Desk, ticket: Row[Any], incoming: Incoming, reading: Reading, opened: bool = False,
    is_internal: bool = False,
) -> Obeyed:  # fmt: skip
    """Carry out what `reading` orders on `ticket`. `opened`: this very mail opened it, and its text is not sent.

    `is_internal`: nor is it where it came to an address of which nothing goes on, unless it is a solution.
    """
    assert incoming.author.agent is not None
    known = [(command, meaning) for command in reading.commands if (meaning := meaning_of(command.name))]
    names = {meaning.names[0] for _, meaning in known}
    text = _with_first_words(known, reading.text)
    is_note = bool(INTERNAL & names) or (is_internal and "solution" not in names)
    doing = Doing(
        connection, desk, incoming.author.agent, incoming.now, ticket, text,
        answers=bool(text) and not is_note and not opened, opened=opened,
        said=frozenset(meaning.settles for _, meaning in known) - {""},
        refs=frozenset((*incoming.email.in_reply_to, *incoming.email.references)),
    )  # fmt: skip
    orders: list[Order] = []
    wrong = _misplaced(reading, doing.answers)
    if not wrong:
        orders, wrong = _check(doing, reading.commands)
    lines: list[Line] = []
    if not wrong:
        lines, wrong = _carry_out(doing, orders)
    if wrong:
        return Obeyed(ticket, text, is_note=True, lines=tuple(_refusal(reading, wrong)), wrong=tuple(wrong[:WRONG_MAX]))
    told = _told(doing, lines)
    is_note = is_note or doing.in_review
    return Obeyed(
        doing.ticket, text, is_note, doing.said, told, tuple(lines), solution=doing.solution, in_review=doing.in_review
    )  # fmt: skip


def _with_first_words(known: Iterable[tuple[Command, Meaning]], text: str) -> str:
    """The text, with the words that stand behind `#note` or `#solution` themselves."""
    first = [command.argument for command, meaning in known if meaning.names[0] in TAKES_TEXT]
    return "\n".join([*filter(None, first), text]).strip()


def _misplaced(reading: Reading, answers: bool) -> list[Wrong]:
    """Lines that may be somebody else's, or that would show a customer what is internal."""
    if reading.commands and not reading.is_on_top:
        why = Saying("something stands above it in your mail, so it may be another's word")
        right = Saying("commands as the very first lines")
        return [Wrong(command.line, why, right) for command in reading.commands]
    if reading.stray_note and answers:
        why = Saying("what stands above it, and what follows, would go to the customer")
        right = Saying("#note above all text; where it is meant as text, put a blank before #")
        return [Wrong(reading.stray_note, why, right)]
    return []


def _check(doing: Doing, commands: Sequence[Command]) -> tuple[list[Order], list[Wrong]]:
    orders: list[Order] = []
    wrong: list[Wrong] = []
    settled: dict[str, str] = {}
    for command in commands:
        meaning = meaning_of(command.name)
        if meaning is None:
            right = Saying("one of %(names)s; where it is text, put a blank behind #", names=ALL_NAMES)
            wrong.append(Wrong(command.line, Saying("there is no such command"), right))
            continue
        try:
            _check_once(meaning, settled)
            orders.append((command, meaning, meaning.check(doing, command.argument)))
        except UserError as error:
            wrong.append(_wrong(command, meaning, error))
        if meaning.settles:
            settled.setdefault(meaning.settles, command.line)
    return orders, wrong


def _check_once(meaning: Meaning, settled: Mapping[str, str]) -> None:
    if meaning.settles in settled:
        raise UserError(Saying("'%(line)s' says it already", line=settled[meaning.settles]))


def _carry_out(doing: Doing, orders: Sequence[Order]) -> tuple[list[Line], list[Wrong]]:
    lines: list[Line] = []
    for_whom: tuple[Command, Meaning] | None = None
    try:
        with doing.connection.begin_nested():
            for command, meaning, value in orders:
                for_whom = command, meaning
                lines.append(_line(meaning.names[0], "held", meaning.do(doing, value), command))
    except UserError as error:
        assert for_whom is not None
        return [], [_wrong(*for_whom, error)]
    return lines, []


def _wrong(command: Command, meaning: Meaning, error: UserError) -> Wrong:
    return Wrong(command.line, error.said, meaning.right)


def _refusal(reading: Reading, wrong: Sequence[Wrong]) -> Iterable[Line]:
    why = {one.line: one.why for one in wrong}
    for command in reading.commands:
        outcome = "wrong" if command.line in why else "not done"
        yield _line(command.name, outcome, why.get(command.line, "another line is wrong"), command)
    if reading.stray_note in why:
        yield {"step": "command", "rule": "note", "outcome": "wrong", "why": why[reading.stray_note], "evidence": {}}


def _line(name: str, outcome: str, why: str, command: Command) -> Line:
    return {
        "step": "command", "rule": name, "outcome": outcome, "why": why, "evidence": {"line": command.line},
    }  # fmt: skip


def _told(doing: Doing, lines: list[Line]) -> tuple[Happened, ...]:
    """What others are told of, as if it had been done on the command line; but one mail to the customer is enough, so
    a status that comes with an answer is told by the answer. Of a ticket that the mail has opened, its agent is told
    once, with the ticket itself, and its customer, who did not write to us, nothing."""
    silent = {What.STATUS, What.ASSIGNED} if doing.opened else {What.STATUS} if doing.answers else set[What]()
    if any(one.what is What.STATUS for one in doing.happened) and What.STATUS in silent:
        why = "the customer is told by the agent's own words, or not at all"
        lines.append({"step": "answer", "rule": "status", "outcome": "nothing", "why": why, "evidence": {}})
    return tuple(one for one in doing.happened if one.what not in silent)

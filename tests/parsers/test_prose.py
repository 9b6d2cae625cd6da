"""What is taken for plain prose at one look is nothing to any reader that looks closely."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import fields

import pytest

from postroom.parsers.device_lines import is_device_line, may_hold_device_line
from postroom.parsers.header_blocks import _notes_field, may_hold_notes, split_header
from postroom.parsers.intro_lines import find_intro
from postroom.parsers.language import Language
from postroom.parsers.languages import LANGUAGES
from postroom.parsers.lines import _COMPOSABLE, _UNPLAIN, _UNSETTLED, plain, view, view_all
from postroom.parsers.prose import is_prose
from postroom.parsers.separators import Separator, is_rule, is_unannounced_separator, read_separator, which_may_announce

WAYS = (
    "{}", "{}:", "{} :", "-----{}-----", "*{}*", "{} --", "{}.", "## {} ##", "=== {}", "[{}]", "_{}_", "{}: Ann <ann@example.org>",
    "Am 3.5.2024 {} Ann:", "Ann Smith {} ann@example.org", "{} by Ann on 1/2/2024 ---", "{}\uff1a x", "{} – – –", "{} -=-", "~~~ {}",
)  # fmt: skip


def written() -> list[str]:
    """Every word of every language in every way in which mail programs write it, and signs at random."""
    words = [
        word
        for language in LANGUAGES
        for one in fields(Language)
        for word in getattr(language, one.name).split("|")
        if word
    ]
    lines = [way.format(word) for word in words for way in WAYS]
    chance = random.Random(5)
    lines += ["".join(chance.choices("ab Z9é你-–—=_#*:@>^[+~.,", k=chance.randint(1, 14))) for _ in range(20_000)]
    return [view(line) for line in lines]


def test_prose_is_no_separator_no_rule_no_header_and_no_end_of_an_intro() -> None:
    taken = [line for line in written() if is_prose(line)]
    marks = [
        line
        for line in taken
        if read_separator(line) is not None
        or is_rule(line)
        or is_unannounced_separator(line)
        or split_header(line) is not None
        or find_intro([line], 0, floor=0, quoted_next=True, blank_next=True) is not None
    ]
    assert marks == []
    assert len(taken) > 1_000


@pytest.mark.parametrize(
    "line",
    [
        "Since this morning the printer in the hall does not print any more,",
        "e-mail works, well-known sites too – only the printer does not",
        "Сегодня утром принтер перестал печатать, помогите пожалуйста",
        "今朝からプリンターが印刷できません。",
    ],
)
def test_what_people_write_is_taken_for_prose_at_one_look(line: str) -> None:
    assert is_prose(line)


def test_a_line_that_cannot_announce_a_forward_announces_none() -> None:
    lines = written()
    shown = set(which_may_announce(lines))
    hidden = [line for line in lines if line not in shown]
    assert [line for line in hidden if read_separator(line) is Separator.FORWARDED] == []
    assert len(hidden) > 1_000


@pytest.mark.parametrize(
    "line",
    [
        "Begin forwarded message:&nbsp;",
        "Begin forwarded message:\u200b",
        "Begin forwarded message:\u00a0",
        "Begin forwarded message\uff1a",
        "Begin forwarded [message:](https://example.org/m)",
        "Begin forwarded message:<mailto:ann@example.org>",
        "---------- Forwarded message ---------*",
        "---------- Forwarded message ---------" + " " * 700 + "x",
    ],
)
def test_what_a_view_takes_away_does_not_hide_the_announcement_of_a_forward(line: str) -> None:
    assert which_may_announce([line]) == [line]


def test_the_lines_of_a_text_seen_together_look_as_each_looks_alone() -> None:
    lines = [
        *written(), "\ttab", "caf\u0065\u0301 ", "a\u00a0&lt;ann@example.org&gt;\u200b", "see [this](https://example.org", "link](mailto:x)",
        "[a", "b](https://example.org/x) c", "<mailto:ann@example.org>", "x" * 700 + "\u0301", "\x0c", "\u2028", " ", "",
    ]  # fmt: skip
    assert view_all(lines) == [view(line) for line in lines]
    assert view_all(["plain", "\tlines "]) == ["plain", " lines"]
    assert view_all([]) == []


def test_a_character_that_is_not_composable_is_in_its_normal_form_beside_any_other() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    seconds = {
        chr(int(parts[1], 16))
        for char in characters
        if len(parts := unicodedata.decomposition(char).split()) == 2 and not parts[0].startswith("<")
    }
    jamo = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # of which Hangul is composed
    moving = [char for char in characters if unicodedata.combining(char) or unicodedata.normalize("NFC", char) != char]
    missed = [char for char in {*seconds, *jamo, *moving} if not _COMPOSABLE.search(char)]
    assert missed == []
    assert _COMPOSABLE.search("Äußerung\u2026 \u201eПример\u201c \u65e5\u672c\u3054 \ud55c \u20ac") is None


def test_no_line_of_a_telephone_or_of_notes_is_missed_by_the_look_at_all_lines_at_once() -> None:
    edges = ("{}", "* {} *", "_{}_", " - {}!", "<https://example.org/x> {}", "| {}.")
    lines = [view(edge.format(line)) for line in written()[::7] for edge in edges]
    devices = [line for line in lines if is_device_line(line)]
    labels = [line for line in lines if _notes_field(plain(line)) is not None and _notes_field(plain(line))[0] == "cc"]  # type: ignore[index]
    assert [line for line in devices if not may_hold_device_line(["above", line, "below"])] == []
    assert [line for line in labels if not may_hold_notes(["Ann Smith is above it", line, ""])] == []
    assert len(devices) > 100
    assert len(labels) > 100
    assert not may_hold_device_line(["Since this morning", "the printer does not print", ""])


def test_one_look_says_whether_any_character_has_to_be_made_plain() -> None:
    characters = [chr(code) for code in range(0x110000)]
    wrong = [
        char
        for char in characters
        if bool(_UNSETTLED.search(char)) != bool(_COMPOSABLE.search(char) or _UNPLAIN.search(char))
    ]
    assert wrong == []

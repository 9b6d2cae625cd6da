"""Reading commands: which lines at the top of a mail are commands, and what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.desk.commands import Command, read


def named(text):
    reading = read(text, text)
    return [(c.name, c.argument) for c in reading.commands], reading.text


@pytest.mark.parametrize(
    ("text", "commands", "left"),
    [
        ("Hello Cy,\nit is done.", [], "Hello Cy,\nit is done."),
        ("#assign bob\nHello", [("assign", "bob")], "Hello"),
        ("#assign bob\n\n#priority high\n\n\nHello\n\nBye", [("assign", "bob"), ("priority", "high")], "Hello\n\nBye"),
        ("#close", [("close", "")], ""),
        ("#Close\n#RESOLVE", [("close", ""), ("resolve", "")], ""),
        ("#assign: Bob Agent", [("assign", "Bob Agent")], ""),
        ("  #tag  a   b \nx", [("tag", "a   b")], "x"),
        ("\u200b#close\u200b\n\ufeff\nx", [("close", "")], "x"),
        ("#tag\u00a0vip", [("tag", "vip")], ""),
        ("#note\nCall him.", [("note", "")], "Call him."),
        ("#note Call him.\nSoon.", [("note", "Call him.")], "Soon."),
        ("#nonsense now\nx", [("nonsense", "now")], "x"),
        ("#größer 3", [("größer", "3")], ""),
        ("# 1 problem is left\n#close", [], "# 1 problem is left\n#close"),
        ("#1234 is your number", [], "#1234 is your number"),
        ("#", [], "#"),
        ("## Heading", [], "## Heading"),
        ("#!/bin/sh", [], "#!/bin/sh"),
        ("#_x", [], "#_x"),
        ("Hello\n#close", [], "Hello\n#close"),
        ("#close\nHello\n#open", [("close", "")], "Hello\n#open"),
        ("> #close\nx", [], "> #close\nx"),
        ("", [], ""),
    ],
)
def test_the_lines_at_the_top_that_are_commands(text, commands, left):
    assert named(text) == (commands, left)


def test_a_command_keeps_its_line_as_it_was_written():
    assert read(" #Assign  Bob ", "#Assign  Bob").commands == (Command("#Assign  Bob", "assign", "Bob"),)


@pytest.mark.parametrize(
    ("mail", "is_on_top"),
    [
        ("#close\nbye", True),
        ("\n \n#close\nbye\n\n> quoted", True),
        ("From: Cy <cy@customer.example>\nSubject: x\n\n#close\nbye", False),
        ("> Shall I?\n\n#close\nbye", False),
    ],
)
def test_what_stands_below_something_else_is_not_on_top(mail, is_on_top):
    assert read("#close\nbye", mail).is_on_top == is_on_top


@pytest.mark.parametrize(
    ("text", "stray"),
    [
        ("Hello\n#note he is rude", "#note he is rude"),
        ("#close\nHello\n#Note\nrude", "#Note"),
        ("#note\nHello", None),
        ("Hello\n #note", None),
        ("Hello\n#notes", None),
        ("Hello #note", None),
    ],
)
def test_a_note_that_begins_below_text_is_seen(text, stray):
    assert read(text, text).stray_note == stray


@given(st.text(), st.text())
def test_reading_never_fails_and_loses_no_line_of_the_text(reply, mail):
    reading = read(reply, mail)
    assert reply.strip().endswith(reading.text) or reading.text in "\n".join(reply.splitlines())

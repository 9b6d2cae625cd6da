"""An mbox gives back the mails that were put into it, byte for byte, as a stream."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.daemon.mbox import is_separator, read_mbox

LIMIT = 1 << 20
ANN = b"From ann@example.org Mon Jun 24 18:07:18 2002\n"
BOB = b"From bob@example.org Tue Jun 25 08:00:00 2002\n"


def mails(mbox: bytes, max_size: int = LIMIT) -> list[bytes | None]:
    return list(read_mbox(BytesIO(mbox), max_size))


def test_mails_are_parted_at_their_from_lines() -> None:
    one, two = b"Subject: one\n\nhello\n", b"Subject: two\n\nworld\n"
    assert [one, two] == mails(ANN + one + b"\n" + BOB + two + b"\n")


def test_the_last_mail_needs_no_blank_line_behind_it() -> None:
    assert mails(ANN + b"Subject: one\n\nhello") == [b"Subject: one\n\nhello"]


def test_carriage_returns_stay() -> None:
    one, two = b"Subject: one\r\n\r\nhello\r\n", b"Subject: two\r\n\r\nworld\r\n"
    assert [one, two] == mails(ANN.replace(b"\n", b"\r\n") + one + b"\r\n" + BOB.replace(b"\n", b"\r\n") + two)


def test_a_paragraph_that_begins_with_from_is_no_new_mail() -> None:
    text = b"Subject: one\n\nDear all,\n\nFrom here on it is 10:30 in 2002.\n"
    assert [text] == mails(ANN + text + b"\n")


def test_a_from_line_without_a_blank_line_before_it_is_text() -> None:
    text = b"Subject: one\n\nhe wrote:\n" + BOB
    assert [text] == mails(ANN + text)


def test_quoting_is_taken_away_once_and_in_the_body_only() -> None:
    stored = b"Subject: one\n>From mars Mon Jan  1 00:00:00 1990\n\n>From here\n>>From there\n> From nowhere\n"
    meant = b"Subject: one\n>From mars Mon Jan  1 00:00:00 1990\n\nFrom here\n>From there\n> From nowhere\n"
    assert [meant] == mails(ANN + stored)


def test_a_mail_over_the_limit_is_named_and_the_next_is_read() -> None:
    assert mails(ANN + b"Subject: one\n\n" + b"x" * 500 + b"\n\n" + BOB + b"Subject: two\n\nsmall\n", 100) == [
        None,
        b"Subject: two\n\nsmall\n",
    ]


def test_an_empty_mbox_holds_no_mail() -> None:
    assert mails(b"") == []


def test_the_end_of_a_long_line_that_is_read_in_pieces_is_no_blank_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postroom.daemon.mbox.BLOCK", 64)
    text = b"Subject: one\n\n" + b"x" * 64 + b"\n" + BOB + b"x" * 64 + b"\n"
    assert [text] == mails(ANN + text)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_it_does_not_matter_where_what_is_read_at_once_ends(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = b"Subject: one\n\n>From x\n", b"Subject: two\n\n\ntext\n\n", b"Subject: three\n"
    mbox = (ANN + one + b"\n" + BOB + two + b"\n" + ANN + three + b"\n").replace(b"\n", end)
    expected = [mail.replace(b"\n", end) for mail in (one.replace(b">", b""), two, three)]
    for block in range(len(ANN) + 1, len(mbox) + 2):
        monkeypatch.setattr("postroom.daemon.mbox.BLOCK", block)
        assert expected == mails(mbox)


@pytest.mark.parametrize(
    "line",
    [
        b"From MAILER-DAEMON Mon Jun 24 18:07:18 2002\n",
        b"From - Mon Jun 24 18:07:18 2002\r\n",
        b"From 1581234567890@xxx Mon Jan 01 00:00:00 +0000 2018\n",
        b"From ann at example.org  Mon Jun 24 18:07:18 2002\n",
        b"From ann@example.org Mon, 24 Jun 2002 18:07:18 +0200\n",
        b"From ???@??? Mon Jun 24 18:07 2002\n",
    ],
)
def test_what_programs_write_as_from_lines(line: bytes) -> None:
    assert is_separator(line)


@pytest.mark.parametrize(
    "line", [b"From the desk of Ann\n", b">" + ANN, b"from " + ANN[5:], b"From: ann\n", b"From " + b"x" * 600]
)
def test_what_is_text(line: bytes) -> None:
    assert not is_separator(line)


BODIES = st.lists(
    st.sampled_from([b"text\n", b"\n", b"From ann Mon Jun 24 18:07:18 2002\n", b">From\n", b">From x\n", b"\r\n"]),
    max_size=8,
)


@given(st.lists(BODIES, min_size=1, max_size=4))
def test_what_was_quoted_as_mboxrd_comes_back_unchanged(bodies: list[list[bytes]]) -> None:
    written = [[b"Subject: mail\n", b"\n", *body, b"end\n"] for body in bodies]
    mbox = b"".join(
        ANN + b"".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines) + b"\n"
        for lines in written
    )
    assert [b"".join(lines) for lines in written] == mails(mbox)

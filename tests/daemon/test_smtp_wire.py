"""The wire cuts octets into lines and contents, whatever pieces they come in, and only where RFC 5321 says."""

import hashlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.daemon.smtp_wire import MAX_LINE, Content, LineTooLong, Mail, Wire, count_received, has_bare_line_end

LIMIT = 10_000
ENDS = [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"\r\n.", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"]


def fed(*pieces: bytes) -> Wire:
    wire = Wire()
    for piece in pieces:
        wire.feed(piece)
    return wire


def content(wire: Wire, limit: int = LIMIT) -> bytes | None:
    """The content that has come whole; None for one that was too long."""
    reading = Content(limit)
    assert wire.read_into(reading)
    mail = reading.mail()
    return mail.raw if mail else None


def test_only_a_line_feed_ends_a_line_and_it_is_kept_to_be_judged() -> None:
    wire = fed(b"EHLO a\r\nNOOP\nRSET\r", b"\n")
    assert [wire.line() for _ in range(4)] == [b"EHLO a\r\n", b"NOOP\n", b"RSET\r\n", None]


def test_a_line_without_end_is_bounded_and_the_next_one_is_read() -> None:
    wire = fed(b"x" * (3 * MAX_LINE))
    assert wire.line() is None
    assert wire.is_empty
    wire.feed(b"tail\r\nNOOP\r\n")
    with pytest.raises(LineTooLong):
        wire.line()
    assert wire.line() == b"NOOP\r\n"


def test_a_line_that_comes_at_once_is_bounded_too() -> None:
    with pytest.raises(LineTooLong):
        fed(b"x" * MAX_LINE + b"\r\n").line()


def test_a_line_that_comes_octet_by_octet_is_read() -> None:
    wire, lines = Wire(), []
    for octet in b"NOOP\r\nRSET\r\nQU":
        wire.feed(bytes([octet]))
        assert wire.has_line is (octet == ord("\n"))
        lines.append(wire.line())
    assert [line for line in lines if line] == [b"NOOP\r\n", b"RSET\r\n"]


def test_what_comes_after_the_end_is_thrown_away() -> None:
    wire = fed(b"QUIT\r\n")
    wire.end()
    wire.feed(b"NOOP\r\n")
    assert (wire.line(), wire.line()) == (b"QUIT\r\n", None)


@pytest.mark.parametrize(
    "smuggled",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r.\r",
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
        b"\r\n.\r\r\n",
    ],
)
def test_nothing_but_crlf_dot_crlf_ends_a_content(smuggled: bytes) -> None:
    wire = fed(b"one" + smuggled + b"MAIL FROM:<evil@example.org>\r\n", b".\r\nQUIT\r\n")
    assert b"MAIL FROM:<evil@example.org>\r\n" in (content(wire) or b"")
    assert wire.line() == b"QUIT\r\n"


def test_an_empty_content_ends_at_its_first_line() -> None:
    assert content(fed(b".\r\n")) == b""


def test_the_dots_that_the_client_added_are_taken_away() -> None:
    assert content(fed(b"..one\r\n..\r\n.two\r\n.\r\n")) == b".one\r\n.\r\ntwo\r\n"


@given(st.lists(st.sampled_from(ENDS), max_size=12), st.lists(st.integers(1, 7), min_size=1))
def test_pieces_make_no_difference(parts: list[bytes], sizes: list[int]) -> None:
    octets = b"".join(parts) + b"\r\n.\r\nQUIT\r\n"

    def read(pieces: list[bytes]) -> tuple[Mail | None, bytes]:
        wire, reading, has_come = Wire(), Content(LIMIT), False
        for piece in pieces:
            wire.feed(piece)
            has_come = has_come or wire.read_into(reading)
        assert has_come
        return reading.mail(), bytes(wire._waiting)

    pieces, at, turn = [], 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        pieces.append(octets[at : at + size])
        at, turn = at + size, turn + 1
    mail, rest = read(pieces)
    assert (mail, rest) == read([octets])
    end = (b"\r\n" + octets).find(b"\r\n.\r\n")
    assert rest == (b"\r\n" + octets)[end + 5 :]
    assert mail is not None
    assert mail.raw == (b"\r\n" + octets)[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
    assert mail.digest == hashlib.sha256(mail.raw).hexdigest()
    assert mail.has_bare_line_end is has_bare_line_end(mail.raw)


@given(st.binary(max_size=200))
def test_what_a_client_stuffs_we_unstuff(mail: bytes) -> None:
    """RFC 5321 §4.5.2, for every content that a client may send at all."""
    mail = mail.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n"
    stuffed = (b"\r\n" + mail).replace(b"\r\n.", b"\r\n..")[2:]
    assert content(fed(stuffed + b".\r\n")) == mail


def test_the_limit_is_on_the_message_not_on_its_dots() -> None:
    stuffed = b"..\r\n" * 100
    assert content(fed(stuffed + b".\r\n"), 300) == b".\r\n" * 100
    assert content(fed(stuffed + b".\r\n"), 299) is None


def test_what_is_too_long_is_thrown_away_as_it_comes() -> None:
    held: list[int] = []
    wire, reading = Wire(), Content(1000, lambda octets: held.append(octets) or True)
    for _ in range(1000):
        wire.feed(b"x" * 998 + b"\r\n")
        assert not wire.read_into(reading)
        assert len(reading._kept) <= 1000
    wire.feed(b".\r\nRSET\r\n")
    assert wire.read_into(reading)
    assert reading.mail() is None
    assert sum(held) == 0
    assert wire.line() == b"RSET\r\n"


def test_a_content_that_comes_octet_by_octet_takes_no_more_memory_than_its_octets() -> None:
    reading = Content(LIMIT)
    for octet in b"x" * 5000:
        assert reading.take(bytes([octet])) is None
    assert sys.getsizeof(reading._kept) < 7000


@pytest.mark.parametrize(
    ("octets", "bare"),
    [(b"", False), (b"a\r\nb\r\n", False), (b"a\nb", True), (b"a\rb", True), (b"\r\r\n", True), (b"\n\r", True)],
)
def test_a_bare_cr_or_lf_is_seen(octets: bytes, bare: bool) -> None:
    assert has_bare_line_end(octets) is bare


def test_received_lines_are_counted_in_the_header_alone() -> None:
    raw = b"Received: one\r\n by two\r\nRECEIVED : three\r\nX-Received: no\r\n\r\nReceived: quoted\r\n"
    assert count_received(raw) == 2
    assert count_received(b"Received: only header") == 1

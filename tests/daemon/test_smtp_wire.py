"""The wire cuts octets into lines and contents, whatever pieces they come in, and only where RFC 5321 says."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.daemon.smtp_wire import MAX_LINE, HungUp, LineTooLong, Wire, count_received, has_bare_line_end

LIMIT = 10_000
ENDS = [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"\r\n.", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"]


def fed(*pieces: bytes) -> Wire:
    wire = Wire()
    for piece in pieces:
        wire.feed(piece)
    return wire


async def test_only_a_line_feed_ends_a_line_and_it_is_kept_to_be_judged() -> None:
    wire = fed(b"EHLO a\r\nNOOP\nRSET\r", b"\n")
    assert [await wire.line() for _ in range(3)] == [b"EHLO a\r\n", b"NOOP\n", b"RSET\r\n"]


async def test_a_line_without_end_is_bounded_and_the_next_one_is_read() -> None:
    wire = fed(b"x" * (3 * MAX_LINE))
    reading = asyncio.create_task(wire.line())
    await asyncio.sleep(0)
    wire.feed(b"tail\r\nNOOP\r\n")
    with pytest.raises(LineTooLong):
        await reading
    assert await wire.line() == b"NOOP\r\n"


async def test_a_line_that_comes_at_once_is_bounded_too() -> None:
    with pytest.raises(LineTooLong):
        await fed(b"x" * MAX_LINE + b"\r\n").line()


async def test_the_end_of_the_client_ends_a_line() -> None:
    wire = fed(b"EHL")
    wire.end()
    with pytest.raises(HungUp):
        await wire.line()


async def test_what_was_complete_before_the_client_ended_is_read() -> None:
    wire = fed(b"QUIT\r\n")
    wire.end()
    assert await wire.line() == b"QUIT\r\n"


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
async def test_nothing_but_crlf_dot_crlf_ends_a_content(smuggled: bytes) -> None:
    wire = fed(b"one" + smuggled + b"MAIL FROM:<evil@example.org>\r\n", b".\r\nQUIT\r\n")
    content = await wire.content(LIMIT)
    assert content is not None
    assert b"MAIL FROM:<evil@example.org>\r\n" in content
    assert await wire.line() == b"QUIT\r\n"


async def test_an_empty_content_ends_at_its_first_line() -> None:
    assert await fed(b".\r\n").content(LIMIT) == b""


async def test_the_dots_that_the_client_added_are_taken_away() -> None:
    assert await fed(b"..one\r\n..\r\n.two\r\n.\r\n").content(LIMIT) == b".one\r\n.\r\ntwo\r\n"


@given(st.lists(st.sampled_from(ENDS), max_size=12), st.lists(st.integers(1, 7), min_size=1))
def test_pieces_make_no_difference(parts: list[bytes], sizes: list[int]) -> None:
    octets = b"".join(parts) + b"\r\n.\r\nQUIT\r\n"

    async def read(wire: Wire, pieces: list[bytes]) -> tuple[bytes | None, bytes]:
        reading = asyncio.create_task(wire.content(LIMIT))
        for piece in pieces:
            await asyncio.sleep(0)
            wire.feed(piece)
        content = await reading
        wire.end()
        return content, bytes(wire._buffer)

    pieces, at, turn = [], 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        pieces.append(octets[at : at + size])
        at, turn = at + size, turn + 1
    whole = asyncio.run(read(Wire(), [octets]))
    assert asyncio.run(read(Wire(), pieces)) == whole
    end = (b"\r\n" + octets).find(b"\r\n.\r\n")
    assert whole[1] == (b"\r\n" + octets)[end + 5 :]


@given(st.binary(max_size=200))
def test_what_a_client_stuffs_we_unstuff(mail: bytes) -> None:
    """RFC 5321 §4.5.2, for every content that a client may send at all."""
    mail = mail.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n"
    stuffed = (b"\r\n" + mail).replace(b"\r\n.", b"\r\n..")[2:]
    assert asyncio.run(fed(stuffed + b".\r\n").content(LIMIT)) == mail


async def test_the_limit_is_on_the_message_not_on_its_dots() -> None:
    stuffed = b"..\r\n" * 100
    assert await fed(stuffed + b".\r\n").content(300) == b".\r\n" * 100
    assert await fed(stuffed + b".\r\n").content(299) is None


async def test_what_is_too_long_is_thrown_away_as_it_comes() -> None:
    wire = Wire()
    reading = asyncio.create_task(wire.content(1000))
    for _ in range(1000):
        wire.feed(b"x" * 998 + b"\r\n")
        await asyncio.sleep(0)
    wire.feed(b".\r\nRSET\r\n")
    assert await reading is None
    assert await wire.line() == b"RSET\r\n"


async def test_a_client_that_is_gone_leaves_no_content() -> None:
    wire = fed(b"half a mess")
    wire.end()
    with pytest.raises(HungUp):
        await wire.content(LIMIT)


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

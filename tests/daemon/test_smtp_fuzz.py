"""Any dialogue at all, pipelined in any pieces: each line gets its answer, and a 250 is a promise that is kept.

What the client sent is cut again here, by the letter of RFC 5321 and with our answers beside it, and compared with the store.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from peers.door import Door
from structlog.testing import capture_logs

ACCEPTED = re.compile(r"250 2\.0\.0 accepted as ([0-9, ]+)")
REPLY = re.compile(r"\d{3} (?:\d\.\d{1,3}\.\d{1,3} )?[ -~]+")

COMMANDS = st.sampled_from([
    b"EHLO client.example", b"HELO client.example", b"EHLO", b"MAIL FROM:<ann@example.org>", b"mail from:<> SIZE=100",
    b"MAIL FROM:<ann@example.org> SIZE=99999999999", b"MAIL FROM:<ann@example.org> BODY=8BITMIME SMTPUTF8", b"MAIL FROM:<ann",
    b"RCPT TO:<support@example.com>", b"RCPT TO:<sales@example.com>", b"rcpt to:<nobody@example.com>", b"RCPT TO:<postmaster>",
    b"DATA", b"data", b"DATA now", b"RSET", b"NOOP", b"VRFY ann", b"EXPN", b"HELP", b"AUTH PLAIN AA==", b"STARTTLS", b"LHLO x",
    b"BDAT 10 LAST", b"QUIT", b"", b".", b"X" * 3000,
])  # fmt: skip
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\x00\r\n"])
TEXTS = st.sampled_from(
    [
        b"Subject: one\r\n\r\n",
        b"..\r\n",
        b"a line\r\n",
        b"\r\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n..\r\n",
        b"\xff",
        b".",
    ]
)
CONTENTS = st.lists(TEXTS, max_size=6).map(b"".join)
# Most of a conversation goes right, else hardly any would come to a content.
MAILS = st.builds(
    lambda body, end, behind: (
        b"EHLO c.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n" + body + end + behind
    ),
    CONTENTS, st.sampled_from([b"\r\n.\r\n"] * 5 + [b"\n.\n", b"\r\n.\n", b"\r\n.\r", b".\r\n", b""]), st.sampled_from([b"", b"RSET\r\n", b"QUIT\r\n"]),
)  # fmt: skip
LINES = st.builds(bytes.__add__, COMMANDS, ENDS)
DIALOGUES = st.lists(st.one_of(LINES, MAILS, CONTENTS, st.binary(max_size=20)), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Door(tmp_path_factory.mktemp("door"), errors=5, recipients=3, max_size=100_000) as door:
        yield door


@given(DIALOGUES, st.lists(st.integers(1, 400), min_size=1, max_size=5))
@example(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<sales@example.com>\r\nDATA\r\nA\r\n.\r\nDATA\r\n.\r\n", [1000])
def test_whatever_is_said_each_line_is_answered_and_each_250_is_kept(door: Door, said: bytes, sizes: list[int]) -> None:
    before = {row.id for row in door.kept()}
    failures: list[Any] = []
    door.run(_watch(door, failures))
    with capture_logs() as logs, door.client() as client:
        at = turn = 0
        try:
            while at < len(said):
                client.send(said[at : at + sizes[turn % len(sizes)]])
                at, turn = at + sizes[turn % len(sizes)], turn + 1
            client.socket.shutdown(1)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # we have been dismissed
        replies = []
        while reply := client.reply():
            replies.append(reply)
    promised = check(door, said, replies)
    assert not failures
    assert not [line for line in logs if line["log_level"] in {"error", "critical"}]
    assert {row.id for row in door.kept()} - before <= promised
    assert door.server.held == 0


async def _watch(door: Door, failures: list[Any]) -> None:
    """What nobody caught on the event loop is a failure, too."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    door._loop.set_exception_handler(lambda _loop, context: failures.append(context))


def check(door: Door, said: bytes, replies: list[str]) -> set[int]:
    """Cut what was said as the replies say that it was understood; the ids that were promised."""
    promised: set[int] = set()
    sender, recipients, known = False, 0, False
    for number, reply in enumerate(replies):
        assert all(
            REPLY.fullmatch(line.replace("-", " ", 1) if line[3] == "-" else line) for line in reply.split("\n")
        ), reply
        assert not ACCEPTED.match(reply), "nothing was sent to be accepted"
        if reply.startswith("421"):
            assert number == len(replies) - 1
            return promised
        line, end, said = said.partition(b"\n")
        assert end, f"nobody asked for {reply!r}"
        name = line.upper().rstrip(b"\r")
        if name.startswith((b"EHLO ", b"HELO ")) and reply.startswith("250"):
            sender, recipients, known = False, 0, True
        elif name == b"RSET" and reply.startswith("250"):
            sender, recipients = False, 0
        elif name.startswith(b"MAIL ") and reply.startswith("250"):
            assert known
            assert not sender
            sender = True
        elif name.startswith(b"RCPT ") and reply.startswith("250"):
            assert sender
            recipients += 1
        elif reply.startswith("221"):
            assert number == len(replies) - 1
            return promised
        elif reply.startswith("354"):
            assert name == b"DATA"
            assert recipients
            rest = replies[number + 1 :]
            return promised | check_content(door, said, rest, recipients)
    assert b"\n" not in said, "a line was not answered"
    return promised


def check_content(door: Door, said: bytes, replies: list[str], recipients: int) -> set[int]:
    """Behind a 354; and on behind the content."""
    content, end, said = (b"\r\n" + said).partition(b"\r\n.\r\n")
    if not end:
        assert replies in ([], ["421 4.7.0 too many errors"])
        return set()
    raw = (content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
    is_bare = re.search(rb"\r(?!\n)|(?<!\r)\n", raw) is not None
    assert replies, "a content was not answered"
    accepted = ACCEPTED.fullmatch(replies[0])
    assert bool(accepted) is not is_bare
    ids = [int(one) for one in accepted[1].split(",")] if accepted else []
    assert all(door.raw(one) == raw for one in ids), "another mail's octets are kept"
    assert len(ids) == (recipients if accepted else 0)
    if replies[0].startswith("421"):
        return set()
    return set(ids) | check_next(door, said, replies[1:])


def check_next(door: Door, said: bytes, replies: list[str]) -> set[int]:
    """The client is known, and its envelope is empty again."""
    return check(door, b"EHLO again\r\n" + said, ["250 2.0.0 again", *replies])

"""Whatever an IMAP server answers, and whenever: what was not asked for is not taken, memory is bounded, and the mail comes in the end."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.imapscript import ScriptedImap, Talk
from peers.watching import Watching, configuration
from structlog.testing import capture_logs

from postroom.daemon import imap_wire
from postroom.daemon.imap_wire import ANSWER, Plug, Wire

RAW = {1: b"Subject: one\r\n\r\n1\r\n", 2: b"Subject: two\r\n\r\n2\r\n", 3: b"Subject: three\r\n\r\n3\r\n"}
COMMANDS = ["CAPABILITY", "LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "UID STORE"]
WORDS = [
    "*", "{tag}", "OK", "NO", "BAD", "BYE", "PREAUTH", "+", "1", "2", "77", "0", "-1", "99999999999999999999", "4294967296", "FETCH",
    "EXPUNGE", "EXISTS", "SEARCH", "FLAGS", "(", ")", "()", "UID", "UID 1", "UID 77", "RFC822.SIZE", "RFC822.SIZE 419430400",
    "NIL", '"', '"x', "[", "]", "[UIDVALIDITY x]", "[UIDVALIDITY 99]", "[ALERT]", "\\Seen", "((((", "))))", "INTERNALDATE", "\x00", "\xff",
    "BODY[]", "{{419430400}}", "{{-1}}", "{{99999999999999999999999}}", "{{3}}", "x" * 3000, "CAPABILITY", "\t",
]  # fmt: skip
WHOLE = [  # well formed, and never asked for
    "* 1 FETCH (UID 77 BODY[] {{19}}\r\nSubject: evil\r\n\r\ne\r\n)",
    "* 9 FETCH (UID 78 RFC822.SIZE 5)", "* SEARCH 1 2 3 77 78", "* 2 EXPUNGE", "* 500000 EXISTS", "* VANISHED 1:*",
    "* OK [UIDNEXT 1] x", "+ go on", "{tag} OK done", "* SEARCH" + " 9" * 2000,
]  # fmt: skip


def script(seed: int) -> Callable[[Talk], None]:
    """Ordinary up to some command, then nonsense, and now and then on in that way."""
    chance = random.Random(seed)

    def follow(talk: Talk) -> None:
        command = talk.until(chance.choice(COMMANDS))
        for line in nonsense(chance):
            talk.say(line.format(tag=command.tag).encode("latin-1"), end="" if chance.random() < 0.1 else "\r\n")
        if chance.random() < 0.5:
            talk.ok(command)
            talk.until("no such command")

    return follow


def nonsense(chance: random.Random) -> Iterator[str]:
    for _ in range(chance.randint(1, 8)):
        if chance.random() < 0.4:
            yield chance.choice(WHOLE)
        else:
            yield " ".join(chance.choices(WORDS, k=chance.randint(1, 9)))


@pytest.mark.parametrize("start", range(0, 60, 12))
def test_a_server_that_talks_nonsense_gives_its_mail_once_it_talks_sense(tmp_path: Path, start: int) -> None:
    with ScriptedImap(RAW, *(script(seed) for seed in range(start, start + 12))) as server, capture_logs() as logs:
        config = configuration(
            tmp_path, server.host, server.port, max_size="100 KiB", timeout_seconds=0.3, poll_seconds=0.05
        )
        with Watching(config) as watching:
            server.over.wait(2)  # for so long it may talk nonsense
            server.mend()
            watching.wait_for(len(RAW))
            watching.wait_for_look()
            assert sorted(watching.raws()) == sorted(RAW.values())
    assert not [line for line in logs if line["log_level"] == "critical"]


@given(st.lists(st.one_of(st.sampled_from([*WORDS, *WHOLE, "\r\n", "\n"]).map(lambda w: w.format(tag="AAAA1").encode("latin-1")),
                          st.binary(max_size=30)), max_size=40).map(b" ".join))  # fmt: skip
def test_whatever_is_answered_the_wire_ends_with_an_error_that_we_know_and_holds_no_more_than_was_allowed(
    answer: bytes,
) -> None:
    allowed, most = 2000, 0

    class Watched(Wire):
        def _receive(self, seconds: float | None = None) -> None:
            nonlocal most
            super()._receive(seconds)
            most = max(most, len(self._buffer))

    def follow(talk: Talk) -> None:
        talk.until("NOOP")
        talk.say(answer * 10)

    plug = Plug()
    with ScriptedImap({}, follow) as server:
        wire = Watched(server.host, server.port, 2, None, plug)
        wire.expect(allowed, seconds=2)
        try:
            for _ in range(5):
                wire.noop()
        except (Wire.error, OSError, imap_wire.TooLarge, ValueError):
            pass
        finally:
            wire.shutdown()
            plug.release()
    assert most <= allowed + imap_wire.RECEIVE
    assert (
        sum(len(one) for each in wire.untagged_responses.values() for one in each if isinstance(one, bytes)) <= ANSWER
    )

"""The bounds of what is read from a server: octets, and time."""

import socket
from collections.abc import Iterator

import pytest
from peers.imapscript import ScriptedImap, Talk
from peers.processes import POLL_SECONDS

from postroom.daemon.imap_wire import Plug, TooLarge, Wire


def drip(talk: Talk) -> None:
    """After NOOP, an octet now and then, for ever: each within any timeout."""
    talk.until("NOOP")
    while True:
        talk.say("x", end="")
        talk.server.over.wait(POLL_SECONDS)


def announce(talk: Talk) -> None:
    talk.until("NOOP")
    talk.say("* 1 FETCH (BODY[] {1001}")
    talk.hear()


@pytest.fixture
def plug() -> Iterator[Plug]:
    plug = Plug()
    yield plug
    plug.release()


def connect(server: ScriptedImap, plug: Plug) -> Wire:
    return Wire(server.host, server.port, 10, None, plug)


def test_a_server_that_drips_is_left_when_the_whole_answer_takes_too_long(plug: Plug) -> None:
    with ScriptedImap({}, drip) as server:
        wire = connect(server, plug)
        wire.expect(1_000_000, seconds=0.3)
        with pytest.raises(TimeoutError):
            wire.noop()
        wire.shutdown()


def test_a_literal_beyond_the_bounds_is_known_by_its_announcement(plug: Plug) -> None:
    with ScriptedImap({}, announce) as server:
        wire = connect(server, plug)
        wire.expect(1000)
        with pytest.raises(TooLarge) as caught:
            wire.noop()
        assert caught.value.size == 1001
        wire.shutdown()


def test_a_line_beyond_the_bounds_is_not_read_to_its_end(plug: Plug) -> None:
    with ScriptedImap({}, lambda talk: talk.until("NOOP") and talk.say("* OK " + "x" * 2000)) as server:
        wire = connect(server, plug)
        wire.expect(1000)
        with pytest.raises(Wire.abort, match="more than it was asked for"):
            wire.noop()
        wire.shutdown()


def test_many_lines_are_bounded_together(plug: Plug) -> None:
    with ScriptedImap({}, lambda talk: talk.until("NOOP") and talk.say(*["* OK x"] * 200)) as server:
        wire = connect(server, plug)
        wire.expect(1000)
        with pytest.raises(Wire.abort, match="more than it was asked for"):
            wire.noop()
        wire.shutdown()


def test_a_plug_pulled_before_stops_the_connection_from_being_made(plug: Plug) -> None:
    with ScriptedImap({}) as server:
        plug.pull()
        with pytest.raises(ConnectionAbortedError):
            connect(server, plug)
        assert server.heard == []


def test_each_address_of_a_name_is_tried(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedImap({}) as server:
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (server.host, server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_keys: answers)
        wire = Wire("imap.example.com", 143, 10, None, plug)
        assert "IMAP4REV1" in wire.capabilities
        wire.shutdown()

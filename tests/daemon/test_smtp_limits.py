"""Limits on what a client may do (POLICIES, "SMTP"), and line discipline against smuggling."""

import asyncio
import shutil
import smtplib
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from peers.door import Client, Door
from peers.processes import wait_until

from postroom.daemon import smtp_connection
from postroom.daemon.smtp import MAX_HOPS

HELD_SECONDS = 10.0  # for a client that dawdles; the door's clocks in these tests are far shorter


def test_there_is_room_for_so_many_connections(tmp_path: Path) -> None:
    with Door(tmp_path, connections=2) as door:
        first, second = door.client(), door.client()
        with door.client(greet=False) as third:
            assert third.reply() == "421 4.7.0 desk.example too many connections, try again later"
            assert third.reply() == ""
        first.socket.close()
        wait_until(lambda: welcomed(door), "a place is free again")
        second.socket.close()


def test_one_client_may_hold_so_many(tmp_path: Path) -> None:
    with Door(tmp_path, connections_per_client=1) as door, door.client(), door.client(greet=False) as second:
        assert second.reply() == "421 4.7.0 desk.example too many connections from you, try again later"


def test_a_message_may_have_so_many_recipients(tmp_path: Path) -> None:
    with Door(tmp_path, recipients=2) as door, door.client() as client:
        client.say("EHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        replies = [client.say(f"RCPT TO:<support+{n}@example.com>")[:9] for n in range(3)]
        assert replies == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
        client.say("DATA")
        client.say("Subject: two\r\n\r\n.")
        assert len(door.kept()) == 2


def test_after_so_many_errors_the_client_is_dismissed(tmp_path: Path) -> None:
    with Door(tmp_path, errors=3) as door, door.client() as client:
        client.say("EHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        replies = [client.say(f"RCPT TO:<guess{n}@example.com>")[:9] for n in range(4)]
        assert replies == ["550 5.1.1", "550 5.1.1", "550 5.1.1", "421 4.7.0"]
        assert client.reply() == ""


def test_our_own_trouble_is_no_error_of_the_client(tmp_path: Path) -> None:
    with Door(tmp_path, errors=1, min_free_disk=1 << 60) as door, door.client() as client:
        client.say("EHLO client.example")
        replies = [client.say("MAIL FROM:<ann@example.org>")[:9] for _ in range(4)]
        assert replies == ["452 4.3.1"] * 4


def test_an_idle_client_is_dismissed(tmp_path: Path) -> None:
    with Door(tmp_path, command_seconds=0.2) as door, door.client() as client:
        assert client.reply() == "421 4.4.2 timeout"
        assert client.reply() == ""


def test_half_a_command_buys_no_time(tmp_path: Path) -> None:
    with Door(tmp_path, command_seconds=0.3) as door, door.client() as client:
        assert dawdle(client, b"NOOP NOOP NOOP") == "421 4.4.2 timeout"


def test_data_that_flows_is_given_time(tmp_path: Path) -> None:
    """aiosmtpd's timeout runs on during DATA."""
    with Door(tmp_path, command_seconds=0.5) as door, door.client() as client:
        client.begin()
        for _ in range(8):
            client.send(b"x" * 70 + b"\r\n")
            time.sleep(0.1)
        assert client.say(".").startswith("250 2.0.0 ")


def test_data_that_stops_is_not(tmp_path: Path) -> None:
    with Door(tmp_path, command_seconds=0.2) as door, door.client() as client:
        client.begin()
        client.send(b"Subject: half")
        assert client.reply() == "421 4.4.2 timeout"
        assert door.kept() == []


def test_a_trickle_of_data_ends_at_the_cap(tmp_path: Path) -> None:
    with Door(tmp_path, command_seconds=5, transaction_seconds=0.5) as door, door.client() as client:
        client.begin()
        assert dawdle(client, b"x") == "421 4.4.2 too slow"
        assert door.kept() == []


def test_a_client_that_only_keeps_us_busy_ends_at_the_cap(tmp_path: Path) -> None:
    with Door(tmp_path, command_seconds=5, transaction_seconds=0.5) as door, door.client() as client:
        replies = [client.say("NOOP")]
        while replies[-1].startswith("250"):
            replies.append(client.say("NOOP"))
        assert replies[-1] == "421 4.4.2 too slow"


def test_what_was_delivered_buys_no_more_than_one_cap(tmp_path: Path) -> None:
    with Door(tmp_path, transaction_seconds=0.5) as door, door.client() as client:
        client.begin()
        assert client.say("Subject: one\r\n\r\n.").startswith("250 2.0.0 ")
        client.begin()
        assert dawdle(client, b"x") == "421 4.4.2 too slow"


def test_a_client_that_delivers_may_stay(tmp_path: Path) -> None:
    with Door(tmp_path, transaction_seconds=0.6) as door, door.client() as client:
        for number in range(4):
            client.begin()
            time.sleep(0.25)
            assert client.say(f"Subject: {number}\r\n\r\n.").startswith("250 2.0.0 ")


def test_a_client_that_is_dismissed_while_it_sends_still_reads_why(tmp_path: Path) -> None:
    """Closing at once would reset the connection, and throw our 421 away."""
    with Door(tmp_path) as door, door.client() as client:
        client.begin()
        stopping = door.begin(door.server.stop(10))
        wait_until(lambda: all(session._is_over for session in door.server._sessions), "it is dismissed")
        client.send((b"x" * 998 + b"\r\n") * 5000)
        assert client.reply() == "421 4.3.2 shutting down, try again later"
        client.socket.close()
        stopping.result(10)


def test_an_announced_size_over_the_limit_is_refused_at_mail(tmp_path: Path) -> None:
    with Door(tmp_path, max_size=1000) as door, door.client() as client:
        assert "SIZE 1000" in client.say("EHLO client.example")
        assert client.say("MAIL FROM:<ann@example.org> SIZE=1001").startswith("552 5.3.4 ")
        assert client.say("MAIL FROM:<ann@example.org> SIZE=1000").startswith("250 2.1.0 ")


def test_a_content_over_the_limit_is_refused_and_the_session_goes_on(tmp_path: Path) -> None:
    with Door(tmp_path, max_size=1000) as door, door.client() as client:
        client.begin()
        client.send((b"x" * 998 + b"\r\n") * 200)
        assert client.say(".").startswith("552 5.3.4 ")
        client.begin()
        assert client.say("x" * 998 + "\r\n.").startswith("250 2.0.0 ")
        assert [row.size for row in door.kept()] == [1000]


@pytest.mark.parametrize("ending", ["\n", "\r", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\r\n"])
def test_a_bare_cr_or_lf_in_the_content_is_refused_and_nothing_is_smuggled(tmp_path: Path, ending: str) -> None:
    with Door(tmp_path) as door, door.client() as client:
        client.begin()
        smuggled = (
            f"Subject: one\r\n\r\none{ending}MAIL FROM:<evil@example.org>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n"
        )
        client.send(smuggled.encode())
        assert client.say("Subject: smuggled\r\n\r\ntwo\r\n.").startswith("550 5.5.2 ")
        assert client.say("NOOP").startswith("250 ")
        assert door.kept() == []


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\rRSET\r\n", b"NOOP\r\r\n"])
def test_a_bare_cr_or_lf_in_a_command_is_refused(tmp_path: Path, line: bytes) -> None:
    with Door(tmp_path) as door, door.client() as client:
        client.send(line)
        assert client.reply().startswith("550 5.5.2 ")
        assert client.say("NOOP").startswith("250 ")


@pytest.mark.parametrize("line", [b"NOOP \x00", b"EHLO \xff\xfe", b"MAIL FROM:<a\x08@b.example>", b"\xe4\r"])
def test_controls_and_broken_utf8_in_a_command_are_refused(tmp_path: Path, line: bytes) -> None:
    with Door(tmp_path) as door, door.client() as client:
        client.send(line.rstrip(b"\r") + b"\r\n")
        assert client.reply().startswith("500 5.5.2 ")


def test_a_command_line_is_bounded(tmp_path: Path) -> None:
    with Door(tmp_path) as door, door.client() as client:
        assert client.say("NOOP " + "x" * 1_000_000).startswith("500 5.5.2 ")
        assert client.say("NOOP").startswith("250 ")


def test_a_message_that_goes_in_circles_is_refused(tmp_path: Path) -> None:
    hop = b"Received: from a.example by b.example; Mon, 23 Nov 2026 19:05:00 +0000\r\n"
    with Door(tmp_path) as door, smtplib.SMTP("127.0.0.1", door.port) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("ann@example.org", ["support@example.com"], hop * MAX_HOPS + b"Subject: loop\r\n\r\n")
        assert (refused.value.smtp_code, refused.value.smtp_error[:6]) == (554, b"5.4.6 ")
        client.sendmail("ann@example.org", ["support@example.com"], hop * (MAX_HOPS - 1) + b"Subject: far\r\n\r\n")
        assert len(door.kept()) == 1


def test_below_the_disk_floor_nothing_is_begun(tmp_path: Path) -> None:
    with Door(tmp_path, min_free_disk=1 << 60) as door, door.client() as client:
        client.say("EHLO client.example")
        assert client.say("MAIL FROM:<ann@example.org>").startswith("452 4.3.1 ")


def test_a_disk_that_fills_during_data_is_seen_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Door(tmp_path, min_free_disk=1000) as door, door.client() as client:
        client.begin()
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1010))  # as others fill it
        assert client.say("Subject: one\r\n\r\n.").startswith("452 4.3.1 ")
        assert door.kept() == []


def test_a_disk_that_is_full_is_452(tmp_path: Path) -> None:
    """SQLite's own limit on pages fails as a full disk does."""
    with Door(tmp_path) as door:
        with door.store.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def bound(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

        from sqlalchemy import event

        event.listen(door.store.engine, "connect", bound)
        door.store.engine.dispose()
        with door.client() as client:
            client.begin()
            client.send((b"x" * 998 + b"\r\n") * 500)
            assert client.say(".").startswith("452 4.3.1 ")
        assert door.kept() == []


def test_a_flood_of_pipelined_commands_leaves_turns_to_others(tmp_path: Path) -> None:
    async def turns_while_it_is_here() -> int:
        turns = 0
        while door.server._sessions:
            await asyncio.sleep(0)
            turns += 1
        return turns

    with Door(tmp_path) as door, door.client() as flood:
        turns = door.begin(turns_while_it_is_here())
        flood.send(b"NOOP\r\n" * 3000 + b"QUIT\r\n")
        while flood.reply():
            pass
        assert turns.result(20) > 3000


def test_a_client_that_does_not_read_its_replies_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_connection, "LINGER_SECONDS", 0.1)
    with Door(tmp_path, command_seconds=0.2, connections=1) as door, door.client() as client:
        client.socket.settimeout(0.5)
        with pytest.raises(OSError, match=r"timed out|reset|Broken pipe"):
            flood(client)
        wait_until(lambda: welcomed(door), "the place is free again")


def dawdle(client: Client, octets: bytes) -> str:
    """Send an octet every 0.05 s, again and again, until there is a reply; that reply."""
    client.socket.settimeout(0.05)
    deadline = time.monotonic() + HELD_SECONDS
    while time.monotonic() < deadline:
        for octet in octets:
            try:
                client.send(bytes([octet]))
                if reply := client.reply():
                    return reply
            except TimeoutError:
                continue
    raise AssertionError("it may dawdle for ever")


def flood(client: Client) -> None:
    """Send commands for ever and read no reply."""
    while True:
        client.send(b"HELP\r\n" * 10_000)


def welcomed(door: Door) -> bool:
    with door.client(greet=False) as client:
        return client.reply().startswith("220 ")


def test_what_all_sessions_hold_is_bounded_and_given_back(tmp_path: Path) -> None:
    half = b"x" * 78 + b"\r\n"
    with Door(tmp_path, max_size=100_000, max_memory=100_000) as door, door.client() as one, door.client() as two:
        one.begin()
        two.begin()
        one.send(half * 1000)  # 80,000 octets that do not end
        wait_until(lambda: door.server.held >= 79_000, "the first client's mail is held")
        two.send(half * 500 + b".\r\n")
        assert two.reply() == "452 4.3.1 too much mail at once, try again later"
        assert two.say("MAIL FROM:<a@example.org> SIZE=50000").startswith("452 4.3.1 ")
        one.send(half * 1000 + b".\r\n")  # now it is over max_size
        assert one.reply().startswith("552 ")
        assert door.server.held == 0
        two.begin()
        two.send(half * 500 + b".\r\n")
        assert two.reply().startswith("250 ")
        wait_until(lambda: door.server.held == 0, "it is given back")

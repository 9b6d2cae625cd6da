"""The SMTP listener under siege: who holds it, floods it or feeds it garbage hinders nobody else, and smuggles nothing in."""

import random
import resource
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from peers.door import Client, Door
from peers.processes import wait_until

IDLE = 1000  # connections
FROM_EACH = 20  # connections of one address; the default of smtp.connections_per_client
MAIL = b"Subject: one\r\n\r\none\r\n"


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections are this process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3 * IDLE:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * IDLE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def from_address(door: Door, address: str) -> Client:
    return Client(socket.create_connection(("127.0.0.1", door.port), 20, (address, 0)))


def deliver(door: Door, number: int = 1) -> None:
    with smtplib.SMTP("127.0.0.1", door.port, timeout=20) as client:
        client.sendmail("ann@example.org", ["support@example.com"], MAIL + str(number).encode() + b"\r\n")


@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections_from_many_addresses_leave_mail_flowing(tmp_path: Path) -> None:
    with Door(tmp_path, connections=IDLE + FROM_EACH) as door, ExitStack() as idle:
        addresses = [f"127.0.1.{n}" for n in range(1, IDLE // FROM_EACH + 1)]
        clients = [idle.enter_context(from_address(door, address)) for address in addresses for _ in range(FROM_EACH)]
        assert all(client.reply().startswith("220 ") for client in clients)
        with from_address(door, addresses[0]) as greedy:
            assert greedy.reply().startswith("421 4.7.0 desk.example too many connections from you")
        for number in range(5):
            deliver(door, number)
        assert len(door.kept()) == 5
        assert door.server.sessions >= IDLE


def test_a_flood_of_connections_leaves_nothing_behind(tmp_path: Path) -> None:
    with Door(tmp_path, connections=50) as door:
        for _ in range(5):
            with ExitStack() as flood:
                clients = [flood.enter_context(from_address(door, f"127.0.2.{n}")) for n in range(1, 81)]
                greetings = [client.reply()[:3] for client in clients]
                assert greetings.count("220") <= 50
                assert greetings.count("421") == 80 - greetings.count("220")
            wait_until(lambda: door.server.sessions == 0, "the flood has run off")
        assert not door.server._gate._open
        deliver(door)


def test_a_flood_of_recipients_costs_us_one_refusal_each(tmp_path: Path) -> None:
    with Door(tmp_path) as door, door.client() as client:
        client.send(
            b"EHLO c.example\r\nMAIL FROM:<ann@example.org>\r\n"
            + b"RCPT TO:<support@example.com>\r\n" * 3000
            + b"QUIT\r\n"
        )
        replies = [client.reply()[:9] for _ in range(3003)]
        assert replies.count("250 2.1.5") == 100
        assert replies.count("452 4.5.3") == 2900


def test_what_many_clients_have_us_hold_together_stays_within_the_bound(tmp_path: Path) -> None:
    bound, most = 400_000, 0
    with Door(tmp_path, max_size=100_000, max_memory=bound) as door, ExitStack() as siege:
        hold = door.server._memory

        def held() -> int:
            nonlocal most
            most = max(most, hold.held)
            return most

        clients = [siege.enter_context(door.client()) for _ in range(15)]
        for client in clients:
            client.begin()
        refused = 0
        for client in clients:  # 1.5 MB, of which nothing ends
            client.send((b"x" * 98 + b"\r\n") * 990)
            held()
        wait_until(lambda: held() > bound // 2, "much is held")
        for client in clients:
            client.send(b".\r\n")
            refused += client.reply().startswith("452 4.3.1 too much mail at once")
            held()
        assert most <= bound
        assert 0 < refused < len(clients)
        assert len(door.kept()) == 1  # the same octets, each time
        wait_until(lambda: door.server.held == 0, "all is given back")
        deliver(door)


@pytest.mark.parametrize(
    "ending",
    [
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
        b"\r\n .\r\n",
        b"\r\n. \r\n",
        b"\r\n..\r\n",
        b"\r\n.\t\r\n",
        b"\r\n\xc2\x85.\r\n",
    ],
)
def test_what_looks_like_an_end_of_data_is_part_of_the_mail(tmp_path: Path, ending: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<sales@example.com>\r\nDATA\r\nSubject: evil\r\n\r\n"
    with Door(tmp_path) as door, door.client() as client:
        client.begin()
        client.send(b"Subject: one\r\n\r\none" + ending + smuggled + b"two\r\n.\r\n")
        assert client.reply().startswith("250 2.0.0 ")
        assert client.say("NOOP").startswith("250 ")
        [row] = door.kept()
        assert (row.sender, row.mailbox) == ("ann@example.org", "support")
        assert smuggled in (door.raw(row.id) or b"")


@pytest.mark.parametrize("verb", ["GET", "POST", "CONNECT", "OPTIONS"])
def test_a_browser_that_is_made_to_speak_to_us_is_dismissed_before_its_body_is_read(tmp_path: Path, verb: str) -> None:
    mail = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<support@example.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
    with Door(tmp_path) as door, door.client() as client:
        client.send(f"{verb} / HTTP/1.1\r\nHost: desk.example\r\n\r\n".encode() + mail)
        assert client.reply() == "421 4.7.0 this is SMTP"
        assert client.reply() == ""
        assert door.kept() == []


def test_garbage_ends_by_itself(tmp_path: Path) -> None:
    with Door(tmp_path) as door:
        for seed in range(10):
            with door.client() as client, suppress(OSError):
                client.send(random.Random(seed).randbytes(200_000))
                replies = []
                while reply := client.reply():
                    replies.append(reply)
                assert replies[-1] == "421 4.7.0 too many errors"
        wait_until(lambda: door.server.sessions == 0, "they are gone")
        assert door.kept() == []

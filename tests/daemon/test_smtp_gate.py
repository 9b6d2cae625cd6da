"""So many connections at once, and so many of them from one client."""

from postroom.daemon.smtp_gate import Gate


def test_there_is_room_for_so_many() -> None:
    gate = Gate(2, 2)
    assert gate.enter("192.0.2.1") is None
    assert gate.enter("192.0.2.2") is None
    assert gate.enter("192.0.2.3") == "too many connections"
    gate.leave("192.0.2.1")
    assert gate.enter("192.0.2.3") is None


def test_one_client_cannot_take_all_the_room() -> None:
    gate = Gate(10, 2)
    assert [gate.enter("192.0.2.1") for _ in range(3)] == [None, None, "too many connections from you"]
    assert gate.enter("192.0.2.2") is None


def test_a_network_of_ipv6_addresses_is_one_client() -> None:
    gate = Gate(10, 1)
    assert gate.enter("2001:db8:1:2::1") is None
    assert gate.enter("2001:db8:1:2:ffff::9") == "too many connections from you"
    assert gate.enter("2001:db8:1:3::1") is None


def test_an_ipv4_client_is_the_same_through_an_ipv6_socket() -> None:
    gate = Gate(10, 1)
    assert gate.enter("192.0.2.1") is None
    assert gate.enter("::ffff:192.0.2.1") == "too many connections from you"


def test_whoever_is_gone_is_forgotten() -> None:
    gate = Gate(10, 1)
    for number in range(100):
        gate.enter(f"192.0.2.{number}")
        gate.leave(f"192.0.2.{number}")
    assert not gate._open

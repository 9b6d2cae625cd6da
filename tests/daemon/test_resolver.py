"""The DNS, asked over a real socket: what it says, what it does not say in time, and what is remembered."""

import pytest
from peers.nameserver import serving
from peers.signing import Zone

from postroom.daemon.resolver import REMEMBERED_MAX, REMEMBERED_SECONDS, Remembering, open_resolver
from postroom.desk.lookup import DnsFailure


def test_records_are_read_as_plain_values():
    with serving() as server:
        look_up = open_resolver(server)
        assert sorted(look_up("x.example", "TXT", 5)) == ["caf\xe9", "v=spf1 a -all"]
        assert look_up("x.example", "MX", 5) == ("mx.x.example",)
        assert tuple(sorted(look_up("x.example", "A", 5))) == ("192.0.2.1", "192.0.2.2")
        assert look_up("x.example", "AAAA", 5) == ("2001:db8::1",)
        assert look_up("1.2.0.192.in-addr.arpa", "PTR", 5) == ("mx.x.example",)
        assert tuple(sorted(look_up("alias.example", "A", 5))) == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize("name", ["nowhere.example", "a" * 64 + ".example", "a..example", "a." * 200 + "example"])
def test_a_name_that_does_not_exist_has_no_records(name):
    with serving() as server:
        assert open_resolver(server)(name, "TXT", 5) == ()


def test_a_name_without_such_records_has_none():
    with serving() as server:
        assert open_resolver(server)("x.example", "PTR", 5) == ()


def test_a_server_that_fails_is_no_answer():
    with serving() as server, pytest.raises(DnsFailure):
        open_resolver(server)("broken.example", "TXT", 1)


def test_a_server_that_is_silent_is_no_answer_in_time():
    with serving(answers=False) as server, pytest.raises(DnsFailure, match=r"x\.example"):
        open_resolver(server)("x.example", "TXT", 0.2)


def test_answers_are_remembered_for_a_while_and_failures_are_not():
    now = [0.0]
    zone = Zone({"TXT x.example": ["one"], "TXT y.example": None})
    remembering = Remembering(zone, lambda: now[0])
    assert [remembering(name, "TXT", 5) for name in ("x.example", "X.example")] == [("one",)] * 2
    for _ in range(2):
        with pytest.raises(DnsFailure):
            remembering("y.example", "TXT", 5)
    assert zone.asked == ["TXT x.example", "TXT y.example", "TXT y.example"]
    now[0] = REMEMBERED_SECONDS
    zone.records["TXT x.example"] = ["two"]
    assert remembering("x.example", "TXT", 5) == ("two",)


def test_what_is_remembered_is_bounded():
    zone = Zone()
    remembering = Remembering(zone, lambda: 0.0)
    for number in range(REMEMBERED_MAX + 1):
        remembering(f"{number}.example", "TXT", 5)
    remembering("0.example", "TXT", 5)
    assert zone.asked[-1] == "TXT 0.example"

"""By which servers a message came."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.route import read_route

RAW = b"""Received: from relay.example.net (relay.example.net [192.0.2.7])
\tby mx.example.com (Postfix) with ESMTPS id 4ABC
\tfor <support@example.com>; Wed, 25 Nov 2026 10:00:30 +0100 (CET)
Received: from desk.example.org by relay.example.net with SMTP id 1; Wed, 25 Nov 2026 08:59:00 +0000
Subject: x

Received: from a body
"""


def test_hops_are_in_the_order_of_the_journey_with_what_each_waited() -> None:
    first, second = read_route(RAW)
    assert (first.by, first.sender, first.delay) == ("relay.example.net", "desk.example.org", 0)
    assert second.by.startswith("mx.example.com")
    assert second.at == datetime(2026, 11, 25, 9, 0, 30, tzinfo=UTC)
    assert second.delay == 90


def test_a_message_that_came_by_no_server_has_no_route() -> None:
    assert read_route(b"Subject: x\n\n") == ()


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_any_received_lines_are_a_route(lines: list[bytes]) -> None:
    raw = b"".join(b"Received: " + line.replace(b"\n", b" ") + b"\n" for line in lines) + b"\n"
    assert len(read_route(raw)) <= len(lines)

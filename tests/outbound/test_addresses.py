from datetime import UTC, datetime, timedelta

import pytest

from postroom.outbound import addresses
from postroom.threading.tokens import Role, Signer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
signer = Signer([b"k" * 32])
LONGEST_MAILBOX = "s" * 18 + "@Example.com"


def token_of(address):
    return address.partition("@")[0].partition("+")[2]


def test_a_reply_address_names_its_ticket_and_fits_a_local_part():
    address = addresses.reply_address(
        signer, LONGEST_MAILBOX, 2**48 - 1, Role.AGENT, NOW + timedelta(days=365), 2**24 - 1
    )
    read = signer.read_reply(token_of(address), NOW)
    assert (read.ticket, read.role, read.agent) == (2**48 - 1, Role.AGENT, 2**24 - 1)
    assert len(address.rpartition("@")[0]) <= addresses.MAX_LOCAL_PART
    assert address.endswith("@example.com")


def test_a_bounce_address_names_its_delivery():
    address = addresses.bounce_address(signer, LONGEST_MAILBOX, 2**63 - 1)
    assert signer.read_bounce(token_of(address)) == 2**63 - 1
    assert len(address.rpartition("@")[0]) <= addresses.MAX_LOCAL_PART


def test_a_message_id_is_its_token_at_our_domain():
    left, _, domain = addresses.message_id(signer, "support@Example.com", 1042, 7).partition("@")
    assert signer.read_message_id(left) == 1042
    assert domain == "example.com"


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org",
        "a.b+c@sub.example.org",
        "a..b@docomo.example",
        "jörg@exämple.org",
        "x_y%z@a-b.example",
        "me@localhost",
    ],
)
def test_ordinary_addresses_can_be_written_to(address):
    assert addresses.is_sendable(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "ann", "@example.org", "ann@", "a b@example.org", "a@b@example.org", "a,b@example.org", "a@example.org,b@example.org", "<a@example.org>",
        '"a b"@example.org', "a@[127.0.0.1]", "a@-example.org", "a@example..org", "a\r\nb@example.org", "a@example.org\nRCPT TO:<b>",
        "a\0@example.org", "x" * 65 + "@example.org", "a@" + "b" * 64 + ".org", "a@" + "b." * 130 + "org", "a\u202eb@example.org", "a:b@example.org",
        "=?utf-8?q?a=40b?=@example.org",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_not_written_to(address):
    assert not addresses.is_sendable(address)


def test_a_message_id_that_could_break_its_field_is_none():
    assert addresses.is_message_id("a.b$c@example.org")
    for bad in ("a b@c", "a@b>", "<a@b>", "a\r\n@b", "@b", "a@", "ä@b", "x" * 900 + "@b"):
        assert not addresses.is_message_id(bad)

from base64 import b32decode, b32encode
from datetime import UTC, datetime, timedelta

import pytest

from postroom.config import LOCAL_PART_MAX
from postroom.store.tickets import KEY_BITS
from postroom.threading.tokens import Role, Signer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
signer = Signer([b"k" * 32])


def test_a_reply_token_says_ticket_role_and_agent():
    token = signer.read_reply(signer.reply(1042, Role.AGENT, LATER, agent=7), NOW)
    assert token is not None
    assert (token.ticket, token.role, token.agent, token.expired) == (1042, Role.AGENT, 7, False)


def test_a_customers_token_names_no_agent():
    token = signer.read_reply(signer.reply(1042, Role.CUSTOMER, LATER), NOW)
    assert token is not None
    assert (token.role, token.agent) == (Role.CUSTOMER, None)


def test_a_mail_system_may_change_the_case_of_an_address():
    token = signer.reply(1042, Role.CUSTOMER, LATER)
    assert signer.read_reply(token.upper(), NOW) == signer.read_reply(token, NOW) is not None


def test_a_token_leaves_room_for_the_mailboxs_own_local_part():
    longest = signer.reply(2**KEY_BITS - 1, Role.AGENT, LATER, agent=2**24 - 1)
    assert LOCAL_PART_MAX + len("+") + len(longest) <= 64


def test_an_expired_token_still_says_what_it_was_for():
    token = signer.read_reply(signer.reply(1042, Role.CUSTOMER, NOW), NOW + timedelta(days=2))
    assert token is not None
    assert token.expired


@pytest.mark.parametrize("bit", range(28 * 8))
def test_one_changed_bit_makes_it_worthless(bit):
    token = signer.reply(1042, Role.CUSTOMER, LATER)
    octets = bytearray(b32decode(token.upper() + "=" * (-len(token) % 8)))
    octets[bit // 8] ^= 1 << bit % 8
    forged = b32encode(bytes(octets)).decode().rstrip("=").lower()
    assert signer.read_reply(forged, NOW) is None


def test_a_token_of_one_purpose_is_none_of_another():
    reply, message_id, bounce = signer.reply(7, Role.CUSTOMER, LATER), signer.message_id(7, 1), signer.bounce(7)
    assert [signer.read_reply(t, NOW) is None for t in (reply, message_id, bounce)] == [False, True, True]
    assert [signer.read_message_id(t) for t in (reply, message_id, bounce)] == [None, 7, None]
    assert [signer.read_bounce(t) for t in (reply, message_id, bounce)] == [None, None, 7]


def test_a_new_key_in_front_keeps_old_tokens_good():
    old = Signer([b"o" * 32])
    both = Signer([b"n" * 32, b"o" * 32])
    assert both.read_bounce(old.bounce(5)) == 5
    assert old.read_bounce(both.bounce(5)) is None


@pytest.mark.parametrize("token", ["", "a", "+", "ä" * 43, "=" * 43, "a" * 43, "a" * 1_000_000, "1" * 43])
def test_rubbish_is_no_token(token):
    assert signer.read_reply(token, NOW) is None
    assert signer.read_message_id(token) is None
    assert signer.read_bounce(token) is None

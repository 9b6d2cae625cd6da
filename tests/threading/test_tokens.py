from base64 import b32decode, b32encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


BASE32 = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567ABC=189 @+\u0130\u017f"), max_size=70)


@given(st.text(max_size=80) | BASE32)
def test_whatever_is_no_token_of_ours_proves_nothing(text):
    assert signer.read_reply(text, NOW) is None
    assert signer.read_message_id(text) is None
    assert signer.read_bounce(text) is None


@given(
    st.integers(0, 44),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"),
    st.sampled_from(["reply", "agent", "id", "bounce"]),
)
def test_a_token_with_one_character_changed_proves_nothing_else(at, character, kind):
    """Its last character may hold bits that mean nothing: then it says what it said."""
    made = {
        "reply": signer.reply(2**40, Role.CUSTOMER, LATER), "agent": signer.reply(2**40, Role.AGENT, LATER, agent=7),
        "id": signer.message_id(2**40, 9), "bounce": signer.bounce(2**60),
    }[kind]  # fmt: skip
    at = min(at, len(made) - 1)
    forged = made[:at] + character + made[at + 1 :]

    def says(token):
        return signer.read_reply(token, NOW), signer.read_message_id(token), signer.read_bounce(token)

    assert says(forged) in ((None, None, None), says(made))
    if forged != made and at < len(made) - 1:
        assert says(forged) == (None, None, None)


@given(st.integers(1, 2**48 - 1), st.integers(0, 2**24 - 1), st.integers(0, 2**32 - 1))
def test_no_token_passes_as_one_of_another_purpose(ticket, agent, nonce):
    for token in (signer.reply(ticket, Role.AGENT, LATER, agent=agent), signer.review(ticket, LATER, agent)):
        assert signer.read_reply(token, NOW).agent == agent
        assert (signer.read_message_id(token), signer.read_bounce(token)) == (None, None)
    left = signer.message_id(ticket, nonce)
    assert (signer.read_message_id(left), signer.read_reply(left, NOW), signer.read_bounce(left)) == (
        ticket,
        None,
        None,
    )

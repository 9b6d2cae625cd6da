"""What is known of the addresses that we write to."""

from datetime import UTC, datetime, timedelta

import pytest

from postroom.store import correspondents
from postroom.store.engine import Store

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
MONTH = timedelta(days=30)
ANN = "Ann@Example.org"


@pytest.fixture
def connection(store_url):
    store = Store(store_url)
    with store.write() as opened:
        yield opened
    store.dispose()


def test_nothing_is_known_of_a_stranger(connection):
    assert correspondents.get(connection, ANN) is None


def test_an_address_is_one_in_any_case(connection):
    correspondents.set_language(connection, ANN, "de", NOW)
    correspondents.set_language(connection, ANN.lower(), "en", NOW)
    assert correspondents.get(connection, ANN.upper()).language == "en"


def test_bounces_are_counted_from_the_first_one_for_a_while(connection):
    days = (0, 10, 29, 31, 40)
    counts = [correspondents.count_bounce(connection, ANN, NOW + timedelta(days=day), MONTH) for day in days]
    assert counts == [1, 2, 3, 1, 2]


def test_mail_that_proves_nothing_ends_the_hold_and_keeps_the_count(connection):
    correspondents.count_bounce(connection, ANN, NOW, MONTH)
    correspondents.hold(connection, ANN, "5.1.1", NOW)
    correspondents.heard(connection, ANN, NOW, proven=False)
    row = correspondents.get(connection, ANN)
    assert (row.held_at, row.hard_bounces, row.trusted_at) == (None, 1, NOW)


def test_mail_that_proves_its_sender_ends_the_hold_and_the_count(connection):
    correspondents.count_bounce(connection, ANN, NOW, MONTH)
    correspondents.hold(connection, ANN, "5.1.1", NOW)
    correspondents.heard(connection, ANN, NOW, proven=True)
    row = correspondents.get(connection, ANN)
    assert (row.held_at, row.hard_bounces, row.trusted_at) == (None, 0, None)


def test_mail_ends_no_complaint_but_an_operator_does(connection):
    correspondents.complain(connection, ANN, "abuse", NOW)
    correspondents.heard(connection, ANN, NOW, proven=True)
    assert [row.address for row in correspondents.held(connection)] == [ANN.lower()]
    assert correspondents.release(connection, ANN, NOW)
    assert not correspondents.held(connection)
    assert not correspondents.release(connection, ANN, NOW)


def test_a_hold_leaves_the_language_alone(connection):
    correspondents.set_language(connection, ANN, "de", NOW)
    correspondents.hold(connection, ANN, "5.1.1", NOW)
    assert correspondents.get(connection, ANN).language == "de"

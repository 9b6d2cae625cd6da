"""The outbox: claimed with a lease, settled once, and honest after a crash."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from postroom.store import outbox
from postroom.store.engine import Store
from postroom.store.outbox import NewDelivery, Outcome
from postroom.store.tables import Event, RawMail, ThreadRef, Ticket

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)


@pytest.fixture
def store(store_url):
    opened = Store(store_url)
    with opened.write() as connection:
        connection.execute(insert(Ticket).values(
            id=1, number=1001, key=1, ref="T-1001", subject="s", normal_subject="s", description="", ticket_type="question", source="email",
            submitter_name="", submitter_email="", queue="support", requester="ann@example.org", status="open", priority="medium",
            created_at=NOW, updated_at=NOW,
        ))  # fmt: skip
    yield opened
    opened.dispose()


def delivery(number, **changes):
    made = NewDelivery(
        key=number, ticket_id=1, message_id=None, purpose="reply", automatic=False, mailbox="support", recipient="ann@example.org",
        created_at=NOW, subject="s", envelope_sender="b@example.com", email_message_id=f"{number}@example.com",
        digest=f"{number:064x}", raw=f"mail {number}".encode(),
    )  # fmt: skip
    return replace(made, **changes)


def put(store, *deliveries):
    with store.write() as connection:
        outbox.enqueue(connection, deliveries)


def claim(store, worker="w", now=NOW, limit=10, lease=LEASE):
    with store.write() as connection:
        return outbox.claim(connection, worker, now, lease, limit)


def settle(store, *outcomes, worker="w", now=NOW):
    with store.write() as connection:
        return outbox.settle(connection, worker, outcomes, now)


def rows(store):
    with store.read() as connection:
        return {row.key: row for row in outbox.find(connection)}


def events(store):
    with store.read() as connection:
        return [row.event for row in connection.execute(select(Event.event).order_by(Event.id))]


def test_what_is_enqueued_is_claimed_with_its_bytes(store):
    put(store, delivery(1))
    (claimed,) = claim(store)
    assert (claimed.raw, claimed.recipient, claimed.attempts, claimed.automatic) == (
        b"mail 1",
        "ann@example.org",
        1,
        False,
    )
    assert rows(store)[1].state == "sending"


def test_its_message_id_is_indexed_and_it_is_noted_on_the_ticket(store):
    put(store, delivery(1), delivery(2, suppressed="why", digest=None, raw=None, email_message_id=None))
    with store.read() as connection:
        assert connection.execute(select(ThreadRef.ref, ThreadRef.kind)).all() == [("1@example.com", "message")]
    assert events(store) == ["enqueued"]


def test_the_same_bytes_for_two_recipients_are_stored_once(store):
    put(store, delivery(1), delivery(2, digest=f"{1:064x}", raw=b"mail 1", recipient="boss@example.org"))
    with store.read() as connection:
        assert len(connection.execute(select(RawMail.digest)).all()) == 1
    assert [c.raw for c in claim(store)] == [b"mail 1", b"mail 1"]


def test_what_was_suppressed_is_never_claimed(store):
    put(store, delivery(1, suppressed="the envelope sender is null", digest=None, raw=None))
    assert claim(store) == []
    assert (rows(store)[1].state, rows(store)[1].reason) == ("suppressed", "the envelope sender is null")


def test_people_come_before_machines_and_the_oldest_first(store):
    put(store, delivery(1, automatic=True), delivery(2), delivery(3))
    assert [c.key for c in claim(store)] == [2, 3, 1]


def test_what_is_due_again_and_what_is_new_share_a_claim(store):
    put(store, *(delivery(n) for n in range(1, 5)))
    settle(store, *(Outcome(c.id, "retry", "450", NOW) for c in claim(store)))
    put(store, *(delivery(n) for n in range(11, 31)))
    assert sorted(c.key for c in claim(store, limit=6)) == [1, 2, 3, 11, 12, 13]
    assert sorted(c.key for c in claim(store, limit=1)) == [4]


def test_a_claim_takes_only_as_many_octets_as_fit(store):
    big = b"x" * (outbox.CLAIM_SIZE_MAX - 10)
    put(store, delivery(1, raw=big), delivery(2), delivery(3))
    assert [c.key for c in claim(store)] == [1, 2]
    assert [c.key for c in claim(store)] == [3]


def test_a_claimed_delivery_is_nobody_elses(store):
    put(store, delivery(1))
    assert len(claim(store, "one")) == 1
    assert claim(store, "two") == []


def test_many_claim_at_once_and_each_delivery_once(store):
    put(store, *(delivery(n) for n in range(1, 41)))
    claimed = []

    def work(name):
        while got := claim(store, name, limit=3):
            claimed.extend(c.key for c in got)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(1, 41))


def test_sent_is_the_end(store):
    put(store, delivery(1))
    (claimed,) = claim(store)
    settle(store, Outcome(claimed.id, "sent", "250 taken"))
    row = rows(store)[1]
    assert (row.state, row.reason, row.sent_at, row.claimed_by) == ("sent", "250 taken", NOW, None)
    assert claim(store, now=NOW + timedelta(days=9)) == []
    assert events(store) == ["enqueued", "sent"]


def test_a_retry_waits_for_its_time(store):
    put(store, delivery(1))
    later = NOW + timedelta(minutes=5)
    settle(store, Outcome(claim(store)[0].id, "retry", "450 busy", later))
    assert rows(store)[1].next_attempt_at == later
    assert claim(store) == []
    assert claim(store, now=later)[0].attempts == 2


def test_what_is_given_back_has_not_been_attempted(store):
    put(store, delivery(1))
    settle(store, Outcome(claim(store)[0].id, "pending"))
    assert claim(store)[0].attempts == 1


def test_a_failure_is_noted_on_the_ticket(store):
    put(store, delivery(1))
    settle(store, Outcome(claim(store)[0].id, "failed", "550 no"))
    assert events(store) == ["enqueued", "failed"]


def test_a_worker_that_lost_its_lease_settles_nothing(store):
    put(store, delivery(1))
    (claimed,) = claim(store, "slow", lease=-LEASE)
    with store.write() as connection:
        assert outbox.recover(connection, NOW, alone=False) == (1, 0)
    assert len(claim(store, "quick")) == 1
    assert settle(store, Outcome(claimed.id, "sent"), worker="slow") == []
    with store.write() as connection:
        assert outbox.mark_in_doubt(connection, "slow", [claimed.id], NOW) == set()
        assert outbox.mark_in_doubt(connection, "quick", [claimed.id], NOW) == {claimed.id}


def test_a_renewed_lease_holds(store):
    put(store, delivery(1))
    (claimed,) = claim(store, lease=-LEASE)
    with store.write() as connection:
        outbox.renew(connection, "w", [claimed.id], NOW, LEASE)
        assert outbox.recover(connection, NOW, alone=False) == (0, 0)


def test_a_daemon_whose_clock_is_wrong_takes_over_nothing_that_another_still_sends(migrated_url):
    store = Store(migrated_url)
    put(store, delivery(1, ticket_id=None))
    try:
        assert len(claim(store, "right")) == 1
        with store.write() as connection:
            assert outbox.recover(connection, NOW + timedelta(days=9999), alone=False) == (0, 0)
            outbox.renew(connection, "right", [1], NOW - timedelta(days=9999), LEASE)
            assert outbox.recover(connection, NOW, alone=False) == (0, 0)
    finally:
        store.dispose()


def test_after_a_crash_in_doubt_people_are_written_to_again_and_machines_are_not(store):
    put(store, delivery(1), delivery(2, automatic=True), delivery(3, automatic=True))
    by_key = {c.key: c for c in claim(store)}
    with store.write() as connection:
        outbox.mark_in_doubt(connection, "w", [by_key[1].id, by_key[2].id], NOW)
    with store.write() as connection:
        assert outbox.recover(connection, NOW, alone=True) == (2, 1)
    assert {key: row.state for key, row in rows(store).items()} == {1: "pending", 2: "failed", 3: "pending"}
    assert rows(store)[2].reason == outbox.IN_DOUBT
    assert {c.key: c.raw for c in claim(store)} == {1: b"mail 1", 3: b"mail 3"}
    assert events(store).count("failed") == 1


def test_a_bounce_fails_what_was_sent_once(store):
    put(store, delivery(1))
    (claimed,) = claim(store)
    settle(store, Outcome(claimed.id, "sent"))
    with store.write() as connection:
        sent = outbox.get(connection, claimed.id)
        bounced = (sent, "bounced: 5.1.1", NOW, sent.ticket_id, "bounce-address")
        assert outbox.fail_delivered(connection, *bounced)
        assert not outbox.fail_delivered(connection, *bounced)
    assert (rows(store)[1].state, rows(store)[1].reason) == ("failed", "bounced: 5.1.1")
    assert events(store) == ["enqueued", "sent", "undelivered"]


def test_a_person_can_cancel_what_waits_and_retry_what_failed(store):
    put(store, delivery(1), delivery(2))
    first, second = claim(store)
    settle(store, Outcome(first.id, "retry", "450", NOW + timedelta(hours=1)), Outcome(second.id, "sent"))
    with store.write() as connection:
        assert outbox.cancel(connection, first.id, "by bob")
        assert not outbox.cancel(connection, second.id, "by bob")
        assert outbox.retry(connection, first.id)
        assert not outbox.retry(connection, second.id)
    assert [c.key for c in claim(store)] == [1]


def test_it_says_how_much_waits_and_since_when(store):
    put(store, delivery(1, created_at=NOW - timedelta(hours=1)), delivery(2), delivery(3))
    settle(store, Outcome(claim(store, limit=1)[0].id, "sent"))
    with store.read() as connection:
        assert outbox.count_by_state(connection) == {"sent": 1, "pending": 2}
        assert outbox.oldest_waiting(connection) == NOW
        assert [row.key for row in outbox.find(connection, state="pending")] == [3, 2]
        assert outbox.raw(connection, outbox.by_key(connection, 2).id) == b"mail 2"
        assert len(outbox.by_message_id(connection, "3@example.com")) == 1


def test_a_person_can_send_at_once_what_was_put_off(store):
    put(store, delivery(1))
    (claimed,) = claim(store)
    settle(store, Outcome(claimed.id, "pending", "waits", NOW + timedelta(hours=1)))
    assert claim(store) == []
    with store.write() as connection:
        assert outbox.retry(connection, claimed.id)
        assert not outbox.retry(connection, claimed.id)
    assert [c.key for c in claim(store)] == [1]

"""Where bytes lie: in the database or in objects, put there before they are named, and deleted after nothing names them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from peers.s3 import S3
from sqlalchemy import select, update

from postroom import config
from postroom.errors import ConfigError, TemporaryFailure
from postroom.store import erasure, inbound, raw_mail
from postroom.store.engine import Store
from postroom.store.inbound import Accepted, NewInbound
from postroom.store.migrate import upgrade
from postroom.store.objects import Objects, Unreadable, name_for, objects_of
from postroom.store.tables import RawMail, RawTask

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SMALL, LARGE = b"Subject: small\r\n\r\nHi\r\n", b"Subject: large\r\n\r\n" + 40_000 * b"x" + b"\r\n"


@pytest.fixture
def objects(s3: S3, tmp_path: Path) -> Objects:
    found = objects_of(config.parse({"raw_mail": s3.section(timeout_seconds=1)}, tmp_path))
    assert found
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, objects: Objects) -> Iterator[Store]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/postroom.db" if is_sqlite else request.getfixturevalue("migrated_url")
    opened = Store(url, objects=objects)
    upgrade(opened)
    yield opened
    opened.dispose()


def take(store: Store, raw: bytes, recipient: str = "a@b.example") -> Accepted:
    digest = hashlib.sha256(raw).hexdigest()
    places = raw_mail.put_aside(store.objects, {digest: raw})
    with store.write() as connection:
        new = NewInbound("support", recipient, raw, digest, "smtp", "", NOW)
        return inbound.accept(connection, [new], places)[0]


def row(store: Store, raw: bytes) -> Any:
    with store.read() as connection:
        query = select(RawMail.__table__).where(RawMail.digest == hashlib.sha256(raw).hexdigest())
        return connection.execute(query).one()


def read(store: Store, id_: int) -> bytes | None:
    with store.read() as connection:
        return inbound.raw(connection, id_)


def test_large_mail_lies_in_an_object_of_its_digests_name_and_small_mail_in_the_database(store: Store, s3: S3) -> None:
    small, large = take(store, SMALL), take(store, LARGE)
    assert (row(store, SMALL).content, row(store, SMALL).place) == (SMALL, None)
    place = row(store, LARGE).place
    assert row(store, LARGE).content is None
    assert place.partition(".")[0] == hashlib.sha256(LARGE).hexdigest()
    assert s3.objects() == {place: LARGE}
    assert (read(store, small.id), read(store, large.id)) == (SMALL, LARGE)


def test_the_same_bytes_for_two_recipients_are_one_row_and_its_object_is_the_first(store: Store, s3: S3) -> None:
    one = take(store, LARGE)
    place = row(store, LARGE).place
    two = take(store, LARGE, "c@d.example")
    assert row(store, LARGE).place == place
    assert (read(store, one.id), read(store, two.id)) == (LARGE, LARGE)
    assert take(store, LARGE).is_new is False


def test_an_object_is_deleted_after_the_commit_that_erased_it_and_not_before(store: Store, s3: S3) -> None:
    taken = take(store, LARGE)
    with store.write() as connection:
        erasure.empty_received(connection, [taken.id], NOW)
        assert len(s3.objects()) == 1
    assert (row(store, LARGE).content, row(store, LARGE).place) == (b"", None)
    assert raw_mail.work(store) == raw_mail.Worked(deleted=1)
    assert s3.objects() == {}
    assert read(store, taken.id) == b""


def test_a_deletion_waits_until_the_store_of_objects_answers(store: Store, s3: S3) -> None:
    taken = take(store, LARGE)
    with store.write() as connection:
        erasure.empty_received(connection, [taken.id], NOW)
    s3.answer(lambda verb, path: (500, b"") if "delete" in path or verb == "DELETE" else None)
    with pytest.raises(TemporaryFailure, match="cannot delete"):
        raw_mail.work(store)
    with store.read() as connection:
        assert raw_mail.lies(connection).to_delete == 1
    s3.answer(lambda verb, path: None)
    assert raw_mail.work(store).deleted == 1
    with store.read() as connection:
        assert raw_mail.lies(connection) == raw_mail.Lies(0, 0, 0, 0)


def test_bytes_that_come_anew_while_their_erased_object_is_still_to_be_deleted_are_kept(store: Store, s3: S3) -> None:
    taken = take(store, LARGE)
    with store.write() as connection:
        erasure.empty_received(connection, [taken.id], NOW)
    again = take(store, LARGE, "c@d.example")
    raw_mail.work(store)
    assert read(store, again.id) == LARGE
    assert list(s3.objects()) == [row(store, LARGE).place]


def test_a_missing_object_is_a_clear_error(store: Store, s3: S3, objects: Objects) -> None:
    taken = take(store, LARGE)
    s3.remove(row(store, LARGE).place)
    with pytest.raises(Unreadable, match="there is no object"):
        read(store, taken.id)
    assert objects.failing_since is None


def test_an_object_of_other_bytes_is_a_clear_error(store: Store, s3: S3) -> None:
    taken = take(store, LARGE)
    s3.put(row(store, LARGE).place, LARGE[:-1] + b"?")
    with pytest.raises(Unreadable, match="other bytes than were put"):
        read(store, taken.id)


def test_a_bucket_that_is_gone_says_nothing_about_a_mail(store: Store, s3: S3) -> None:
    taken = take(store, LARGE)
    s3.answer(lambda verb, path: (404, b"<Error><Code>NoSuchBucket</Code></Error>"))
    with pytest.raises(TemporaryFailure):
        read(store, taken.id)


@pytest.mark.parametrize("fault", ["killed", "stalled", "500", "503", "no bucket", "denied"])
def test_where_the_store_of_objects_fails_nothing_is_taken_and_it_recovers_by_itself(
    store: Store, s3: S3, objects: Objects, fault: str
) -> None:
    statuses = {"500": 500, "503": 503, "no bucket": 404, "denied": 403}
    if fault == "killed":
        s3.kill()
    elif fault == "stalled":
        s3.stall()
    else:
        s3.answer(lambda verb, path: (statuses[fault], b"<Error><Code>NoSuchBucket</Code></Error>"))
    with pytest.raises(TemporaryFailure, match="s3://mail/post/room: cannot put"):
        take(store, LARGE)
    assert objects.failing_since is not None
    with store.read() as connection:
        assert connection.execute(select(RawMail.digest)).all() == []
    assert take(store, SMALL).is_new
    s3.begin()
    assert take(store, LARGE).is_new
    assert objects.failing_since is None


def test_a_server_that_fails_once_is_asked_again(store: Store, s3: S3) -> None:
    said = iter([(500, b"")])
    s3.answer(lambda verb, path: next(said, None))
    assert take(store, LARGE).is_new
    assert len(s3.objects()) == 1


def test_bytes_of_outgoing_mail_are_moved_after_the_commit(store: Store, s3: S3) -> None:
    digest = hashlib.sha256(LARGE).hexdigest()
    with store.write() as connection:
        connection.execute(RawMail.__table__.insert(), raw_mail.rows_of({digest: LARGE}))
        raw_mail.put_later(connection, raw_mail.rows_of({digest: LARGE, "small": SMALL}))
        assert s3.requests == []
    assert raw_mail.work(store) == raw_mail.Worked(put=1)
    assert s3.objects() == {row(store, LARGE).place: LARGE}
    with store.read() as connection:
        assert raw_mail.read(connection, digest) == LARGE


def test_bytes_that_are_erased_while_they_are_moved_stay_erased(store: Store, s3: S3) -> None:
    digest = hashlib.sha256(LARGE).hexdigest()
    with store.write() as connection:
        connection.execute(RawMail.__table__.insert(), raw_mail.rows_of({digest: LARGE}))
        raw_mail.put_later(connection, raw_mail.rows_of({digest: LARGE}))

    def erase(verb: str, path: str) -> None:
        if verb == "PUT":
            with store.write() as connection:
                connection.execute(update(RawMail).where(RawMail.digest == digest).values(content=b""))

    s3.answer(erase)
    raw_mail.work(store)
    assert (row(store, LARGE).content, row(store, LARGE).place) == (b"", None)
    assert s3.objects() == {}


def test_blackened_bytes_take_the_place_of_the_others_and_are_moved_out_under_their_own_digest(
    store: Store, s3: S3
) -> None:
    taken, black = take(store, LARGE), LARGE.replace(b"large", b"xxxxx")
    with store.write() as connection:
        raw_mail.rewrite(connection, hashlib.sha256(LARGE).hexdigest(), black)
    assert read(store, taken.id) == black
    assert raw_mail.work(store) == raw_mail.Worked(deleted=1, put=1)
    assert list(s3.objects().values()) == [black]
    assert read(store, taken.id) == black
    with store.read() as connection:
        assert connection.execute(select(RawTask.name)).all() == []


def test_a_mail_is_moved_into_the_database_and_out_again(store: Store, s3: S3, objects: Objects) -> None:
    taken, digest = take(store, LARGE), hashlib.sha256(LARGE).hexdigest()
    assert raw_mail.move_in(store, objects, digest)
    assert not raw_mail.move_in(store, objects, digest)
    assert row(store, LARGE).content == LARGE
    raw_mail.work(store)
    assert s3.objects() == {}
    assert raw_mail.move_out(store, objects, digest)
    assert read(store, taken.id) == LARGE
    assert s3.objects() == {row(store, LARGE).place: LARGE}


def test_a_store_whose_objects_the_configuration_does_not_name_is_refused(store: Store) -> None:
    take(store, LARGE)
    raw_mail.refuse_if_out_of_reach(store)
    other = Store(store.engine.url.render_as_string(hide_password=False))
    try:
        with pytest.raises(ConfigError, match=r"raw_mail\.url: is empty"):
            raw_mail.refuse_if_out_of_reach(other)
    finally:
        other.dispose()


def test_no_two_puts_of_the_same_bytes_have_one_name() -> None:
    assert name_for(LARGE) != name_for(LARGE)
    assert name_for(LARGE).startswith(hashlib.sha256(LARGE).hexdigest())


def test_a_probe_says_what_the_servers_clock_says_and_leaves_nothing(s3: S3, objects: Objects) -> None:
    assert abs((objects.probe() - datetime.now(UTC)).total_seconds()) < 3600
    assert s3.objects() == {}
    s3.answer(lambda verb, path: (403, b"") if verb == "GET" else None)
    with pytest.raises(TemporaryFailure, match="cannot read what was just put"):
        objects.probe()


def test_a_key_that_is_wrong_never_stands_in_an_error(s3: S3, objects: Objects) -> None:
    s3.answer(lambda verb, path: (403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"))
    with pytest.raises(TemporaryFailure) as refused:
        objects.put_all({"name": b"x"})
    assert "canary" not in str(refused.value)

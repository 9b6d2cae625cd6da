"""Mail whose bytes lie in objects, between the rooms: it is parsed, put off, quarantined, moved, backed up and forgotten like any other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from peers.commandline import call
from peers.house import CONFIG, SUPPORT, TestHouse, mail, open_test_house
from peers.s3 import S3
from sqlalchemy import select, update

from postroom import config as settings
from postroom.config import Processing
from postroom.daemon import house
from postroom.daemon.alarms import Alarms
from postroom.daemon.backing_up import back_up, restore
from postroom.daemon.process import Processor
from postroom.daemon.workers import Workers
from postroom.desk import erasure
from postroom.errors import TemporaryFailure
from postroom.store import inbound, raw_mail
from postroom.store.copying import copy_store
from postroom.store.engine import Store
from postroom.store.inbound import NewInbound
from postroom.store.tables import Delivery, RawMail

LARGE = "It burns.\r\n" + 6_000 * "and smokes\r\n"


@pytest.fixture
def desk(tmp_path: Path, s3: S3) -> Iterator[TestHouse]:
    with open_test_house(tmp_path, raw_mail=s3.section()) as opened:
        yield opened


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(Processing(workers=1)) as found:
        yield found


def accept(desk: TestHouse, *raws: bytes, sender: str = "cy@customer.example") -> list[int]:
    new = [
        NewInbound("support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "smtp", sender, house.now())
        for raw in raws
    ]
    places = raw_mail.put_aside(desk.store.objects, {d.digest: d.raw for d in new})
    with desk.store.write() as connection:
        return [accepted.id for accepted in inbound.accept(connection, new, places)]


def processor(desk: TestHouse, workers: Workers, ahead: timedelta = timedelta()) -> Processor:
    return Processor(desk.house.config, desk.store, workers, desk.house.reception, lambda: house.now() + ahead)


def row(desk: TestHouse, id_: int) -> Any:
    with desk.store.read() as connection:
        return inbound.get(connection, id_)


def places(store: Store) -> dict[str, str | None]:
    with store.read() as connection:
        return {row.digest: row.place for row in connection.execute(select(RawMail.digest, RawMail.place))}


def place_of(desk: TestHouse, raw: bytes) -> str:
    return str(places(desk.store)[hashlib.sha256(raw).hexdigest()])


def config_file(folder: Path, s3: S3, **changes: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in s3.section(**changes).items()]
    text = f'[store]\nurl = "sqlite:///{folder}/var/postroom.db"\n[keys]\nfile = "{folder}/var/signing-keys"\n[smtp]\nlisten = []\n[raw_mail]\n'
    path = folder / "postroom.toml"
    path.write_text(text + "\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_while_the_store_of_objects_fails_large_mail_is_put_off_and_small_mail_flows_on(
    desk: TestHouse, s3: S3, workers: Workers
) -> None:
    large, small = accept(desk, mail(text=LARGE), mail("dee@dee.example", subject="Small"))
    s3.answer(lambda verb, path: (500, b""))
    assert processor(desk, workers).drain() == {"opened": 1}
    waiting = row(desk, large)
    assert (waiting.state, waiting.attempts, waiting.failures) == ("pending", 0, 0)
    assert "cannot get" in waiting.reason
    assert row(desk, small).state == "processed"
    s3.answer(lambda verb, path: None)
    assert processor(desk, workers, timedelta(minutes=1)).drain() == {"opened": 1}
    assert row(desk, large).state == "processed"


def test_the_operator_is_told_that_the_store_of_objects_fails_and_that_it_is_over(tmp_path: Path, s3: S3) -> None:
    with open_test_house(tmp_path, raw_mail=s3.section(), operator={"address": "root@example.com"}) as desk:
        now = house.now()
        h = desk.house
        alarms = Alarms(h.config, h.store, h.notifier, lambda: now, set)
        s3.answer(lambda verb, path: (500, b""))
        with pytest.raises(TemporaryFailure):
            raw_mail.put_aside(desk.store.objects, {"0" * 64: mail(text=LARGE)})
        assert [(change.name, change.is_over) for change in alarms.look()] == []
        now += timedelta(minutes=16)
        assert [(change.name, change.is_over) for change in alarms.look()] == [("raw mail", False)]
        sent = desk.sent("operator", "root@example.com")
        assert "alarm: raw mail" in sent.subject
        assert "large mail cannot be stored in s3://" in sent.text
        s3.answer(lambda verb, path: None)
        raw_mail.put_aside(desk.store.objects, {"0" * 64: mail(text=LARGE)})
        assert alarms.look() == []
        now += timedelta(minutes=11)
        assert [(change.name, change.is_over) for change in alarms.look()] == [("raw mail", True)]


def test_a_mail_whose_object_is_gone_is_quarantined_with_that_reason_and_the_rest_flows_on(
    desk: TestHouse, s3: S3, workers: Workers
) -> None:
    first, second = mail(text=LARGE), mail("dee@dee.example", subject="Other", text=LARGE)
    lost, sound = accept(desk, first, second)
    s3.remove(place_of(desk, first))
    for minutes in range(3):
        processor(desk, workers, timedelta(minutes=minutes)).drain()
    assert (row(desk, lost).state, row(desk, sound).state) == ("quarantined", "processed")
    assert "there is no object" in row(desk, lost).reason
    s3.put(place_of(desk, first), first)  # somebody finds it in a copy of the bucket
    with desk.store.write() as connection:
        assert inbound.retry(connection, lost)
    processor(desk, workers).drain()
    assert row(desk, lost).state == "processed"


def with_file(octets: bytes) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Cy <cy@customer.example>", SUPPORT, "Log"
    message["Message-ID"], message["Date"] = "<f1@customer.example>", "Mon, 23 Nov 2026 09:00:00 +0000"
    message.set_content("See the log.\n")
    message.add_attachment(octets, maintype="application", subtype="octet-stream", filename="log.bin")
    return message.as_bytes().replace(b"\n", b"\r\n")


def test_a_file_is_taken_out_of_an_object_for_a_notice_whose_frozen_bytes_are_moved_out_later(
    desk: TestHouse, s3: S3, workers: Workers
) -> None:
    accept(desk, with_file(bytes(range(256)) * 400))
    assert processor(desk, workers).drain() == {"opened": 1}
    assert [verb for verb, _ in s3.requests] == ["PUT", "GET"]  # none while the desk's lock is held
    [notice] = [delivery for delivery, _ in desk.outbox(purpose="new_ticket", recipient="ann@example.com")]
    assert places(desk.store)[notice.digest] is None
    assert [a.filename for a in desk.sent("new_ticket", "ann@example.com").attachments] == ["log.bin"]
    raw_mail.work(desk.store)
    found = places(desk.store)[notice.digest]
    assert found is not None
    assert hashlib.sha256(s3.objects()[found]).hexdigest() == notice.digest


def test_a_person_is_forgotten_in_objects_too(desk: TestHouse, s3: S3, workers: Workers) -> None:
    accept(desk, mail(text=LARGE))
    processor(desk, workers).drain()
    words = f"cy@customer.example wrote:\r\n{6_000 * 'and burns '}"
    quoting = mail("dee@dee.example", subject="About Cy", text=words, Cc="cy@customer.example")
    accept(desk, quoting, sender="dee@dee.example")
    processor(desk, workers).drain()
    with desk.store.write() as connection:
        connection.execute(update(Delivery).values(state="sent"))  # what is under way is left, and named
    raw_mail.work(desk.store)
    erasure.forget(desk.store, "cy@customer.example", house.now())
    raw_mail.work(desk.store)
    assert [content for content in s3.objects().values() if b"and burns" in content] != []
    assert [content for content in s3.objects().values() if b"cy@customer" in content or b"smokes" in content] == []


@pytest.fixture
def target(tmp_path: Path, desk: TestHouse, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty PostgreSQL, with the same store of objects."""
    store = Store(request.getfixturevalue("postgresql_url"), objects=desk.store.objects)
    yield store
    store.dispose()


def test_a_copy_of_a_store_has_its_bytes_where_it_was_told(
    desk: TestHouse, s3: S3, workers: Workers, target: Store, tmp_path: Path
) -> None:
    raw = mail(text=LARGE)
    [id_] = accept(desk, raw)
    processor(desk, workers).drain()
    copy_store(desk.store, target, raw="database")
    assert set(places(target).values()) == {None}
    with target.read() as connection:
        assert inbound.raw(connection, id_) == raw
    back = Store(f"sqlite:///{tmp_path}/back.db", objects=desk.store.objects)
    try:
        copy_store(target, back, raw="objects")
        assert places(back)[hashlib.sha256(raw).hexdigest()] not in (None, place_of(desk, raw))
        with back.read() as connection:
            assert inbound.raw(connection, id_) == raw
    finally:
        back.dispose()


def test_a_copy_stops_at_an_object_that_is_not_what_it_was(
    desk: TestHouse, s3: S3, workers: Workers, target: Store
) -> None:
    raw = mail(text=LARGE)
    accept(desk, raw)
    s3.put(place_of(desk, raw), b"other")
    with pytest.raises(Exception, match="other bytes than were put"):
        copy_store(desk.store, target, raw="database")


def test_a_backup_says_what_it_does_not_hold_and_what_is_put_back_finds_its_objects(
    desk: TestHouse, s3: S3, workers: Workers, tmp_path: Path
) -> None:
    raw = mail(text=LARGE)
    [id_] = accept(desk, raw)
    processor(desk, workers).drain()
    made = back_up(desk.house.config, desk.store, tmp_path / "backup")
    said = json.loads((made / "backup.json").read_text())["objects"]
    assert said == {"url": "s3://mail/post/room", "count": 1, "octets": len(raw)}
    other = settings.parse({**CONFIG, "raw_mail": s3.section()}, tmp_path / "other")
    assert restore(other, made).objects == said
    with house.open_house(other) as opened, opened.store.read() as connection:
        assert inbound.raw(connection, id_) == raw


@pytest.fixture
def file(tmp_path: Path, s3: S3, desk: TestHouse, workers: Workers) -> str:
    """The configuration of a desk with one large mail."""
    accept(desk, mail(text=LARGE))
    processor(desk, workers).drain()
    return config_file(tmp_path, s3)


def test_verify_names_what_is_missing(file: str, desk: TestHouse, s3: S3) -> None:
    assert call("-c", file, "objects", "verify", "--json").objects == [{"verified": 1, "broken": []}]
    [name] = s3.objects()
    s3.remove(name)
    ran = call("-c", file, "objects", "verify")
    assert (ran.status, ran.out) == (1, "0 of 1 mails are there, and as they were put\n")
    assert f"there is no object {name}" in ran.err


def test_a_sweep_finds_only_what_nobody_names_and_is_a_day_old(
    file: str, desk: TestHouse, s3: S3, tmp_path: Path
) -> None:
    [named] = s3.objects()
    orphan = mail(text=LARGE)
    s3.put(f"{hashlib.sha256(orphan).hexdigest()}.000000000000", orphan)
    assert call("-c", file, "objects", "sweep", "--delete", "--json").objects == [
        {"found": 0, "octets": 0, "deleted": 0}
    ]
    s3.answer(lambda verb, path: (200, aged(s3, path)) if verb == "GET" and "list-type=2" in path else None)
    wanted = {"found": 1, "octets": len(orphan)}
    assert call("-c", file, "objects", "sweep", "--json").objects == [{**wanted, "deleted": 0}]
    saved = tmp_path / "saved"
    assert call("-c", file, "objects", "sweep", "--save", str(saved), "--delete", "--json").objects == [
        {**wanted, "deleted": 1}
    ]
    assert [path.read_bytes() for path in saved.iterdir()] == [orphan]
    assert list(s3.objects()) == [named]


def aged(s3: S3, path: str) -> bytes:
    """The listing, as if all that is listed were put long ago."""
    return re.sub(rb"<LastModified>[^<]*", b"<LastModified>2020-01-01T00:00:00.000Z", s3.ask("GET", path))


def test_a_sweep_deletes_nothing_where_most_is_strange_to_it(file: str, desk: TestHouse, s3: S3) -> None:
    entry = "<Contents><Key>post/room/{}.0</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><Size>9</Size></Contents>"
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(entry.format(n) for n in range(101))}</ListBucketResult>"
    s3.answer(lambda verb, path: (200, page.encode()) if verb == "GET" and "list-type=2" in path else None)
    ran = call("-c", file, "objects", "sweep", "--delete")
    assert ran.status == 1
    assert "is s3://mail/post/room another store's" in ran.err


def test_all_mail_is_moved_into_the_database_and_out_again(file: str, desk: TestHouse, s3: S3, tmp_path: Path) -> None:
    config_file(tmp_path, s3, min_size="1 GiB")
    assert call("-c", file, "objects", "move", "--to", "database", "--json").objects == [{"moved": 1, "to": "database"}]
    assert s3.objects() == {}
    config_file(tmp_path, s3)
    assert call("-c", file, "objects", "move", "--to", "objects", "--json").objects == [{"moved": 3, "to": "objects"}]
    assert len(s3.objects()) == 3  # the notice and the confirmation are large, too: they quote it


def test_check_and_status_say_how_the_store_of_objects_fares(file: str, desk: TestHouse, s3: S3) -> None:
    def checked() -> dict[str, Any]:
        lines = [json.loads(line) for line in call("-c", file, "check", "--json").out.splitlines()]
        return next(line for line in lines if line["check"] == "raw_mail.url")

    assert checked()["detail"].endswith("; it holds 1 mails")
    [status] = call("-c", file, "status", "--json").objects
    assert status["rawMail"]["objects"] == 1
    [name] = s3.objects()
    s3.remove(name)
    assert checked()["state"] == "failed"
    assert "is it the right bucket and prefix?" in checked()["detail"]
    s3.answer(lambda verb, path: (403, b""))
    assert "cannot put" in checked()["detail"]


def test_a_configuration_without_obstore_is_refused_in_one_line(
    file: str, desk: TestHouse, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    ran = call("-c", file, "status")
    assert (ran.status, ran.err) == (
        78, "postroom: raw_mail.url: obstore is not installed; run: pip install 'postroom[s3]'\n",
    )  # fmt: skip


def test_the_schedule_finds_out_that_the_store_of_objects_is_back(desk: TestHouse, s3: S3) -> None:
    from postroom.daemon.schedule import Schedule

    objects = desk.store.objects
    assert objects is not None
    s3.answer(lambda verb, path: (500, b""))
    with pytest.raises(TemporaryFailure):
        objects.probe()
    assert objects.failing_since is not None
    schedule = Schedule(desk.house.config, desk.store)
    schedule.move_bytes()
    assert objects.failing_since is not None
    s3.answer(lambda verb, path: None)
    schedule.move_bytes()
    assert objects.failing_since is None

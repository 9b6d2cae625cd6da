import os
from datetime import UTC, datetime

import pytest

from postroom.outbound.carriers import NotOpen
from postroom.outbound.maildir import MaildirCarrier, file_name
from postroom.store.outbox import Claimed

RAW = b"Subject: hello\r\n\r\nHello.\r\n"
DELIVERY = Claimed(
    1, 2**63 - 1, 1, "reply", False, "support", "ann@example.org", "support+token@example.com", "id@example.com", 1,
    datetime(2026, 11, 24, 12, tzinfo=UTC), RAW,
)  # fmt: skip


async def nothing():
    raise AssertionError("a Maildir leaves nothing in doubt")


@pytest.fixture
def carrier(tmp_path):
    return MaildirCarrier(tmp_path / "out")


def files(tmp_path, *folders):
    return [
        path for folder in folders or ("tmp", "new", "cur") for path in sorted((tmp_path / "out" / folder).iterdir())
    ]


async def test_a_mail_is_one_complete_file_in_new(carrier, tmp_path):
    answer = await carrier.carry(DELIVERY, nothing)
    (path,) = files(tmp_path)
    assert path.parent.name == "new"
    assert path.name in answer
    assert path.read_bytes() == b"Return-Path: <support+token@example.com>\r\nDelivered-To: ann@example.org\r\n" + RAW


async def test_a_second_try_makes_no_second_file(carrier, tmp_path):
    await carrier.carry(DELIVERY, nothing)
    assert "already" in await carrier.carry(DELIVERY, nothing)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("flags", ["", ":2,", ":2,S"])
async def test_nor_does_it_once_a_reader_has_moved_the_first(carrier, tmp_path, flags):
    await carrier.carry(DELIVERY, nothing)
    (path,) = files(tmp_path)
    path.rename(tmp_path / "out" / "cur" / (path.name + flags))
    await carrier.carry(DELIVERY, nothing)
    assert len(files(tmp_path)) == 1


async def test_half_a_file_from_a_crash_is_written_anew(carrier, tmp_path):
    (tmp_path / "out" / "tmp").mkdir(parents=True)
    (tmp_path / "out" / "tmp" / file_name(DELIVERY)).write_bytes(b"Subject: hel" * 100)
    await carrier.carry(DELIVERY, nothing)
    assert files(tmp_path, "tmp") == []
    assert files(tmp_path, "new")[0].read_bytes().endswith(RAW)


async def test_mail_is_its_owners_alone(carrier, tmp_path):
    await carrier.carry(DELIVERY, nothing)
    assert files(tmp_path)[0].stat().st_mode & 0o077 == 0
    assert (tmp_path / "out" / "new").stat().st_mode & 0o077 == 0


async def test_a_maildir_that_cannot_be_written_is_an_error_and_leaves_nothing(carrier, tmp_path):
    (tmp_path / "out").write_bytes(b"a file where the folder should be")
    with pytest.raises(NotOpen, match="out: Not a directory"):
        await carrier.carry(DELIVERY, nothing)


async def test_the_file_is_synced_before_it_can_be_seen(carrier, tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(os, "rename", lambda *a, **k: (order.append("rename"), rename(*a, **k))[1])
    await carrier.carry(DELIVERY, nothing)
    assert order == ["sync", "rename", "sync"]

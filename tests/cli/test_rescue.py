"""Mail that is got out of a database file that was damaged."""

import hashlib
import random
import sqlite3

import pytest
from peers.house import mail, open_test_house

from postroom.store.rescue import rescue

PAGE = 4096
WAL_HEADER, FRAME = 32, 24 + PAGE
LARGE = 40_000  # octets: its row goes on on other pages


@pytest.fixture
def kept(bare_desk):
    """A database with mail of every size, some of it in the write-ahead log alone; digest → bytes."""
    chance = random.Random(3)
    with open_test_house(bare_desk.folder) as house:
        for number in range(60):
            text = "".join(chance.choice("abcdefgh \n") for _ in range(number * 150)) + "\n"
            house.take(mail(f"c{number}@customer.example", text=text), "support@example.com")
        with house.store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(5):
            house.take(
                mail(f"d{number}@customer.example", text="x" * 70 + "\n" + "in the log alone\n" * 3000 * (number % 2))
            )
        with house.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT digest, content FROM raw_mail").all()
        # as a crash leaves it: what is in the log is not yet in the file
        for name in ("postroom.db", "postroom.db-wal"):
            content = (bare_desk.folder / "var" / name).read_bytes()
            (bare_desk.folder / name).write_bytes(content)
    assert len(rows) > 65
    assert max(len(content) for _, content in rows) > LARGE
    return {digest: bytes(content) for digest, content in rows}


def rescued(desk):
    ran = desk("rescue", str(desk.folder / "out"), "--database", str(desk.folder / "postroom.db"), "--json")
    whole = {path.stem: path.read_bytes() for path in (desk.folder / "out").glob("*/*.eml")}
    for digest, content in whole.items():
        assert hashlib.sha256(content).hexdigest() == digest
    return ran, whole


def damage(desk, *spans):
    path = desk.folder / "postroom.db"
    content = bytearray(path.read_bytes())
    for start, end in spans:
        content[start:end] = random.Random(start).randbytes(len(content[start:end]))
    path.write_bytes(content)


def test_of_a_sound_file_every_mail_is_found_byte_for_byte(bare_desk, kept):
    ran, whole = rescued(bare_desk)
    assert ran.objects == [{"received": 65, "sent": len(kept) - 65, "damaged": 0}]
    assert whole == kept


def test_without_header_and_schema_every_mail_is_found_all_the_same(bare_desk, kept):
    damage(bare_desk, (0, PAGE))
    log = bytearray((bare_desk.folder / "postroom.db-wal").read_bytes())
    for frame in range(WAL_HEADER, len(log), FRAME):
        if log[frame : frame + 4] == b"\0\0\0\1":  # page 1 again
            log[frame + FRAME - PAGE : frame + FRAME] = bytes(PAGE)
    log[:WAL_HEADER] = bytes(WAL_HEADER)
    bare_desk.write("postroom.db-wal", log)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(bare_desk.folder / "postroom.db").execute("SELECT * FROM raw_mail")
    _, whole = rescued(bare_desk)
    assert whole == kept


@pytest.mark.parametrize("seed", range(4))
def test_broken_pages_cost_the_mail_on_them_and_no_other(bare_desk, kept, seed):
    pages = (bare_desk.folder / "postroom.db").stat().st_size // PAGE
    broken = random.Random(seed).sample(range(pages), pages // 20)
    damage(bare_desk, *((page * PAGE, (page + 1) * PAGE) for page in broken))
    ran, whole = rescued(bare_desk)
    assert whole.items() <= kept.items()
    assert len(whole) >= len(kept) * 0.6
    assert {p.stem for p in (bare_desk.folder / "out").glob("*/*.damaged")}.isdisjoint(whole)
    assert ran.status == 0


def test_what_is_rescued_can_be_taken_in_again(bare_desk, kept):
    damage(bare_desk, (0, PAGE))
    rescued(bare_desk)
    for path in (bare_desk.folder / "var").glob("postroom.db*"):
        path.unlink()
    [summary] = bare_desk.program("ingest", "--quiet", "out/received", "--json").objects
    assert summary["failed"] == 0
    assert summary["ticketsOpened"] == 65


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, random.Random(5).randbytes(20 * PAGE)])
def test_where_there_is_no_mail_it_says_so(bare_desk, content):
    bare_desk.write("postroom.db", content)
    ran = bare_desk("rescue", str(bare_desk.folder / "out"), "--database", str(bare_desk.folder / "postroom.db"))
    assert ran.status == 1
    assert "there is no mail to be found" in ran.err


def test_a_file_that_is_not_there_is_named(bare_desk):
    ran = bare_desk("rescue", "out", "--database", str(bare_desk.folder / "none.db"))
    assert ran.status == 1
    assert "none.db" in ran.err


def varint(number):
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.insert(0, number & 0x7F | 0x80)
    return bytes(octets)


def test_a_damaged_length_whose_pages_lead_in_a_circle_yields_no_more_than_the_file_has(tmp_path):
    length = 32 << 20
    types = varint(141) + varint(1) + varint(0) + varint(12 + 2 * length)
    record = varint(len(types) + 1) + types + b"a" * 64 + b"\x01"
    payload = len(record) + length
    usable = PAGE
    least = (usable - 12) * 32 // 255 - 23
    fits = least + (payload - least) % (usable - 4)
    local = fits if fits <= usable - 35 else least
    cell = varint(payload) + varint(1) + record.ljust(local, b"x") + (2).to_bytes(4)
    at = PAGE - len(cell)
    leaf = bytes([0x0D, 0, 0, 0, 1, *at.to_bytes(2), 0, *at.to_bytes(2)])
    first = b"SQLite format 3\0".ljust(16) + PAGE.to_bytes(2) + bytes(82)
    pages = [first.ljust(PAGE, b"\0"), (2).to_bytes(4).ljust(PAGE, b"y"), leaf.ljust(at, b"\0") + cell]
    path = tmp_path / "postroom.db"
    path.write_bytes(b"".join(pages))
    assert [len(one.content) <= len(pages) * PAGE for one in rescue(path)] == [True]

"""A backup that is made while mail flows is whole, and what is put back runs on: nothing is doubled, nothing sent twice."""

import hashlib
import threading

import pytest
from peers.commandline import Desk, call
from peers.house import CONFIG, SUPPORT, TestHouse, answer, mail

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.backing_up import back_up, restore
from postroom.errors import UserError
from postroom.store import inbound, migrate
from postroom.store.engine import Store

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def config_at(folder, url=None):
    folder.mkdir(exist_ok=True)
    return settings.parse({**CONFIG, **({"store": {"url": url}} if url else {})}, folder)


@pytest.fixture
def urls(request, tmp_path):
    """A fresh store, and an empty place to restore to."""

    def of(kind):
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
        server = request.getfixturevalue("postgresql")
        pair = server.create_database(), server.create_database()
        for url in pair:
            request.addfinalizer(lambda url=url: server.drop_database(url))
        return pair

    return of


def migrated(url):
    store = Store(url)
    migrate.upgrade(store)
    store.dispose()


def states(rooms):
    return {(row.purpose, row.automatic): row.state for row, _ in rooms.outbox()}


@KINDS
def test_what_is_put_back_runs_on_and_sends_nothing_automatic_twice(kind, urls, tmp_path):
    first, second = urls(kind)
    migrated(first)
    before, after = config_at(tmp_path / "before", first), config_at(tmp_path / "after", second)
    raw = mail(Message_ID="<q1@customer.example>")
    with house.open_house(before) as opened:
        rooms = TestHouse(opened)
        ticket = rooms.take(raw).ticket_id
        notice = rooms.sent("new_ticket", "ann@example.com")
        rooms.take(answer(notice), notice.reply_to[0].address)
        [reply] = [found.message_id for row, found in rooms.outbox(purpose="reply")]
        back_up(before, opened.store, tmp_path / "backup")
    done = restore(after, tmp_path / "backup")
    assert (done.again, done.keys) == (1, "put back")
    with house.open_house(after) as opened:
        rooms = TestHouse(opened)
        assert states(rooms) == {
            ("confirmation", True): "cancelled", ("new_ticket", True): "cancelled", ("reply", False): "pending",
        }  # fmt: skip
        assert [found.message_id for _, found in rooms.outbox(purpose="reply")] == [reply]
        with rooms.store.write() as connection:  # as a server's folder that was numbered anew has it fetched again
            digest = hashlib.sha256(raw).hexdigest()
            new = inbound.NewInbound("support", SUPPORT, raw, digest, "imap", "cy@customer.example", house.now())
            [accepted] = inbound.accept(connection, [new])
        assert not accepted.is_new
        customer = rooms.sent("reply")
        again = rooms.take(answer(customer, "Thanks.\n", "cy@customer.example"), customer.reply_to[0].address)
        assert again.ticket_id == ticket
    if kind == "postgresql":
        with pytest.raises(UserError, match="not empty"):
            restore(after, tmp_path / "backup")
    mode = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "backup").iterdir()}
    assert mode["signing-keys"] == 0o600
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700


def test_a_backup_that_is_made_while_mail_flows_holds_whole_mails(tmp_path):
    config = config_at(tmp_path / "busy")
    with house.open_house(config) as opened:
        rooms, is_over = TestHouse(opened), threading.Event()

        def flow():
            while not is_over.is_set():
                rooms.take(mail())

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            for number in range(5):
                back_up(config, opened.store, tmp_path / f"backup-{number}")
        finally:
            is_over.set()
            thread.join()
        taken = len(rooms.tickets())
    counts = []
    for number in range(5):
        target = config_at(tmp_path / f"restored-{number}")
        restore(target, tmp_path / f"backup-{number}")
        with house.open_house(target) as opened:
            rooms = TestHouse(opened)
            with opened.store.read() as connection:
                rows = inbound.find(connection)
                assert {row.state for row in rows} <= {"processed"}
                assert len(rows) == len(rooms.tickets())
            counts.append(len(rows))
    assert counts == sorted(counts)
    assert counts[-1] <= taken


def test_what_was_there_is_kept_beside_and_newer_keys_stay(tmp_path):
    config = config_at(tmp_path / "house")
    with house.open_house(config) as opened:
        back_up(config, opened.store, tmp_path / "backup")
        TestHouse(opened).take(mail())
    keys = config.resolve(config.keys.file)
    newer = "ab" * 32
    keys.write_text(newer + "\n" + keys.read_text())
    done = restore(config, tmp_path / "backup")
    assert done.keys == "kept"
    assert keys.read_text().split()[0] == newer
    with house.open_house(config) as opened:
        assert TestHouse(opened).tickets() == []
    [aside] = (config.folder / "var").glob("postroom.db.before-*Z")
    aside.rename(config.folder / "var" / "postroom.db")
    with house.open_house(config) as opened:
        assert len(TestHouse(opened).tickets()) == 1


def test_what_is_no_backup_changes_nothing(tmp_path):
    config = config_at(tmp_path / "house")
    with house.open_house(config) as opened:
        TestHouse(opened).take(mail())
        back_up(config, opened.store, tmp_path / "backup")
        with pytest.raises(UserError, match="already"):
            back_up(config, opened.store, tmp_path / "backup")
    (tmp_path / "backup" / "postroom.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    for folder in ("backup", "house"):
        with pytest.raises(UserError, match="no backup"):
            restore(config, tmp_path / folder)
    with house.open_house(config) as opened:
        assert len(TestHouse(opened).tickets()) == 1


def test_nothing_is_put_back_under_a_daemon_nor_without_being_asked(tmp_path):
    desk = Desk(tmp_path / "desk")
    desk.write("mails/1.eml", mail())
    assert desk.program("ingest", "mails").status == 0
    backup = tmp_path / "backup"
    assert desk("backup", str(backup)).status == 0
    store = Store(f"sqlite:///{desk.folder}/var/postroom.db")
    with store.daemon_lock("daemon"):
        ran = desk("restore", str(backup), "--yes")
    store.dispose()
    assert ran.status == 78
    assert desk("restore", str(backup), stdin=b"n\n").status == 130
    assert desk("restore", str(backup), "--yes", "--json").objects[0]["keys"] == "kept"
    assert call("-c", str(desk.config), "restore", str(tmp_path / "nowhere"), "--yes").status == 2

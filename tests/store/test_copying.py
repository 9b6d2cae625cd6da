"""Copying a store: everything, once, also after a kill; a target that holds something else is left alone."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from peers.house import ANN, CONFIG, TestHouse, answer, mail, open_test_house
from sqlalchemy import func, insert, select, text, update

import postroom
from postroom import config as settings
from postroom.daemon import house
from postroom.errors import ConfigError, UserError
from postroom.store import copying, migrate, tables
from postroom.store.copying import TABLES, copy_store
from postroom.store.engine import Store


@pytest.fixture(params=["postgresql", "sqlite"])
def target(request, tmp_path):
    url = f"sqlite:///{tmp_path}/new.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    store = Store(url)
    yield store
    store.dispose()


@pytest.fixture
def full(tmp_path):
    """A store with rows in every table."""
    with open_test_house(tmp_path) as desk:
        cy = mail(subject="Drucker", text="Er brennt. \N{FIRE}\n")
        first = desk.take(cy)
        desk.take(answer(desk.sent("new_ticket", ANN)))
        desk.take(mail(sender="dee@dee.example", subject="Other"))
        now = house.now()
        with desk.store.write() as connection:
            digest = connection.execute(select(tables.RawMail.digest)).scalars().first()
            for table, row in _rest(first, now, digest).items():
                connection.execute(insert(table), row)
            connection.execute(
                update(tables.InboundEmail).values(decision=[{"rule": "x", "n": 1.5, "deep": {"b": 1, "a": None}}])
            )
        yield desk


def _rest(first, now, digest):
    ticket = first.ticket_id
    t = tables
    return {
        t.ImapMessage: [{"account": "a@b:993", "folder": "INBOX", "uidvalidity": 1, "uid": n, "settled": True} for n in range(1200)],
        t.MailboxState: [{"mailbox": "support", "uidvalidity": 1, "last_success_at": now}],
        t.Solution: [{"ticket_id": ticket, "nonce": 1, "state": "proposed", "text": "so", "proposed_at": now}],
        t.Feedback: [{"ticket_id": ticket, "customer": "cy@customer.example", "asked_at": now, "expires_at": now}],
        t.TicketLink: [{"ticket_id": ticket, "other_id": ticket, "kind": "related", "reason": "x"}],
        t.Attachment: [{
            "message_id": 1, "part": "1", "filename": "a.txt", "content_type": "text/plain", "size": 1, "inline": False,
        }],
        t.SmarthostState: [{"name": "outgoing.smtp", "last_error": "x"}],
        t.Alarm: [{"name": "disk", "words": "full", "since": now}],
        t.Forgetting: [{"address": "zoe@zoe.example", "sought": {"names": ["Zoe Zoe"]}}],
        t.RawTask: [{"name": "0" * 64 + ".abc", "what": "delete", "since": now}],
        t.Recurring: [{"name": "digest", "done_for": now}],
        t.Correspondent: [{"address": "zoe@zoe.example", "updated_at": now}],
        t.Counter: [{"scope": f"s{n}", "window": now + timedelta(hours=h), "count": 1} for n in range(300) for h in range(2)],
    }  # fmt: skip


def counts(store):
    with store.read() as connection:
        return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in TABLES}


def test_every_table_is_copied_and_the_desk_goes_on_in_the_new_store(full, target, tmp_path):
    wanted = counts(full.store)
    assert [name for name, count in wanted.items() if not count] == [], "a store full of everything"
    assert copy_store(full.store, target).rows == wanted
    assert counts(target) == wanted
    assert migrate.is_current(target)
    url = target.engine.url.render_as_string(hide_password=False)
    before = {t.ref for t in full.tickets()}
    with house.open_house(settings.parse({**CONFIG, "store": {"url": url}}, tmp_path)) as opened:
        desk = TestHouse(opened)
        reply = answer(full.sent("confirmation", "dee@dee.example"), sender="dee@dee.example")
        settled = desk.take(reply)
        assert (settled.outcome, desk.ticket(settled.ticket_id).subject) == ("added", "Other")
        new = desk.take(mail())
        assert new.outcome == "opened"
        assert desk.ticket(new.ticket_id).ref not in before


def test_the_schema_is_the_same_afterwards_foreign_keys_and_all(full, postgresql_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    target = Store(postgresql_url)
    copy_store(full.store, target)
    with target.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.Base.metadata) == []
    target.dispose()


KILLED = """
import os, signal, sys
from postroom.store.copying import copy_store
from postroom.store.engine import Store
steps = 0
def progress(*_):
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
copy_store(Store(sys.argv[1]), Store(sys.argv[2]), progress)
"""


@pytest.mark.parametrize("step", [1, 9, 30])
def test_a_copy_that_was_killed_goes_on_and_no_daemon_takes_the_half_of_it(full, target, step):
    urls = [full.store.url, target.engine.url.render_as_string(hide_password=False)]
    env = {**os.environ, "PYTHONPATH": str(Path(postroom.__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *urls, str(step)], check=False, env=env)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(ConfigError, match="not finished"):
        migrate.is_current(target)
    copied = copy_store(full.store, target)
    assert (copied.resumed, copied.rows, counts(target)) == (True, counts(full.store), counts(full.store))


def test_a_source_that_was_used_between_two_halves_is_noticed(full, target, monkeypatch):
    monkeypatch.setattr(copying, "_finish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        copy_store(full.store, target)
    monkeypatch.undo()
    with full.store.write() as connection:
        connection.execute(text("UPDATE ticket SET subject = 'Changed'"))
    with pytest.raises(UserError, match="ticket differs"):
        copy_store(full.store, target)


def test_a_target_that_holds_something_else_is_left_alone(full, target, tmp_path):
    migrate.upgrade(target)
    with target.write() as connection:
        connection.execute(text("INSERT INTO sequence (name, value) VALUES ('other', 7)"))
    with pytest.raises(UserError, match="not empty"):
        copy_store(full.store, target)
    assert migrate.is_current(target)

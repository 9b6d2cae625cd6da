"""Statements of the hot path: what SQLAlchemy would give, on both databases, and never by reading a whole table."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError, OperationalError

from postroom.errors import TemporaryFailure
from postroom.store import addressing, counters, inbound, messages, outbox, thread_index, tickets
from postroom.store.engine import Store, insert_new
from postroom.store.prepared import REGISTRY, Prepared, PreparedIn, PreparedInsert, savepoint
from postroom.store.tables import Event, Participant, Ticket

AT = datetime(2026, 11, 24, 12, 30, 15, 250_000, UTC)
HOT = (addressing, counters, inbound, messages, outbox, thread_index, tickets)  # who have such statements
SMALL = ("agent", "ix_inbound_email_new")  # what is read whole: who answers, and in its order the index of what waits


def add_ticket(connection, number=1):
    return tickets.add(
        connection,
        {
            "number": number, "ref": f"T-{number}", "subject": "Grüße", "normal_subject": "grüße", "description": "",
            "ticket_type": "question", "source": "email", "submitter_name": "", "submitter_email": "", "queue": "support",
            "requester": "ann@example.org", "status": "new", "priority": "medium", "created_at": AT, "updated_at": AT,
            "tags": ["ä", "b"], "custom_fields": {"deep": [1, None]},
        },
        Random(number),
    )  # fmt: skip


def test_a_row_comes_back_as_sqlalchemy_gives_it_defaults_and_all(store):
    with store.write() as connection:
        id_ = add_ticket(connection)
        [expected] = connection.execute(select(Ticket.__table__).where(Ticket.id == id_))
        found = tickets.get(connection, id_)
    assert expected._asdict() == found._asdict()
    assert (found.created_at, found.tags, found.custom_fields, found.suppliers) == (
        AT,
        ["ä", "b"],
        {"deep": [1, None]},
        [],
    )


def test_a_time_stands_in_sqlite_as_sqlalchemy_writes_it_whatever_zone_it_came_in(store):
    if not store.is_sqlite:
        pytest.skip("PostgreSQL has a type for it")
    times = [AT, AT.replace(microsecond=0), AT.astimezone(timezone(timedelta(hours=-9, minutes=-30)))]
    with store.write() as connection:
        id_ = add_ticket(connection)
        for time in times:
            tickets.change(connection, id_, {"closed_at": time})
            text = connection.exec_driver_sql("SELECT closed_at FROM ticket").scalar_one()
            assert time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") == text
            assert time == tickets.get(connection, id_).closed_at
        with pytest.raises(ValueError, match="naive"):
            tickets.change(connection, id_, {"closed_at": AT.replace(tzinfo=None)})


def test_a_list_of_any_length_finds_what_is_there_and_no_list_finds_nothing(store):
    by_number = PreparedIn(Ticket.number.type, lambda them: select(Ticket.number).where(Ticket.number.in_(them)))
    with store.write() as connection:
        for number in range(1, 12):
            add_ticket(connection, number)
        for wanted in ([], [1], [1, 2, 3], list(range(1, 12)), [7, 7, 99]):
            expected = {number for number in wanted if number < 12}
            assert expected == {row.number for row in by_number.all(connection, wanted, {})}


def test_an_update_sets_what_it_is_given_and_no_more(store):
    with store.write() as connection:
        one, other = add_ticket(connection, 1), add_ticket(connection, 2)
        tickets.change(connection, one, {"status": "closed", "closed_at": AT})
        tickets.change(connection, one, {"tags": ["x"]})
        found, beside = tickets.get(connection, one), tickets.get(connection, other)
    assert (found.status, found.closed_at, found.tags, found.subject) == ("closed", AT, ["x"], "Grüße")
    assert (beside.status, beside.tags) == ("new", ["ä", "b"])


def test_a_broken_constraint_is_sqlalchemys_error_and_names_no_value(store):
    with store.write() as connection:
        add_ticket(connection)
    with pytest.raises(IntegrityError) as raised, store.write() as connection:
        add_ticket(connection)
    assert "grüße" not in str(raised.value)


def test_what_is_there_already_stays_and_gives_nothing_back(store):
    plain = PreparedInsert(Participant, lambda c: insert_new(c, Participant))
    add = PreparedInsert(Participant, lambda c: insert_new(c, Participant).returning(Participant.address))
    with store.write() as connection:
        person = {"ticket_id": add_ticket(connection), "address": "a@b.example", "name": "", "role": "requester",
                  "agreed": True, "created_at": AT}  # fmt: skip
        plain.add(connection, [{**person, "address": "c@d.example"}])  # SQLAlchemy keeps what it learns of the first
        assert add.one(connection, person) == "a@b.example"
        assert add.one(connection, person) is None


def test_an_insert_that_others_share_still_gives_back_what_it_should(store):
    with store.write() as connection:
        person = {"ticket_id": add_ticket(connection), "address": "a@b.example", "name": "", "role": "requester",
                  "agreed": True, "created_at": AT}  # fmt: skip
        plain = PreparedInsert(Participant, lambda c: insert_new(c, Participant))
        plain.add(connection, [person])
        returning = PreparedInsert(Participant, lambda c: insert_new(c, Participant).returning(Participant.address))
        assert returning.one(connection, {**person, "address": "c@d.example"}) == "c@d.example"


def test_rows_of_different_keys_are_different_statements(store):
    add = PreparedInsert(Event)
    with store.write() as connection:
        id_ = add_ticket(connection)
        line = {"ticket_id": id_, "at": AT, "actor": "ann", "event": "message"}
        add.add(connection, [{**line, "detail": {"a": 1}}])
        add.add(connection, [{"detail": {"a": 2}, **line}, {"detail": {"a": 3}, **line}])
        found = messages.events(connection, id_)
    assert [event.detail["a"] for event in found] == [1, 2, 3]


def add_in_savepoint(connection, *numbers):
    with savepoint(connection):
        for number in numbers:
            add_ticket(connection, number)


def test_a_savepoint_takes_back_what_was_written_in_it_and_no_more(store):
    with store.write() as connection:
        with savepoint(connection):
            kept = add_ticket(connection, 1)
        with pytest.raises(IntegrityError):
            add_in_savepoint(connection, 2, 1)
        with savepoint(connection), pytest.raises(IntegrityError):
            add_in_savepoint(connection, 3, 1)
        assert tickets.by_number(connection, 1).id == kept
        assert [tickets.by_number(connection, number) for number in (2, 3)] == [None, None]


def ask_when_cut_off(store, ask):
    with store.read() as connection:
        pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
        with store.engine.connect() as other:
            other.exec_driver_sql(f"select pg_terminate_backend({pid})")
        ask.all(connection, {})


def test_a_lost_connection_is_known_as_one(postgresql_url):
    store, ask = Store(postgresql_url), Prepared(select(bindparam("n", 1).label("n")))
    try:
        with pytest.raises(TemporaryFailure) as raised:
            ask_when_cut_off(store, ask)
        assert isinstance(raised.value.__cause__, OperationalError)
        assert raised.value.__cause__.connection_invalidated
        with store.read() as connection:
            assert ask.scalar(connection, {}) == 1
    finally:
        store.dispose()


SETS = {
    tickets._change: ("id_", "status"),
    inbound._settle: ("id_", "state"),
}  # what an UPDATE sets, only its rows name


def test_no_statement_of_the_hot_path_reads_a_whole_table(store):
    """Each is explained as it is; on PostgreSQL without the choice that small tables would be read whole for."""
    assert HOT
    seen = 0
    with store.write() as connection:
        if not store.is_sqlite:
            connection.exec_driver_sql("set enable_seqscan = off")
        for prepared in list(REGISTRY):
            try:
                compiled = prepared._for(connection, SETS.get(prepared, ()))
            except Exception:  # an INSERT, whose columns only its rows name
                continue
            if not compiled.text.lstrip().startswith(("SELECT", "UPDATE")):
                continue
            explain = "EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN "
            cursor = connection.connection.cursor()
            cursor.execute(explain + compiled.text, compiled._values({}))
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            cursor.close()
            lines = plan.replace("SCAN CONSTANT ROW", "").splitlines()
            whole = [line for line in lines if line.strip(" ->").startswith(("SCAN ", "Seq Scan on "))]
            assert not [line for line in whole if not line.split()[-1 if store.is_sqlite else 3].startswith(SMALL)], (
                plan
            )
            seen += 1
    assert seen > 10

"""Rows that wait and answers that were asked ahead: nobody can tell, whatever he asks, and in whatever order."""

from contextlib import contextmanager, nullcontext, suppress
from random import Random

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import IntegrityError

from postroom.store import addressing, messages, outbox, thread_index
from postroom.store.outbox import NewDelivery
from postroom.store.prepared import savepoint
from postroom.store.tables import Delivery, Event, Participant, RawMail, ThreadRef
from postroom.store.thread_index import ThreadIndex
from postroom.store.waiting import gathering
from tests.store.test_prepared import AT, add_ticket

REFS = [f"{n}@elsewhere.example" for n in range(6)]
PEOPLE = [f"{name}@elsewhere.example" for name in ("ann", "bob", "cy")]


def add_line(connection, ticket, word="message"):
    messages.add_event(connection, ticket, word, {}, "ann", AT)


def person(address, agreed=True):
    return {"address": address, "name": "", "role": "participant", "agreed": agreed, "created_at": AT}


def mail(ticket, n):
    return NewDelivery(
        n, ticket, None, "confirmation", True, "support", PEOPLE[0], AT, email_message_id=f"{n}@ours.example",
        digest=f"{n}", raw=b"words",
    )  # fmt: skip


@contextmanager
def watched(store):
    """The statements that are executed in it."""
    statements = []

    def hear(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(store.engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(store.engine, "before_cursor_execute", hear)


def test_rows_wait_for_the_end_and_are_written_together(store):
    with store.write() as connection:
        one, other = add_ticket(connection, 1), add_ticket(connection, 2)
        with watched(store) as statements, gathering(connection):
            for ticket in (one, other, one):
                add_line(connection, ticket)
            assert statements == []
        assert [statement[:17] for statement in statements] == ["INSERT INTO event"]
        assert len(messages.events(connection, one)) == 2


def test_whoever_asks_for_a_row_sees_it_and_whoever_asks_for_another_lets_it_wait(store):
    with store.write() as connection:
        one, other = add_ticket(connection, 1), add_ticket(connection, 2)
        with watched(store) as statements, gathering(connection):
            thread_index.add_participants(connection, one, [person(PEOPLE[0])])
            assert not thread_index.is_agreed(connection, other, PEOPLE[0])
            assert [statement for statement in statements if statement.startswith("INSERT")] == []
            assert thread_index.is_agreed(connection, one, PEOPLE[0])
            assert len([statement for statement in statements if statement.startswith("INSERT")]) == 1


def test_sqlalchemys_own_statements_see_it_too(store):
    with store.write() as connection:
        ticket = add_ticket(connection)
        with gathering(connection):
            add_line(connection, ticket)
            assert len(connection.execute(select(Event.id)).all()) == 1
            add_line(connection, ticket)
            assert len(connection.exec_driver_sql('SELECT * FROM "event"').all()) == 2


def nested(connection, ticket, fails):
    with connection.begin_nested():
        add_line(connection, ticket, "within")
        if fails:
            raise ValueError("taken back")


@pytest.mark.parametrize("fails", [True, False])
def test_a_savepoint_takes_back_what_was_added_in_it_and_no_more(store, fails):
    with store.write() as connection:
        ticket = add_ticket(connection)
        with gathering(connection):
            add_line(connection, ticket, "before")
            with suppress(ValueError):
                nested(connection, ticket, fails)
            add_line(connection, ticket, "after")
        words = [row.event for row in messages.events(connection, ticket)]
    assert words == (["before", "after"] if fails else ["before", "within", "after"])


def break_late(connection, ticket):
    with gathering(connection):
        add_line(connection, ticket)
        add_line(connection, 4711)  # no such ticket


def test_a_row_that_cannot_be_written_is_an_error_at_the_end(store):
    with store.write() as connection:
        ticket = add_ticket(connection)
    with pytest.raises(IntegrityError), store.write() as connection:
        break_late(connection, ticket)
    with store.write() as connection:
        assert messages.events(connection, ticket) == []
        add_line(connection, ticket)  # and nothing waits any more
        assert len(messages.events(connection, ticket)) == 1


@pytest.mark.parametrize("ask", [
    lambda connection: thread_index.ask_ahead(connection, REFS),
    lambda connection: thread_index.is_agreed(connection, 1, PEOPLE[0]),
    lambda connection: connection.execute(select(ThreadRef.ref)).all(),
])  # fmt: skip
def test_it_may_be_an_error_of_whoever_asks_next_and_a_savepoint_takes_all_of_it_back(store, ask):
    with store.write() as connection:
        ticket = add_ticket(connection)
        with pytest.raises(IntegrityError):
            break_and_ask(connection, ticket, ask)
        add_line(connection, ticket, "after")
    with store.read() as connection:
        assert [row.event for row in messages.events(connection, ticket)] == ["after"]


def break_and_ask(connection, ticket, ask):
    with savepoint(connection), gathering(connection):
        add_line(connection, ticket, "before")
        thread_index.add_refs(connection, 4711, REFS[0], ())  # no such ticket
        ask(connection)


def test_what_was_asked_ahead_is_asked_anew_only_where_it_may_have_changed(store):
    with store.write() as connection:
        one, other = add_ticket(connection, 1), add_ticket(connection, 2)
        thread_index.add_refs(connection, one, REFS[0], ())
        with watched(store) as statements, gathering(connection):
            thread_index.ask_ahead(connection, REFS)
            del statements[:]
            found = ThreadIndex(connection)
            assert found.by_refs(REFS[:2]) == {REFS[0]: [(one, "message")]}
            assert statements == []
            thread_index.add_refs(connection, other, REFS[0], [REFS[1]])
            assert found.by_refs(REFS[2:]) == {}
            assert statements == []
            assert found.by_refs(REFS[:2]) == {
                REFS[0]: [(one, "message"), (other, "message")], REFS[1]: [(other, "reference")],
            }  # fmt: skip
            connection.execute(update(ThreadRef).values(ref=REFS[5]).where(ThreadRef.ref == REFS[1]))
            assert found.by_refs([REFS[1], REFS[5]]) == {REFS[5]: [(other, "reference")]}


def do_anything(connection, tickets, random):
    """Something that the processing of a mail may do; what it saw."""
    ticket, refs, address = random.choice(tickets), random.sample(REFS, 2), random.choice(PEOPLE)
    index = ThreadIndex(connection)
    match random.randrange(14):
        case 0 | 1:
            return add_line(connection, ticket, str(random.random()))
        case 2 | 3:
            return thread_index.add_refs(connection, ticket, refs[0], refs[1:])
        case 4:
            return thread_index.add_participants(connection, ticket, [person(address, random.random() < 0.5)])
        case 5:
            return outbox.enqueue(connection, [mail(ticket, random.randrange(1 << 60))])
        case 6:
            return thread_index.agree(connection, ticket, address)
        case 7:
            return index.by_refs(refs)
        case 8:
            return index.taking_part(tickets, address)
        case 9:
            return thread_index.is_agreed(connection, ticket, address)
        case 10:
            return tuple(addressing.case(connection, ticket))
        case 11:
            return [tuple(row) for row in thread_index.participants(connection, ticket)]
        case 12:
            thread_index.move_ref(connection, refs[0], ticket, random.choice(tickets))
            return thread_index.ask_ahead(connection, REFS)
        case _:
            with suppress(ValueError):
                nested(connection, ticket, random.random() < 0.5)
            return None


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_done_in_whatever_order_everybody_sees_the_same_and_the_same_is_left(store, seed):
    with store.write() as connection:
        tickets = [add_ticket(connection, n) for n in range(1, 4)]
    outcomes = []
    for context in (nullcontext, gathering):
        random = Random(seed)
        with suppress(ZeroDivisionError), store.write() as connection:
            with context(connection):
                seen = [do_anything(connection, tickets, random) for _ in range(80)]
            outcomes.append((seen, what_is_left(connection)))
            raise ZeroDivisionError  # nothing of it stays for the other
    assert outcomes[0] == outcomes[1]
    assert all(outcomes[0][1])


def what_is_left(connection):
    """The rows of all tables that are written, in their order, without the numbers that a database gives."""
    left = []
    for table in (Event, ThreadRef, Participant, Delivery, RawMail):
        columns = [column for column in table.__table__.c if column.name != "id"]
        query = select(*columns).order_by(*table.__table__.primary_key)
        left.append([tuple(row) for row in connection.execute(query)])
    return left

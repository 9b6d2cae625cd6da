"""Merging tickets, taking a merge back, and what mails join by themselves."""

import re
from datetime import timedelta

import pytest
from peers.house import ANN, answer, mail, open_test_house
from sqlalchemy import select

from postroom.daemon.house import now
from postroom.desk import actions, merging
from postroom.errors import UserError
from postroom.store import messages, thread_index, tickets
from postroom.store.tables import ThreadRef

CY, DI, EVE = "cy@customer.example", "di@customer.example", "eve@stranger.example"
A, B, C = "<a@customer.example>", "<b@customer.example>", "<c@customer.example>"


@pytest.fixture
def desk(store_url, tmp_path):
    with open_test_house(tmp_path, store={"url": store_url}) as house:
        yield house


def do(desk, action, *ids, **options):
    """An action of merging on the tickets of these ids, as they are."""
    with desk.store.write() as connection:
        rows = [tickets.get(connection, id_) for id_ in ids]
        more = ("merged by ann",) if action is merging.merge else ()
        return action(connection, *rows, *more, "ann", now(), **options)


def split(desk, id_, message):
    with desk.store.write() as connection:
        row = tickets.get(connection, id_)
        found = messages.get(connection, message)
        return merging.split(connection, desk.house.config.tickets, desk.house.random, row, found, "ann", now()).id


def state(desk, id_):
    """All that a merge changes on a ticket, but when it was touched."""
    with desk.store.read() as connection:
        row = tickets.get(connection, id_)
        refs = connection.execute(select(ThreadRef.ref, ThreadRef.kind).where(ThreadRef.ticket_id == id_))
        people = [tuple(p) for p in thread_index.participants(connection, id_)]
        said = [m.id for m in messages.of_ticket(connection, id_)]
        columns = (row.status, row.closed_at, row.resolved_at, row.first_responded_at, row.tags, row.merged_into)
        return columns, sorted(map(tuple, refs)), people, said, row.email_thread_id


def set_status(desk, id_, status):
    done = status in ("resolved", "closed")
    with desk.store.write() as connection:
        closed_at = now() if status == "closed" else None
        columns = {"status": status, "resolved_at": now() if done else None, "closed_at": closed_at}
        tickets.change(connection, id_, columns)


def tag(desk, id_, *tags):
    with desk.store.write() as connection:
        actions.tag(connection, tickets.get(connection, id_), tags, (), "ann", now())


@pytest.mark.parametrize("status", ["new", "pending_internal", "resolved", "closed"])
def test_a_merge_taken_back_leaves_both_tickets_as_they_were(desk, status):
    first = desk.take(mail(Message_ID=A, References="<root@customer.example>")).ticket_id
    second = desk.take(mail(DI, Message_ID=B, References="<root@customer.example>", Cc="ed@customer.example")).ticket_id
    desk.take(mail(DI, In_Reply_To=B, Message_ID=C))
    tag(desk, first, "paper", "fire")
    tag(desk, second, "fire", "smoke")
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)  # the second was answered
    set_status(desk, second, status)
    before = state(desk, first), state(desk, second)
    do(desk, merging.merge, second, first)
    assert (len(desk.conversation(first)), desk.conversation(second)) == (4, [])
    assert desk.ticket(first).tags == ["fire", "paper", "smoke"]
    do(desk, merging.unmerge, second)
    assert (state(desk, first), state(desk, second)) == before
    assert [desk.events(id_)[-1] for id_ in (first, second)] == ["unmerged", "unmerged"]
    assert (desk.ticket(first).ref, "split_from", "unmerged by ann") in desk.links(second)


def test_what_came_to_the_other_meanwhile_stays_there_with_what_it_names(desk):
    first = desk.take(mail(Message_ID=A)).ticket_id
    second = desk.take(mail(DI, Message_ID=B)).ticket_id
    do(desk, merging.merge, second, first)
    later = desk.take(mail(DI, In_Reply_To=B, Message_ID=C, text="Later.\n"))
    assert later.ticket_id == first
    do(desk, merging.unmerge, second)
    assert [m.text for m in desk.conversation(first)] == ["It burns.", "Later."]
    assert [m.email_message_id for m in desk.conversation(second)] == [B.strip("<>")]
    assert DI in desk.participants(first)  # the later mail is his
    assert desk.take(mail(DI, In_Reply_To=C)).ticket_id == first
    assert desk.take(mail(DI, In_Reply_To=B)).ticket_id == second


def test_who_came_with_the_merge_alone_does_not_take_part_once_it_is_taken_back(desk):
    first = desk.take(mail(Message_ID=A)).ticket_id
    second = desk.take(mail(DI, Message_ID=B)).ticket_id
    do(desk, merging.merge, second, first)
    assert DI in desk.participants(first)
    do(desk, merging.unmerge, second)
    assert DI not in desk.participants(first)
    assert desk.take(mail(DI, In_Reply_To=A)).ticket_id not in (first, second)


def test_answers_to_what_was_sent_about_a_ticket_find_it_after_a_merge_and_after_its_end(desk):
    first = desk.take(mail(Message_ID=A)).ticket_id
    second = desk.take(mail(DI, Message_ID=B)).ticket_id
    confirmation = desk.sent("confirmation", DI)
    do(desk, merging.merge, second, first)
    reply = answer(confirmation, "One.\n", DI)
    assert desk.take(reply, recipient=confirmation.reply_to[0].address).ticket_id == first
    do(desk, merging.unmerge, second)
    assert desk.take(answer(confirmation, "Two.\n", DI), recipient=confirmation.reply_to[0].address).ticket_id == second
    lost = mail(DI, In_Reply_To=f"<{confirmation.message_id}>", text="Three.\n")  # the signed address is lost
    assert desk.take(lost).ticket_id == second


def test_a_chain_of_merges_is_taken_back_from_its_end(desk):
    one, two, three = (desk.take(mail(Message_ID=ref)).ticket_id for ref in (A, B, C))
    do(desk, merging.merge, one, two)
    do(desk, merging.merge, two, three)
    with pytest.raises(
        UserError, match=r"T-1002, which T-1001 is part of, was merged too; first: postroom tickets unmerge T-1002"
    ):
        do(desk, merging.unmerge, one)
    do(desk, merging.unmerge, two)
    do(desk, merging.unmerge, one)
    assert [[m.email_message_id for m in desk.conversation(id_)] for id_ in (one, two, three)] == [
        [ref.strip("<>")] for ref in (A, B, C)
    ]  # fmt: skip
    assert desk.ticket(one).id == one


def test_a_merge_whose_message_moved_on_is_not_taken_back(desk):
    first = desk.take(mail(Message_ID=A)).ticket_id
    second = desk.take(mail(Message_ID=B)).ticket_id
    do(desk, merging.merge, second, first)
    [moved] = [m.id for m in desk.conversation(first) if m.email_message_id == B.strip("<>")]
    split(desk, first, moved)
    with pytest.raises(
        UserError, match=re.escape(f"message {moved}, which came from T-1002, has moved on from T-1001")
    ):
        do(desk, merging.unmerge, second)


def test_what_is_not_merged_cannot_be_unmerged(desk):
    id_ = desk.take(mail()).ticket_id
    with pytest.raises(UserError, match="T-1001 is not merged into another ticket"):
        do(desk, merging.unmerge, id_)


def test_a_ticket_can_be_merged_again_and_that_be_taken_back_too(desk):
    first, second, third = (desk.take(mail(Message_ID=ref)).ticket_id for ref in (A, B, C))
    before = state(desk, second)
    for target in (first, third):
        do(desk, merging.merge, second, target)
        do(desk, merging.unmerge, second)
    assert state(desk, second) == before


def test_a_duplicate_is_linked_as_such_for_as_long_as_it_is_merged(desk):
    first, second = desk.take(mail()).ticket_id, desk.take(mail()).ticket_id
    do(desk, merging.merge, second, first, duplicate=True)
    assert desk.links(second) == [("T-1001", "duplicate_of", "merged by ann")]
    do(desk, merging.unmerge, second)
    assert desk.links(second) == [("T-1001", "split_from", "unmerged by ann")]


# what a mail joins, and what it does not

LATE = f"{A} {B}"  # References of a mail that belongs to both


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [  # requester and status of two tickets that DI's mail joins; he takes part in both
        ((DI, "new"), (DI, "open"), "merged"),
        ((DI, "resolved"), (DI, "new"), "merged"),
        ((DI, "new"), (DI, "resolved"), "merged"),
        ((DI, "resolved"), (DI, "resolved"), "merged"),
        ((DI, "closed"), (DI, "new"), "linked"),
        ((DI, "new"), (DI, "closed"), "linked"),
        ((CY, "new"), (DI, "new"), "linked"),
        ((DI, "new"), (CY, "new"), "linked"),
        ((CY, "resolved"), (DI, "new"), "linked"),
        ((CY, "new"), (CY, "new"), "merged"),  # one requester, though another wrote the mail
        ((CY, "closed"), (CY, "new"), "linked"),
    ],
)
def test_a_late_link_merges_tickets_of_one_requester_and_only_links_others(desk, first, second, outcome):
    ids = [
        desk.take(mail(who, Message_ID=ref, Cc=DI if who == CY else "")).ticket_id
        for ref, (who, _) in ((A, first), (B, second))
    ]
    for id_, (_, status) in zip(ids, (first, second), strict=True):
        set_status(desk, id_, status)
    settled = desk.take(mail(DI, References=LATE))
    assert len(desk.tickets()) == (1 if outcome == "merged" else 2)
    if outcome == "merged":
        assert desk.ticket(ids[1]).id == ids[0] == settled.ticket_id
        assert len(desk.conversation(ids[0])) == 3
        assert desk.ticket(ids[0]).status not in ("resolved", "closed")
    else:
        assert settled.ticket_id == ids[1]  # what it answers directly
        assert [(ref, kind) for ref, kind, _ in desk.links(ids[1])] == [(desk.ticket(ids[0]).ref, "related")]


@pytest.mark.parametrize("archive", [False, True], ids=["live", "archive"])
def test_what_a_person_has_parted_no_mail_joins_again(desk, archive):
    first = desk.take(mail(Message_ID=A)).ticket_id
    desk.take(mail(Message_ID=B, In_Reply_To=A))
    second = split(desk, first, desk.conversation(first)[1].id)
    assert desk.take(mail(References=LATE), archive=archive).ticket_id == second
    do(desk, merging.merge, second, first)
    do(desk, merging.unmerge, second)
    assert desk.take(mail(References=LATE, text="Again.\n"), archive=archive).ticket_id == second
    assert len(desk.tickets()) == 2


# the thread's id


def test_the_thread_id_is_kept_through_merge_unmerge_and_split(desk):
    first = desk.take(mail(Message_ID=A, References="<root@customer.example>")).ticket_id
    second = desk.take(mail(Message_ID=B)).ticket_id
    desk.take(mail(Message_ID=C, In_Reply_To=B))

    def ids(*tickets):
        return [desk.ticket(id_).email_thread_id for id_ in tickets]

    assert ids(first, second) == ["root@customer.example", "b@customer.example"]
    do(desk, merging.merge, second, first)
    assert ids(first, second) == ["root@customer.example"] * 2  # the second leads to the first
    desk.take(mail(Message_ID="<root@customer.example>", text="The root itself, late.\n"))
    assert ids(first) == ["root@customer.example"]
    do(desk, merging.unmerge, second)
    assert ids(first, second) == ["root@customer.example", "b@customer.example"]
    third = split(desk, second, desk.conversation(second)[1].id)
    assert ids(second, third) == ["b@customer.example", "c@customer.example"]


def test_a_merged_thread_has_the_id_of_the_ticket_that_stays_in_either_order(desk):
    late = desk.take(mail(Message_ID=A)).ticket_id
    other = desk.take(mail(Message_ID=B)).ticket_id
    desk.later = timedelta(minutes=1)
    settled = desk.take(mail(References=f"{B} {A}"))
    assert (settled.ticket_id, desk.ticket(other).email_thread_id) == (late, "a@customer.example")

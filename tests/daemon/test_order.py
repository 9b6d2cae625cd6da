"""The same mails in any order of arrival end in the same tickets."""

import random

import pytest
from peers.house import mail, open_test_house


def conversation(name: str, people: list[str], shape: list[int | None]) -> list[bytes]:
    """A thread: each mail answers the one whose number `shape` gives; References name all its ancestors."""
    mails = []
    for number, parent in enumerate(shape):
        ancestors, at = [], parent
        while at is not None:
            ancestors.insert(0, f"<{name}-{at}@customer.example>")
            at = shape[at]
        headers = {"Message_ID": f"<{name}-{number}@customer.example>", "Cc": ", ".join(people)}
        if ancestors:
            headers |= {"In_Reply_To": ancestors[-1], "References": " ".join(ancestors)}
        mails.append(mail(people[number % len(people)], text=f"{name} {number}\n", **headers))
    return mails


def grouping(desk) -> set[frozenset[str]]:
    return {frozenset(m.email_message_id for m in desk.conversation(t.id)) for t in desk.tickets()}


CHAIN, TREE = [None, 0, 1, 2, 3], [None, 0, 0, 1, 1, 2]
DI, CY = "di@customer.example", "cy@customer.example"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("archive", [False, True], ids=["live", "archive"])
def test_threads_are_the_same_in_any_order(tmp_path, seed, archive):
    mails = conversation("a", [CY, DI], CHAIN) + conversation("b", [CY], TREE) + conversation("c", [DI], [None])
    random.Random(seed).shuffle(mails)
    with open_test_house(tmp_path) as desk:
        for raw in mails:
            desk.take(raw, archive=archive)
        expected = {
            frozenset(f"{name}-{n}@customer.example" for n in range(size))
            for name, size in (("a", 5), ("b", 6), ("c", 1))
        }
        assert grouping(desk) == expected


@pytest.mark.parametrize("seed", range(4))
def test_where_only_the_parent_is_named_the_thread_is_found_all_the_same(tmp_path, seed):
    mails = [mail(Message_ID="<p-0@customer.example>")]
    mails += [
        mail(Message_ID=f"<p-{n}@customer.example>", In_Reply_To=f"<p-{n - 1}@customer.example>") for n in range(1, 6)
    ]
    random.Random(seed).shuffle(mails)
    with open_test_house(tmp_path) as desk:
        for raw in mails:
            desk.take(raw)
        assert grouping(desk) == {frozenset(f"p-{n}@customer.example" for n in range(6))}


def test_in_no_order_do_two_requesters_end_in_one_ticket(tmp_path):
    """Both answer one newsletter that we never saw."""
    for seed in range(4):
        mails = [
            mail(
                f"c{n}@customer{n}.example", Message_ID=f"<{n}@customer{n}.example>", References="<news@sender.example>"
            )
            for n in range(6)
        ]
        random.Random(seed).shuffle(mails)
        with open_test_house(tmp_path / str(seed)) as desk:
            for raw in mails:
                desk.take(raw)
            assert len(desk.tickets()) == 6
            assert {t.email_thread_id for t in desk.tickets()} == {"news@sender.example"}

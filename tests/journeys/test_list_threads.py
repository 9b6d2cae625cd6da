"""A list's archive, taken in by `ingest --archive`: which mails end in one ticket, judged by pairs of mails."""

import random

import pytest
from peers import threads
from peers.commandline import Desk


def take(folder, letters):
    """Message-ID → ticket, after these mails were taken in this order."""
    desk = Desk(folder)
    mbox = b"".join(b"From - Tue Nov 24 12:00:00 2026\n" + letter.raw + b"\n" for letter in letters)
    ran = desk.program("ingest", "--archive", "--mailbox", "support", desk.write("list.mbox", mbox))
    assert ran.status == 0, ran.err
    return {m["messageId"]: ticket["ref"] for ticket in desk("tickets", "export").objects for m in ticket["messages"]}


@pytest.fixture(scope="module")
def letters():
    return threads.archive(random.Random(5), threads=60, mails=400)


@pytest.mark.parametrize("seed", [None, 1, 2], ids=["in order", "shuffled", "shuffled again"])
def test_threads_are_found_as_their_authors_meant_them(tmp_path, letters, seed):
    taken = letters if seed is None else random.Random(seed).sample(letters, len(letters))
    tickets = take(tmp_path, taken)
    assert tickets.keys() == {letter.id for letter in letters}
    precision, recall = threads.judge(letters, tickets)
    assert precision >= 0.99
    assert recall >= 0.98


@pytest.mark.parametrize("seed", [3, 4])
def test_mail_without_references_is_rather_alone_than_in_a_strangers_ticket(tmp_path, letters, seed):
    stripped = threads.without_references(random.Random(seed), letters, share=0.2)
    assert sum(b"References:" in letter.raw for letter in stripped) < 0.9 * sum(
        b"References:" in letter.raw for letter in letters
    )
    precision, recall = threads.judge(letters, take(tmp_path, stripped))
    assert precision >= 0.97
    assert recall >= 0.5  # the rest names nothing that leads anywhere


def test_the_judge_sees_both_mistakes():
    two = [threads.Letter(id_, thread, b"") for id_, thread in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "2"))]
    assert threads.judge(two, dict.fromkeys("abcd", "T-1")) == (2 / 6, 1.0)
    assert threads.judge(two, {"a": "1", "b": "1", "c": "2", "d": "3"}) == (1.0, 0.5)

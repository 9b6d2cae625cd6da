"""Merging, unmerging and splitting from the shell: why a mail is where it is, and that taking it again changes nothing."""

import random

import pytest
from peers import threads
from peers.commandline import Desk


def write_mbox(desk, name, letters):
    return desk.write(name, b"".join(b"From - Tue Nov 24 12:00:00 2026\n" + letter.raw + b"\n" for letter in letters))


def explained(desk, id_):
    [mail] = desk("inbound", "explain", str(id_), "--json").objects
    return [(step["event"], step["from"], step["to"]) for step in mail["moves"]]


def test_a_merge_is_taken_back_from_the_shell(desk):
    before = desk.ticket("T-1002")
    desk("tickets", "merge", "T-1002", "T-1001", "--as", "ann", "--duplicate")
    assert [link["kind"] for link in desk.ticket("T-1001")["links"]] == ["duplicate_of"]
    assert desk("tickets", "unmerge", "T-1002", "--as", "ann").out == "T-1002: a ticket of its own again, now new\n"
    after = desk.ticket("T-1002")
    assert {key: after[key] for key in ("ref", "status", "messages", "participants", "closedAt", "emailThreadId")} == (
        {key: before[key] for key in ("ref", "status", "messages", "participants", "closedAt", "emailThreadId")}
    )
    assert len(desk.ticket("T-1001")["messages"]) == 2


@pytest.mark.parametrize(
    ("ref", "words"), [("T-1001", "is not merged into another ticket"), ("T-9", "there is no ticket T-9")]
)
def test_what_is_not_merged_stays_as_it_is(desk, ref, words):
    before = desk("tickets", "export").out
    ran = desk("tickets", "unmerge", ref)
    assert (ran.status, words in ran.err) == (1, True)
    assert desk("tickets", "export").out == before


def test_explain_says_where_a_mail_went_after_it_was_taken(desk):
    assert explained(desk, 3) == []
    desk("tickets", "merge", "T-1002", "T-1001", "--as", "ann")
    out = desk("inbound", "explain", "3").out
    assert out.startswith("Mail 3: processed, T-1002, now on T-1001\n")
    assert "T-1002 was merged into T-1001 by ann: merged by ann" in out
    desk("tickets", "unmerge", "T-1002")
    desk("tickets", "merge", "T-1001", "T-1002")
    desk("tickets", "split", "T-1002", "<q2@customer.example.org>")
    assert explained(desk, 3) == [("merged", "T-1002", "T-1001"), ("unmerged", "T-1001", "T-1002")]
    assert explained(desk, 2) == [("merged", "T-1001", "T-1002"), ("split", "T-1002", "T-1003")]
    assert "split off T-1002 and opened T-1003 by command line" in desk("inbound", "explain", "2").out


@pytest.mark.parametrize("options", [(), ("--archive",)], ids=["live", "archive"])
def test_merged_split_reopened_and_redirected_tickets_survive_the_same_mail_taken_again(tmp_path, options):
    desk = Desk(tmp_path)
    letters = threads.conversations(random.Random(7), threads=8, mails=40)
    first, later = letters[:36], letters[36:]
    path = write_mbox(desk, "first.mbox", first)
    assert desk.program("ingest", *options, "--sender", "cy@cy.example", path).status == 0
    refs = [ticket["ref"] for ticket in desk("tickets", "export").objects]
    assert len(refs) == 8
    many = max(desk("tickets", "export").objects, key=lambda ticket: len(ticket["messages"]))["ref"]
    refs.remove(many)
    desk("tickets", "split", many, desk.ticket(many)["messages"][1]["messageId"])
    desk("tickets", "merge", refs[0], refs[1], "--as", "ann")
    desk("tickets", "merge", refs[1], refs[2], "--as", "ann", "--duplicate")
    desk("tickets", "merge", refs[3], refs[2])
    desk("tickets", "unmerge", refs[3])
    desk("tickets", "status", refs[4], "closed")
    desk("tickets", "status", refs[5], "resolved")
    assert (
        desk.program("ingest", *options, "--sender", "cy@cy.example", write_mbox(desk, "later.mbox", later)).status == 0
    )
    before = desk("tickets", "export").out
    traced = [threads.Letter(one.id, one.thread, b"Received: from a by b\r\n" + one.raw) for one in letters]
    for again in (path, write_mbox(desk, "again.mbox", letters), write_mbox(desk, "traced.mbox", traced)):
        ran = desk.program("ingest", *options, "--sender", "cy@cy.example", again)
        assert ran.status == 0, ran.err
    assert desk("tickets", "export").out == before
    assert desk.ticket(refs[0])["ref"] == refs[2]
    assert desk.ticket(refs[3])["ref"] == refs[3]

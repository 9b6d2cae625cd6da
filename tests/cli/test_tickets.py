"""Tickets from the command line: what is listed, shown, exported and done."""

from __future__ import annotations

from typing import Any

import pytest

# INTERFACE.md, "postroom tickets export"
TICKET_KEYS = {
    "ref", "emailMessageId", "emailThreadId", "subject", "description", "status", "priority", "ticketType", "category",
    "source", "submitterName", "submitterEmail", "assignedTo", "tags", "createdAt", "updatedAt", "resolvedAt",
    "closedAt", "resolution", "satisfaction", "messages", "activity",
}  # fmt: skip
MESSAGE_KEYS = {"messageId", "inboundId", "type", "visibility", "author", "timestamp", "message", "attachments"}


def refs(tickets: list[dict[str, Any]]) -> list[str]:
    return [ticket["ref"] for ticket in tickets]


def test_the_export_is_what_the_interface_says(desk):
    first, second = desk("tickets", "export").objects
    assert first.keys() >= TICKET_KEYS
    assert (
        first["ref"], first["emailMessageId"], first["emailThreadId"],
    ) == ("T-1001", "q1@customer.example.org", "q1@customer.example.org")  # fmt: skip
    assert (first["source"], first["ticketType"], first["priority"]) == ("email", "question", "medium")
    assert (first["submitterName"], first["submitterEmail"]) == ("Carla Customer", "carla@customer.example.org")
    assert first["resolution"] == {"summary": None, "code": None, "rootCause": None}
    assert first["satisfaction"] == {"rating": None, "notes": None}
    assert first["createdAt"].endswith("Z")
    assert [m["messageId"] for m in first["messages"]] == ["q1@customer.example.org", "q2@customer.example.org"]
    question = first["messages"][0]
    assert question.keys() >= MESSAGE_KEYS
    assert (question["type"], question["visibility"], question["inboundId"]) == ("user", "public", 1)
    assert (question["author"], question["timestamp"]) == ("carla@customer.example.org", "2026-11-23T09:00:00Z")
    assert question["message"].strip() == "The printer burns. Please help."
    [file] = question["attachments"]
    assert (file["filename"], file["size"], file["type"]) == ("log.txt", 13, "text/plain")
    assert file["url"].startswith("postroom:raw/")
    assert first["activity"][0]["event"] == "opened"
    assert {event.keys() >= {"at", "actor", "event", "detail"} for event in first["activity"]} == {True}
    assert second["ref"] == "T-1002"


def test_the_export_takes_the_flag_that_every_list_takes(desk):
    assert desk("tickets", "export", "--json").objects == desk("tickets", "export").objects


def test_a_list_can_be_narrowed(desk):
    desk("tickets", "assign", "T-1002", "ann")
    desk("tickets", "status", "T-1002", "resolved")
    assert refs(desk("tickets", "list", "--json").objects) == ["T-1002", "T-1001"]
    for arguments, expected in (
        (("--status", "resolved"), ["T-1002"]),
        (("--status", "resolved", "--status", "new"), ["T-1002", "T-1001"]),
        (("--assignee", "ann"), ["T-1002"]),
        (("--assignee", "ANN@example.com"), ["T-1002"]),
        (("--assignee", "none"), ["T-1001"]),
        (("--requester", "Carla@customer.example.org"), ["T-1001"]),
        (("--queue", "sales"), ["T-1002"]),
        (("--since", "2020-01-01"), ["T-1002", "T-1001"]),
        (("--since", "2999-01-01T00:00:00Z"), []),
        (("--since", "1h"), ["T-1002", "T-1001"]),
        (("--limit", "1"), ["T-1002"]),
    ):
        assert refs(desk("tickets", "list", "--json", *arguments).objects) == expected, arguments


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--status", "brocken"), 1, "is no status; there are: new, open"),
        (("--assignee", "zoe"), 1, "there is no agent zoe"),
        (("--since", "yesterday"), 2, "is no time"),
        (("--limit", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_listed_is_said(desk, arguments, status, words):
    ran = desk("tickets", "list", *arguments)
    assert (ran.status, words in ran.err) == (status, True), ran.err


def test_a_table_is_plain_text_without_what_moves_a_cursor(desk):
    out = desk("tickets", "list").out
    assert out.splitlines()[0].split() == [
        "REF",
        "STATUS",
        "PRIORITY",
        "ASSIGNED",
        "TO",
        "UPDATED",
        "REQUESTER",
        "SUBJECT",
    ]
    assert "\x1b" not in out
    assert "Printer on fire" in out


def test_an_empty_desk_has_no_tickets(empty_desk):
    assert empty_desk("tickets", "list").out == "no tickets\n"
    assert empty_desk("tickets", "list", "--json").objects == []
    assert empty_desk("tickets", "export").objects == []


def test_a_page_shows_the_conversation_and_the_timeline(desk):
    out = desk("tickets", "show", "t-1001").out
    for words in (
        "T-1001  Printer on fire", "Carla Customer <carla@customer.example.org>", "The printer burns. Please help.",
        "It is out now, but it smells.", "+ log.txt (text/plain, 13 B)", "Conversation (2)", "Timeline", "opened",
    ):  # fmt: skip
        assert words in out


def test_a_ticket_that_is_not_there_is_said(desk):
    ran = desk("tickets", "show", "T-9")
    assert (ran.status, ran.err) == (
        1,
        "postroom: there is no ticket T-9; `postroom tickets list` shows those there are\n",
    )


def test_a_note_is_internal_and_told_to_nobody(desk):
    before = len(desk("outbox", "list", "--json").objects)
    assert desk("tickets", "note", "T-1001", "He is angry", "--as", "ann").status == 0
    note = desk.ticket("T-1001")["messages"][-1]
    assert (note["message"], note["type"], note["visibility"]) == ("He is angry", "agent", "internal")
    assert len(desk("outbox", "list", "--json").objects) == before


def test_a_reply_goes_into_the_outbox_for_the_customer(desk):
    [ticket] = desk("tickets", "reply", "T-1001", "--as", "ann", "--json", stdin=b"Unplug it.\n").objects
    assert (ticket["status"], ticket["messages"][-1]["message"]) == ("pending_customer", "Unplug it.")
    newest = desk("outbox", "list", "--json").objects[0]
    assert (newest["purpose"], newest["recipient"]) == ("reply", "carla@customer.example.org")
    assert "Unplug it." in desk("outbox", "show", str(newest["id"])).out


def test_an_empty_reply_is_refused_and_changes_nothing(desk):
    before = desk.ticket("T-1001")
    ran = desk("tickets", "reply", "T-1001", stdin=b" \n")
    assert (ran.status, "the text is empty" in ran.err) == (1, True)
    assert desk.ticket("T-1001") == before


def test_assigning_tells_the_agent_and_can_be_taken_back(desk):
    assert desk("tickets", "assign", "T-1001", "ann").status == 0
    assert desk.ticket("T-1001")["assignedTo"] == "ann"
    assert desk("outbox", "list", "--json").objects[0]["purpose"] == "assignment"
    assert desk("tickets", "assign", "T-1001", "none").status == 0
    assert desk.ticket("T-1001")["assignedTo"] is None


def test_tags_are_added_and_removed(desk):
    desk("tickets", "tag", "T-1001", "VIP", "printer")
    assert desk.ticket("T-1001")["tags"] == ["printer", "vip"]
    desk("tickets", "tag", "T-1001", "--remove", "vip")
    assert desk.ticket("T-1001")["tags"] == ["printer"]
    assert desk("tickets", "tag", "T-1001").status == 2


def test_a_merged_ticket_leads_to_the_other_and_leaves_the_lists(desk):
    desk("tickets", "merge", "T-1002", "T-1001", "--as", "ann")
    assert refs(desk("tickets", "export").objects) == ["T-1001"]
    shown = desk.ticket("T-1002")
    assert (shown["ref"], shown["askedFor"], shown["mergedFrom"]) == ("T-1001", "T-1002", ["T-1002"])
    assert len(shown["messages"]) == 3
    assert desk("tickets", "show", "T-1002").out.startswith("T-1002 was merged into T-1001:")
    assert desk("tickets", "merge", "T-1001", "T-1001").status == 1


def test_a_message_can_be_split_off_by_its_number_or_its_message_id(desk):
    [new] = desk("tickets", "split", "T-1001", "<q2@customer.example.org>", "--json").objects
    assert (new["ref"], [m["messageId"] for m in new["messages"]]) == ("T-1003", ["q2@customer.example.org"])
    assert len(desk.ticket("T-1001")["messages"]) == 1
    assert "has no message 99" in desk("tickets", "split", "T-1001", "99").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("assign", "T-1001", "zoe"), "there is no agent zoe"),
        (("status", "T-1001", "shut"), "is no status"),
        (("note", "T-9", "x"), "there is no ticket T-9"),
        (("note", "T-1001", "x", "--as", "zoe"), "there is no agent zoe"),
        (("merge", "T-1001", "T-9"), "there is no ticket T-9"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(desk, arguments, words):
    before = desk("tickets", "export").out
    ran = desk("tickets", *arguments)
    assert (ran.status, words in ran.err, ran.err.count("\n")) == (1, True, 1), ran.err
    assert desk("tickets", "export").out == before


def test_a_ticket_is_to_be_followed_up_at_a_time_ahead(desk):
    assert desk("tickets", "follow-up", "T-1001", "2099-12-01").status == 0
    assert desk.ticket("T-1001")["followUpAt"] == "2099-12-01T00:00:00Z"
    [ticket] = desk("tickets", "follow-up", "T-1001", "3d", "--json").objects
    assert "2099" not in ticket["followUpAt"]
    assert desk("tickets", "follow-up", "T-1001", "none").status == 0
    assert desk.ticket("T-1001")["followUpAt"] is None
    assert "lie ahead" in desk("tickets", "follow-up", "T-1001", "2020-01-01").err
    assert desk("tickets", "follow-up", "T-1001", "soon").status == 2


def test_a_status_can_say_how_it_was_resolved(desk):
    words = ["--summary", "We changed the fuse.", "--code", "solved", "--root-cause", "A short circuit"]
    assert desk("tickets", "status", "T-1001", "resolved", *words).status == 0
    ticket = desk.ticket("T-1001")
    expected = {"summary": "We changed the fuse.", "code": "solved", "rootCause": "A short circuit"}
    assert (ticket["status"], ticket["resolution"]) == ("resolved", expected)


def test_a_resolution_code_that_nobody_configured_changes_nothing(desk):
    ran = desk("tickets", "status", "T-1001", "resolved", "--code", "magic")
    assert (ran.status, "'magic' is no resolution code; there are: solved" in ran.err) == (1, True)
    assert desk.ticket("T-1001")["status"] != "resolved"

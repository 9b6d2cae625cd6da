"""`postroom rules`: what a mail would meet, without anything being stored."""

from peers.commandline import CONFIG, MAILS, QUESTION, Desk

RULES = """
[block]
senders = ["@spam.example"]
[[rule]]
name = "fire"
when = { subject = { contains = "fire" } }
then = { priority = "critical", assign = "bob", queue = "sales" }
[[rule]]
name = "water"
when = { subject = { contains = "water" }, size = { under = "1 KiB" } }
then = { ignore = "not our pipes" }
"""
SENDER = ("--sender", "carla@customer.example.org")


def desk_of(folder):
    desk = Desk(folder / "desk", CONFIG + RULES)
    assert desk("migrate").status == 0
    return desk


def test_rules_are_listed_in_their_order(tmp_path):
    assert desk_of(tmp_path)("rules", "list", "--json").objects == [
        {"name": "fire", "when": ["subject contains 'fire'"], "then": "queue sales, priority critical, assign bob"},
        {
            "name": "water",
            "when": ["subject contains 'water'", "size under 1024 octets"],
            "then": "ignore not our pipes",
        },
    ]
    table = desk_of(tmp_path)("rules", "list").out
    assert table.splitlines()[-1] == "blocked: @spam.example"
    assert "no rules" in Desk(tmp_path / "plain")("rules", "list").out


def test_a_mail_is_shown_what_it_would_meet_and_nothing_is_stored(tmp_path):
    desk = desk_of(tmp_path)
    path = desk.write("1.eml", QUESTION)
    for _ in range(2):
        [found] = desk("rules", "test", path, *SENDER, "--json").objects
        assert found["outcome"] == "opened"
        assert [rule["rule"] for rule in found["rules"]] == ["fire"]
        assert found["didNotHold"] == {"water": "not so: size under 1024 octets"} or "water" in found["didNotHold"]
        assert found["route"] == {
            "queue": "sales", "priority": "critical", "ticketType": "question", "category": None, "tags": [],
            "assignedTo": "bob",
        }  # fmt: skip
        assert found["confirmed"]
    for what in ("tickets", "inbound", "outbox"):
        assert desk(what, "list", "--json").objects == []


def test_why_a_mail_would_not_be_confirmed_is_said(tmp_path):
    desk = desk_of(tmp_path)
    path = desk.write("1.eml", QUESTION)
    [found] = desk("rules", "test", path, "--sender", "", "--json").objects
    assert (found["confirmed"], found["answer"]) == (False, "null-sender: the envelope sender is null")
    shown = desk("rules", "test", path, "--sender", "").out
    assert "Would be opened" in shown
    assert "null-sender" in shown


def test_a_mail_that_was_taken_before_is_tested_as_if_it_were_new(desk):
    [found] = desk("rules", "test", str(desk.folder / "mails/1.eml"), *SENDER, "--json").objects
    assert (found["outcome"], found["route"]["queue"]) == ("opened", "support")
    before = [ticket["ref"] for ticket in desk("tickets", "list", "--json").objects]
    assert before == ["T-1002", "T-1001"]
    [found] = desk("rules", "test", str(desk.folder / "mails/2.eml"), *SENDER, "--json").objects
    assert (found["outcome"], found["rules"], found["route"]) == ("added", [], None)


def test_an_ignored_and_a_blocked_mail_say_so(tmp_path):
    desk = desk_of(tmp_path)
    ignored = desk.write("w.eml", QUESTION.replace(b"Printer on fire", b"Water"))
    ignored_small = desk.write(
        "s.eml", b"From: a@customer.example\r\nTo: support@example.com\r\nSubject: Water\r\n\r\nx\r\n"
    )
    blocked = desk.write("b.eml", QUESTION.replace(b"carla@customer.example.org", b"eve@spam.example"))
    found = desk("rules", "test", ignored, ignored_small, blocked, *SENDER, "--json").objects
    assert [(one["outcome"], one["reason"]) for one in found][1:] == [
        ("settled", "not our pipes (rule water)"),
        ("settled", "eve@spam.example is blocked by @spam.example of block.senders"),
    ]
    assert [one["confirmed"] for one in found][1:] == [False, False]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_tested(tmp_path):
    desk = desk_of(tmp_path)
    ran = desk("rules", "test", str(tmp_path / "gone.eml"), desk.write("1.eml", MAILS["1.eml"]), *SENDER)
    assert ran.status == 1
    assert "gone.eml: No such file or directory" in ran.err
    assert "Would be opened" in ran.out


def test_standard_input_is_a_mail_too(tmp_path):
    ran = desk_of(tmp_path)("rules", "test", "-", *SENDER, stdin=QUESTION)
    assert "fire" in ran.out


def test_an_explanation_shows_the_route(tmp_path):
    desk = desk_of(tmp_path)
    desk.program("ingest", *SENDER, desk.write("1.eml", QUESTION))
    shown = desk("inbound", "explain", "1").out
    assert "Where does its ticket go?" in shown
    assert "✓ fire: subject contains 'fire' → queue sales, priority critical, assign bob" in shown
    assert "did not hold" in shown

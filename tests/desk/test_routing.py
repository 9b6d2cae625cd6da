"""Rules and facts in, a route out: each condition, their order, and what a decision says of them."""

import tomllib
from pathlib import Path

import pytest
from peers.house import mail

from postroom.config import parse as configure
from postroom.desk import routing
from postroom.errors import ConfigError
from postroom.parsers.email import parse

CONFIG = """
[queue.support]
[queue.sales]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.sales]
address = "sales@example.com"
queue = "sales"
[tickets]
categories = ["billing"]
"""


def configured(rules):
    return configure(tomllib.loads(CONFIG + rules), Path())


def facts(raw=None, authenticated=None, mailbox="support", recipient="support@example.com", **headers):
    raw = raw or mail(**headers)
    email = parse(raw)
    author = email.from_[0].address if email.from_ else ""
    return routing.Facts(email, mailbox, recipient, author, len(raw), authenticated)


def holds(when, **given):
    [rule] = configured(f"[[rule]]\nname = 'r'\nwhen = {when}\nthen = {{ spam = true }}\n").rule
    return routing.try_rule(rule, facts(**given)).held


ATTACHED = b"""\
From: cy@customer.example\r
To: support@example.com\r
Subject: Log\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
\r
See the log.\r
--b\r
Content-Type: text/plain; name="log.txt"\r
Content-Disposition: attachment; filename="log.txt"\r
\r
smoke\r
--b--\r
"""


@pytest.mark.parametrize(
    ("when", "given", "held"),
    [
        ("{ mailbox = 'support' }", {}, True),
        ("{ mailbox = ['sales', 'support'] }", {}, True),
        ("{ mailbox = 'sales' }", {}, False),
        ("{ from = 'cy@customer.example' }", {}, True),
        ("{ from = 'CY@Customer.Example' }", {}, True),
        ("{ from = '@customer.example' }", {}, True),
        ("{ from = '@example' }", {}, False),
        ("{ from = '@customer.example' }", {"sender": "cy@sub.customer.example"}, False),
        ("{ from = '@customer.example' }", {"sender": "cy@evilcustomer.example"}, False),
        ("{ from = 'y@customer.example' }", {}, False),
        ("{ from = '@customer.example' }", {"sender": ""}, False),
        ("{ to = 'support@example.com' }", {}, True),
        ("{ to = 'billing@example.com' }", {"Cc": "Billing <billing@example.com>"}, True),
        ("{ to = 'hidden@example.com' }", {"recipient": "hidden@example.com"}, True),
        ("{ to = 'billing@example.com' }", {}, False),
        ("{ subject = { contains = 'FIRE' } }", {}, True),
        ("{ subject = { contains = ['water', 'fire'] } }", {}, True),
        ("{ subject = { contains = 'water' } }", {}, False),
        ("{ subject = { contains = 'straße' } }", {"subject": "In der STRASSE"}, True),
        ("{ subject = { equals = 'printer on fire' } }", {}, True),
        ("{ subject = { equals = 'printer' } }", {}, False),
        ("{ subject = { matches = '^printer' } }", {}, True),
        ("{ subject = { matches = '^fire' } }", {}, False),
        ("{ subject = { contains = 'fire', matches = '^water' } }", {}, False),
        ("{ body = { contains = 'burns' } }", {}, True),
        ("{ body = { matches = '^No\\. \\d{4}$' } }", {"text": "Hello,\nNo. 4711\nBye\n"}, True),
        ("{ body = { matches = 'No\\. \\d{4}' } }", {"text": "x" * 10_000 + "\nNo. 4711\n"}, False),
        ("{ body = { contains = 'No. 4711' } }", {"text": "x\n" * 10_000 + "\nNo. 4711\n"}, True),
        ("{ header = { name = 'X-Spam-Flag', equals = 'yes' } }", {"X_Spam_Flag": "YES"}, True),
        ("{ header = { name = 'X-Spam-Flag', equals = 'yes' } }", {"X_Spam_Flag": "no"}, False),
        ("{ header = { name = 'x-spam-flag' } }", {"X_Spam_Flag": "no"}, True),
        ("{ header = { name = 'X-Spam-Flag' } }", {}, False),
        ("{ header = [{ name = 'X-A' }, { name = 'X-B' }] }", {"X_A": "1"}, False),
        ("{ header = [{ name = 'X-A' }, { name = 'X-B' }] }", {"X_A": "1", "X_B": "2"}, True),
        ("{ size = { over = '1 KiB' } }", {}, False),
        ("{ size = { over = '1 KiB' } }", {"text": "x" * 60 + "\n" + "y\n" * 1000}, True),
        ("{ size = { under = '1 KiB' } }", {}, True),
        ("{ list = true }", {"List_Id": "<friends.example.org>"}, True),
        ("{ list = true }", {}, False),
        ("{ list = false }", {}, True),
        ("{ automatic = true }", {"Auto_Submitted": "auto-generated"}, True),
        ("{ automatic = false }", {"Auto_Submitted": "auto-generated"}, False),
        ("{ authentication = 'pass' }", {"authenticated": True}, True),
        ("{ authentication = 'pass' }", {}, False),
        ("{ authentication = 'none' }", {}, True),
        ("{ authentication = 'fail' }", {"authenticated": False}, True),
        ("{ has_attachment = true }", {"raw": ATTACHED}, True),
        ("{ has_attachment = true }", {}, False),
        ("{ has_attachment = false }", {}, True),
        ("{ mailbox = 'support', subject = { contains = 'fire' } }", {}, True),
        ("{ mailbox = 'sales', subject = { contains = 'fire' } }", {}, False),
    ],
)
def test_a_condition_holds_or_does_not(when, given, held):
    assert holds(when, **given) is held


def test_without_rules_the_mailbox_decides():
    found = routing.route((), facts(), "support")
    assert found == routing.Route("support", why="mailbox support's")
    assert [line["why"] for line in found.lines()] == ["queue support (mailbox support's)"]


RULES = """
[[rule]]
name = "fire"
when = { subject = { contains = "fire" } }
then = { queue = "sales", priority = "high", tags = ["Fire"] }
[[rule]]
name = "water"
when = { subject = { contains = "water" } }
then = { priority = "low" }
[[rule]]
name = "printers"
when = { subject = { contains = "printer" } }
then = { priority = "critical", type = "incident", category = "billing", tags = ["printer"], assign = "ann" }
"""


def test_every_rule_that_holds_adds_and_the_later_one_has_the_last_word():
    found = routing.route(configured(RULES).rule, facts(), "support")
    assert (found.queue, found.priority, found.ticket_type, found.category, found.tags, found.assign) == (
        "sales", "critical", "incident", "billing", ("fire", "printer"), "ann",
    )  # fmt: skip
    assert [(tried.rule, tried.held) for tried in found.tried] == [("fire", True), ("water", False), ("printers", True)]


def test_a_decision_names_each_rule_that_held_with_its_conditions_and_those_that_did_not():
    lines = routing.route(configured(RULES).rule, facts(), "support").lines()
    assert [(line["step"], line["rule"]) for line in lines] == [
        ("route", "fire"),
        ("route", "printers"),
        ("route", "route"),
    ]
    assert lines[0]["why"] == "subject contains 'fire' → queue sales, priority high, tags Fire"
    assert lines[-1]["why"].startswith("queue sales (rule fire); priority critical")
    assert lines[-1]["evidence"] == {"did not hold": {"water": "not so: subject contains 'water'"}}


@pytest.mark.parametrize(("end", "left"), [("stop = true", True), ("ignore = 'noise'", False)])
def test_stop_and_ignore_ask_no_further_rule(end, left):
    rules = f"[[rule]]\nname = 'first'\nwhen = {{ mailbox = 'support' }}\nthen = {{ {end} }}\n" + RULES
    found = routing.route(configured(rules).rule, facts(), "support")
    assert [tried.rule for tried in found.tried] == ["first"]
    assert (found.queue, bool(found.ignore), found.ignored_by) == ("support", not left, "" if left else "first")


def test_spam_is_a_tag():
    rules = "[[rule]]\nname = 'r'\nwhen = { mailbox = 'support' }\nthen = { spam = true }\n"
    found = routing.route(configured(rules).rule, facts(), "support")
    assert (found.tags, found.is_spam) == (("spam",), True)


@pytest.mark.parametrize(
    ("senders", "given", "blocked"),
    [
        (["eve@bad.example"], {"sender": "Eve <EVE@bad.example>"}, True),
        (["@bad.example"], {"sender": "eve@bad.example"}, True),
        (["@bad.example"], {"sender": "eve@notbad.example"}, False),
        (["@bad.example"], {"Sender": "bulk@bad.example"}, True),
        (["@bad.example"], {}, False),
        ([], {}, False),
    ],
)
def test_who_is_blocked(senders, given, blocked):
    block = configured(f"[block]\nsenders = {senders}\n").block
    email = facts(**given).email
    assert (routing.blocked_by(block, email, "", None) is not None) is blocked


def test_the_envelope_can_be_blocked():
    block = configured("[block]\nsenders = ['@bad.example']\n").block
    why = routing.blocked_by(block, facts().email, "cy@customer.example", "bounce@bad.example")
    assert why == "bounce@bad.example is blocked by @bad.example of block.senders"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("when = {}\nthen = { spam = true }", "rule[0].when: names no condition"),
        ("when = { mailbox = 'support' }\nthen = {}", "rule[0].then: says nothing"),
        ("when = { mailbox = 'gone' }\nthen = { spam = true }", "rule[0].when.mailbox: there is no [mailbox.gone]"),
        ("when = { from = 'Ann' }\nthen = { spam = true }", "rule[0].when.from: 'Ann' is neither"),
        ("when = { subject = {} }\nthen = { spam = true }", "rule[0].when.subject: says nothing"),
        ("when = { subject = { contains = '' } }\nthen = { spam = true }", "rule[0].when.subject.contains: is empty"),
        ("when = { subject = { contains = [''] } }\nthen = { spam = true }", "rule[0].when.subject.contains: is empty"),
        ("when = { size = {} }\nthen = { spam = true }", "rule[0].when.size: says nothing"),
        ("when = { size = { over = 'big' } }\nthen = { spam = true }", "rule[0].when.size.over: expected a size"),
        ("when = { header = { equals = 'x' } }\nthen = { spam = true }", "rule[0].when.header.name: is missing"),
        ("when = { authentication = 'maybe' }\nthen = { spam = true }", "rule[0].when.authentication: expected one of"),
        ("when = { colour = 'red' }\nthen = { spam = true }", "rule[0].when.colour: there is no such key"),
        ("when = { list = true }\nthen = { queue = 'gone' }", "rule[0].then.queue: there is no [queue.gone]"),
        ("when = { list = true }\nthen = { priority = 'so so' }", "rule[0].then.priority: 'so so' is none of critical"),
        ("when = { list = true }\nthen = { category = 'x' }", "rule[0].then.category: 'x' is none of billing"),
        ("when = { list = true }\nthen = { assign = 'zoe' }", "rule[0].then.assign: 'zoe' is none of none, round_robin"),
        ("when = { list = true }\nthen = { tags = [' '] }", "rule[0].then.tags: a tag is a word"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_named_with_its_path(rule, message):
    with pytest.raises(ConfigError) as caught:
        configured(f"[[rule]]\nname = 'r'\n{rule}\n")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is no regular expression"),
        ("(a+)+", "repeats a group"),
        ("(?:a|b)*c", "repeats a group"),
        ("(ab){2,}", "repeats a group"),
        (r"(a)\1", "refers back"),
        ("(?=a)a", "extensions"),
        ("(?P<x>a)", "extensions"),
        ("a*b*c*", "more than 2 of"),
        (r"\d{1,9}\d{1,9}\d{1,9}", "more than 2 of"),
        ("a?" * 11, "more than 10 of ?"),
        ("x" * 201, "is longer than 200"),
    ],
)
def test_a_pattern_that_a_hostile_text_could_keep_busy_is_refused(pattern, why):
    with pytest.raises(ConfigError) as caught:
        configured(f"[[rule]]\nname = 'r'\nwhen = {{ body = {{ matches = '{pattern}' }} }}\nthen = {{ spam = true }}\n")
    assert str(caught.value).startswith("rule[0].when.body.matches: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "pattern", [r"^\[?ticket #\d+", "(?:order|invoice) no", "[+*]{3}", r"a\*\*\*", "[]()*]+x.*", "colou?r"]
)
def test_a_plain_pattern_is_taken(pattern):
    configured(f"[[rule]]\nname = 'r'\nwhen = {{ body = {{ matches = '{pattern}' }} }}\nthen = {{ spam = true }}\n")


def test_rules_have_different_names_and_block_senders_are_addresses():
    two = "[[rule]]\nname = 'r'\nwhen = { list = true }\nthen = { spam = true }\n" * 2
    with pytest.raises(ConfigError, match=r"rule\[1\]\.name: is rule\[0\]'s already"):
        configured(two)
    with pytest.raises(ConfigError, match=r"block\.senders\[1\]: 'bad\.example' is neither"):
        configured("[block]\nsenders = ['a@b.example', 'bad.example']\n")


@pytest.mark.parametrize("assign", ["zoe", ""])
def test_a_queue_is_assigned_to_an_agent_or_in_turn(assign):
    with pytest.raises(ConfigError, match=r"queue\.support\.assign: '.*' is none of none, round_robin, least_loaded"):
        configure(tomllib.loads(CONFIG.replace("[queue.support]", f"[queue.support]\nassign = '{assign}'")), Path())

"""An agent's own address, as the command line prints it, and what a forward to it becomes."""

from __future__ import annotations

import pytest

FORWARD = """\
From: Ann Agent <ann@example.com>\r
To: {address}\r
Subject: Fwd: Lamp\r
Date: Mon, 23 Nov 2026 10:00:00 +0000\r
Message-ID: <forward@example.com>\r
\r
#priority high\r
He called before.\r
\r
---------- Forwarded message ---------\r
From: Dee Customer <dee@customer.example.org>\r
Date: Mon, Nov 23, 2026 at 9:00 AM\r
Subject: Lamp\r
To: <ann@example.com>\r
\r
The lamp is broken.\r
"""


def test_what_an_agent_forwards_to_his_own_address_is_the_customers_ticket(empty_desk):
    [printed] = empty_desk("agents", "address", "ann", "--json").objects
    assert (printed["agent"], printed["mailbox"]) == ("ann", "support")
    assert printed["address"].startswith("support+")
    empty_desk.write("forward.eml", FORWARD.format(address=printed["address"]).encode())
    ran = empty_desk.program("ingest", "--recipient", printed["address"], "forward.eml")
    assert ran.status == 0, ran.err
    [ticket] = empty_desk("tickets", "export").objects
    assert (ticket["submitterEmail"], ticket["priority"], ticket["assignedTo"]) == (
        "dee@customer.example.org",
        "high",
        "ann",
    )
    assert [m["message"] for m in ticket["messages"]] == ["The lamp is broken.", "He called before."]


def test_the_address_alone_is_on_standard_output(empty_desk):
    ran = empty_desk("agents", "address", "bob@example.com", "--mailbox", "sales")
    [line] = ran.out.splitlines()
    assert line.startswith("sales+")
    assert line.endswith("@example.com")
    assert len(line.partition("@")[0]) <= 64
    assert "bob's alone" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("carl",), "there is no agent carl"),
        (("ann", "--mailbox", "gone"), "there is no mailbox gone; there are: support, sales"),
    ],
)
def test_an_agent_or_a_mailbox_that_does_not_exist_is_named(empty_desk, arguments, words):
    ran = empty_desk.program("agents", "address", *arguments)
    assert ran.status == 1
    assert words in ran.err

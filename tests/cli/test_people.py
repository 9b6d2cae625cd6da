"""Agents and mailboxes from the command line."""

from __future__ import annotations

import pytest


def names(desk, *arguments: str) -> list[str]:
    return [agent["name"] for agent in desk("agents", "list", "--json", *arguments).objects]


def test_the_configurations_agents_are_there_at_once(empty_desk):
    agents = {agent["name"]: agent for agent in empty_desk("agents", "list", "--json").objects}
    assert (agents["ann"]["title"], agents["ann"]["address"], agents["ann"]["queues"]) == (
        "Ann Agent", "ann@example.com", ["support"],
    )  # fmt: skip
    assert agents["bob"]["queues"] == []


def test_an_agent_is_added_told_of_tickets_and_removed(desk):
    [carl] = desk(
        "agents", "add", "carl", "Carl@Example.com", "--name", "Carl C.", "--queue", "sales", "--json"
    ).objects
    assert (carl["address"], carl["queues"], carl["source"]) == ("carl@example.com", ["sales"], "cli")
    assert names(desk) == ["ann", "bob", "carl"]
    desk("tickets", "assign", "T-1001", "carl")
    [gone] = desk("agents", "remove", "carl", "--json").objects
    assert (gone["active"], gone["unresolvedTickets"]) == (False, 1)
    assert names(desk) == ["ann", "bob"]
    assert [t["ref"] for t in desk("tickets", "list", "--assignee", "carl", "--json").objects] == ["T-1001"]
    assert names(desk, "--all") == ["ann", "bob", "carl"]
    [back] = desk("agents", "add", "carl", "carl@example.com", "--json").objects
    assert back["id"] == carl["id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "Carl C", "carl@example.com"), "is no name for an agent"),
        (("add", "carl", "carl"), "is not an address"),
        (("add", "carl", "support@example.com"), "is one of our mailboxes"),
        (("add", "carl", "ann@example.com"), "is an agent's of the configuration"),
        (("add", "ann", "other@example.com"), "stands in the configuration"),
        (("add", "carl", "carl@example.com", "--queue", "none"), "there is no queue none; there are: support, sales"),
        (("remove", "ann"), "stands in the configuration"),
        (("remove", "zoe"), "there is no agent zoe"),
    ],
)
def test_what_cannot_be_is_said(empty_desk, arguments, words):
    ran = empty_desk("agents", *arguments)
    assert (ran.status, words in ran.err) == (1, True), ran.err


def test_an_address_has_one_agent(empty_desk):
    empty_desk("agents", "add", "carl", "carl@example.com")
    assert "is agent carl's already" in empty_desk("agents", "add", "zoe", "carl@example.com").err


def test_mailboxes_are_listed_with_how_their_mail_comes(empty_desk):
    mailboxes = empty_desk("mailboxes", "list", "--json").objects
    assert [(m["name"], m["address"], m["imap"], m["lastSuccessAt"]) for m in mailboxes] == [
        ("support", "support@example.com", None, None), ("sales", "sales@example.com", None, None),
    ]  # fmt: skip
    assert "SMTP" in empty_desk("mailboxes", "list").out

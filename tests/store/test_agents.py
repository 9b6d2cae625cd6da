"""Agents keep their ids for ever: renamed, removed, come back, or having swapped addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row

from postroom import config
from postroom.store import agents
from postroom.store.agents import NewAgent
from postroom.store.engine import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url)
    yield store
    store.dispose()


def settings(*people: tuple[str, str], queues: dict[str, list[str]] | None = None) -> config.Config:
    queues = {"support": [], **(queues or {})}
    return config.parse(
        {
            "agent": {name: {"address": address} for name, address in people},
            "queue": {name: {"agents": its} for name, its in queues.items()},
            "mailbox": {"support": {"address": "support@example.com", "queue": "support"}},
        },
        Path("/nonexistent"),
    )


def sync(store: Store, wanted: config.Config) -> dict[str, Row[Any]]:
    with store.write() as connection:
        agents.sync_agents(connection, wanted)
        assert agents.in_sync(connection, wanted)
        return {row.name: row for row in agents.everyone(connection)}


def test_the_configurations_agents_stand_in_the_table_with_their_queues(store: Store) -> None:
    ann = sync(store, settings(("ann", "Ann@Example.com"), queues={"sales": ["ann"], "support": ["ann"]}))["ann"]
    assert (
        ann.title, ann.address, ann.queues, ann.source, ann.active,
    ) == ("ann", "ann@example.com", ["sales", "support"], "config", True)  # fmt: skip


def test_who_is_no_longer_configured_becomes_inactive_and_comes_back_as_himself(store: Store) -> None:
    first = sync(store, settings(("ann", "ann@example.com"), ("bob", "bob@example.com")))
    gone = sync(store, settings(("ann", "ann@example.com")))
    assert not gone["bob"].active
    assert gone["bob"].id == first["bob"].id
    back = sync(store, settings(("ann", "ann@example.com"), ("bob", "bob@example.com")))
    assert (back["bob"].id, back["bob"].active) == (first["bob"].id, True)


def test_an_id_is_never_given_to_another(store: Store) -> None:
    first = sync(store, settings(("ann", "ann@example.com")))
    second = sync(store, settings(("zoe", "zoe@example.com")))
    assert second["zoe"].id != first["ann"].id


def test_a_renamed_agent_is_known_by_the_address(store: Store) -> None:
    first = sync(store, settings(("ann", "ann@example.com")))
    renamed = sync(store, settings(("anna", "ann@example.com")))
    assert list(renamed) == ["anna"]
    assert renamed["anna"].id == first["ann"].id


def test_two_agents_may_swap_their_addresses(store: Store) -> None:
    first = sync(store, settings(("ann", "one@example.com"), ("bob", "two@example.com")))
    swapped = sync(store, settings(("ann", "two@example.com"), ("bob", "one@example.com")))
    assert (swapped["ann"].id, swapped["ann"].address) == (first["ann"].id, "two@example.com")
    assert (swapped["bob"].id, swapped["bob"].address) == (first["bob"].id, "one@example.com")


def test_an_address_can_pass_from_a_removed_agent_to_another(store: Store) -> None:
    sync(store, settings(("ann", "desk@example.com"), ("bob", "bob@example.com")))
    passed = sync(store, settings(("bob", "desk@example.com")))
    assert passed["bob"].address == "desk@example.com"
    assert not passed["ann"].active
    with store.read() as connection:
        found = agents.find(connection, "desk@example.com")
    assert found is not None
    assert found.name == "bob"


def test_agents_of_the_command_line_are_left_alone_by_the_configuration(store: Store) -> None:
    with store.write() as connection:
        id_ = agents.add(connection, NewAgent("carl", "Carl", "carl@example.com", ("support",), "cli"))
    after = sync(store, settings(("ann", "ann@example.com")))
    assert (after["carl"].id, after["carl"].active, after["carl"].source) == (id_, True, "cli")


def test_a_removed_agent_is_found_no_more_and_has_the_same_id_when_added_again(store: Store) -> None:
    carl = NewAgent("carl", "Carl", "carl@example.com", (), "cli")
    with store.write() as connection:
        id_ = agents.add(connection, carl)
        agents.remove(connection, id_)
        assert agents.find(connection, "carl") is None
        assert agents.add(connection, carl) == id_
        assert agents.find(connection, "CARL@example.com") is not None


def test_what_is_in_sync_is_not_written_again(store: Store) -> None:
    wanted = settings(("ann", "ann@example.com"))
    with store.read() as connection:
        assert not agents.in_sync(connection, wanted)
    sync(store, wanted)
    with store.read() as connection:
        agents.sync_agents(connection, wanted)  # a reading transaction would refuse to write on SQLite
        assert agents.in_sync(connection, wanted)

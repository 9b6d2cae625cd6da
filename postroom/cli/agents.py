"""`postroom agents`: who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import agent_address, output
from postroom.cli.opening import open_store
from postroom.errors import ConfigError, UserError

if TYPE_CHECKING:
    from sqlalchemy import Row


@click.group("agents")
def command() -> None:
    """Who answers."""


command.add_command(agent_address.address)


@command.command("list")
@click.option("--all", "everyone", is_flag=True, help="Those who were removed, too.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, everyone: bool, as_json: bool) -> None:
    """List the agents, by name."""
    from postroom.store import agents

    with open_store(config.load(config_path)) as store, store.read() as connection:
        rows = [row for row in agents.everyone(connection) if row.active or everyone]
        tickets = {row.id: agents.unresolved(connection, row.id) for row in rows}
    if as_json:
        for row in rows:
            output.print_json({**_as_object(row), "unresolvedTickets": tickets[row.id]})
        return
    output.print_table(
        ("NAME", "ADDRESS~", "CALLED", "QUEUES", "TICKETS>", "FROM"),
        [
            (r.name, r.address, r.title, r.queues, tickets[r.id], r.source if r.active else f"{r.source}, removed")
            for r in rows
        ],
        "no agents: add one with `postroom agents add NAME ADDRESS --queue QUEUE`, or in the configuration as [agent.NAME]",
    )


@command.command("add")
@click.argument("name")
@click.argument("address")
@click.option("--name", "title", metavar="WORDS", help="As customers read it; without it, NAME.")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="QUEUE",
    help="A queue that the agent answers for; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the agent, one object.")
@click.pass_obj
def add(
    config_path: str | None, name: str, address: str, title: str | None, queues: tuple[str, ...], as_json: bool
) -> None:
    """Add an agent, or change one that was added here; who was removed comes back as the same one."""
    settings = config.load(config_path)
    from postroom.store import agents
    from postroom.store.agents import NewAgent

    new = NewAgent(name, title or name, _check(settings, name, address, queues), tuple(sorted(set(queues))), "cli")
    with open_store(settings, create=True) as store, store.write() as connection:
        for row in agents.everyone(connection):
            if row.address == new.address and row.name != name and row.active:
                raise UserError(f"{row.address} is agent {row.name}'s already")
        agents.add(connection, new)
        added = agents.find(connection, name)
    assert added is not None
    if as_json:
        output.print_json(_as_object(added))
    else:
        click.echo(f"agent {added.name} answers as {added.title} <{added.address}>, for {output.shown(added.queues)}")


@command.command("remove")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the agent, one object.")
@click.pass_obj
def remove(config_path: str | None, name: str, as_json: bool) -> None:
    """Remove an agent: nothing is sent to him any more, and nothing is taken in his name."""
    settings = config.load(config_path)
    from postroom.store import agents

    if name in settings.agent:
        raise UserError(f"agent {name} stands in the configuration: take [agent.{name}] out of {settings.path}")
    with open_store(settings) as store, store.write() as connection:
        row = agents.find(connection, name)
        if row is None:
            raise UserError(f"there is no agent {name}; `postroom agents list` shows those there are")
        agents.remove(connection, row.id)
        left = agents.unresolved(connection, row.id)
    if as_json:
        output.print_json({**_as_object(row), "active": False, "unresolvedTickets": left})
    else:
        click.echo(f"agent {row.name} is removed")
        if left:
            click.echo(f"still his: {left} unresolved; see them with: postroom tickets list --assignee {row.name}")


def _check(settings: config.Config, name: str, address: str, queues: tuple[str, ...]) -> str:
    """The address in the form that is compared. UserError for whatever the configuration would not take either."""
    from postroom.desk.mailboxes import Mailboxes

    if not config.NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for an agent: it has 1 to 40 of a-z, 0-9, _ and -")
    if name in settings.agent:
        raise UserError(f"agent {name} stands in the configuration: change [agent.{name}] in {settings.path}")
    try:
        checked = config.check_address(address, "address")
    except ConfigError as error:
        raise UserError(str(error).removeprefix("address: ")) from None
    if Mailboxes(settings).is_ours(checked):
        raise UserError(f"{checked} is one of our mailboxes; an agent needs an address of his own")
    if any(checked == agent.address.lower() for agent in settings.agent.values()):
        raise UserError(f"{checked} is an agent's of the configuration")
    for queue in queues:
        if queue not in settings.queue:
            raise UserError(f"there is no queue {queue}; there are: {', '.join(settings.queue)}")
    return checked


def _as_object(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "title": row.title, "address": row.address, "queues": row.queues,
        "source": row.source, "active": row.active,
    }  # fmt: skip

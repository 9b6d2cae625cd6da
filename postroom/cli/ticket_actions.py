"""`postroom tickets assign / status / note / reply / merge / unmerge / split / tag`: what an agent does, from the shell.

Each says its words to the desk and puts what has to be told into the outbox, in one transaction.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output, ticket_json
from postroom.cli.opening import open_house
from postroom.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from postroom.daemon.house import House
    from postroom.desk.author import Agent
    from postroom.desk.happened import Happened

    Act = Callable[["Doing"], Sequence[Happened]]

NOBODY = ("none", "nobody", "-")
AHEAD = re.compile(r"(\d{1,4})\s*(h|d|w)")
AHEAD_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
STANDARD_INPUT = "-"

as_json = click.option("--json", "as_json", is_flag=True, help="Print the ticket as it is now, one object.")
acting = click.option("--as", "actor", metavar="AGENT", help="The agent who does it, by name or address.")


class Doing:
    """One action on one ticket: who does it, and within which transaction."""

    def __init__(self, house: House, connection: Connection, ref: str, actor: str | None) -> None:
        from postroom.daemon.house import now
        from postroom.desk import actions

        self.house, self.connection, self.now = house, connection, now()
        self.ticket = actions.find(connection, ref)
        self.agent = desk_agent(find_agent(connection, actor)) if actor else None
        self.actor = self.agent.name if self.agent else actions.COMMAND_LINE


def act(config_path: str | None, ref: str, actor: str | None, as_json: bool, what: Act, done: str) -> None:
    """Do it, tell whoever has to be told, and print the ticket, or `done` with its reference."""
    from postroom.desk import actions
    from postroom.desk.due import follow_clock
    from postroom.store import reports

    with open_house(config.load(config_path)) as house, house.store.write(alone=True) as connection:
        doing = Doing(house, connection, ref, actor)
        for happened in what(doing):
            house.notifier.enqueue(connection, happened)
        follow_clock(connection, house.config, doing.ticket.id, doing.now)
        ticket = actions.find(connection, doing.ticket.ref)
        whole = reports.whole_ticket(connection, ticket.id)
    if as_json:
        output.print_json(ticket_json.whole(whole))
    else:
        click.echo(f"{whole.ticket.ref}: {done}, now {whole.ticket.status}")


def find_agent(connection: Connection, who: str, removed: bool = False) -> Row[Any]:
    """The agent of that name or address, with `removed` also one who no longer answers; UserError where there is none."""
    from postroom.store import agents

    row = agents.find(connection, who, removed)
    if row is None:
        raise UserError(f"there is no agent {who}; `postroom agents list` shows those there are")
    return row


def desk_agent(row: Row[Any]) -> Agent:
    """An agent's row as the desk knows agents."""
    from postroom.desk.author import Agent

    return Agent(row.id, row.name, row.title, row.address)


def read_text(text: str | None) -> str:
    """The text itself, or what comes from standard input where it is `-` or missing."""
    if text is not None and text != STANDARD_INPUT:
        return os.fsencode(text).decode("utf-8", "replace")  # an argument may hold octets that are no text
    if sys.stdin.isatty():
        if text is None:
            raise click.UsageError("there is no TEXT; give it as an argument, or to standard input")
        click.echo("Write the text, then end it with Ctrl-D:", err=True)
    return sys.stdin.buffer.read().decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}").strip("\r\n")


@click.command("assign")
@click.argument("ref")
@click.argument("agent")
@acting
@as_json
@click.pass_obj
def assign(config_path: str | None, ref: str, agent: str, actor: str | None, as_json: bool) -> None:
    """Give a ticket to an AGENT, by name or address; `none` takes it from whoever has it."""
    from postroom.desk import actions

    def what(doing: Doing) -> Sequence[Happened]:
        to = None if agent in NOBODY else desk_agent(find_agent(doing.connection, agent))
        return actions.assign(doing.connection, doing.ticket, to, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "assigned to nobody" if agent in NOBODY else f"assigned to {agent}")


@click.command("status")
@click.argument("ref")
@click.argument("status")
@click.option("--summary", metavar="TEXT", help="What solved it; the customer reads it in the status mail.")
@click.option("--code", metavar="CODE", help="How it was resolved, one of tickets.resolution_codes.")
@click.option("--root-cause", metavar="TEXT", help="What was behind it.")
@acting
@as_json
@click.pass_obj
def status(
    config_path: str | None, ref: str, status: str, summary: str | None, code: str | None, root_cause: str | None,
    actor: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Set a ticket's STATUS, and say how it was resolved."""
    from postroom.desk import actions

    said = {"resolution_summary": summary, "resolution_code": code, "root_cause": root_cause}

    def what(doing: Doing) -> Sequence[Happened]:
        settings = doing.house.config
        actions.say_how(doing.connection, settings, doing.ticket, said, doing.actor, doing.now)
        return actions.set_status(doing.connection, settings, doing.ticket, status, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "status set")


@click.command("note")
@click.argument("ref")
@click.argument("text", required=False)
@acting
@as_json
@click.pass_obj
def note(config_path: str | None, ref: str, text: str | None, actor: str | None, as_json: bool) -> None:
    """Write an internal note, which no customer ever sees. Without TEXT it is read from standard input."""
    from postroom.desk import actions

    words = read_text(text)

    def what(doing: Doing) -> Sequence[Happened]:
        return actions.add_note(doing.connection, doing.ticket, words, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "note written")


@click.command("reply")
@click.argument("ref")
@click.argument("text", required=False)
@acting
@as_json
@click.pass_obj
def reply(config_path: str | None, ref: str, text: str | None, actor: str | None, as_json: bool) -> None:
    """Answer the customer by mail. Without TEXT it is read from standard input."""
    from postroom.desk import actions

    words = read_text(text)

    def what(doing: Doing) -> Sequence[Happened]:
        return actions.reply(doing.connection, doing.ticket, words, doing.agent, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "answered")


@click.command("merge")
@click.argument("ref")
@click.argument("into")
@click.option("--duplicate", is_flag=True, help="It says the same as the other, and is linked as its duplicate.")
@acting
@as_json
@click.pass_obj
def merge(config_path: str | None, ref: str, into: str, duplicate: bool, actor: str | None, as_json: bool) -> None:
    """Let a ticket be part of another: its messages move, and its reference leads to the other ever after."""
    from postroom.desk import actions, merging

    def what(doing: Doing) -> Sequence[Happened]:
        target = actions.find(doing.connection, into)
        why = f"merged by {doing.actor}"
        merging.merge(doing.connection, doing.ticket, target, why, doing.actor, doing.now, duplicate)
        return []

    act(config_path, ref, actor, as_json, what, f"{ref.upper()} is part of it")


@click.command("unmerge")
@click.argument("ref")
@acting
@as_json
@click.pass_obj
def unmerge(config_path: str | None, ref: str, actor: str | None, as_json: bool) -> None:
    """Take a merge back: the ticket has its messages again, and what came later stays where it is."""
    from postroom.desk import merging
    from postroom.store import tickets

    def what(doing: Doing) -> Sequence[Happened]:
        merged = tickets.by_ref(doing.connection, ref)
        assert merged is not None  # it led to the other
        merging.unmerge(doing.connection, merged, doing.actor, doing.now)
        doing.ticket = merged
        return []

    act(config_path, ref, actor, as_json, what, "a ticket of its own again")


@click.command("split")
@click.argument("ref")
@click.argument("message")
@acting
@as_json
@click.pass_obj
def split(config_path: str | None, ref: str, message: str, actor: str | None, as_json: bool) -> None:
    """Take a MESSAGE out of a ticket and open a new one with it: its number in `tickets show`, or its Message-ID."""
    from postroom.desk import merging
    from postroom.store import messages

    def what(doing: Doing) -> Sequence[Happened]:
        wanted = message.strip("#<>")
        found = [
            m
            for m in messages.of_ticket(doing.connection, doing.ticket.id)
            if wanted in (str(m.id), m.email_message_id)
        ]
        if not found:
            raise UserError(f"{doing.ticket.ref} has no message {message}; `postroom tickets show {ref}` numbers them")
        settings, random = doing.house.config.tickets, doing.house.random
        doing.ticket = merging.split(doing.connection, settings, random, doing.ticket, found[0], doing.actor, doing.now)
        return []

    act(config_path, ref, actor, as_json, what, f"opened with a message of {ref.upper()}")


@click.command("tag")
@click.argument("ref")
@click.argument("tags", nargs=-1, metavar="TAG...")
@click.option("--remove", multiple=True, metavar="TAG", help="Take a tag away; may be given several times.")
@acting
@as_json
@click.pass_obj
def tag(
    config_path: str | None, ref: str, tags: tuple[str, ...], remove: tuple[str, ...], actor: str | None, as_json: bool
) -> None:
    """Add tags to a ticket, or take them away."""
    from postroom.desk import actions

    if not tags and not remove:
        raise click.UsageError("there is no TAG to add, and none to --remove")

    def what(doing: Doing) -> Sequence[Happened]:
        return actions.tag(doing.connection, doing.ticket, tags, remove, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "tagged")


@click.command("follow-up")
@click.argument("ref")
@click.argument("when")
@acting
@as_json
@click.pass_obj
def follow_up(config_path: str | None, ref: str, when: str, actor: str | None, as_json: bool) -> None:
    """Have a ticket's agents told of it again: at 2026-12-01, 2026-12-01T09:00:00Z, or in 12h, 3d, 2w; or `none`."""
    from postroom.desk import actions

    def what(doing: Doing) -> Sequence[Happened]:
        at = None if when in NOBODY else _ahead(when, doing.now)
        return actions.follow_up(doing.connection, doing.ticket, at, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "not to be followed up" if when in NOBODY else "to be followed up")


def _ahead(when: str, now: datetime) -> datetime:
    if ahead := AHEAD.fullmatch(when.strip()):
        return now + int(ahead[1]) * AHEAD_UNITS[ahead[2]]
    try:
        moment = datetime.fromisoformat(when.strip())
    except ValueError:
        raise click.UsageError(f"{when!r} is no time; write 2026-12-01, 2026-12-01T09:00:00Z, 12h, 3d or 2w") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


ACTIONS = (assign, status, note, reply, merge, unmerge, split, tag, follow_up)

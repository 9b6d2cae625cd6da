"""`postroom rules`: the rules that route mail, and what a mail would meet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_house
from postroom.errors import UserError

if TYPE_CHECKING:
    from postroom.daemon.house import House
    from postroom.daemon.rehearse import Rehearsed

NOT_HELD = "did not hold"  # in the evidence of the route's own line


@click.group("rules")
def command() -> None:
    """The rules that route mail, and what a mail would meet."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, as_json: bool) -> None:
    """List the rules in the order in which they are asked, and whom [block] names."""
    from postroom.desk.routing import conditions_in_words, effects

    settings = config.load(config_path)
    rows = [
        {"name": rule.name, "when": conditions_in_words(rule.when), "then": effects(rule.then)}
        for rule in settings.rule
    ]  # fmt: skip
    if as_json:
        for row in rows:
            output.print_json(row)
        return
    shown = [(number, row["name"], "; ".join(row["when"]), row["then"]) for number, row in enumerate(rows, 1)]
    output.print_table(("#>", "RULE", "WHEN", "THEN"), shown, "no rules: add one to the configuration as [[rule]]")
    if settings.block.senders:
        click.echo(f"blocked: {output.one_line(', '.join(settings.block.senders))}")


@command.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--recipient", metavar="ADDR", help="The envelope's recipient. Without it: as `ingest` finds it.")
@click.option("--sender", metavar="ADDR", help="The envelope's sender, '' for none. Without it: Return-Path.")
@click.option("--mailbox", metavar="NAME", help="The mailbox that it is for. Without it: by the recipient.")
@click.option("--json", "as_json", is_flag=True, help="One object a line, one line for each FILE.")
@click.pass_obj
def test(
    config_path: str | None, files: tuple[str, ...], recipient: str | None, sender: str | None, mailbox: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what a mail would meet, were it to come now: the rules, its route, the answer. Nothing is stored.

    A FILE holds one mail; - is standard input.
    """
    settings = config.load(config_path)
    from postroom.daemon.ingest import Destination, Options

    options = Options(mailbox, recipient, sender.strip("<>") if sender is not None else None)
    unread = 0
    with open_house(settings) as house:
        destination = Destination(house.config, house.mailboxes, options)
        for number, name in enumerate(files):
            try:
                raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            except OSError as error:
                unread += 1
                print(f"postroom: {output.one_line(name)}: {error.strerror}", file=sys.stderr)
                continue
            found = _found(house, destination, name, raw)
            if as_json:
                output.print_json(found)
            else:
                click.echo("\n" if number else "", nl=False)
                _print(found, name if len(files) > 1 else "")
    if unread:
        raise UserError(f"{unread} of {len(files)} files could not be read")


def _found(house: House, destination: Any, name: str, raw: bytes) -> dict[str, Any]:
    """What would become of a mail, as JSON."""
    from postroom.daemon.rehearse import rehearse

    rehearsed = rehearse(house, destination, raw)
    settled, decision = rehearsed.settled, rehearsed.settled.decision
    routed = [line for line in decision if line["step"] == "route"]
    answer = next((line for line in decision if line["step"] == "answer"), None)
    return {
        "file": name, "outcome": settled.outcome, "reason": settled.reason,
        "rules": [{"rule": line["rule"], "why": line["why"]} for line in routed[:-1]],
        "didNotHold": routed[-1]["evidence"].get(NOT_HELD, {}) if routed else {},
        "route": _route(house, rehearsed),
        "confirmed": answer is not None and answer["rule"] == "confirmation" and answer["outcome"] == "enqueued",
        "answer": f"{answer['rule']}: {answer['why']}" if answer else None,
        "decision": decision,
    }  # fmt: skip


def _route(house: House, rehearsed: Rehearsed) -> dict[str, Any] | None:
    """Where the ticket would go that the mail opens; None where it opens none."""
    from postroom.store import agents

    ticket = rehearsed.ticket
    if ticket is None:
        return None
    with house.store.read() as connection:
        names = agents.names(connection)
    return {
        "queue": ticket["queue"], "priority": ticket["priority"], "ticketType": ticket["ticket_type"],
        "category": ticket["category"], "tags": ticket["tags"], "assignedTo": names.get(ticket["assigned_to"]),
    }  # fmt: skip


def _print(found: dict[str, Any], name: str) -> None:
    if name:
        click.echo(click.style(output.one_line(name), bold=True))
    click.echo(click.style(f"Would be {found['outcome']}", bold=True) + f": {output.one_line(found['reason'])}")
    for rule in found["rules"]:
        click.echo(
            f"  {click.style('✓', fg='green', bold=True)} {output.one_line(rule['rule'])}: {output.one_line(rule['why'])}"
        )
    for rule, why in found["didNotHold"].items():
        click.echo(f"  {click.style('·', dim=True)} {output.one_line(rule)}: {output.one_line(why)}")
    for key, value in (found["route"] or {}).items():
        output.field({"ticketType": "Type", "assignedTo": "Assigned to"}.get(key, key.title()), value)
    output.field("Confirmed", "yes" if found["confirmed"] else "no")
    output.field("Why", found["answer"])

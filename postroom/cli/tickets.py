"""`postroom tickets`: reading them. What an agent does to one is in `ticket_actions`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output, ticket_actions, ticket_json, ticket_solution
from postroom.cli.opening import open_store
from postroom.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from postroom.store.reports import Filter

LIST_LIMIT = 100  # rows of a table; JSON has them all
AGO = re.compile(r"(\d{1,6})\s*(min|m|h|d|w)")
UNITS = {"min": timedelta(minutes=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}  # fmt: skip
NOBODY = "none"


@click.group("tickets")
def command() -> None:
    """List, show, export and work on tickets."""


class Since(click.ParamType[datetime]):
    """A moment: `2026-11-23`, `2026-11-23T19:05:00Z`, or how long ago: `12h`, `7d`."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if ago := AGO.fullmatch(value.strip()):
                return datetime.now(UTC) - int(ago[1]) * UNITS[ago[2]]
            moment = datetime.fromisoformat(value.strip())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2026-11-23, 2026-11-23T19:05:00Z, 12h or 7d", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@command.command("list")
@click.option("--status", "statuses", multiple=True, metavar="STATUS", help="Only these; may be given several times.")
@click.option("--assignee", metavar="AGENT", help="Only an agent's, by name or address; 'none' for nobody's.")
@click.option("--requester", metavar="ADDR", help="Only a customer's, by address.")
@click.option("--queue", metavar="NAME", help="Only a queue's.")
@click.option(
    "--since", type=Since(), metavar="WHEN", help="Only those touched since: 2026-11-23, an RFC 3339 time, 12h, 7d."
)
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many; a table shows {LIST_LIMIT} without it.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(
    config_path: str | None, statuses: tuple[str, ...], assignee: str | None, requester: str | None, queue: str | None,
    since: datetime | None, limit: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List tickets; the one touched last comes first."""
    settings = config.load(config_path)
    from postroom.desk.workflow import check_status
    from postroom.store import reports

    for status in statuses:
        check_status(status, settings)
    with open_store(settings) as store, store.read() as connection:
        wanted = _filter(connection, statuses, assignee, requester, queue, since)
        if as_json:
            for row in reports.find(connection, wanted, limit):
                output.print_json(ticket_json.head(row))
            return
        rows = list(reports.find(connection, wanted, limit or LIST_LIMIT))
    output.print_table(
        ("REF", "STATUS", "PRIORITY", "ASSIGNED TO", "UPDATED", "REQUESTER~", "SUBJECT"),
        [(t.ref, t.status, t.priority, t.assignee, t.updated_at, t.requester, t.subject) for t in rows],
        "no tickets",
    )
    if limit is None and len(rows) == LIST_LIMIT:
        click.echo(f"the {LIST_LIMIT} touched last; see more with --limit")


def _filter(
    connection: Connection, statuses: tuple[str, ...], assignee: str | None, requester: str | None, queue: str | None,
    since: datetime | None,
) -> Filter:  # fmt: skip
    from postroom.store.reports import Filter

    unassigned = assignee == NOBODY
    agent = None if assignee is None or unassigned else ticket_actions.find_agent(connection, assignee, removed=True).id
    return Filter(statuses, agent, unassigned, requester, queue, since)


@command.command("export")
@click.option("--json", is_flag=True, help="JSON Lines is what it prints anyway.")
@click.option("--since", type=Since(), metavar="WHEN", help="Only those touched since.")
@click.pass_obj
def export(config_path: str | None, json: bool, since: datetime | None) -> None:
    """Print every ticket with its conversation and activity, as JSON Lines, by number."""
    settings = config.load(config_path)
    from postroom.store.reports import Filter, every_ticket

    with open_store(settings) as store:
        for whole in every_ticket(store, Filter(since=since)):
            output.print_json(ticket_json.whole(whole))


@command.command("show")
@click.argument("ref")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def show(config_path: str | None, ref: str, as_json: bool) -> None:
    """Print a ticket's whole conversation and timeline. A merged one leads to where it went."""
    settings = config.load(config_path)
    from postroom.cli import ticket_page
    from postroom.outbound import holding
    from postroom.store import addressing, reports, thread_index, tickets

    with open_store(settings) as store, store.read() as connection:
        asked = tickets.by_ref(connection, ref)
        if asked is None:
            raise UserError(f"there is no ticket {ref}; `postroom tickets list` shows those there are")
        ticket = tickets.follow(connection, asked)
        page = ticket_page.Page(
            reports.whole_ticket(connection, ticket.id), asked.ref, reports.merged_from(connection, ticket.id),
            tickets.links(connection, ticket.id), thread_index.participants(connection, ticket.id), holding.in_words(addressing.case(connection, ticket.id)),
        )  # fmt: skip
    if as_json:
        output.print_json(page.as_json())
    else:
        page.print()


for action in (*ticket_actions.ACTIONS, *ticket_solution.ACTIONS):
    command.add_command(action)

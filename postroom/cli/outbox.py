"""`postroom outbox`: mail going out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_house, open_store
from postroom.cli.tickets import Since
from postroom.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from postroom.daemon.house import House

STATES = ("pending", "sending", "sent", "retry", "failed", "cancelled", "suppressed")
LIST_LIMIT = 100  # rows of a table; JSON has them all
CANCELLED = "cancelled from the command line"


@click.group("outbox")
def command() -> None:
    """Mail going out."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only what is in this state.")
@click.option("--ticket", "ref", metavar="REF", help="Only a ticket's.")
@click.option("--recipient", metavar="ADDR", help="Only what goes to this address; '@example.org' for all of a domain.")
@click.option(
    "--since", type=Since(), metavar="WHEN", help="Only what was written since: 2026-11-23, an RFC 3339 time, 12h, 7d."
)
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many; a table shows {LIST_LIMIT} without it.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(
    config_path: str | None, state: str | None, ref: str | None, recipient: str | None, since: datetime | None,
    limit: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List mail going out; the newest comes first."""
    from postroom.store import outbox, tickets

    with open_store(config.load(config_path)) as store, store.read() as connection:
        ticket = tickets.by_ref(connection, ref) if ref else None
        if ref and ticket is None:
            raise UserError(f"there is no ticket {ref}")
        shown = limit or (None if as_json else LIST_LIMIT)
        rows = outbox.find(connection, state, ticket.id if ticket else None, shown, recipient=recipient, since=since)
        refs = _refs(connection, rows)
    if as_json:
        for row in rows:
            output.print_json(as_object(row, refs))
        return
    output.print_table(
        ("ID>", "CREATED", "STATE", "PURPOSE", "RECIPIENT~", "TICKET", "TRIES>", "NEXT TRY", "SUBJECT OR REASON"),
        [
            (
                r.id,
                r.created_at,
                r.state,
                r.purpose,
                r.recipient,
                refs.get(r.ticket_id),
                r.attempts,
                r.next_attempt_at,
                r.reason or r.subject,
            )
            for r in rows
        ],
        "no mail",
    )
    if limit is None and len(rows) == LIST_LIMIT:
        click.echo(f"the {LIST_LIMIT} newest; see more with --limit")


@command.command("show")
@click.argument("id_", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="One object, with the mail as text.")
@click.pass_obj
def show(config_path: str | None, id_: int, as_json: bool) -> None:
    """Show one mail going out, with its bytes."""
    from postroom.store import outbox

    with open_store(config.load(config_path)) as store, store.read() as connection:
        row = _row(connection, id_)
        refs = _refs(connection, [row])
        raw = outbox.raw(connection, id_)
    mail = None if raw is None else raw.decode("utf-8", "replace")
    if as_json:
        output.print_json({**as_object(row, refs), "mail": mail})
        return
    click.echo(click.style(f"Mail {row.id} to {output.one_line(row.recipient)}: {row.state}", bold=True))
    facts = (
        ("Reason", row.reason), ("Purpose", row.purpose), ("Ticket", refs.get(row.ticket_id)), ("Mailbox", row.mailbox),
        ("Sender", row.envelope_sender or "<> (none)"), ("Created", row.created_at), ("Sent", row.sent_at),
        ("Attempts", row.attempts), ("Next attempt", row.next_attempt_at),
    )  # fmt: skip
    for name, value in facts:
        output.field(name, value)
    if mail is not None:
        output.heading("The mail")
        output.body(mail)


@command.command("send")
@click.option("--json", "as_json", is_flag=True, help="One object: how many are in which state now.")
@click.pass_obj
def send(config_path: str | None, as_json: bool) -> None:
    """Send what is due now, and return: for a machine on which no daemon runs, by cron, say."""
    settings = config.load(config_path)
    with open_house(settings) as house, house.store.daemon_lock():
        counts = asyncio.run(_send(settings, house))
    if as_json:
        output.print_json({"outbox": counts})
    else:
        click.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no mail")


async def _send(settings: config.Config, house: House) -> dict[str, int]:
    from random import SystemRandom

    from postroom.daemon import log
    from postroom.daemon.begin import read_secrets
    from postroom.daemon.credentials import of_smarthosts
    from postroom.daemon.failpoint import failpoint
    from postroom.daemon.house import now
    from postroom.daemon.presence import Presence
    from postroom.logger import structlog
    from postroom.outbound.courier import Courier
    from postroom.store import outbox

    secrets = read_secrets(settings)
    log.configure(settings.log, [secret for secret in secrets.values() if secret])
    credentials, logger = of_smarthosts(settings, secrets), structlog.get_logger("courier")
    courier = Courier(
        settings, house.store, credentials, now, SystemRandom(), logger, notifier=house.notifier, failpoint=failpoint
    )
    with Presence(house.store):
        await courier.deliver_due()
    with house.store.read() as connection:
        return outbox.count_by_state(connection)


@command.command("retry")
@click.argument("id_", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the mail as it is now, one object.")
@click.pass_obj
def retry(config_path: str | None, id_: int, as_json: bool) -> None:
    """Send a failed, cancelled or waiting mail as soon as the daemon can."""
    from postroom.store import outbox

    with open_store(config.load(config_path)) as store, store.write() as connection:
        state = _row(connection, id_).state
        if not outbox.retry(connection, id_):
            raise UserError(
                f"mail {id_} is {state}; only what failed, was cancelled or waits for its retry can be sent"
            )
        row = _row(connection, id_)
        refs = _refs(connection, [row])
    _say(row, refs, as_json, "will be sent")


@command.command("cancel")
@click.argument("id_", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the mail as it is now, one object.")
@click.pass_obj
def cancel(config_path: str | None, id_: int, as_json: bool) -> None:
    """Never send a mail that waits."""
    from postroom.store import outbox

    with open_store(config.load(config_path)) as store, store.write() as connection:
        state = _row(connection, id_).state
        if not outbox.cancel(connection, id_, CANCELLED):
            raise UserError(f"mail {id_} is {state}; only what waits can be cancelled")
        row = _row(connection, id_)
        refs = _refs(connection, [row])
    _say(row, refs, as_json, "is cancelled")


def _say(row: Row[Any], refs: dict[int, str], as_json: bool, words: str) -> None:
    if as_json:
        output.print_json(as_object(row, refs))
    else:
        click.echo(f"mail {row.id} to {output.one_line(row.recipient)} {words}")


def as_object(row: Row[Any], refs: dict[int, str]) -> dict[str, Any]:
    """One mail going out as JSON."""
    r = row
    return {
        "id": r.id, "state": r.state, "reason": r.reason, "purpose": r.purpose, "automatic": r.automatic,
        "recipient": r.recipient, "envelopeSender": r.envelope_sender, "subject": r.subject,
        "messageId": r.email_message_id, "ticket": refs.get(r.ticket_id), "mailbox": r.mailbox, "attempts": r.attempts,
        "createdAt": output.utc(r.created_at), "sentAt": output.utc(r.sent_at),
        "nextAttemptAt": output.utc(r.next_attempt_at),
    }  # fmt: skip


def _row(connection: Connection, id_: int) -> Row[Any]:
    from postroom.store import outbox

    row = outbox.get(connection, id_)
    if row is None:
        raise UserError(f"there is no outgoing mail {id_}; `postroom outbox list` shows those there are")
    return row


def _refs(connection: Connection, rows: Any) -> dict[int, str]:
    from postroom.store import reports

    return reports.refs(connection, {row.ticket_id for row in rows if row.ticket_id is not None})

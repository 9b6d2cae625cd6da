"""`postroom forget ADDRESS`: a person's words, names, files and mail go; numbers stay."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store
from postroom.errors import TemporaryFailure, UserError

if TYPE_CHECKING:
    from postroom.store.engine import Store


@click.command("forget")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say how much there is.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done, one object.")
@click.pass_obj
def command(config_path: str | None, address: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Erase a person everywhere: tickets, messages, files, mail in and out, index, evidence, and the file's free pages.

    What was delivered to others, in a Maildir of [outgoing] too, and backups are out of reach. The daemon may run.
    """
    from postroom.desk import erasure
    from postroom.desk.mailboxes import Mailboxes
    from postroom.store import agents, wiping

    settings = config.load(config_path)
    wanted = address.strip().lower()
    if "@" not in wanted:
        raise UserError(f"{address!r} is no address such as ann@example.org")
    with open_store(settings) as store:
        with store.read() as connection:
            if agents.find(connection, wanted, False) is not None:
                raise UserError(f"{wanted} is an agent's; remove the agent first: postroom agents remove NAME")
            if Mailboxes(settings).is_ours(wanted):
                raise UserError(f"{wanted} is an address of ours")
            traces = erasure.traces(connection, wanted)
        if not as_json or dry_run:
            _show(traces, as_json)
        if dry_run:
            return
        if not yes and not click.confirm("Erase all of that for good?", default=False):
            raise click.Abort
        with wiping.thoroughly(store) as wiped:
            done = erasure.forget(store, wanted, datetime.now(UTC))
        left = _delete_objects(store)
    if as_json:
        output.print_json({**{_camel(key): value for key, value in asdict(done).items()}, "wiped": not wiped.problem})
    else:
        click.echo(f"erased {done.tickets} tickets, {done.messages} messages on others' tickets, {done.received} mails received, "
                   f"{done.sent} sent; cut out of {done.redacted} other places")  # fmt: skip
        click.echo(wiped.words)
    if done.kept:
        click.echo(
            f"{done.kept} mails of others quote the person in encoded text and carry files; they stay as they are",
            err=True,
        )
    if done.left:
        raise UserError(f"{done.left} mails are under way or not processed yet; say it again in a while")
    if left:
        raise UserError(f"the daemon deletes what lies in objects as soon as it can: {left}")
    if wiped.problem:
        raise UserError(wiped.problem)


def _delete_objects(store: Store) -> str:
    """Delete the objects that nothing names any more; why that did not succeed."""
    from postroom.store import raw_mail

    try:
        raw_mail.work(store)
    except TemporaryFailure as error:
        return str(error)
    return ""


def _show(traces: object, as_json: bool) -> None:
    counts = {_camel(key): value for key, value in asdict(traces).items()}  # type: ignore[call-overload]
    if as_json:
        output.print_json(counts)
        return
    names = {
        "tickets": "Own tickets", "messages": "On others' tickets", "received": "Mails received", "sent": "Mails sent to it",
        "pending": "Not processed yet",
    }  # fmt: skip
    for key, name in names.items():
        click.echo(f"{name + ':':<20}{counts[key]:>8}")
    for name in counts["names"]:  # a stranger's word: whoever is asked has to see what is cut out of everybody's mail
        click.echo(f"{'Under the name:':<20}{output.one_line(output.clean(name)):>8}")


def _camel(name: str) -> str:
    return name

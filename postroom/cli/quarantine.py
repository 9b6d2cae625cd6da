"""`postroom inbound quarantine / retry / release / delete`: what a person does with mail that nothing could read."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from postroom import config
from postroom.cli import inbound_json, output
from postroom.cli.opening import open_house, open_store
from postroom.errors import UserError

as_json = click.option("--json", "as_json", is_flag=True, help="Print the mail as it is now, one object.")


@click.command("quarantine")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, as_json: bool) -> None:
    """List what waits in quarantine, oldest first, and why."""
    from postroom.store import inbound

    with open_store(config.load(config_path)) as store, store.read() as connection:
        rows = inbound.quarantined(connection)
        refs = inbound_json.refs_of(connection, rows)
    if as_json:
        for row in rows:
            output.print_json(inbound_json.as_object(row, refs))
        return
    output.print_table(
        ("ID>", "RECEIVED", "SINCE", "MAILBOX", "FROM~", "SIZE>", "WHY"),
        [
            (r.id, r.received_at, r.processed_at, r.mailbox, "<>" if r.sender == "" else r.sender, output.size(r.size), r.reason)
            for r in rows
        ],
        "nothing is in quarantine",
    )  # fmt: skip
    if rows:
        click.echo(
            "\nsee the bytes: postroom inbound raw ID; then: retry ID (or --all), release ID, delete ID --reason WHY"
        )


@click.command("retry")
@click.argument("id_", metavar="[ID]", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="All that is in quarantine: after an upgrade, say.")
@as_json
@click.pass_obj
def retry(config_path: str | None, id_: int | None, everything: bool, as_json: bool) -> None:
    """Put quarantined mail back to the start of its way; the daemon takes it up."""
    from postroom.store import inbound

    if everything == (id_ is not None):
        raise click.UsageError("give an ID, or --all")
    if id_ is None:
        with open_store(config.load(config_path)) as store, store.write() as connection:
            count = inbound.retry_all(connection)
        if as_json:
            output.print_json({"retried": count})
        else:
            click.echo(f"{count} will be tried again" if count else "nothing is in quarantine")
        return
    with open_store(config.load(config_path)) as store, store.write() as connection:
        state = inbound_json.find(connection, id_).state
        if not inbound.retry(connection, id_):
            raise UserError(f"mail {id_} is {state}; only what is quarantined can be tried again")
        row = inbound_json.find(connection, id_)
        refs = inbound_json.refs_of(connection, [row])
    if as_json:
        output.print_json(inbound_json.as_object(row, refs))
    else:
        click.echo(f"mail {id_} will be tried again")


@click.command("release")
@click.argument("id_", metavar="ID", type=int)
@as_json
@click.pass_obj
def release(config_path: str | None, id_: int, as_json: bool) -> None:
    """Make a quarantined mail a ticket, or part of the one that it answers, unread: it hangs there as a file."""
    from postroom.daemon import house as rooms
    from postroom.daemon.releasing import release as release_mail

    with open_house(config.load(config_path)) as house, house.store.write(alone=True) as connection:
        inbound_json.find(connection, id_)
        release_mail(connection, house.reception(connection), id_, _who(), rooms.now())
        row = inbound_json.find(connection, id_)
        refs = inbound_json.refs_of(connection, [row])
    if as_json:
        output.print_json(inbound_json.as_object(row, refs))
    else:
        click.echo(f"mail {id_} is on {refs.get(row.ticket_id, 'no ticket')}: {output.one_line(row.reason or '')}")


@click.command("delete")
@click.argument("id_", metavar="ID", type=int)
@click.option("--reason", required=True, metavar="WHY", help="Why; it is kept, the mail is not.")
@as_json
@click.pass_obj
def delete(config_path: str | None, id_: int, reason: str, as_json: bool) -> None:
    """Erase a quarantined mail for good; its number stays, with the reason."""
    from postroom.store import erasure

    if not reason.strip():
        raise click.UsageError("say why: --reason WHY")
    words = f"deleted by {_who()}: {output.one_line(reason)}"
    with open_store(config.load(config_path)) as store, store.write() as connection:
        state = inbound_json.find(connection, id_).state
        if not erasure.delete_quarantined(connection, id_, words, datetime.now(UTC)):
            raise UserError(f"mail {id_} is {state}; only what is quarantined can be deleted")
        row = inbound_json.find(connection, id_)
    if as_json:
        output.print_json(inbound_json.as_object(row, {}))
    else:
        click.echo(f"mail {id_} is gone; its number and the reason stay")


def _who() -> str:
    """Who types, as the system knows him."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command line"


ACTIONS = (list_, retry, release, delete)

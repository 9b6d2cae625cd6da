"""`postroom agents address`: where an agent sends what is to become a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store
from postroom.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Row


@click.command("address")
@click.argument("name")
@click.option(
    "--mailbox",
    metavar="MAILBOX",
    help="Whose queue takes the tickets; without it, the first that the agent answers for.",
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def address(config_path: str | None, name: str, mailbox: str | None, as_json: bool) -> None:
    """Print an agent's own address: he forwards a customer's mail there, and it opens a ticket for that customer.

    NAME is the agent's name or address. The address is signed for him alone and proves nothing in another's hand.
    """
    settings = config.load(config_path)
    from datetime import timedelta

    from postroom.daemon.house import now
    from postroom.daemon.keys import load_signer
    from postroom.outbound.addresses import reply_address
    from postroom.store import agents
    from postroom.threading.tokens import NO_TICKET, Role

    with open_store(settings) as store, store.read() as connection:
        row = agents.find(connection, name)
    if row is None:
        raise UserError(f"there is no agent {name}; `postroom agents list` shows those there are")
    chosen = _mailbox(settings, row, mailbox)
    signer = load_signer(settings.resolve(settings.keys.file))
    expires = now() + timedelta(days=settings.keys.reply_days)
    own = reply_address(signer, settings.mailbox[chosen].address, NO_TICKET, Role.AGENT, expires, row.id)
    if as_json:
        output.print_json({"agent": row.name, "mailbox": chosen, "address": own, "expiresAt": output.utc(expires)})
        return
    click.echo(own)
    click.echo(f"{row.name}'s alone, to mailbox {chosen}, until {expires:%Y-%m-%d}", err=True)


def _mailbox(settings: config.Config, agent: Row[tuple[object, ...]], wanted: str | None) -> str:
    """The mailbox that is asked for, or the first of a queue that the agent answers for, or the first there is."""
    if wanted is not None and wanted in settings.mailbox:
        return wanted
    if wanted is not None or not settings.mailbox:
        raise UserError(f"there is no mailbox {wanted or ''}; there are: {', '.join(settings.mailbox) or 'none'}")
    his = [name for name, mailbox in settings.mailbox.items() if mailbox.queue in agent.queues]
    return next(iter(his or settings.mailbox))

"""`postroom addresses`: to whom nothing goes by itself any more, and why; in which language a customer is written to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store
from postroom.errors import ConfigError, UserError
from postroom.saying import recalled

if TYPE_CHECKING:
    from sqlalchemy import Row

WHY = "an operator said so"


@click.group("addresses")
def command() -> None:
    """To whom nothing goes by itself any more, and why. What a person writes is sent all the same."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, as_json: bool) -> None:
    """List the addresses that bounced, complained, or were held by hand, by name."""
    from postroom.store import correspondents

    with open_store(config.load(config_path)) as store, store.read() as connection:
        rows = correspondents.held(connection)
    if as_json:
        for row in rows:
            output.print_json(as_object(row))
        return
    output.print_table(
        ("ADDRESS", "SINCE", "BECAUSE", "WHY~"),
        [(r.address, r.complained_at or r.held_at, _because(r), _why(r)) for r in rows],
        "no address is held",
    )


@command.command("hold")
@click.argument("address")
@click.option("--why", metavar="WORDS", default=WHY, help="The reason, for those who ask later.")
@click.option("--json", "as_json", is_flag=True, help="Print the address, one object.")
@click.pass_obj
def hold(config_path: str | None, address: str, why: str, as_json: bool) -> None:
    """Send nothing there by itself, until it is released: as if its owner had complained."""
    from postroom.store import correspondents

    try:
        checked = config.check_address(address, "address")
    except ConfigError as error:
        raise UserError(str(error).removeprefix("address: ")) from None
    with open_store(config.load(config_path)) as store, store.write() as connection:
        correspondents.complain(connection, checked, output.one_line(why) or WHY, datetime.now(UTC))
        row = correspondents.get(connection, checked)
    assert row is not None
    _say(row, as_json, "is held: nothing goes there by itself")


@command.command("release")
@click.argument("addresses", metavar="ADDRESS...", nargs=-1)
@click.option(
    "--bounced", is_flag=True, help="Every address that bounced: the fault was a server's. Not those that complained."
)
@click.option("--json", "as_json", is_flag=True, help="Print each address, one object a line.")
@click.pass_obj
def release(config_path: str | None, addresses: tuple[str, ...], bounced: bool, as_json: bool) -> None:
    """Write to these again, as if they had neither bounced nor complained."""
    from postroom.store import correspondents

    if not addresses and not bounced:
        raise UserError("name an address, or say --bounced; `postroom addresses list` shows those that are held")
    with open_store(config.load(config_path)) as store, store.write() as connection:
        rows = {row.address: row for row in correspondents.held(connection)}
        wanted = [address.lower() for address in addresses]
        wanted += [a for a, row in rows.items() if bounced and row.complained_at is None and a not in wanted]
        for address in wanted:
            if address not in rows:
                raise UserError(f"{address} is not held; `postroom addresses list` shows those that are")
            correspondents.release(connection, address, datetime.now(UTC))
        released = [correspondents.get(connection, address) for address in wanted]
    for row in released:
        assert row is not None
        _say(row, as_json, "is released")
    if not released and not as_json:
        click.echo("no address is held because it bounced")


@command.command("language")
@click.argument("address")
@click.argument("language", metavar="[LANGUAGE]", default="")
@click.option("--json", "as_json", is_flag=True, help="Print the address, one object.")
@click.pass_obj
def language_(config_path: str | None, address: str, language: str, as_json: bool) -> None:
    """Write to this customer in LANGUAGE from now on, such as de; without one, in that of his mail again."""
    from postroom.outbound import catalogue
    from postroom.store import correspondents

    settings = config.load(config_path)
    try:
        checked = config.check_address(address, "address")
    except ConfigError as error:
        raise UserError(str(error).removeprefix("address: ")) from None
    folder = settings.resolve(settings.templates.folder) if settings.templates.folder else None
    known = catalogue.available(folder)
    if language and language not in known:
        raise UserError(f"there is no catalogue for {language}; there are: {', '.join(known)}")
    with open_store(settings) as store, store.write() as connection:
        correspondents.set_language(connection, checked, language or None, datetime.now(UTC))
        row = correspondents.get(connection, checked)
    assert row is not None
    _say(row, as_json, f"is written to in {language}" if language else "is written to in the language of his mail")


def as_object(row: Row[Any]) -> dict[str, Any]:
    """What is known of an address, as JSON."""
    return {
        "address": row.address, "held": bool(row.held_at or row.complained_at), "because": _because(row),
        "since": output.utc(row.complained_at or row.held_at), "why": _why(row),
        "hardBounces": row.hard_bounces, "bouncesSince": output.utc(row.bounces_since), "language": row.language,
    }  # fmt: skip


def _why(row: Row[Any]) -> str | None:
    kept = row.complained_why or row.held_why
    return recalled(kept) if kept else None


def _because(row: Row[Any]) -> str | None:
    if row.complained_at is not None:
        return "complaint"
    return "bounces" if row.held_at is not None else None


def _say(row: Row[Any], as_json: bool, words: str) -> None:
    if as_json:
        output.print_json(as_object(row))
    else:
        click.echo(f"{row.address} {words}")

"""`postroom migrate-store`: everything into another database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output

if TYPE_CHECKING:
    from postroom.store.copying import RawMail


@click.command("migrate-store")
@click.option(
    "--to", "url", required=True, metavar="URL", help="The new store.url: postgresql+psycopg://user@host/name."
)
@click.option(
    "--raw-mail",
    type=click.Choice(["keep", "database", "objects"]),
    default="keep",
    show_default=True,
    help="Where the bytes of mail are to lie: where they do, all in the new database, or what is large in [raw_mail].",
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, url: str, raw_mail: RawMail, as_json: bool) -> None:
    """Copy the store into another, empty database, and compare the two. Stop the daemon first.

    A copy that was cut off goes on when it is called again.
    """
    settings = config.load(config_path)
    from postroom.cli.opening import open_store
    from postroom.errors import UserError
    from postroom.store.copying import copy_store
    from postroom.store.engine import Store

    with open_store(settings) as source, source.daemon_lock("migrate-store"):
        if raw_mail == "objects" and source.objects is None:
            raise UserError("raw_mail.url: is empty; name the store of objects into which mail is to go")
        target = Store(url, objects=source.objects)
        if target.engine.url == source.engine.url:
            raise UserError("--to names the store that is there already")
        try:
            with target.daemon_lock("migrate-store"):
                copied = copy_store(source, target, _told() if not as_json else lambda *_: None, raw_mail)
        finally:
            target.dispose()
    total = sum(copied.rows.values())
    if as_json:
        output.print_json({"rows": copied.rows, "total": total, "resumed": copied.resumed})
        return
    click.echo(
        f"{total} rows are there, and equal. Now set store.url to the new one; the signing keys stay in keys.file."
    )


def _told() -> Callable[[str, int, int], None]:
    """Says on standard error how far each table is, when another tenth of it is done."""
    said: dict[str, int] = {}

    def progress(table: str, done: int, total: int) -> None:
        tenths = 10 if done >= total else 10 * done // total
        if total and said.get(table) != tenths:
            said[table] = tenths
            click.echo(f"{table}: {done} of {total}", err=True)

    return progress

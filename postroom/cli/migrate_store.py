"""`postroom migrate-store`: everything into another database."""

from __future__ import annotations

from collections.abc import Callable

import click

from postroom import config
from postroom.cli import output


@click.command("migrate-store")
@click.option(
    "--to", "url", required=True, metavar="URL", help="The new store.url: postgresql+psycopg://user@host/name."
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, url: str, as_json: bool) -> None:
    """Copy the store into another, empty database, and compare the two. Stop the daemon first.

    A copy that was cut off goes on when it is called again.
    """
    settings = config.load(config_path)
    from postroom.cli.opening import open_store
    from postroom.errors import UserError
    from postroom.store.copying import copy_store
    from postroom.store.engine import Store

    with open_store(settings) as source, source.daemon_lock("migrate-store"):
        target = Store(url)
        if target.engine.url == source.engine.url:
            raise UserError("--to names the store that is there already")
        try:
            with target.daemon_lock("migrate-store"):
                copied = copy_store(source, target, _told() if not as_json else lambda *_: None)
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

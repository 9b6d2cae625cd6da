"""`postroom migrate`: the database's schema."""

from __future__ import annotations

import click

from postroom import config
from postroom.cli import output


@click.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, as_json: bool) -> None:
    """Bring the database to this version's schema; nothing where it is there."""
    settings = config.load(config_path)
    from postroom.store import migrate
    from postroom.store.engine import Store

    store = Store(settings.store_url(), direct_url=settings.store.direct_url)
    try:
        before = migrate.version(store)
        if not migrate.is_current(store):
            with store.daemon_lock("migrate"):
                migrate.upgrade(store)
        after = migrate.version(store)
    finally:
        store.dispose()
    if as_json:
        output.print_json({"from": before, "to": after, "changed": before != after})
    elif before != after:
        click.echo(f"the schema is now {after}" + (f", it was {before}" if before else ""))
    elif after != migrate.HEAD:
        click.echo(f"the schema is {after}, which a later version made; this one ({migrate.HEAD}) can work on it")
    else:
        click.echo(f"the schema is {after} already")

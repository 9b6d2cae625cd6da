"""`postroom backup PATH`: everything, as it is at one moment."""

from __future__ import annotations

from pathlib import Path

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store


@click.command("backup")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, path: Path, as_json: bool) -> None:
    """Make the folder PATH with the database and the signing keys, while the daemon runs. Put it back with restore."""
    from postroom.daemon.backing_up import back_up
    from postroom.store import raw_mail

    settings = config.load(config_path)
    with open_store(settings) as store:
        made = back_up(settings, store, path.absolute())
        with store.read() as connection:
            lies = raw_mail.lies(connection)
    size = sum(file.stat().st_size for file in made.iterdir())
    if as_json:
        output.print_json({"path": str(made), "size": size, "inObjects": lies.objects})
    else:
        click.echo(f"{made}: {output.size(size)}; it holds all mail and the signing keys: keep it as you keep those")
        if lies.objects:
            click.echo(f"the bytes of {lies.objects} mails lie in {settings.raw_mail.url}, and are not in it")

"""`postroom restore PATH`: a backup in the place of what is there."""

from __future__ import annotations

from pathlib import Path

import click

from postroom import config
from postroom.cli import output


@click.command("restore")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, path: Path, yes: bool, as_json: bool) -> None:
    """Put the backup in the folder PATH in the place of the store; the daemon must not run.

    An SQLite store that is there is kept beside it; a PostgreSQL database has to be empty. Automatic mail that waited when the
    backup was made is cancelled, for it may have gone out since; people's mail is sent, with its old Message-ID.
    """
    from postroom.daemon.backing_up import restore

    settings = config.load(config_path)
    if not yes and not click.confirm(f"Put {path} in the place of {settings.store.url}?", default=False):
        raise click.Abort
    done = restore(settings, path.absolute())
    if as_json:
        output.print_json(
            {
                "madeAt": done.made_at,
                "cancelled": done.cancelled,
                "sentAgain": done.again,
                "keys": done.keys,
                "objects": done.objects,
            }
        )
        return
    click.echo(f"the store is as it was at {done.made_at}; keys: {done.keys}")
    if done.objects:
        click.echo(
            f"the bytes of {done.objects['count']} mails lie in {done.objects['url']}; see that they are there: postroom objects verify"
        )
    click.echo(f"{done.cancelled} automatic mails cancelled, {done.again} of people's will be sent")

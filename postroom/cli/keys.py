"""`postroom keys`: what signs our reply addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

RESTART = "a daemon that runs reads them when it is reloaded (SIGHUP)"


@click.group("keys")
def command() -> None:
    """What signs our reply addresses; who reads the file can write into any ticket."""


@command.command("new")
@click.option(
    "--replace", is_flag=True, help="Put it in place of the old ones: what they signed proves nothing any more."
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def new(config_path: str | None, replace: bool, as_json: bool) -> None:
    """Make a new key, where there is none, or in place of the old ones: after restoring an old backup."""
    from postroom.daemon.keys import new_key, write_keys

    path = _path(config_path)
    if path.exists() and not replace:
        raise UserError(f"keys.file: {path} is there; rotate it, or replace it with --replace")
    write_keys(path, [new_key()], replace=True)
    _say(path, as_json)


@command.command("rotate")
@click.option(
    "--keep", default=2, show_default=True, type=click.IntRange(1), help="How many keys are kept, the new one too."
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def rotate(config_path: str | None, keep: int, as_json: bool) -> None:
    """Sign with a new key from now on; what the kept ones signed is still recognised."""
    from postroom.daemon.keys import load_signer, new_key, read_keys, write_keys

    path = _path(config_path)
    load_signer(path, create=False)
    keys = [new_key(), *read_keys(path)][:keep]
    write_keys(path, keys, replace=True)
    _say(path, as_json, len(keys) - 1)


def _say(path: Path, as_json: bool, older: int = 0) -> None:
    if as_json:
        output.print_json({"file": str(path), "olderKeys": older})
    else:
        click.echo(f"a new key signs, {older} older {'is' if older == 1 else 'are'} recognised ({path}); {RESTART}")


def _path(config_path: str | None) -> Path:
    settings = config.load(config_path)
    return settings.resolve(settings.keys.file)

"""`postroom objects`: mail that lies in a store of objects: is it there, what lies there besides, and moving it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store
from postroom.errors import ConfigError, UserError

if TYPE_CHECKING:
    from postroom.store.engine import Store
    from postroom.store.objects import Objects

AT_ONCE = 16  # mails: their bytes are in memory at once
GRACE = timedelta(days=1)  # what was put since may be about to be named
SUSPICIOUS = 100  # objects of nobody; where they are also the most, the prefix may be another store's


@click.group("objects")
def command() -> None:
    """Mail that lies in a store of objects (S3)."""


@command.command("verify")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def verify(config_path: str | None, as_json: bool) -> int:
    """Read every mail that lies there, and compare it with its SHA-256. Names those that are missing or damaged."""
    from postroom.store.objects import Unreadable

    broken: list[str] = []
    with _opened(config_path) as (store, objects):

        def look(some: list[tuple[str, str | None]]) -> None:
            found = objects.get_all([place for _, place in some if place])
            for outcome in found.values():
                if isinstance(outcome, Unreadable):
                    broken.append(str(outcome))
                elif isinstance(outcome, Exception):
                    raise outcome

        count = _each(store, True, 1, look)
    if as_json:
        output.print_json({"verified": count - len(broken), "broken": broken})
    else:
        for words in broken:
            click.echo(words, err=True)
        click.echo(f"{count - len(broken)} of {count} mails are there, and as they were put")
    return 1 if broken else 0


@command.command("sweep")
@click.option("--delete", "is_delete", is_flag=True, help="Delete them. Without it they are only counted.")
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Write them as .eml files."
)
@click.option("--yes", is_flag=True, help="Although most of what lies there is no mail of this store.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def sweep(config_path: str | None, is_delete: bool, save: Path | None, yes: bool, as_json: bool) -> None:
    """Find objects that are no mail of this store: what a crash left behind, or what came after the backup that was restored.

    Only what lies there for more than a day, by the clock of the store of objects itself, and what no mail names.
    After a restore, --save them first and look: they may be the only copy of mail that came since the backup.
    """
    from postroom.store import raw_mail

    with _opened(config_path) as (store, objects):
        before = objects.probe() - GRACE
        strange: list[str] = []
        octets = known = 0
        for page in objects.names():
            with store.read() as connection:
                ours = raw_mail.named(connection, [name for name, _, _ in page])
            known += len(ours)
            found = [(name, size) for name, size, at in page if name not in ours and at < before]
            strange += [name for name, _ in found]
            octets += sum(size for _, size in found)
        if is_delete and not yes and len(strange) > max(known, SUSPICIOUS):
            raise UserError(
                f"{len(strange)} objects are no mail of this store, and only {known} are: is {objects.url} another store's, "
                "or was an old backup restored? Nothing was deleted; --yes does it all the same"
            )
        for start in range(0, len(strange), AT_ONCE):
            some = strange[start : start + AT_ONCE]
            if save:
                _save(objects, some, save)
            if is_delete:
                objects.delete(some)
    if as_json:
        output.print_json({"found": len(strange), "octets": octets, "deleted": len(strange) if is_delete else 0})
    else:
        click.echo(
            f"{len(strange)} objects ({output.size(octets)}) are no mail of this store{', and were deleted' if is_delete else ''}"
        )


def _save(objects: Objects, names: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, outcome in objects.get_all(names).items():
        if isinstance(outcome, Exception):
            raise UserError(f"nothing more was saved or deleted: {outcome}")
        path = folder / f"{name.partition('.')[0]}.eml"
        path.touch(0o600)
        path.write_bytes(outcome)


@command.command("move")
@click.option(
    "--to", "target", type=click.Choice(["objects", "database"]), required=True, help="Where all mail is to lie."
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def move(config_path: str | None, target: str, as_json: bool) -> None:
    """Move the bytes of all mail that is there: out of the database, or into it. The daemon may run.

    To objects goes what is at least raw_mail.min_size. Moving into the database is for leaving the store of objects: set
    raw_mail.min_size above smtp.max_size first, restart, move, and empty raw_mail.url when `objects verify` finds none.
    """
    from postroom.store import raw_mail

    moved = 0
    with _opened(config_path) as (store, objects):
        move_one = raw_mail.move_out if target == "objects" else raw_mail.move_in

        def go(some: list[tuple[str, str | None]]) -> None:
            nonlocal moved
            moved += sum(move_one(store, objects, digest) for digest, _ in some)

        _each(store, target == "database", objects.least if target == "objects" else 1, go)
        raw_mail.work(store)
    if as_json:
        output.print_json({"moved": moved, "to": target})
    else:
        click.echo(f"{moved} mails were moved")


def _each(store: Store, in_objects: bool, least: int, look: Callable[[list[tuple[str, str | None]]], None]) -> int:
    """Call `look` with the mails whose bytes lie there, a handful at a time; how many they were."""
    from postroom.store import raw_mail

    after, count = "", 0
    while True:
        with store.read() as connection:
            some = raw_mail.mails(connection, in_objects, after, AT_ONCE, least)
        if not some:
            return count
        look(some)
        after, count = some[-1][0], count + len(some)


@contextmanager
def _opened(config_path: str | None) -> Iterator[tuple[Store, Objects]]:
    """The store, and the store of objects that belongs to it."""
    settings = config.load(config_path)
    if not settings.raw_mail.url:
        raise ConfigError('raw_mail.url: is empty: all mail lies in the database; name a store of objects ("s3://...")')
    with open_store(settings) as store:
        assert store.objects is not None
        yield store, store.objects

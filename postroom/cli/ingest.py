"""`postroom ingest`: mail from files, to the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_house
from postroom.errors import UserError

if TYPE_CHECKING:
    from postroom.daemon.ingest import Summary, Watching

PASSED_OVER_SHOWN = 5  # names; there may be thousands


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--recipient", metavar="ADDR", help="The envelope's recipient. Without it: Delivered-To, or the mailbox's address."
)
@click.option("--sender", metavar="ADDR", help="The envelope's sender, '' for none. Without it: Return-Path.")
@click.option(
    "--mailbox", metavar="NAME", help="The mailbox that it is for. Without it: by the recipient, or by To and Cc."
)
@click.option("--quiet", is_flag=True, help="Write no outgoing mail.")
@click.option("--archive", is_flag=True, help="It is history: quiet, and the archive's own threads are trusted.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_obj
def command(
    config_path: str | None, paths: tuple[str, ...], recipient: str | None, sender: str | None, mailbox: str | None,
    quiet: bool, archive: bool, as_json: bool,
) -> None:  # fmt: skip
    """Take mail from .eml files, mboxes, Maildirs, directories of these, or - (standard input), oldest first as given.

    Everything is stored, parsed and threaded before this returns. Taking the same files again changes
    nothing. Hidden files and folders of a directory are left out.
    """
    settings = config.load(config_path)
    from postroom.daemon.forking import fork_early

    fork_early()
    from postroom.daemon.ingest import Options, ingest
    from postroom.daemon.mailfiles import count_octets, find_mails

    gc.freeze()  # what was imported is no garbage: to find that out takes 40 ms each time
    sender = sender.strip("<>") if sender is not None else None
    options = Options(mailbox, recipient, sender, quiet, archive)
    mails = find_mails(paths, sys.stdin.buffer, int(settings.smtp.max_size))
    with open_house(settings, create=True) as house, _progress(lambda: count_octets(paths)) as watching:
        summary = ingest(house, mails, options, watching)
    for found in summary.problems:
        print(f"postroom: {output.one_line(found.name)}: {found.problem}", file=sys.stderr)
    _say_passed_over(summary.passed_over)
    output.print_json(_as_json(summary)) if as_json else _print(summary)
    if summary.problems:
        raise UserError(f"{_count(len(summary.problems), 'path')} gave no mail; everything else was taken")


def _as_json(summary: Summary) -> dict[str, Any]:
    return {
        "accepted": summary.accepted, "duplicate": summary.duplicate, "ticketsOpened": summary.outcomes["opened"],
        "messagesAdded": summary.outcomes["added"], "settled": summary.outcomes["settled"],
        "quarantined": summary.outcomes["quarantined"], "failed": len(summary.problems),
        "passedOver": len(summary.passed_over),
    }  # fmt: skip


def _print(summary: Summary) -> None:
    words = [f"{summary.accepted} accepted", f"{summary.duplicate} duplicate"]
    words.append(_count(summary.outcomes["opened"], "ticket") + " opened")
    words.append(_count(summary.outcomes["added"], "message") + " added")
    words += [
        f"{summary.outcomes[key]} {key}"
        for key in ("settled", "quarantined")
        if summary.outcomes[key] or key == "quarantined"
    ]
    click.echo(", ".join(words))
    if summary.outcomes["quarantined"]:
        click.echo("see them with: postroom inbound list --state quarantined")


def _say_passed_over(names: list[str]) -> None:
    if names:
        more = f" and {len(names) - PASSED_OVER_SHOWN} more" if len(names) > PASSED_OVER_SHOWN else ""
        which = ", ".join(map(output.one_line, names[:PASSED_OVER_SHOWN]))
        print(f"postroom: no mail, passed over: {which}{more}", file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def _progress(count: Any) -> Iterator[Watching]:
    """A progress bar on a terminal, nothing elsewhere."""
    from postroom.daemon.ingest import Watching

    if not sys.stderr.isatty():
        yield Watching()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        taking = progress.add_task("taking", total=count())
        processing = progress.add_task("processing", total=None, visible=False)

        class Bars(Watching):
            looks = True

            def took(self, octets: int) -> None:
                progress.advance(taking, octets)

            def processing(self, done: int, of: int) -> None:
                progress.update(processing, completed=done, total=of, visible=True)

        yield Bars()

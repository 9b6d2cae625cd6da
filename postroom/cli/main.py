"""The `postroom` command: which subcommands there are, where they live, and how an error ends."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from postroom import __version__
from postroom.errors import UserError

# name -> (module, one line of help). The module has a click command of the name `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("postroom.cli.run", "The daemon: IMAP, SMTP, processing, outgoing mail, schedule."),
    "demo": ("postroom.cli.demo", "The main job on built-in mail, in a temporary directory, narrated."),
    "check": ("postroom.cli.check", "Check the configuration and each connection it names."),
    "ingest": ("postroom.cli.ingest", "Take mail from files, mboxes, Maildirs or standard input."),
    "parse": ("postroom.cli.parse", "Parse mail without storing it."),
    "tickets": ("postroom.cli.tickets", "List, show, export and work on tickets."),
    "inbound": ("postroom.cli.inbound", "Mail received, and what became of it."),
    "outbox": ("postroom.cli.outbox", "Mail going out."),
    "agents": ("postroom.cli.agents", "Who answers."),
    "mailboxes": ("postroom.cli.mailboxes", "Where mail comes in."),
    "migrate": ("postroom.cli.migrate", "Bring the database to this version's schema."),
    "status": ("postroom.cli.status", "Health: oldest unprocessed mail, outbox, mailboxes, quarantine."),
}


class LazyGroup(click.Group):
    """Knows every subcommand's name and help, and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="postroom")
@click.option(
    "-c", "--config", "config_path", type=click.Path(), metavar="FILE",
    help="The configuration. Without it: $POSTROOM_CONFIG, ./postroom.toml, /etc/postroom/config.toml, the defaults.",
)  # fmt: skip
@click.pass_context
def postroom(ctx: click.Context, config_path: str | None) -> None:
    """The mail core of a help desk: mail in, tickets, replies out."""
    ctx.obj = config_path


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the status that INTERFACE.md promises."""
    try:
        result: Any = postroom.main(args=argv, prog_name="postroom", standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        print(f"postroom: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # the reader (`head`) has had enough; Python must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

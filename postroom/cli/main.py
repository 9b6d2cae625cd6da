"""The `postroom` command: which subcommands there are, where they live, and how an error ends."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click

from postroom import __version__
from postroom.errors import PostroomError, TemporaryFailure, TryAgainLater, UserError

# name -> (module, one line of help). The module has a click command of the name `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("postroom.cli.run", "The daemon: IMAP, SMTP, processing, outgoing mail, schedule."),
    "init": ("postroom.cli.init", "Write a configuration that works, after a few questions."),
    "demo": ("postroom.cli.demo", "The main job on built-in mail, in a temporary directory, narrated."),
    "check": ("postroom.cli.check", "Check the configuration and each connection it names."),
    "ingest": ("postroom.cli.ingest", "Take mail from files, mboxes, Maildirs or standard input."),
    "parse": ("postroom.cli.parse", "Parse mail without storing it."),
    "tickets": ("postroom.cli.tickets", "List, show, export and work on tickets."),
    "inbound": ("postroom.cli.inbound", "Mail received, and what became of it."),
    "outbox": ("postroom.cli.outbox", "Mail going out."),
    "send-test": ("postroom.cli.send_test", "Send a test mail, and tell each step."),
    "agents": ("postroom.cli.agents", "Who answers."),
    "addresses": ("postroom.cli.addresses", "To whom nothing goes by itself any more, and why."),
    "mailboxes": ("postroom.cli.mailboxes", "Where mail comes in."),
    "dkim": ("postroom.cli.dkim", "The keys that sign what goes out, and the DNS records to publish."),
    "templates": ("postroom.cli.templates", "The words of what we send: list, show, check, preview, translate."),
    "rules": ("postroom.cli.rules", "The rules that route mail, and what a mail would meet."),
    "keys": ("postroom.cli.keys", "What signs our reply addresses: make, rotate."),
    "report": ("postroom.cli.report", "How the desk did in a month."),
    "backup": ("postroom.cli.backup", "Copy everything into a folder, while the daemon runs."),
    "restore": ("postroom.cli.restore", "Put a backup in the place of the store."),
    "forget": ("postroom.cli.forget", "Erase a person everywhere; numbers stay."),
    "objects": ("postroom.cli.objects", "Mail that lies in a store of objects: verify, sweep, move."),
    "migrate": ("postroom.cli.migrate", "Bring the database to this version's schema."),
    "migrate-store": ("postroom.cli.migrate_store", "Copy everything into another database."),
    "rescue": ("postroom.cli.rescue", "Get the mail out of a damaged SQLite file."),
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
        _accept_config(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader (`head`) has had enough; click would call that a failure
            _end_output()
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _accept_config(command: click.Command) -> None:
    """Let `-c FILE` stand behind the command's name, too."""
    if all(option.name != "config_path" for option in command.params):
        command.params.append(
            click.Option(
                ["-c", "--config", "config_path"], type=str, metavar="FILE", help="The configuration.",
                expose_value=False, is_eager=True, callback=_remember_config,
            )
        )  # fmt: skip
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _accept_config(inner)


def _remember_config(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.obj = value


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="postroom")
@click.option(
    "-c", "--config", "config_path", type=str, metavar="FILE",
    help="The configuration. Without it: $POSTROOM_CONFIG, ./postroom.toml, /etc/postroom/config.toml, the defaults.",
)  # fmt: skip
@click.pass_context
def postroom(ctx: click.Context, config_path: str | None) -> None:
    """The mail core of a help desk: mail in, tickets, replies out."""
    ctx.obj = config_path


GARBAGE = 20_000  # new objects before some are looked through; at Python's 700 that is a tenth of each start


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the status that INTERFACE.md promises."""
    gc.set_threshold(GARBAGE)
    for stream in (sys.stdout, sys.stderr):  # a locale that cannot say a name is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result: Any = postroom.main(args=argv, prog_name="postroom", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TemporaryFailure as error:
        _fail(error, TryAgainLater.exit_status)
    except PostroomError as error:
        _fail(error, error.exit_status if isinstance(error, UserError) else 1)
    except BrokenPipeError:
        _end_output()
        sys.exit(0)
    except OSError as error:  # standard output is full, or closed
        _end_output()
        _fail(UserError(f"cannot write: {error.strerror or error}"), UserError.exit_status)


def _fail(error: Exception, status: int) -> NoReturn:
    print(f"postroom: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(status)


def _end_output() -> None:
    """Let the rest go nowhere: Python would complain at exit that nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

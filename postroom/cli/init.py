"""`postroom init`: a few questions, and a configuration that works is written, with its reasons beside it.

Each answer can also be given as an option; without a terminal what is not given takes its default. Nothing that is there is
overwritten. Passwords go into files of their own, for their owner alone, never into the configuration.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from postroom.errors import UserError

IMAP_PASSWORD, SMTP_PASSWORD = "imap-password", "smtp-password"  # files beside the configuration
PASSWORDS = {IMAP_PASSWORD: "imap_password", SMTP_PASSWORD: "smtp_password"}


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, one way or the other."""

    address: str
    agents: tuple[str, ...]
    incoming: str
    outgoing: str
    imap_host: str
    imap_user: str
    smtp_host: str
    smtp_user: str
    listen: str
    operator: str
    state: str


@click.command("init")
@click.argument("file", default="postroom.toml", type=str)
@click.option("--address", help="The support address that customers write to.")
@click.option(
    "--agent", "agents", multiple=True, metavar="NAME=ADDR", help="Who answers: ann=ann@example.com. May be repeated."
)
@click.option(
    "--incoming",
    type=click.Choice(["imap", "smtp"]),
    help="How mail comes in: fetched from a mailbox, or handed to us.",
)
@click.option(
    "--outgoing",
    type=click.Choice(["smtp", "maildir"]),
    help="How mail goes out: through a server, or into a folder, to try it out.",
)
@click.option("--imap-host", help="The IMAP server (TLS on port 993).")
@click.option("--imap-user", help="Whom we log in as there. [the address]")
@click.option(
    "--imap-password-env", metavar="VAR", help="The variable that holds its password, to be written into imap-password."
)
@click.option("--smtp-host", help="The server that takes our mail (STARTTLS on port 587).")
@click.option("--smtp-user", help="Whom we log in as there. [the address]")
@click.option(
    "--smtp-password-env", metavar="VAR", help="The variable that holds its password, to be written into smtp-password."
)
@click.option("--listen", help="Where mail that is handed to us arrives.  [127.0.0.1:2525]")
@click.option("--operator", default="", help="Who is told when something goes wrong.")
@click.option(
    "--state", default="var", show_default=True, help="The folder for the database, the keys and outgoing mail."
)
@click.option("--json", "as_json", is_flag=True, help="Say what was written as one object; ask nothing.")
def command(file: str, as_json: bool, **given: Any) -> None:
    """Write a configuration FILE (postroom.toml) that works, after a few questions."""
    path = Path(file)
    if path.exists():
        raise UserError(f"{path} is there, and stays as it is; name another file, or edit it")
    ask = _asking(is_person=sys.stdin.isatty() and not as_json)
    answers = _answers(ask, given)
    text = write(answers)
    _check(text, path)
    made = [_make(path, text, 0o644)]
    for name, key in _needed(answers):
        secret = _password(ask, name, given[f"{key}_env"])
        where = path.parent / name
        if secret and not where.exists():
            made.append(_make(where, secret + "\n", 0o600))
    if as_json:
        from postroom.cli import output

        output.print_json({"written": [str(one) for one in made]})
        return
    for one in made:
        click.echo(f"written: {one}")
    missing = [name for name, _ in _needed(answers) if not (path.parent / name).exists()]
    for name in missing:
        click.echo(f"still to be written: {path.parent / name}, with the password, and: chmod 600 {path.parent / name}")
    click.echo(f"next: postroom -c {path} check, then postroom -c {path} run")


Ask = Callable[[str, str | None, str, tuple[str, ...]], str]


def _asking(is_person: bool) -> Ask:
    def ask(question: str, given: str | None, default: str, choices: tuple[str, ...]) -> str:
        if given is not None:
            return given.strip()
        if not is_person:
            if not default:
                raise UserError(f"{question}? Say it with an option; see: postroom init --help")
            return default
        kind = click.Choice(choices) if choices else None
        return str(click.prompt(question, default=default or None, type=kind)).strip()

    return ask


def _answers(ask: Ask, given: dict[str, Any]) -> Answers:
    address = ask("The support address that customers write to", given["address"], "", ())
    agents = given["agents"] or tuple(
        part
        for part in ask("Who answers (NAME=ADDRESS, several with blanks)", None, "none", ()).split()
        if part != "none"
    )
    incoming = ask("How does mail come in", given["incoming"], "smtp", ("imap", "smtp"))
    outgoing = ask("How does mail go out", given["outgoing"], "maildir", ("smtp", "maildir"))
    domain = address.rpartition("@")[2]
    imap, smtp = incoming == "imap", outgoing == "smtp"
    return Answers(
        address, tuple(agents), incoming, outgoing,
        imap_host=ask("The IMAP server", given["imap_host"], f"imap.{domain}", ()) if imap else "",
        imap_user=ask("Whom do we log in as there", given["imap_user"], address, ()) if imap else "",
        smtp_host=ask("The server that takes our mail", given["smtp_host"], f"smtp.{domain}", ()) if smtp else "",
        smtp_user=ask("Whom do we log in as there", given["smtp_user"], address, ()) if smtp else "",
        listen=given["listen"] or "127.0.0.1:2525", operator=given["operator"], state=given["state"],
    )  # fmt: skip


def _needed(answers: Answers) -> list[tuple[str, str]]:
    """The password files that the configuration names, with the option that fills each."""
    wanted = {
        "imap-password": answers.incoming == "imap",
        "smtp-password": answers.outgoing == "smtp" and bool(answers.smtp_user),
    }
    return [(name, key) for name, key in PASSWORDS.items() if wanted[name]]


def _password(ask: Ask, name: str, variable: str | None) -> str:
    if variable:
        if not os.environ.get(variable):
            raise UserError(f"${variable} is not set")
        return os.environ[variable]
    if not sys.stdin.isatty():
        return ""
    return str(click.prompt(f"The password for {name} (empty: later)", default="", hide_input=True, show_default=False))


def _check(text: str, path: Path) -> None:
    """What we write is right, or says what was answered wrong."""
    import tomllib

    from postroom import config

    config.parse(tomllib.loads(text), path.parent.absolute())


def _make(path: Path, text: str, mode: int) -> Path:
    """A new file, with that mode from its first octet on; UserError where there is one, or none can be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return path


def _quoted(text: str) -> str:
    """A string as TOML has it."""
    import json

    return json.dumps(text)


def write(answers: Answers) -> str:
    """The configuration that these answers mean; ConfigError is whoever reads it back."""
    agents = [_agent(one) for one in answers.agents]
    parts = [
        "# Postroom. Every key with its default and why is in config.example.toml; `postroom check` says whether this works.",
        _section("[store]", "# The database: one file, for one daemon.", url=f"sqlite:///{answers.state}/postroom.db"),
        _section("[keys]", "# What signs our reply addresses. Back it up with the database.", file=f"{answers.state}/signing-keys"),
        "[smtp]\n# Where mail that is handed to us arrives; [] takes none.\n"
        + f"listen = [{_quoted(answers.listen) if answers.incoming == 'smtp' else ''}]\n",
        "[queue.support]\n# Who answers.\n" + f"agents = [{', '.join(_quoted(name) for name, _ in agents)}]\n",
        *(_section(f"[agent.{name}]", "", address=address) for name, address in agents),
        _section("[mailbox.support]", "# The address that customers write to, and that our mail comes from.",
                 address=answers.address, queue="support"),
    ]  # fmt: skip
    if answers.incoming == "imap":
        parts.append(_section("[mailbox.support.imap]", "# Where its mail is fetched, over TLS on port 993.", host=answers.imap_host,
                              user=answers.imap_user, password_file=IMAP_PASSWORD))  # fmt: skip
    if answers.outgoing == "maildir":
        parts.append(_section("[outgoing]", "# Into a folder: nothing leaves this machine. courier = \"smtp\" sends it.",
                              courier="maildir", maildir=f"{answers.state}/outgoing"))  # fmt: skip
    else:
        login = {"user": answers.smtp_user, "password_file": SMTP_PASSWORD} if answers.smtp_user else {}
        server = _section("[outgoing.smtp]", "# The server that takes our mail.", host=answers.smtp_host,
                          security="starttls", **login)  # fmt: skip
        parts += ['[outgoing]\ncourier = "smtp"\n', server + "port = 587\n"]
    return "\n".join(parts)


def _agent(one: str) -> tuple[str, str]:
    name, equals, address = one.partition("=")
    if not equals:
        name, address = one.partition("@")[0].lower(), one
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UserError(f"agent.{name}: a name has a-z, 0-9, _ and -; for example ann=ann@example.com")
    return name, address


def _section(heading: str, comment: str, **keys: str) -> str:
    lines = [heading, *([comment] if comment else []), *(f"{key} = {_quoted(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"

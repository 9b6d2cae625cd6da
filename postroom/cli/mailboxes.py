"""`postroom mailboxes`: where mail comes in."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store
from postroom.errors import TemporaryFailure, UserError

if TYPE_CHECKING:
    from postroom.daemon.oauth import Account
    from postroom.daemon.oauth_login import Prompt


@click.group("mailboxes")
def command() -> None:
    """Where mail comes in."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, as_json: bool) -> None:
    """List the mailboxes, and how each is read."""
    settings = config.load(config_path)
    rows = with_state(settings)
    if as_json:
        for row in rows:
            output.print_json(row)
        return
    output.print_table(
        ("NAME", "ADDRESS", "QUEUE", "COMES BY~", "LAST READ", "TROUBLE"),
        [
            (r["name"], [r["address"], *r["aliases"]], r["queue"], _by(r["imap"]), r["lastSuccessAt"], r["lastError"])
            for r in rows
        ],
        "no mailboxes: add one to the configuration as [mailbox.NAME]",
    )


@command.command("login")
@click.argument("name")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where the web page leads back to; 0 is any free one."
)
@click.option("--json", "as_json", is_flag=True, help="One object for what is to be done, one for what came of it.")
@click.pass_obj
def login(config_path: str | None, name: str, port: int, as_json: bool) -> None:
    """Log in to the account of the mailbox NAME, or of a smarthost (outgoing.smtp, smarthost.NAME), for a token (OAuth2)."""
    from postroom.cli import check_peers
    from postroom.daemon.oauth_login import by_browser, by_device

    settings = config.load(config_path)
    path, account = _account(settings, name)

    def tell(prompt: Prompt) -> None:
        if as_json:
            output.print_json(
                {
                    "url": prompt.url,
                    "code": prompt.code or None,
                    "seconds": int(prompt.seconds),
                    "account": account.user,
                }
            )
        else:
            _tell(prompt, account)

    try:
        if account.app.way == "device":
            account.remember(by_device(account, tell))
        elif account.app.way == "browser":
            account.remember(by_browser(account, tell, port, _typed()))
    except TemporaryFailure as error:
        raise UserError(str(error)) from error
    try:
        words = check_peers.smarthost(settings, path) if path == name else check_peers.imap(settings, name)
    except UserError as error:
        raise UserError(f"{account.user} has logged in, and that is kept; but {error}") from error
    if as_json:
        output.print_json({"account": account.user, "oauth": account.name, "loggedIn": True, "detail": str(words)})
    else:
        click.echo(f"{account.user} is logged in: {output.one_line(words)}")


@command.command("logout")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def logout(config_path: str | None, name: str, as_json: bool) -> None:
    """Forget the login of the mailbox NAME, or of a smarthost: its tokens are deleted here."""
    _, account = _account(config.load(config_path), name)
    try:
        was_there = account.forget()
    except TemporaryFailure as error:
        raise UserError(str(error)) from error
    if not was_there:
        raise UserError(f"nobody has logged in as {account.user} ({account.name})")
    if as_json:
        output.print_json({"account": account.user, "oauth": account.name, "loggedIn": False})
        return
    click.echo(
        f"the tokens of {account.user} ({account.name}) are deleted here; that the account allows them ends where its owner removes "
        "the app"
    )


def _account(settings: config.Config, name: str) -> tuple[str, Account]:
    """The path of its table, and the account, of a mailbox by its name or a smarthost by its path."""
    from postroom.daemon.oauth import accounts

    found = accounts(settings)
    for path in (f"mailbox.{name}.imap", name):
        if path in found:
            return path, found[path]
    names = ", ".join(path.removeprefix("mailbox.").removesuffix(".imap") for path in found) or "none"
    raise UserError(f"{name}: there is no such mailbox or smarthost with an oauth; there are: {names}")


def _tell(prompt: Prompt, account: Account) -> None:
    url = output.one_line(prompt.url)
    click.echo(
        f"Open this page, and log in as {account.user} (within {output.duration(int(prompt.seconds))}):\n\n    {url}\n"
    )
    if prompt.code:
        click.echo(f"It asks for this code:\n\n    {output.one_line(prompt.code)}\n\nWaiting ...")
    else:
        click.echo(
            "Where the browser is on another machine it cannot show the last page, which is at localhost: then copy that page's whole "
            "address to here.\n\nWaiting ..."
        )


def _typed() -> int | None:
    """Where an address can be typed in."""
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def with_state(settings: config.Config) -> list[dict[str, Any]]:
    """Each mailbox of the configuration as JSON, with how its watcher fares (None for mail by SMTP)."""
    from postroom.store import imap, nodes

    with open_store(settings) as store, store.read() as connection:
        states = {row.mailbox: row for row in imap.states(connection)}
        watched = {(of, folder): node for of, folder, node in nodes.watched(connection, datetime.now(UTC))}
    rows = []
    for name, mailbox in settings.mailbox.items():
        state = states.get(name) if mailbox.imap else None
        rows.append({
            "name": name, "address": mailbox.address, "aliases": list(mailbox.aliases), "queue": mailbox.queue,
            "imap": _imap(mailbox.imap),
            "lastSuccessAt": output.utc(state.last_success_at) if state else None,
            "failingSince": output.utc(state.failing_since) if state else None,
            "lastError": state.last_error if state else None,
            "watchedBy": watched.get((mailbox.imap.account, mailbox.imap.folder)) if mailbox.imap else None,
        })  # fmt: skip
    return rows


def _imap(imap: config.Imap | None) -> dict[str, Any] | None:
    if imap is None:
        return None
    return {
        "host": imap.host, "port": imap.port, "security": imap.security, "user": imap.user, "folder": imap.folder,
        "after": imap.after,
    }  # fmt: skip


def _by(imap: dict[str, Any] | None) -> str:
    return "SMTP" if imap is None else f"IMAP: {imap['user']} at {imap['host']}, {imap['folder']}"

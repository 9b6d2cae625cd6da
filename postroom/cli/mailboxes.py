"""`postroom mailboxes`: where mail comes in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store


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

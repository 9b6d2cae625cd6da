"""`postroom run`: the daemon."""

from __future__ import annotations

import asyncio

import click

from postroom import config


@click.command("run")
@click.pass_obj
def command(config_path: str | None) -> None:
    """The daemon: IMAP, SMTP, processing, outgoing mail, schedule. SIGTERM ends it."""
    settings = config.load(config_path)
    from postroom.daemon.run import leave_in_time, serve

    asyncio.run(serve(settings, leave_in_time))

"""`postroom run`: the daemon."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any

import click

from postroom import config


@click.command("run")
@click.option(
    "--only", metavar="ROLES", help="Of smtp, imap, work, send, schedule: only these, with commas. Without it: all."
)
@click.pass_obj
def command(config_path: str | None, only: str | None) -> None:
    """The daemon: IMAP, SMTP, processing, outgoing mail, schedule. SIGTERM ends it."""
    from postroom.daemon.roles import ALL, read_roles
    from postroom.errors import UserError

    try:
        roles = ALL if only is None else read_roles(only)
    except UserError as error:
        raise click.UsageError(str(error)) from None
    signal.signal(signal.SIGTERM, _leave)
    settings = config.load(config_path)
    from postroom.daemon.forking import fork_early

    fork_early()
    from postroom.daemon.run import leave_in_time, serve

    gc.freeze()  # what was imported is no garbage: to find that out takes 40 ms each time
    asyncio.run(_until_told(serve(settings, leave_in_time, roles)))


async def _until_told(serving: Coroutine[Any, Any, None]) -> None:
    """Serve, and hear no more signals then: one that came a moment after "stopped" would make a good end look like a bad one."""
    await serving
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)  # else the loop gives it back its power to kill as it closes
        signal.signal(number, signal.SIG_IGN)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Told to stop before anything has begun: that is no failure."""
    sys.exit(0)

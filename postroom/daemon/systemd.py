"""Telling systemd how we are (sd_notify(3)); nothing where it does not ask."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

START_MORE = 60  # seconds that a start which waits for something may take from now on


def starting(status: str) -> None:
    """We are starting still, and wait for what `status` says: no reason to be killed."""
    notify(f"STATUS={status}\nEXTEND_TIMEOUT_USEC={START_MORE * 1_000_000}")


def notify(state: str) -> None:
    """Send `READY=1` or the like to `$NOTIFY_SOCKET`."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)

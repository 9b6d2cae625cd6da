"""What systemd and we tell each other: how we are (sd_notify(3)), and the sockets that it opened (sd_listen_fds(3)).

Nothing where it does not ask.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
START_MORE = 60  # seconds that a start which waits for something may take from now on


def notify(state: str) -> None:
    """Send `READY=1` or the like to `$NOTIFY_SOCKET`."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)


def starting(status: str) -> None:
    """We are starting still, and wait for what `status` says: no reason to be killed."""
    notify(f"STATUS={status}\nEXTEND_TIMEOUT_USEC={START_MORE * 1_000_000}")


def reloading() -> None:
    """We read the configuration anew; `READY=1` follows, whatever comes of it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """How long systemd waits for a `WATCHDOG=1` before it ends us; None where it does not watch this process."""
    watched, micros = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if not micros.isdigit() or (watched and watched != str(os.getpid())):
        return None
    return int(micros) / 1_000_000 or None


def take_sockets(environ: MutableMapping[str, str] | None = None) -> list[socket.socket]:
    """The listening stream sockets that systemd handed to this process, in its order; at the first call only.

    No process that we start inherits them, nor the variables that tell of them.
    """
    environ = os.environ if environ is None else environ
    process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        with suppress(OSError):  # a pipe or a file that a drop-in added is nothing of ours
            one = socket.socket(fileno=descriptor)
            if one.type == socket.SOCK_STREAM and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                one.setblocking(False)
                found.append(one)
            else:
                one.detach()
    return found

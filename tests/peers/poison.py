"""Parsers that do to their worker what the worst mail could do: real signals, real loops, real memory."""

from __future__ import annotations

import os
import signal
import time
from typing import cast

from postroom.parsers.parsed import ParsedEmail


class Unreadable:
    """What breaks whoever takes a worker's answer over."""

    def __reduce__(self) -> tuple[type, tuple[None]]:
        return int, (None,)


def no_start(_memory: int) -> None:
    """Ends a worker before it can do anything, as where the machine has no process or memory left."""
    os._exit(1)


def _is_first(mark: str) -> bool:
    """Whether nobody was here yet: true once for a path."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def parse(mail: bytes) -> ParsedEmail:
    """Reads `boom KIND` anywhere in a mail as an order to break; every other mail has its first line as subject."""
    if b"boom segfault" in mail:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"boom server" in mail and _is_first(mail.split()[2].decode()):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if b"boom loop" in mail:
        while True:
            time.sleep(0.01)
    if b"boom spin" in mail:
        while True:
            pass
    if b"boom memory" in mail:
        return ParsedEmail(subject=str(len(bytearray(2 << 30))))
    if b"boom answer" in mail:
        return ParsedEmail(subject=cast("str", Unreadable()))
    if b"boom raise" in mail:
        raise ValueError("a parser never raises, but what if")
    return ParsedEmail(subject=mail.partition(b"\n")[0].decode())

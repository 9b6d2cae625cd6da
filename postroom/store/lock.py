"""Who works on an SQLite store? One daemon, or one command that works as one: the lock lies in a file beside the store.

It is the kernel's (flock), so it ends with its process; the words in the file say who that is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postroom.errors import ConfigError

DAEMON = "daemon"  # who holds a store for good
HOLDER_MAX = 100  # octets that the lock file's words take


class StoreHeld(ConfigError):
    """Another process works on the SQLite store: a daemon, which stays, or a command, which ends."""

    def __init__(self, path: Path, process: str, who: str) -> None:
        super().__init__(
            f"store.url: another {who} (process {process}) uses {path}; "
            "an SQLite store serves one daemon, PostgreSQL any number"
        )
        self.process, self.who = process, who
        self.is_by_daemon = who == DAEMON


def held_by(path: Path) -> StoreHeld | None:
    """Who holds the store in that file; None where nobody does."""
    try:
        lock = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        process, who = _holder(os.pread(lock, HOLDER_MAX, 0))
        if not process.isdigit():  # nobody, or one who is about to say so
            return None
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return StoreHeld(path, process, who)
    else:
        return None  # it died, and its words stayed
    finally:
        os.close(lock)


@contextmanager
def holding(path: Path, who: str) -> Iterator[None]:
    """Hold the store in that file; `who` says as what. Raises StoreHeld where another process holds it."""
    lock = os.open(_beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(path, lock) from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()} {who}".encode())
        yield
        os.truncate(lock, 0)
    finally:
        os.close(lock)


def _beside(path: Path) -> str:
    return f"{path}.lock"


def _held(path: Path, lock: int) -> StoreHeld:
    """Who has it. The words of one who is dead say nothing: somebody only looks (`held_by`), or has just taken it."""
    process, who = _holder(os.pread(lock, HOLDER_MAX, 0))
    return StoreHeld(path, process, who) if _is_alive(process) else StoreHeld(path, "?", "command")


def _holder(written: bytes) -> tuple[str, str]:
    """Process and name of who holds the lock; whoever has only just taken it has not written them yet."""
    process, _, who = written.decode("utf-8", "replace").partition(" ")
    return process or "?", who or "command"


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True

"""A Maildir as courier: each mail is one file, complete and synced before anyone sees it.

The file's name comes from the delivery's key, and a mail that is already there is not written again: so a
second try after a crash never makes a second file, and nothing is ever in doubt. (Only a reader that took
the file out of the Maildir between crash and restart sees it twice.)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from postroom.outbound.addresses import domain_of
from postroom.outbound.carriers import NotOpen
from postroom.store.outbox import Claimed

FOLDERS = ("tmp", "new", "cur")
INFO = ":2,"  # what a reader puts behind the name when it moves a file to `cur`


class MaildirCarrier:
    """Writes into one Maildir, which it makes. Each file begins with Return-Path and Delivered-To (RFC 5321 §4.4)."""

    connections = 8

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def carry(self, delivery: Claimed, before_dot: Callable[[], Awaitable[None]]) -> str:
        """Write the mail; the file's name. `before_dot` is not awaited: a file is there or not.

        Raises NotOpen where nothing can be written: a full disk, a folder that is not ours.
        """
        try:
            return await asyncio.to_thread(self._write, delivery)
        except OSError as error:
            raise NotOpen(f"{self._folder}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Nothing is held open."""

    def _write(self, delivery: Claimed) -> str:
        for name in FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        name = file_name(delivery)
        if self._is_there(name):
            return f"already in the Maildir: {name}"
        written = self._folder / "tmp" / name
        head = f"Return-Path: <{delivery.envelope_sender}>\r\nDelivered-To: {delivery.recipient}\r\n".encode()
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(head + delivery.raw)
            file.flush()
            os.fsync(file.fileno())
        written.rename(self._folder / "new" / name)
        _sync(self._folder / "new")
        return f"in the Maildir: {name}"

    def _is_there(self, name: str) -> bool:
        if (self._folder / "new" / name).exists() or (self._folder / "cur" / name).exists():
            return True
        return delivered_before(self._folder, name)


def delivered_before(folder: Path, name: str) -> bool:
    """Whether a reader has moved the file to `cur`, where it bears flags behind its name."""
    return any((folder / "cur").glob(f"{name}{INFO}*"))


def file_name(delivery: Claimed) -> str:
    """The name of the delivery's file: the same for each attempt, and in the order of time."""
    made = int(delivery.created_at.timestamp())
    return f"{made}.P{delivery.key:016x}.{domain_of(delivery.envelope_sender) or 'localhost'}"


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

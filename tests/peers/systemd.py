"""systemd, as far as a service can see it: the socket that it is told on, and what its tools say of a unit."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from peers.processes import need, wait_until

PACKAGE = "systemd"
UNITS = Path(__file__).parents[2] / "contrib" / "systemd"


class Manager:
    """Hears what a daemon says with sd_notify(3): `address` goes into its NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = str(folder / "notify")
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.heard.append(message.decode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)  # ends the thread
        self._socket.close()

    def wait_for(self, words: str, since: int = 0) -> str:
        """The first message from number `since` on that holds `words`."""
        return wait_until(lambda: next((m for m in self.heard[since:] if words in m), ""), f"{words!r} told to systemd")


def analyze(*arguments: str) -> str:
    """What `systemd-analyze` says; AssertionError where it is not content."""
    ran = subprocess.run(
        [need("systemd-analyze", PACKAGE), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def allowed_calls() -> set[str]:
    """The system calls that the unit's SystemCallFilter lets through."""
    groups: dict[str, set[str]] = {}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", analyze("syscall-filter")).splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), set())
        elif (word := line.strip()) and not word.startswith("#") and groups:
            members.add(word)

    def calls(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return set().union(*(calls(member) for member in groups[name]))

    allowed: set[str] = set()
    for rule in re.findall(r"^SystemCallFilter=(.+)$", (UNITS / "postroom.service").read_text("utf-8"), re.MULTILINE):
        named = set().union(*(calls(name) for name in rule.removeprefix("~").split()))
        allowed = allowed - named if rule.startswith("~") else allowed | named
    return allowed | calls("@default")

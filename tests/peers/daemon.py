"""The daemon under test, as its operator runs it: `postroom -c FILE run` in a folder of its own.

with Daemon(tmp_path, config) as daemon:
    ...
    daemon.kill()
    daemon.start()
    daemon.json("tickets", "export")
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

from peers.commandline import call
from peers.processes import Program, free_port, wait_until
from peers.zygote import Forked, may_fork, run

READY_SECONDS = 30.0
STOP_SECONDS = 35.0  # it promises to be gone within 30
CLI_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has run: unpacks into exit status, standard output and standard error."""

    exit: int
    out: str
    err: str

    def __iter__(self) -> Any:
        return iter((self.exit, self.out, self.err))


class Daemon:
    """One configuration in one folder; the daemon runs while the `with` block does, or from `start()` to `stop()`.

    `{port}` in the configuration's text becomes a free port, `smtp_port`.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """`env`: more environment. `prefix`: a command that runs it, such as `strace -f -o FILE`."""
        self.folder = folder
        self.smtp_port = free_port()
        self.env = dict(env or {})
        self.prefix = list(prefix)
        self.arguments: list[str] = []  # of `run`
        self.path = folder / "postroom.toml"
        self.log_path = folder / "daemon.log"
        self._program: Program | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(config)

    def configure(self, config: str) -> None:
        """Write the configuration; a running daemon reads it at its next start."""
        self.path.write_text(config.replace("{port}", str(self.smtp_port)), "utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._program is not None:
            self._program.stop(seconds=STOP_SECONDS)
            self._program = None

    def start(self, wait: bool = True) -> None:
        """Start it, and return when it says that it is ready. Raises RuntimeError with its log where it ends instead."""
        assert self._program is None or self._program.exit_status is not None, "it runs already"
        self._finish()
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        command = ["-c", str(self.path), "run", *self.arguments]
        env = self._environment()
        if self.prefix or not may_fork(env):
            command = [*self.prefix, sys.executable, "-m", "postroom", *command]
            self._program = Program(command, self.log_path, cwd=self.folder, env=env)
        else:
            self._program = Forked(command, self.log_path, cwd=self.folder, env=env)
        if wait:
            self._program.wait_until_ready(self.is_ready, "the daemon is ready", READY_SECONDS)

    def is_ready(self) -> bool:
        """Whether it said so since it was started."""
        return any(_says_ready(line) for line in self.log().splitlines())

    @property
    def pid(self) -> int:
        """Its process id (the prefix's, where there is one)."""
        assert self._program is not None
        return self._program.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs, else its exit status, negative for a signal."""
        return self._program.exit_status if self._program else None

    def processes(self) -> list[int]:
        """The ids of its living processes, its workers too; after `kill()` these are orphans."""
        return self._program.group() if self._program else []

    def stop(self) -> int:
        """Stop it as systemd does (SIGTERM); its exit status."""
        assert self._program is not None
        status = self._program.stop(seconds=STOP_SECONDS)
        self._program = None
        return status

    def kill(self) -> None:
        """End it at once (SIGKILL), without a chance to clean up."""
        assert self._program is not None
        self._program.send(signal.SIGKILL)
        self._program.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._program is not None
        self._program.send(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status, once it has ended by itself."""
        assert self._program is not None
        return self._program.wait(seconds)

    def restart(self) -> None:
        """Stop it as systemd does, and start it."""
        self.stop()
        self.start()

    def log(self) -> str:
        """What it wrote since it was last started."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode("utf-8", "replace")

    def wait_for_log(self, words: str, seconds: float = READY_SECONDS) -> str:
        """Wait for a line of its log that holds `words`; that line."""

        def line() -> str:
            return next((line for line in self.log().splitlines() if words in line), "")

        return wait_until(line, f"{words!r} in the log", seconds)

    def cli(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run `postroom -c FILE ARGUMENTS...` beside it."""
        command = ["-c", str(self.path), *arguments]
        ran = run(command, stdin=stdin, cwd=self.folder, env=self._environment(), seconds=CLI_SECONDS)
        return Ran(ran.returncode, ran.stdout.decode("utf-8"), ran.stderr.decode("utf-8"))

    def json(self, *arguments: str, stdin: bytes = b"") -> list[Any]:
        """The objects, one a line, that a command prints with `--json` (added). Raises RuntimeError where it fails.

        It runs in the test's own process: tests ask again and again until something holds, and a program of its own
        would take a processor for each of these questions, beside the daemon that they wait for. Where the daemon's
        environment changes its interpreter (its clock), it is a program of its own all the same.
        """
        wants_flag = "--json" not in arguments and tuple(arguments[:2]) != ("tickets", "export")
        command = ["-c", str(self.path), *arguments, *(["--json"] if wants_flag else [])]
        if not may_fork(self._environment()):
            ran = self.cli(*command[2:], stdin=stdin)
        else:
            with mock.patch.dict(os.environ, self._environment(), clear=True), contextlib.chdir(self.folder):
                done = call(*command, stdin=stdin)
            ran = Ran(done.status, done.out, done.err)
        if ran.exit != 0:
            raise RuntimeError(f"postroom {' '.join(arguments)} exited {ran.exit}: {ran.err.strip()}")
        return [json.loads(line) for line in ran.out.splitlines()]

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "POSTROOM_CONFIG"}
        return {**inherited, "PYTHONUNBUFFERED": "1", **self.env}

    def _finish(self) -> None:
        if self._program is not None:
            self._program.stop(signal.SIGKILL)
            self._program = None


def _says_ready(line: str) -> bool:
    """Whether a line of the log, JSON or text, is the event `ready`."""
    if line.startswith("{"):
        try:
            return bool(json.loads(line).get("event") == "ready")
        except ValueError:
            return False
    return re.search(r"(?<!not )\bready\b", line) is not None

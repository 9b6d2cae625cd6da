"""Starts daemons quickly: a process that has imported the program, and forks one for each that is asked for.

What runs in the fork is `postroom -c FILE run`, by its own main function. Importing it anew for each of a thousand
daemons would take most of the time. Run as a program it serves one socket, its standard input, until that is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MAX_REQUEST = 1 << 16
PR_SET_PDEATHSIG = 1


class Zygote:
    """The process that forks, for the time of a `with` block; no daemon outlives it."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-c", "from chaos.zygote import serve; serve()"]
        self._process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment())
        theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.wait()

    def start(self, config: Path, log: Path, env: dict[str, str], is_watched: bool) -> tuple[int, int]:
        """Fork a daemon: its process id, and where `is_watched` its listener; it then waits for `go()`."""
        answer = self._ask({"config": str(config), "log": str(log), "env": env, "watched": is_watched})
        return answer["pid"], answer["listener"]

    def go(self) -> None:
        """Let the daemon that was started last begin."""
        self._ask({"go": True})

    def wait(self, pid: int) -> int:
        """The exit status of a daemon, negative for a signal, once it has ended."""
        status: int = self._ask({"wait": pid})["status"]
        return status

    def _ask(self, request: dict[str, Any]) -> Any:
        self._socket.send(json.dumps(request).encode())
        return json.loads(self._socket.recv(MAX_REQUEST))


def environment() -> dict[str, str]:
    """For programs that run the code beside this file, whatever is installed."""
    tests = Path(__file__).parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]), "PYTHONUNBUFFERED": "1"}


def has_ended(pid: int) -> bool:
    """Whether a process has ended (waited for or not)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], 0)[0])
    finally:
        os.close(pidfd)


def serve() -> None:
    """Fork what is asked for at the socket that is standard input."""
    _import_daemon()
    asked = socket.socket(fileno=os.dup(0))
    go = -1
    while request := asked.recv(MAX_REQUEST):
        order = json.loads(request)
        answer: dict[str, int] = {}
        if "wait" in order:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])}
        elif "go" in order:
            os.write(go, b"\n")
            os.close(go)
        else:
            pid, listener, go = _fork(order, asked)
            answer = {"pid": pid, "listener": listener}
        asked.send(json.dumps(answer).encode())


def _import_daemon() -> None:
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg
    import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

    import postroom.cli.main
    import postroom.cli.run
    import postroom.daemon.run
    import postroom.outbound.smarthost  # noqa: F401


def _fork(order: dict[str, Any], asked: socket.socket) -> tuple[int, int, int]:
    tell_read, tell = os.pipe()
    go_read, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell_read)
        os.close(go)
        asked.close()
        _become_daemon(order, tell, go_read)
    os.close(tell)
    os.close(go_read)
    listener = int(os.read(tell_read, 100) or b"-1")
    os.close(tell_read)
    return pid, listener, go


def _become_daemon(order: dict[str, Any], tell: int, go: int) -> None:
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for here, there in ((null, 0), (log, 1), (log, 2)):
            os.dup2(here, there)
        os.environ.update(order["env"])
        os.chdir(os.path.dirname(order["config"]))
        listener = -1
        if order["watched"]:
            from chaos.killer import install

            listener = install()
        os.writev(tell, [str(listener).encode()])
        os.close(tell)
        os.read(go, 1)
        os.close(go)
        from postroom.cli.main import main

        sys.argv = ["postroom", "-c", order["config"], "run"]
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)

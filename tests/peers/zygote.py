"""Starts `postroom` quickly: a process that has imported the program, and forks one for each that is asked for.

What runs in the fork is `postroom ARGUMENTS...` by its own main function, with streams, folder and environment of its own,
to the interpreter's end. Importing it anew for each of the hundreds that the tests start takes most of what they take.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from peers.processes import Program

MAX_REQUEST = 1 << 17
PR_SET_PDEATHSIG = 1
INTERPRETERS = ("PYTHON", "LC_", "LANG", "LD_")  # variables that a process reads as it begins
HARMLESS = {"PYTHONUNBUFFERED"}


class Child:
    """A process that was forked; to be used like subprocess.Popen."""

    def __init__(self, zygote: Zygote, arguments: Sequence[str], pid: int, told: int) -> None:
        self._zygote, self.args, self.pid = zygote, list(arguments), pid
        self.told = told  # what its preparation gave
        self.returncode: int | None = None
        self._asking = threading.Lock()  # its status can be had once
        self._pidfd = os.pidfd_open(pid)
        self._ending = select.poll()  # not select(), which a process with many sockets open cannot use
        self._ending.register(self._pidfd, select.POLLIN)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        with self._asking:
            if self.returncode is None and self._ending.poll(0):
                self.returncode = self._zygote.status_of(self.pid)
                os.close(self._pidfd)
            return self.returncode

    def has_ended(self, seconds: float | None = 0) -> bool:
        """Whether it has ended, or does within `seconds` (None: however long it takes)."""
        return self.returncode is not None or bool(self._ending.poll(None if seconds is None else 1000 * seconds))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended. Raises subprocess.TimeoutExpired."""
        if not self.has_ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        self.poll()
        with self._asking:
            if self.returncode is None:
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def go(self) -> None:
        """Let it begin, where it was prepared."""
        self._zygote.go()


class Zygote:
    """The process that forks, for the time of a `with` block; nothing that it forked outlives it."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = threading.Lock()
        command = [sys.executable, "-c", "from peers.zygote import serve; serve()"]
        self._process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment(), start_new_session=True)
        theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        streams: Sequence[int],
        prepare: str = "",
        program: str = "postroom.cli.main:main",
    ) -> Child:
        """Fork `postroom ARGUMENTS...`, or another MODULE:FUNCTION, with these standard streams, in a session of its own.

        `prepare`: MODULE:FUNCTION that it calls first; what that returns is `told`, and it then waits for `go()`.
        """
        order = {
            "arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "prepare": prepare, "program": program,
        }  # fmt: skip
        answer = self._ask(order, streams)
        return Child(self, arguments, answer["pid"], answer["told"])

    def go(self) -> None:
        """Let the one that was prepared last begin."""
        self._ask({"go": True})

    def status_of(self, pid: int) -> int:
        """The exit status of one that was forked, negative for a signal, once it has ended."""
        status: int = self._ask({"wait": pid})["status"]
        return status

    def _ask(self, order: dict[str, Any], descriptors: Sequence[int] = ()) -> Any:
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(order).encode()], descriptors)
            return json.loads(self._socket.recv(MAX_REQUEST))


class Forked(Program):
    """`postroom ARGUMENTS...` as a program: the command is its arguments."""

    def _begin(self, output: IO[bytes], cwd: Path | None, env: Mapping[str, str] | None) -> Child:
        with open(os.devnull, "rb") as nothing:
            streams = nothing.fileno(), output.fileno(), output.fileno()
            return shared().start(self.command, cwd=cwd or Path.cwd(), env=env or os.environ, streams=streams)


def run(
    arguments: Sequence[str], *, stdin: bytes, cwd: Path, env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `postroom ARGUMENTS...` to its end, like subprocess.run. Raises subprocess.TimeoutExpired."""
    if not may_fork(env):
        command = [sys.executable, "-m", "postroom", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=env, timeout=seconds, check=False)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        child = shared().start(arguments, cwd=cwd, env=env, streams=[given.fileno(), out.fileno(), err.fileno()])
        try:
            status = child.wait(seconds)
        finally:
            child.kill()
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(list(arguments), status, out.read(), err.read())


_shared: tuple[int, Zygote] | None = None  # the process that it serves (a fork has its own), itself
_sharing = threading.Lock()
_started_with = dict(os.environ)


def shared() -> Zygote:
    """The one of this test process, which ends with it."""
    global _shared  # noqa: PLW0603 - one for the whole test run
    with _sharing:
        if _shared is None or _shared[0] != os.getpid():
            zygote = Zygote().__enter__()
            _shared = (os.getpid(), zygote)
            atexit.register(zygote.__exit__, None, None, None)
        return _shared[1]


def may_fork(env: Mapping[str, str]) -> bool:
    """Whether a program with this environment can be a fork: not where it makes an interpreter begin otherwise."""

    def asked(environ: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value for name, value in environ.items() if name.startswith(INTERPRETERS) and name not in HARMLESS
        }

    return asked(env) == asked(_started_with)


def environment() -> dict[str, str]:
    """For programs that run the code beside this file, whatever is installed."""
    tests = Path(__file__).parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]), "PYTHONUNBUFFERED": "1"}


# -- in the process that forks


def serve() -> None:
    """Fork what is asked for at the socket that is standard input, until that is closed; returns in no fork."""
    _import_program()
    asked = socket.socket(fileno=os.dup(0))
    go = -1
    while True:
        request, descriptors, _flags, _address = socket.recv_fds(asked, MAX_REQUEST, 3)
        if not request:
            return
        order = json.loads(request)
        answer: dict[str, int] = {}
        if "wait" in order:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])}
        elif "go" in order:
            os.write(go, b"\n")
            os.close(go)
        else:
            tell_read, tell = os.pipe()
            go_read, go = os.pipe()
            pid = os.fork()
            if pid == 0:
                for unused in (asked.detach(), tell_read, go):
                    os.close(unused)
                _become(order, descriptors, tell, go_read)
            for theirs in (tell, go_read, *descriptors):
                os.close(theirs)
            answer = {"pid": pid, "told": int(os.read(tell_read, 100) or b"-1")}
            os.close(tell_read)
            if not order["prepare"]:
                os.close(go)
        asked.send(json.dumps(answer).encode())


def _import_program() -> None:
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg
    import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

    import postroom.cli
    import postroom.outbound.smarthost
    import postroom.store.engine

    for module in pkgutil.iter_modules(postroom.cli.__path__):
        importlib.import_module(f"postroom.cli.{module.name}")
    import postroom.daemon.run

    gc.freeze()  # looking at it would make each fork a copy of its pages


def _become(order: dict[str, Any], descriptors: Sequence[int], tell: int, go: int) -> NoReturn:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for here, there in zip(descriptors, range(3), strict=True):
        os.dup2(here, there)
        os.close(here)
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])
    unbuffered = bool(order["env"].get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    for name, stream in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(stream, "w", closefd=False)
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), "utf-8", line_buffering=name == "stderr", write_through=unbuffered
        )
        setattr(sys, name, text)
    told = -1
    if order["prepare"]:
        told = _named(order["prepare"])()
    os.writev(tell, [str(told).encode()])  # not write(): a preparation may forbid that
    os.close(tell)
    if order["prepare"]:
        os.read(go, 1)
    os.close(go)
    sys.argv = ["postroom", *order["arguments"]]
    _named(order["program"])()
    sys.exit()


def _named(name: str) -> Callable[[], Any]:
    module, _, function = name.partition(":")
    found: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return found

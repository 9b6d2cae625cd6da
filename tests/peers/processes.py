"""Programs that the tests start: free ports, waiting for conditions, and an end for everything started.

A server that outlived its test run would hold ports and confuse the next run. So each is stopped in a `finally`,
and a guard process stops what is left when the test run itself was killed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, TypeVar

START_SECONDS = 20.0  # how long a server may take to answer on a loaded machine
STOP_SECONDS = 10.0  # how long it may take to go before it is killed
T = TypeVar("T")

POLL_SECONDS, POLL_SECONDS_MAX = 0.02, 0.25
PORTS = range(20_000, 32_000)  # below the range from which Linux picks the ports of outgoing connections

# Reads "+PID" and "-PID" lines; at the end of its input (the test run is gone) it kills the groups still listed.
GUARD = """
left=" "
while read -r line; do
  case "$line" in
    +*) left="$left${line#+} " ;;
    -*) left="${left%% ${line#-} *} ${left#* ${line#-} }" ;;
  esac
done
for pid in $left; do kill -TERM "-$pid"; done 2>/dev/null
[ "$left" = " " ] || sleep 2
for pid in $left; do kill -KILL "-$pid"; done 2>/dev/null
"""


class PeerMissing(Exception):
    """A server is not installed on this machine; the message names the Debian package."""


def need(program: str, package: str, folders: Sequence[str] = ()) -> str:
    """The path of an installed program. Raises PeerMissing where it is not installed."""
    found = shutil.which(program, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        raise PeerMissing(f"{program} is not installed: apt-get install {package}")
    return found


def wait_until(condition: Callable[[], T], what: str, seconds: float = START_SECONDS) -> T:
    """The first true value of `condition()`. Raises TimeoutError, naming `what`, after so many seconds.

    What takes longer is asked for less often: to ask may be a command, and takes from those who are waited for.
    """
    began = time.monotonic()
    while True:
        if value := condition():
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(min(max(waited / 10, POLL_SECONDS), POLL_SECONDS_MAX))


_held_ports: dict[int, int] = {}  # port -> descriptor of its lock file, kept until this process ends


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no other test process is given while this one lives.

    So a server can go down and come up on its port again.
    """
    folder = Path(tempfile.gettempdir()) / f"postroom-test-ports.{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for _ in range(200):
        port = random.choice(PORTS)
        if port in _held_ports:
            continue
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _held_ports[port] = lock
        return port
    raise RuntimeError("found no free port")


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether someone listens on the port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A new folder with a short path (sockets' paths must stay under 108 octets), open to servers' own users."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}."))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """What the servers of the tests share: each runs while a `with` block does, and leaves nothing behind."""

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _open(self) -> None:
        """Start it. What has to end with it, `self._closing` is told."""
        raise NotImplementedError


class Process(Protocol):
    """What a program asks of its process: subprocess.Popen has it."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: signal.Signals, /) -> None: ...
    def kill(self) -> None: ...


class Program:
    """A running program in a process group of its own, with its output in a file."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        group: str | None = None,
    ) -> None:
        """Starts it. `user` and `group`: whom it runs as, where we are root."""
        self.command = [os.fspath(part) for part in command]
        self.log = log
        self._user, self._group = (user, group) if os.geteuid() == 0 else (None, None)
        with log.open("ab") as output:
            self._process = self._begin(output, cwd, env)
        self.pid = self._process.pid
        _tell_guard(f"+{self.pid}")

    def _begin(self, output: IO[bytes], cwd: Path | None, env: Mapping[str, str] | None) -> Process:
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
            user=self._user,
            group=self._group,
            extra_groups=[] if self._user else None,
        )

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def group(self) -> list[int]:
        """The ids of the living processes of its group."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _group_of(pid) == self.pid]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself; nothing where it has ended."""
        if self.exit_status is None:
            self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status, once it has ended. Raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end, kill it and its children where they do not, and return its exit status."""
        self.send(number)
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            _tell_guard(f"-{self.pid}")
        return status

    def output(self) -> str:
        """What it wrote so far."""
        return self.log.read_text("utf-8", "replace")

    def wait_until_ready(self, condition: Callable[[], T], what: str, seconds: float = START_SECONDS) -> T:
        """Like `wait_until`, but raises RuntimeError with the log at once where the program ends instead."""

        def ready_or_gone() -> T | bool:
            return condition() or self.exit_status is not None

        value = wait_until(ready_or_gone, f"{what}; its log:\n{self.output()[-2000:]}", seconds)
        if self.exit_status is not None:
            raise RuntimeError(f"{self.command[0]} exited {self.exit_status} before {what}:\n{self.output()[-4000:]}")
        return value  # type: ignore[return-value]


def _group_of(pid: int) -> int | None:
    """The process group of a living process; None for a zombie and for one that is gone."""
    try:
        state, _parent, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(group)


_guard: tuple[int, subprocess.Popen[bytes]] | None = None  # the process that it serves (a fork has its own), itself


def _tell_guard(line: str) -> None:
    global _guard  # noqa: PLW0603 - one guard for the whole test run
    if _guard is None or _guard[0] != os.getpid():
        process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        _guard = (os.getpid(), process)
        atexit.register(_dismiss, process)
    stdin = _guard[1].stdin
    assert stdin is not None
    with contextlib.suppress(BrokenPipeError):
        stdin.write(line.encode() + b"\n")
        stdin.flush()


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()

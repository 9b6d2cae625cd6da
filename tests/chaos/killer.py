"""SIGKILL at the k-th system call of a process, counted over all of its threads, before the call has any effect.

A seccomp filter hands each call of interest to a listener (seccomp_unotify(2)), which lets it through, or kills. So the
count is exact, in the kernel's own order; strace's `when=k` counts each thread by itself, and what a quiet thread does would
never be reached, since a busier one gets to k first.

    child:   number = install()                  # and tells its parent the number of the listener
    parent:  Killer(pid, number, k).start()
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import struct
import threading
from collections import Counter
from dataclasses import dataclass

# What makes an effect that outlives the process: on the disk, at a peer, or taken from a peer.
CALLS = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "writev": 20, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
        "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "mkdir": 83, "unlink": 87,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "writev": 66, "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212,
        "fsync": 82, "fdatasync": 83, "ftruncate": 46, "renameat": 38, "mkdirat": 34, "unlinkat": 35,
    },
}  # fmt: skip
TELLS = "writev"  # what the child tells the listener's number with; never filtered
SECCOMP = {"x86_64": 317, "aarch64": 277}
PIDFD_GETFD = 438
SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3
PR_SET_NO_NEW_PRIVS = 38
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
LOAD, JUMP_IF_EQUAL, JUMP_IF_GREATER, RETURN = 0x20, 0x15, 0x25, 0x06
RECEIVE, SEND = 0xC0502100, 0xC0182101  # ioctls of a listener
CONTINUE = 1
NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, thread, flags, call, architecture, instruction, arguments
ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
STDERR = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Unsupported(Exception):
    """This kernel has no seccomp listener for us."""


def calls() -> dict[str, int]:
    """The numbers of the calls that are counted, by name, on this machine."""
    table = CALLS.get(platform.machine())
    if table is None:
        raise Unsupported(f"no table of system calls for {platform.machine()}")
    return {name: number for name, number in table.items() if name != TELLS}


def install() -> int:
    """Put the filter upon this process and all that it starts; the listener's descriptor. Only while it has one thread."""
    program = _filter()
    code = (ctypes.c_char * len(program)).from_buffer_copy(program)
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener: int = _libc.syscall(SECCOMP[platform.machine()], SET_MODE_FILTER, NEW_LISTENER, fprog)
    if listener < 0:
        raise Unsupported(f"seccomp: {os.strerror(ctypes.get_errno())}")
    return listener


def _filter() -> bytes:
    """BPF: notify of the calls above, except of a write to standard output or error, which only tells of what happens."""
    numbers = calls()
    code = [_statement(LOAD, 0)]  # the call's number
    others = [number for name, number in numbers.items() if name != "write"]
    code += [_jump(JUMP_IF_EQUAL, number, len(others) - at + 4, 0) for at, number in enumerate(others)]
    code += [
        _jump(JUMP_IF_EQUAL, numbers["write"], 1, 0),
        _statement(RETURN, ALLOW),
        _statement(LOAD, 16),  # the lower half of its first argument
        _jump(JUMP_IF_GREATER, STDERR, 1, 0),
        _statement(RETURN, ALLOW),
        _statement(RETURN, NOTIFY),
    ]
    return b"".join(code)


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, yes: int, no: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


@dataclass(frozen=True, slots=True)
class Struck:
    """The call at which it was killed."""

    call: str
    number: int  # which of all calls, from 1
    thread: int


class Killer:
    """Counts the calls of one process, and kills it at the k-th; with k = 0 it only counts."""

    def __init__(self, pid: int, listener: int, k: int, number: signal.Signals = signal.SIGKILL) -> None:
        """`listener`: the descriptor's number in that process, which must be waiting until `start()`.

        `number`: the signal that it gets at its k-th call.
        """
        self.pid, self.k, self.signal = pid, k, number
        self.counts: Counter[str] = Counter()
        self.struck: Struck | None = None
        self._names = {number: name for name, number in calls().items()}
        self._threads: dict[int, bool] = {}  # whether a thread is the process's own, and not a child's
        pidfd = os.pidfd_open(pid)
        try:
            self._listener: int = _libc.syscall(PIDFD_GETFD, pidfd, listener, 0)
        finally:
            os.close(pidfd)
        if self._listener < 0:
            raise Unsupported(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)

    @property
    def count(self) -> int:
        """How many calls it made so far."""
        return sum(self.counts.values())

    def start(self) -> None:
        """Begin to let its calls through."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the process and all its children are gone."""
        self._thread.join()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while True:
                events = poll.poll()[0][1]
                if not events & select.POLLIN:
                    return  # nobody is left
                with contextlib.suppress(FileNotFoundError):  # whoever called was killed meanwhile
                    self._judge()
        finally:
            os.close(self._listener)

    def _judge(self) -> None:
        request = bytearray(NOTIFICATION.size)
        fcntl.ioctl(self._listener, RECEIVE, request)
        id_, thread, _flags, number, *_rest = NOTIFICATION.unpack(request)
        if self.struck is None and self._is_own(thread):
            name = self._names.get(number, str(number))
            self.counts[name] += 1
            if self.count == self.k:
                self.struck = Struck(name, self.k, thread)
                os.kill(self.pid, self.signal)
                if self.signal == signal.SIGKILL:
                    return
        fcntl.ioctl(self._listener, SEND, bytearray(ANSWER.pack(id_, 0, 0, CONTINUE)))

    def _is_own(self, thread: int) -> bool:
        if thread not in self._threads:
            self._threads[thread] = os.path.exists(f"/proc/{self.pid}/task/{thread}")
        return self._threads[thread]

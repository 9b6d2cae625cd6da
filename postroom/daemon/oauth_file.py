"""Where a login is kept: one file an account, for its owner alone, and never without a login that works.

Who refreshes holds the lock, of all threads and processes of this machine. Room on the disk is taken before the server is
asked, for with many of them the old refresh token is worth nothing once it has answered. Its answer is written beside the
file, synced, and takes its place; what was written when the power went, or SIGKILL came, is found and used.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postroom.daemon.failpoint import failpoint
from postroom.errors import TemporaryFailure

ROOM = 64 << 10  # octets; a login has some thousand
LOCK_SECONDS = 90.0  # longer than any question to a server takes
LOOK_SECONDS = 0.02  # between two looks whether the lock is free


@dataclass(frozen=True, slots=True)
class Login:
    """What we have of an account. Times are seconds since 1970."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)  # "" where the app logs in by itself
    logged_in_at: float  # when a person did
    issued_at: float  # when the access token was
    expires_at: float
    ends_at: float | None = None  # when the refresh token ends, where the server has said so
    lasts: float | None = None  # seconds that it had when it was new
    refused_at: float | None = None  # when the server last refused to refresh
    refusal: str = ""  # in words, without secrets


class LoginFile:
    """The file of one account."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = path.with_name(f"{path.name}.new")
        self._lock = path.with_name(f"{path.name}.lock")

    def read(self) -> Login | None:
        """The login; None where there is none. Raises TemporaryFailure for a file that cannot be read."""
        return _read(self.path)

    @contextmanager
    def held(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Have the file for ourselves; a login that a killed process had written in time is put in its place."""
        with _saying(self.path):
            folder = self.path.parent
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _own(folder, folder.parent)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _own(lock, folder)
                self._wait(lock, seconds)
                self._recover()
            except BaseException:
                os.close(lock)
                raise
        try:
            yield
        finally:
            os.close(lock)  # and it is free

    def _wait(self, lock: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TemporaryFailure(f"another process has held {self._lock} for {seconds:g} s") from None
                time.sleep(LOOK_SECONDS)
            else:
                return

    def _recover(self) -> None:
        try:
            written = _read(self._new)
        except TemporaryFailure:  # cut off while it was being written
            written = None
        kept = self.read() if written else None
        if written and (kept is None or written.issued_at >= kept.issued_at):
            self._take_its_place()
        else:
            self._new.unlink(missing_ok=True)

    @contextmanager
    def room(self) -> Iterator[Callable[[Login], None]]:
        """Room for another login, and what stores it, for good. Within `held()`. Raises TemporaryFailure on a full disk."""
        with _saying(self.path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._new, flags, 0o600)
        try:
            with _saying(self.path):
                os.fchmod(descriptor, 0o600)
                _own(descriptor, self.path.parent)
                os.posix_fallocate(descriptor, 0, ROOM)
            yield lambda login: self._store(descriptor, login)
        finally:
            os.close(descriptor)
            self._new.unlink(missing_ok=True)  # where it has not taken its place

    def _store(self, descriptor: int, login: Login) -> None:
        failpoint("oauth-answered")
        data = _encoded(login)
        with _saying(self.path):
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
            failpoint("oauth-written")
            os.fsync(descriptor)
            self._take_its_place()
        failpoint("oauth-stored")

    def _take_its_place(self) -> None:
        self._new.rename(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def delete(self) -> bool:
        """Forget the login; whether there was one. Within `held()`."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True


def _read(path: Path) -> Login | None:
    import msgspec  # noqa: PLC0415 - where nobody logs in with tokens nobody needs it

    with _saying(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        mode = path.stat().st_mode
    if mode & 0o077:
        raise TemporaryFailure(f"others can read {path}; run: chmod 600 {path}")
    try:
        return msgspec.json.decode(data.rstrip(b"\0"), type=Login)
    except msgspec.MsgspecError:  # its words could quote a token
        raise TemporaryFailure(f"{path} is damaged; log in again: postroom mailboxes login") from None


def _encoded(login: Login) -> bytes:
    import msgspec  # noqa: PLC0415

    return msgspec.json.encode(login)


def _own(what: int | Path, like: Path) -> None:
    """Root, who logs in for the daemon, gives it what the daemon needs."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(what, owner.st_uid, owner.st_gid)


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TemporaryFailure(f"{path}: {error.strerror or error}") from error

"""Has this machine what Postroom needs: room, files that are nobody else's, and ports that are free or our own?"""

from __future__ import annotations

import errno
import http.client
import os
import pwd
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from postroom import config
from postroom.cli import output
from postroom.cli.finding import Doubt
from postroom.errors import UserError

CONNECT_SECONDS = 3.0  # to a port of our own
PRIVILEGED = 1024  # ports below it are root's


def disk(settings: config.Config) -> str:
    """How much is free where mail is kept, beside `smtp.min_free_disk`."""
    from postroom.cli.opening import database_file

    file = database_file(settings)
    if file is None:
        return "the database's own machine has it"
    folder = next(parent for parent in file.parents if parent.exists())
    free, floor = shutil.disk_usage(folder).free, int(settings.smtp.min_free_disk)
    words = f"{output.size(free)} are free in {folder}"
    if free < floor:
        raise UserError(f"only {words}, and mail is refused below {output.size(floor)} (smtp.min_free_disk); make room")
    if free < settings.alarms.disk * floor:
        return Doubt(f"only {words}; mail is refused below {output.size(floor)} (smtp.min_free_disk); make room")
    return words


def permissions(settings: config.Config) -> str:
    """Whether what is secret, and what decides, is its owner's alone."""
    wrong = [*_strangers_files(settings), *_open_files(settings)]
    return Doubt("; ".join(wrong)) if wrong else "what is secret is its owner's alone"


def _open_files(settings: config.Config) -> Iterator[str]:
    if settings.path is not None:
        mode = _mode(settings.path)
        if mode & 0o022:
            yield f"others can change {settings.path}: chmod go-w {settings.path}"
        if mode & 0o044 and _has_password(settings.store.url):
            yield f"others can read the password in store.url: chmod 600 {settings.path}"
    for path in _secret_files(settings):
        if _mode(path) & 0o077:
            yield f"others can read {path}: chmod {'700' if path.is_dir() else '600'} {path}"


def _secret_files(settings: config.Config) -> Iterator[Path]:
    """Every file of ours that is there and nobody else's business. Credentials of systemd's are systemd's."""
    from postroom.cli.opening import database_file

    if file := database_file(settings):
        yield from (path for end in ("", "-wal", "-shm", ".lock") if (path := Path(f"{file}{end}")).exists())
    names = [settings.keys.file, settings.smtp.tls_key, *(key.key_file for key in settings.dkim.values())]
    names += [mailbox.imap.password_file for mailbox in settings.mailbox.values() if mailbox.imap]
    names += [peer.password_file for peer in settings.smarthosts().values()]
    if settings.outgoing.courier == "maildir":
        names.append(settings.outgoing.maildir)
    yield from (path for name in dict.fromkeys(names) if name and (path := settings.resolve(name)).exists())


def _strangers_files(settings: config.Config) -> Iterator[str]:
    """The store belongs to whom the daemon runs as: what another can do says little of it."""
    from postroom.cli.opening import database_file

    file, ours = database_file(settings), os.geteuid()
    if file is None or not file.exists() or (owner := file.stat().st_uid) == ours:
        return
    yield f"{file} belongs to {_user(owner)}, and this check ran as {_user(ours)}: run it as the user of the daemon"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _has_password(url: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return bool(make_url(url).password)
    except ArgumentError:
        return False


def port(settings: config.Config, listen: str) -> str:
    """Free, or held by Postroom itself; anything else is in the way."""
    if listen == config.ACTIVATED:
        return "what systemd opens (postroom.socket)"
    host, number = config.split_listen(listen)
    error = _bind(host, number)
    if error is None:
        return "free"
    if error.errno == errno.EACCES and number < PRIVILEGED:
        raise UserError(
            f"{_user(os.geteuid())} may not open a port below {PRIVILEGED}; let systemd do it: postroom.socket, and "
            f'smtp.listen = ["{config.ACTIVATED}"]'
        ) from error
    greeting = _greeting(host or "127.0.0.1", number, settings.smtp.tls == "implicit")
    if "Postroom" in greeting:
        return "in use, by Postroom itself"
    who = f" by a program that says {greeting!r}" if greeting else ""
    why = (error.strerror or "cannot be bound").lower()
    raise UserError(f"{why}{who}; stop it, or listen elsewhere") from error


def _bind(host: str, number: int) -> OSError | None:
    """Why the port cannot be had; None where it can."""
    try:
        family = socket.getaddrinfo(host or None, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        return error
    return None


def _greeting(host: str, number: int, is_tls: bool) -> str:
    """How whoever listens there greets. It is this machine's own port: whose certificate it shows does not matter."""
    try:
        with socket.create_connection((host, number), CONNECT_SECONDS) as client:
            if not is_tls:
                return client.recv(200).decode("ascii", "replace").strip()
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(client) as secured:
                return secured.recv(200).decode("ascii", "replace").strip()
    except OSError:
        return ""


def health(settings: config.Config) -> str:
    """Free, or a daemon of ours that says that it is ready."""
    host, number = config.split_listen(settings.health.listen, "health.listen")
    error = _bind(host, number)
    if error is None:
        return f"{settings.health.listen} is free"
    try:
        asking = http.client.HTTPConnection(host or "127.0.0.1", number, timeout=CONNECT_SECONDS)
        asking.request("GET", "/readyz")
        answer = asking.getresponse()
        body = answer.read(1000).decode("utf-8", "replace").strip()
        asking.close()
    except (OSError, http.client.HTTPException):
        raise UserError(
            f"{(error.strerror or 'cannot be bound').lower()}, and what is there does not answer; listen elsewhere"
        ) from error
    if answer.status == http.client.OK:
        return f"{settings.health.listen} says that the daemon is ready"
    raise UserError(f"{settings.health.listen} says {answer.status}: {body}; see: postroom status")

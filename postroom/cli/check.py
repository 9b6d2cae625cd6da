"""`postroom check`: is everything there that the configuration names? One line for each, and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from postroom import config
from postroom.cli import output
from postroom.errors import ConfigError, PostroomError, TemporaryFailure, UserError

CONNECT_SECONDS = 3.0  # to a port of our own
PROBES_AT_ONCE = 8
CONFIG_WRONG = ConfigError.exit_status


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to."""

    what: str
    words: str  # what was found, or what to do
    status: int = 0  # the exit status that it calls for


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def command(config_path: str | None, as_json: bool) -> int:
    """Check the configuration and each connection that it names: one line each, `ok`, or `failed` and what to do."""
    settings = config.load(config_path)
    worst = 0
    for finding in check(settings):
        worst = max(worst, finding.status)
        if as_json:
            output.print_json({"check": finding.what, "ok": finding.status == 0, "detail": finding.words})
        else:
            mark = click.style("failed", fg="red", bold=True) if finding.status else click.style("ok    ", fg="green")
            click.echo(f"{mark}  {finding.what}: {output.one_line(finding.words)}")
    return worst


def check(settings: config.Config) -> Iterator[Finding]:
    """Every check, in the order in which things are needed."""
    yield Finding("configuration", _configuration(settings))
    yield _checked("templates", lambda: _templates(settings))
    yield _checked("keys.file", lambda: _keys(settings))
    yield _checked("store.url", lambda: _database(settings))
    if settings.smtp.tls != "off":
        yield _checked("smtp.tls_certificate", lambda: _certificate(settings))
    for listen in settings.smtp.listen:
        yield _checked(f"smtp.listen {listen}", lambda listen=listen: _port(listen))  # type: ignore[misc]
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        probes = [
            pool.submit(_checked, f"mailbox.{name}.imap", lambda name=name: _imap(settings, name))  # type: ignore[misc]
            for name, mailbox in settings.mailbox.items()
            if mailbox.imap
        ]
        for probe in probes:
            yield probe.result()
    for name in settings.dkim:
        yield _checked(f"dkim.{name}", lambda name=name: _dkim(settings, name))  # type: ignore[misc]
    if settings.outgoing.courier == "smtp":
        for path in settings.smarthosts():
            yield _checked(path, lambda path=path: _smarthost(settings, path))  # type: ignore[misc]
    else:
        yield _checked("outgoing.maildir", lambda: _folder(settings.resolve(settings.outgoing.maildir)))


def _checked(what: str, look: Callable[[], str]) -> Finding:
    """What `look` says, or why it failed; the key that begins a complaint is not said twice."""
    try:
        return Finding(what, look())
    except PostroomError as error:
        status = CONFIG_WRONG if isinstance(error, ConfigError) else 1
        return Finding(
            what, str(error).removeprefix(f"{what}: ").removeprefix(f"{what.split(maxsplit=1)[0]}: "), status
        )
    except OSError as error:
        return Finding(what, error.strerror or str(error), 1)


def _configuration(settings: config.Config) -> str:
    where = str(settings.path) if settings.path else "no file: the embedded defaults"
    counts = ", ".join(
        f"{len(table)} {name}{'' if len(table) == 1 else plural}"
        for name, plural, table in (
            ("mailbox", "es", settings.mailbox), ("queue", "s", settings.queue), ("agent", "s", settings.agent),
        )
    )  # fmt: skip
    return f"{where} ({counts})"


def _templates(settings: config.Config) -> str:
    from postroom.outbound.templates import Templates

    folder = settings.resolve(settings.templates.folder) if settings.templates.folder else None
    problems = Templates(folder, settings.templates.language).check()
    if problems:
        raise ConfigError("; ".join(map(str, problems)))
    return (
        f"{settings.templates.language}, with the overrides of {folder}"
        if folder
        else f"{settings.templates.language}, ours"
    )


def _keys(settings: config.Config) -> str:
    from postroom.daemon.keys import load_signer

    path = settings.resolve(settings.keys.file)
    if not path.exists():
        if _has_tickets(settings):
            raise ConfigError(
                f"{path} is gone, and answers to what was sent are recognised by it; restore it from a backup, or, "
                "where it is lost for good: postroom keys new"
            )
        return f"will be made: {_folder(path.parent)}"
    load_signer(path, create=False)
    return str(path)


def _has_tickets(settings: config.Config) -> bool:
    """Whether there is a database with tickets in it; not where it cannot be asked, which another check says."""
    from postroom.cli.opening import database_file
    from postroom.store import migrate, reports
    from postroom.store.engine import Store

    file = database_file(settings)
    if file is not None and not file.exists():
        return False
    try:
        store = Store(settings.store_url())
        try:
            if not migrate.is_current(store):
                return False
            with store.read() as connection:
                return reports.has_tickets(connection)
        finally:
            store.dispose()
    except PostroomError:
        return False


def _database(settings: config.Config) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(settings.store_url())
    except ArgumentError as error:
        raise ConfigError(str(error)) from None
    if url.get_backend_name() == "sqlite" and url.database:
        path = Path(url.database)
        if not path.exists():
            return f"will be made: {_folder(path.parent)}"
        if not os.access(path, os.W_OK):
            raise UserError(f"cannot write {path}; give it to the user that runs Postroom")
        _room(settings, path.parent)
    return _schema(settings)


def _room(settings: config.Config, folder: Path) -> None:
    free, floor = shutil.disk_usage(folder).free, int(settings.smtp.min_free_disk)
    if free < floor:
        raise UserError(
            f"only {output.size(free)} are free in {folder}, and mail is refused below {output.size(floor)} "
            "(smtp.min_free_disk); make room"
        )


def _schema(settings: config.Config) -> str:
    from postroom.store import migrate
    from postroom.store.engine import Store

    store = Store(settings.store_url())
    try:
        name = store.engine.url.render_as_string(hide_password=True)
        if migrate.is_current(store):
            return f"{name}, schema {migrate.HEAD}"
        if store.is_sqlite:
            return f"{name}, schema {migrate.version(store) or 'none'}; the daemon brings it to {migrate.HEAD}"
        raise UserError(f"the schema of {name} is not this version's; run: postroom migrate")
    finally:
        store.dispose()


def _certificate(settings: config.Config) -> str:
    from postroom.daemon.tls import server_context

    server_context(settings)
    return str(settings.resolve(settings.smtp.tls_certificate))


def _port(listen: str) -> str:
    """Free, or held by Postroom itself; anything else is in the way."""
    if listen == config.ACTIVATED:
        return "what systemd opens (postroom.socket)"
    host, port = config.split_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        greeting = _greeting(host or "127.0.0.1", port)
        if "Postroom" in greeting:
            return "in use, by Postroom itself"
        who = f" by a program that says {greeting!r}" if greeting else ""
        raise UserError(
            f"{(error.strerror or 'cannot be bound').lower()}{who}; stop it, or listen elsewhere"
        ) from error
    return "free"


def _greeting(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as client:
            client.settimeout(CONNECT_SECONDS)
            return client.recv(200).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _imap(settings: config.Config, name: str) -> str:
    from postroom.daemon.imap import probe

    imap = settings.mailbox[name].imap
    assert imap is not None
    probe(settings, name, config.read_secret(settings, f"mailbox.{name}.imap", imap))
    return f"{imap.user} can log in to {imap.host}:{imap.port}, and {imap.folder} is there"


def _smarthost(settings: config.Config, path: str) -> str:
    from postroom.outbound.smarthost import SmarthostCarrier
    from postroom.outbound.smtp_auth import passwords

    peer = settings.smarthosts()[path]
    credentials = passwords(settings, {path: config.read_secret(settings, path, peer)})
    try:
        server = asyncio.run(SmarthostCarrier(settings, path, peer, credentials.get(path)).check())
    except TemporaryFailure as error:
        raise UserError(str(error)) from error
    return f"{server} takes our mail" + (f" from {peer.user}" if peer.user else "") + f" (security: {peer.transport})"


def _dkim(settings: config.Config, name: str) -> str:
    from postroom.cli.dkim import check_key

    return check_key(settings, name)


def _folder(folder: Path) -> str:
    """The folder, where it can be written or made."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise UserError(f"{existing} is no directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot write into {existing}; give it to the user that runs Postroom")
    return str(folder)

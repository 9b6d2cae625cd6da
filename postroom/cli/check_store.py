"""Is the database sound, and ours; does the clock agree with it; does a daemon work on it? And are the signing keys there?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from postroom import config
from postroom.cli import output
from postroom.cli.finding import Doubt
from postroom.config_keys import LOOPBACK
from postroom.errors import ConfigError, PostroomError, TemporaryFailure, UserError

if TYPE_CHECKING:
    from postroom.store.engine import Store

BEHIND_MAX = timedelta(minutes=1)  # of the newest stored time: other daemons' clocks may differ by as much
APART_MAX = timedelta(seconds=10)  # of the database's clock: more makes times in logs and tickets contradict
PROBE = "check"  # a counter that is never committed


def keys(settings: config.Config) -> str:
    """The file of the signing keys, or where it will be made."""
    from postroom.daemon.keys import load_signer

    path = settings.resolve(settings.keys.file)
    if not path.exists():
        if _has_tickets(settings):
            raise ConfigError(
                f"{path} is gone, and answers to what was sent are recognised by it; restore it from a backup, or, "
                "where it is lost for good: postroom keys new"
            )
        return f"will be made: {folder(path.parent)}"
    load_signer(path, create=False)
    return str(path)


def _has_tickets(settings: config.Config) -> bool:
    """Whether there is a database with tickets in it; not where it cannot be asked, which another check says."""
    from postroom.store import migrate, reports

    try:
        with _opened(settings) as store:
            if store is None or not migrate.is_current(store):
                return False
            with store.read() as connection:
                return reports.has_tickets(connection)
    except PostroomError:
        return False


@contextmanager
def _opened(settings: config.Config) -> Iterator[Store | None]:
    """The store; None where there is none yet: looking must not make one."""
    from postroom.cli.opening import database_file
    from postroom.store.engine import Store

    file = database_file(settings)
    if file is not None and not file.exists():
        yield None
        return
    store = Store(settings.store_url(), direct_url=settings.store.direct_url)
    try:
        yield store
    finally:
        store.dispose()


def database(settings: config.Config) -> str:
    """Which it is; that it has our schema, can be written, and (SQLite) is not damaged."""
    from postroom.cli.opening import database_file
    from postroom.daemon.begin import LENT
    from postroom.store import migrate, news

    file = database_file(settings)
    if file is not None and file.exists() and not os.access(file, os.W_OK):
        raise UserError(f"cannot write {file}; give it to the user that runs Postroom")
    with _opened(settings) as store:
        if store is None:
            assert file is not None
            return f"will be made: {folder(file.parent)}"
        name = store.engine.url.render_as_string(hide_password=True)
        if store.is_sqlite:
            store.look_through()
        if migrate.is_current(store):
            _write(store)
            if not settings.store.direct_url and store.is_lent_by_transaction():
                raise ConfigError(LENT)
            if not store.is_sqlite and not news.is_heard(store):
                key = "direct_url" if settings.store.direct_url else "url"
                return Doubt(
                    f"{name}: what one daemon tells (NOTIFY) another does not hear; store.{key} leads to a pooler"
                )
            if not store.is_sqlite and (off := _forgetting(store)):
                return Doubt(
                    f"{name}: {', '.join(off)} {'is' if len(off) == 1 else 'are'} off, so mail that a sender was told we have "
                    "can be lost with the machine's power; set them on"
                )
            return f"{name}, schema {migrate.HEAD}{', sound' if store.is_sqlite else ''}"
        if store.is_sqlite:
            return f"{name}, schema {migrate.version(store) or 'none'}; the daemon brings it to {migrate.HEAD}"
        raise UserError(f"the schema of {name} is not this version's; run: postroom migrate")


def _forgetting(store: Store) -> list[str]:
    from postroom.store import overview

    with store.read() as connection:
        return overview.forgetting(connection)


def objects(settings: config.Config) -> str:
    """The store of objects takes, gives and deletes; and mail that the database says lies there, does."""
    from postroom.store import migrate, raw_mail
    from postroom.store.objects import Objects, Unreadable, objects_of

    found = objects_of(settings)
    assert isinstance(found, Objects)
    began = time.monotonic()
    try:
        found.probe()
    except TemporaryFailure as error:
        raise UserError(
            f"{error}; see bucket, endpoint, region, keys, and the rights to put, get, list and delete"
        ) from error
    words = f"{found.url}, put, read and deleted in {1000 * (time.monotonic() - began):.0f} ms"
    with _opened(settings) as store:
        if store is not None and migrate.is_current(store):
            with store.read() as connection:
                lies, newest = raw_mail.lies(connection), raw_mail.newest(connection)
            if newest is not None:
                try:
                    found.get(newest)
                except Unreadable as error:
                    raise UserError(
                        f"{error}; {lies.objects} mails lie there, says the database: is it the right bucket and prefix? "
                        "See what is missing: postroom objects verify"
                    ) from error
                words += f"; it holds {lies.objects} mails"
    if settings.raw_mail.endpoint.startswith("http://"):
        host = urlsplit(settings.raw_mail.endpoint).hostname
        if host not in LOOPBACK:
            return Doubt(f"{words}; raw_mail.endpoint is http: mail goes there in the clear")
    return words


def _write(store: Store) -> None:
    """Write something, and take it back."""
    from sqlalchemy import insert

    from postroom.store.tables import Counter

    try:
        with store.write() as connection:
            connection.execute(insert(Counter).values(scope=PROBE, window=datetime.now(UTC), count=0))
            connection.rollback()
    except TemporaryFailure as error:
        raise UserError(f"cannot be written: {error}") from error


def clock(settings: config.Config) -> str:
    """The time; it must not lie before what is stored, nor far from the database's."""
    from postroom.store import migrate, overview

    words = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    with _opened(settings) as store:
        if store is None or not migrate.is_current(store):
            return f"{words}; nothing is stored yet to compare it with"
        with store.read() as connection:
            newest = overview.newest(connection)
            theirs = None if store.is_sqlite else overview.database_time(connection)
    now = datetime.now(UTC)
    if newest is not None and newest - now > BEHIND_MAX:
        raise UserError(
            f"it says {now:%Y-%m-%d %H:%M} UTC, but what is stored happened as late as {newest:%Y-%m-%d %H:%M}: it is wrong "
            "now, or was then; set it, and keep it right by NTP (timedatectl)"
        )
    if theirs is not None and abs(theirs - now) > APART_MAX:
        apart = output.duration(int(abs(theirs - now).total_seconds()))
        side = "behind" if theirs > now else "ahead of"
        return Doubt(f"{words} is {apart} {side} the database's; keep both right by NTP (timedatectl)")
    return words


def daemon(settings: config.Config) -> str:
    """Which daemons work on this store."""
    from postroom.store import overview
    from postroom.store.engine import DAEMON_NAME

    with _opened(settings) as store:
        if store is None:
            return "none yet; begin with: postroom run"
        if store.is_sqlite:
            held = store.held_by()
            names = [f"process {held.process}"] if held is not None and held.is_by_daemon else []
        else:
            with store.read() as connection:
                found = overview.daemons(connection, DAEMON_NAME)
            names = [name.removeprefix(DAEMON_NAME).strip() for name in found]
    return ", ".join(names) or Doubt("none runs: nothing comes in, nothing goes out; begin with: postroom run")


def folder(wanted: Path) -> str:
    """The folder, where it can be written or made."""
    existing = next(parent for parent in (wanted, *wanted.parents) if parent.exists())
    if not existing.is_dir():
        raise UserError(f"{existing} is no directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot write into {existing}; give it to the user that runs Postroom")
    return str(wanted)

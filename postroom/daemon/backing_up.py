"""A backup is a folder: the database as it was at one moment, and the signing keys, for their owner alone."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from postroom import __version__
from postroom.config import Config
from postroom.daemon.keys import read_keys, write_keys
from postroom.errors import UserError
from postroom.store import backup, migrate, raw_mail
from postroom.store.engine import Store

KEYS, MANIFEST = "signing-keys", "backup.json"


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting back came to."""

    made_at: str
    cancelled: int  # automatic mails that are not sent, for they may have been
    again: int  # people's mails that are sent, perhaps again
    keys: str  # what became of them
    objects: dict[str, Any] | None  # where bytes lie that were not in it: url, count, octets


def back_up(config: Config, store: Store, target: Path) -> Path:
    """Make the folder `target` with everything in it, all or nothing; UserError where it is there already."""
    if target.exists():
        raise UserError(f"{target} is there already; each backup is a folder of its own")
    new = target.with_name(f"{target.name}.partial")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        file = backup.dump(store, new)
        keys = config.resolve(config.keys.file)
        if keys.exists():
            write_keys(new / KEYS, read_keys(keys), replace=False)
        facts = {
            "postroom": __version__, "schema": migrate.version(store), "madeAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "database": file.name, "keys": keys.exists(), "objects": _objects(store),
        }  # fmt: skip
        (new / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        backup.sync(new / MANIFEST)
        backup.sync(new)
        new.rename(target)
        backup.sync(target.parent)
    except OSError as error:
        raise UserError(f"{error.filename or target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target


def _objects(store: Store) -> dict[str, object] | None:
    """What of this store's mail the backup does not hold, and where that is; None where it holds all."""
    with store.read() as connection:
        lies = raw_mail.lies(connection)
    where = store.objects.url if store.objects else ""
    return {"url": where, "count": lies.objects, "octets": lies.octets} if lies.objects else None


def restore(config: Config, source: Path) -> Restored:
    """Put a backup in the place of the store that the configuration names; no daemon may run.

    Raises UserError for what is no backup of that kind of store, StoreHeld where a daemon runs.
    """
    try:
        facts = json.loads((source / MANIFEST).read_text("utf-8"))
        file = source / str(facts["database"])
        made_at = str(facts["madeAt"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source}: is no backup of `postroom backup`: {error}") from error
    store = Store(config.store_url(), direct_url=config.store.direct_url)
    try:
        wanted = backup.SQLITE if store.is_sqlite else backup.POSTGRESQL
        if file.name != wanted or not file.is_file():
            raise UserError(f"{source}: holds no {wanted}, which store.url needs")
        with store.daemon_lock():
            if store.path is not None:
                path = store.path
                store.dispose()
                is_empty = path.exists() and path.stat().st_size == 0
                if is_empty:  # opening it has made it
                    path.unlink()
                cancelled, again = backup.put_back_sqlite(file, path)
            else:
                cancelled, again = backup.put_back_postgresql(file, store)
        return Restored(made_at, cancelled, again, _restore_keys(config, source / KEYS), facts.get("objects"))
    except OSError as error:
        raise UserError(f"{error.filename or source}: {error.strerror or error}") from error
    finally:
        store.dispose()


def _restore_keys(config: Config, source: Path) -> str:
    """Have every key that ever signed a mail of ours: those that are here come first, for they are the newer ones."""
    target = config.resolve(config.keys.file)
    if not source.exists():
        return "the backup has none"
    old = read_keys(source)
    here = read_keys(target) if target.exists() else []
    keys = [*here, *(key for key in old if key not in here)]
    if keys == here:
        return "kept"
    if target.exists():
        os.chmod(target, 0o600)
    write_keys(target, keys, replace=target.exists())
    return "joined with those that are here" if here else "put back"

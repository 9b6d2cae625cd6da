"""Copying a whole store into another database, of whatever kind: `postroom migrate-store`.

Table by table, in the order of its key, some rows a transaction, each with the note of how far it came: a copy that was cut
off goes on where it was. Until all is there, compared and consistent, the target's schema is said to be `copying`, which no
daemon touches. Foreign keys are taken off meanwhile, for rows point to each other in circles; putting them back checks them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    event,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    tuple_,
    update,
)  # fmt: skip

from postroom.errors import ConfigError, UserError
from postroom.store import migrate, nodes, raw_mail
from postroom.store.engine import Store
from postroom.store.tables import Base

if TYPE_CHECKING:
    from postroom.store.objects import Objects

RawMail = Literal["keep", "database", "objects"]
ROWS = 500  # in a transaction
ROWS_OF_MAIL = 20  # their bytes are in memory at once
MAIL = "raw_mail"
NOT_COPIED = {"node", "imap_lease", "compatibility"}  # what concerns the daemons on the one database, or its schema
TABLES = [table for table in Base.metadata.sorted_tables if table.name not in NOT_COPIED]

_note = Table(
    "postroom_copy",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("last", Text),  # the key of the last row that was copied, in JSON
    Column("rows", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and compared."""

    rows: dict[str, int]  # by table
    resumed: bool


def copy_store(source: Store, target: Store, progress: Progress = lambda *_: None, raw: RawMail = "keep") -> Copied:
    """Copy everything; `progress` hears a table's name, how many of its rows are there, and how many there are.

    `raw`: where the bytes of mail lie afterwards: where they do ("keep": objects are not copied, both stores name the same),
    all in the target's "database", or what is large in its "objects". Whatever was moved is compared by its SHA-256.

    UserError where the target holds something else, or the source changed under a copy that was cut off. The caller
    holds the source's lock.
    """
    if not migrate.is_current(source):
        raise ConfigError("store.url: its schema is not this version's; run: postroom migrate")
    if not source.is_sqlite:
        with source.read() as connection:
            if living := nodes.living(connection, datetime.now(UTC)):
                raise UserError(f"stop the daemons first: {', '.join(living)} work on the source")
    if target.is_sqlite:
        event.listen(target.engine, "checkout", lambda driver, *_: driver.execute("PRAGMA foreign_keys=OFF"))
    resumed = _begin(source, target)
    rows = {table.name: _copy_table(source, target, table, progress, raw) for table in TABLES}
    for table in TABLES:
        _compare(source, target, table, raw)
    _finish(target)
    return Copied(rows, resumed)


def _begin(source: Store, target: Store) -> bool:
    """Make the target ready; whether it holds a part of this copy already."""
    name = hashlib.sha256(source.engine.url.render_as_string(hide_password=True).encode()).hexdigest()
    version = migrate.version(target)
    if version == migrate.COPYING:
        with target.read() as connection:
            if set(connection.execute(select(_note.c.source).distinct()).scalars()) != {name}:
                raise UserError("the target holds an unfinished copy of another store: empty it first")
        return True
    migrate.upgrade(target)
    with target.write() as connection:
        full = [t.name for t in TABLES if connection.execute(select(t.primary_key.columns[0]).limit(1)).first()]
        if full:
            raise UserError(f"the target is not empty: there are rows in {', '.join(full)}")
        _note.create(connection)
        connection.execute(insert(_note), [{"name": t.name, "source": name, "rows": 0, "done": False} for t in TABLES])
        if not target.is_sqlite:
            _drop_foreign_keys(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = :copying"), {"copying": migrate.COPYING})
    return False


def _drop_foreign_keys(connection: Connection) -> None:
    found = inspect(connection)
    for table in Base.metadata.tables:
        for key in found.get_foreign_keys(table):
            connection.exec_driver_sql(f'ALTER TABLE "{table}" DROP CONSTRAINT "{key["name"]}"')


def _copy_table(source: Store, target: Store, table: Table, progress: Progress, raw: RawMail) -> int:
    with target.read() as connection:
        row = connection.execute(select(_note).where(_note.c.name == table.name)).one()
    with source.read() as connection:
        total = connection.execute(select(func.count()).select_from(table)).scalar_one()
    last, count = _load(row.last), row.rows
    progress(table.name, count, total)
    done = row.done
    while not done:
        with source.read() as connection:
            rows = _next(connection, table, last)
        done = not rows
        if table.name == MAIL and raw != "keep":
            rows = raw_mail.placed(rows, source.objects, target.objects if raw == "objects" else None)
        with target.write() as connection:
            if rows:
                connection.execute(insert(table), rows)
                last, count = [rows[-1][c.name] for c in table.primary_key], count + len(rows)
            noted = {"last": _dump(last), "rows": count, "done": done}
            connection.execute(update(_note).where(_note.c.name == table.name).values(noted))
        progress(table.name, count, total)
    return int(count)


def _next(connection: Connection, table: Table, last: Sequence[Any] | None) -> list[dict[str, Any]]:
    key = list(table.primary_key.columns)
    query = select(table).order_by(*key).limit(ROWS_OF_MAIL if table.name == MAIL else ROWS)
    if last is not None:
        given = tuple_(*(literal(value, c.type) for c, value in zip(key, last, strict=True)))
        query = query.where(tuple_(*key) > given) if len(key) > 1 else query.where(key[0] > last[0])
    return [dict(row._mapping) for row in connection.execute(query)]


def _dump(key: Sequence[Any] | None) -> str | None:
    if key is None:
        return None
    return json.dumps([{"at": value.isoformat()} if isinstance(value, datetime) else value for value in key])


def _load(written: str | None) -> list[Any] | None:
    if written is None:
        return None
    return [datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value for value in json.loads(written)]


def _compare(source: Store, target: Store, table: Table, raw: RawMail) -> None:
    """Whether both hold the same rows: as many, and of the same digest in whatever order."""
    found = []
    for store in (source, target):
        with store.read() as connection:
            objects = store.objects if table.name == MAIL and raw != "keep" else None
            found.append(_summed(connection, table, objects))
    if found[0] != found[1]:
        raise UserError(
            f"{table.name} differs ({found[0][0]} rows there, {found[1][0]} here): was the source used after the copy "
            "had begun? Empty the target, and begin anew"
        )


def _summed(connection: Connection, table: Table, objects: Objects | None) -> tuple[int, int]:
    """`objects`: where bytes are read, so that it does not matter where they lie."""
    count = total = 0
    for row in _rows(connection, table, objects):
        count += 1
        total += int.from_bytes(hashlib.blake2b(_plain(row), digest_size=16).digest())
    return count, total % (1 << 128)


def _rows(connection: Connection, table: Table, objects: Objects | None) -> Iterator[Any]:
    last: Sequence[Any] | None = None
    while rows := _next(connection, table, last):
        last = [rows[-1][c.name] for c in table.primary_key]
        if objects is not None:
            rows = raw_mail.placed(rows, objects, None)
        yield from (tuple(row[c.name] for c in table.columns) for row in rows)


def _plain(row: Sequence[Any]) -> bytes:
    def said(value: Any) -> Any:
        if isinstance(value, bytes):
            return hashlib.sha256(value).hexdigest()
        return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value

    return json.dumps([said(value) for value in row], sort_keys=True, ensure_ascii=True).encode()


def _finish(target: Store) -> None:
    """Put the foreign keys back, which checks them; let numbers go on where they are; say that it is a store."""
    with target.write() as connection:
        if target.is_sqlite:
            migrate.check_foreign_keys(connection)
        else:
            for table in Base.metadata.sorted_tables:
                _restore_foreign_keys(connection, table)
                _set_sequence(connection, table)
        _note.drop(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.HEAD})
    if not target.is_sqlite:
        with target.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")  # else the first queries read whole tables


def _restore_foreign_keys(connection: Connection, table: Table) -> None:
    for key in table.foreign_key_constraints:
        columns = ", ".join(f'"{c}"' for c in key.column_keys)
        others = ", ".join(f'"{element.column.name}"' for element in key.elements)
        connection.exec_driver_sql(
            f'ALTER TABLE "{table.name}" ADD CONSTRAINT "{key.name}" FOREIGN KEY ({columns}) '
            f'REFERENCES "{key.referred_table.name}" ({others})'
        )


def _set_sequence(connection: Connection, table: Table) -> None:
    [first, *more] = table.primary_key.columns
    if more or first.name != "id":
        return
    query = text(
        f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "  # noqa: S608 - a name of ours
        f'(SELECT coalesce(max(id), 1) FROM "{table.name}"), (SELECT count(*) > 0 FROM "{table.name}"))'
    )
    connection.execute(query)

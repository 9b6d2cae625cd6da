"""Statements of the hot path, prepared: compiled once for each dialect, then run on the driver's own cursor.

SQLAlchemy's execution costs 20 to 40 µs of each statement, which is several times what SQLite takes to run it; a message
has a dozen of them. What is prepared is SQLAlchemy Core all the same: its compiler, its types, its errors. The driver keeps
the statement prepared on its side (sqlite3's cache; psycopg after the fifth time).

A transaction must have begun: `Store.read()` and `Store.write()` see to that.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Executable, bindparam, text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from postroom.store.driver import as_sqlalchemys
from postroom.store.engine import insert, taking_back
from postroom.store.waiting import Column, waiting_on

Values = Mapping[str, Any]
Make = Callable[[Connection], Any]

AHEAD_CHUNK = 256  # values in one question that is asked ahead

REGISTRY: list[Prepared] = []  # every one there is: a test has the database explain each


class Prepared:
    """One statement, for any number of connections and threads."""

    def __init__(self, statement: Executable | Make, by: Any = None) -> None:
        """A Core statement, or what makes it for a connection where the dialects have their own.

        `by`: the mapped column by which it asks for rows that may wait (`waiting.py`), for a value of that name.
        """
        self._statement, self._by = statement, None if by is None else Column.of(by)
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}
        REGISTRY.append(self)

    def all(self, connection: Connection, values: Values, *, named: bool = False) -> list[Any]:
        """Every row, as a named tuple of its columns. Raises SQLAlchemy's errors.

        `named`: the keys of `values` are the columns that it writes.
        """
        compiled = self._for(connection, tuple(values) if named else ())
        if (waiting := waiting_on(connection)) is not None:
            asked = values.values() if self._by is None or self._by.name not in values else (values[self._by.name],)
            waiting.before(compiled.text, self._by, asked, adds=named)
        cursor = compiled.run(connection, [values])
        try:
            return compiled.rows(connection, cursor)
        finally:
            cursor.close()

    def first(self, connection: Connection, values: Values, *, named: bool = False) -> Any:
        """The first row, or None."""
        rows = self.all(connection, values, named=named)
        return rows[0] if rows else None

    def scalar(self, connection: Connection, values: Values, *, named: bool = False) -> Any:
        """The first column of the first row, or None."""
        row = self.first(connection, values, named=named)
        return None if row is None else row[0]

    def run(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Execute it for each of these; all have the same keys. What it returns is dropped."""
        compiled = self._for(connection, tuple(rows[0]))
        _tell(connection, compiled)
        compiled.run(connection, rows).close()

    def add(self, connection: Connection, rows: Sequence[Values]) -> None:
        """`run()` with rows of a table, of which those know who have to."""
        self._for(connection, tuple(rows[0])).run(connection, rows).close()

    def count(self, connection: Connection, rows: Sequence[Values]) -> int:
        """`run()` with rows of a table; how many of them it has written."""
        compiled = self._for(connection, tuple(rows[0]))
        if (waiting := waiting_on(connection)) is not None:
            waiting.before_sqlalchemys(compiled.text)  # which is not in a pipeline either: its answer is read at once
        cursor = compiled.run(connection, rows)
        try:
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def _for(self, connection: Connection, keys: tuple[str, ...]) -> _Compiled:
        found = self._compiled.get((connection.dialect.name, keys))
        if found is None:
            made = self._statement(connection) if callable(self._statement) else self._statement
            found = _Compiled(made, connection.dialect, keys or None)
            self._compiled[connection.dialect.name, keys] = found
        return found


class PreparedIn:
    """A statement with a list of values in it: one for each power of two, the last value filling up the rest."""

    def __init__(
        self, kind: TypeEngine[Any], make: Callable[[list[BindParameter[Any]]], Executable | Make], by: Any = None
    ) -> None:  # fmt: skip
        """`make` is given the parameters that stand for values of that type.

        `by`: the mapped column that the values are of, where rows may wait, or it is asked ahead; it returns that column too.
        """
        self._kind, self._make, self._by = kind, make, by
        self._column = None if by is None else Column.of(by)
        self._sized: dict[int, Prepared] = {}
        self._of(1)  # so that the test of every statement knows it

    def all(self, connection: Connection, wanted: Sequence[Any], values: Values) -> list[Any]:
        """Every row for these values; none for none. The caller bounds how many there are."""
        if not wanted:
            return []
        waiting = None if self._column is None or values else waiting_on(connection)
        if waiting is not None and (known := waiting.answer(self, self._column, wanted)) is not None:
            return known
        size = 1 << (len(wanted) - 1).bit_length()
        listed = {f"in{n}": wanted[min(n, len(wanted) - 1)] for n in range(size)}
        return self._of(size).all(connection, {**listed, **values})

    def ask_ahead(self, connection: Connection, wanted: Sequence[Any]) -> None:
        """Ask now what will be asked of each of these; nothing where nothing is gathered. Any number of them."""
        waiting, column = waiting_on(connection), self._column
        if waiting is None or column is None:
            return
        for start in range(0, len(wanted), AHEAD_CHUNK):
            chunk = wanted[start : start + AHEAD_CHUNK]
            found: dict[Any, list[Any]] = {value: [] for value in chunk}
            for row in self.all(connection, chunk, {}):
                found[getattr(row, column.name)].append(row)
            waiting.keep(self, column, found)

    def _of(self, size: int) -> Prepared:
        found = self._sized.get(size)
        if found is None:
            parameters = [bindparam(f"in{n}", type_=self._kind) for n in range(size)]
            found = self._sized[size] = Prepared(self._make(parameters), self._by)
        return found


class PreparedInsert:
    """Rows into a table; columns that are not given get their default, as they do from SQLAlchemy."""

    def __init__(self, table: type[DeclarativeBase], make: Make | None = None) -> None:
        """`make`: the INSERT, where it is more than a plain one."""
        self.table = table.__tablename__
        self._defaults = {c.name: c.default for c in table.__table__.c if c.default is not None}
        self._prepared = Prepared(make or (lambda connection: insert(connection, table).inline()))

    def add(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Insert these, which all have the same keys; within `gathering()` they wait. IntegrityError where one breaks a constraint."""
        if not rows:
            return
        whole = [self._whole(row) for row in rows]
        if (waiting := waiting_on(connection)) is not None:
            waiting.add(self, whole)
        else:
            self.write(connection, whole)

    def write(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Insert them now, whole as they are."""
        self._prepared.add(connection, rows)

    def one(self, connection: Connection, row: dict[str, Any]) -> Any:
        """Insert one, and give back what is returned of it; None where it was there already."""
        whole = self._whole(row)
        if (waiting := waiting_on(connection)) is not None:
            waiting.outdate(self.table, [whole])
        return self._prepared.scalar(connection, whole, named=True)

    def _whole(self, row: dict[str, Any]) -> dict[str, Any]:
        if not self._defaults:
            return row
        missing = self._defaults.keys() - row.keys()
        return row if not missing else row | {name: _default(self._defaults[name]) for name in sorted(missing)}


def _tell(connection: Connection, compiled: _Compiled) -> None:
    if (waiting := waiting_on(connection)) is not None:
        waiting.before(compiled.text)


def _default(default: Any) -> Any:
    return default.arg(None) if default.is_callable else default.arg


_savepoint, _release = Prepared(text("SAVEPOINT message")), Prepared(text("RELEASE SAVEPOINT message"))


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """What `Connection.begin_nested()` does, at a tenth of its cost: on any error all that was written in it is undone."""
    _savepoint.run(connection, [{}])
    try:
        with taking_back(connection):
            yield
    except BaseException:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT message")
            connection.exec_driver_sql("RELEASE SAVEPOINT message")
        raise
    _release.run(connection, [{}])


class _Compiled:
    """A statement of one dialect: its text, how its values go in, how its columns come out."""

    def __init__(self, statement: Any, dialect: Dialect, keys: Sequence[str] | None) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=keys)
        self.text = str(compiled)
        assert "POSTCOMPILE" not in self.text, "a list within a statement is PreparedIn's, or spelt out"
        self._dialect = dialect
        self._positional = bool(compiled.positional)
        names = list(compiled.positiontup or ()) if self._positional else list(compiled.binds)
        self._fixed = {name: compiled.params.get(name) for name in names}  # what holds where a row does not say it
        self._take = _taking(names)
        binds = [compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
        self._in = [
            (place if self._positional else name, process)
            for place, (name, process) in enumerate(zip(names, binds, strict=True))
            if process is not None
        ]
        # not the statement's own `exported_columns`: what another one made of the same INSERT returns may stick to it
        columns = compiled._result_columns
        self._types = [column.type for column in columns]
        names = [column.keyname for column in columns]
        self._row: Any = namedtuple("Row", names, rename=True) if names else None
        self._out: list[tuple[int, Any]] | None = None

    def run(self, connection: Connection, rows: Sequence[Values]) -> Any:
        """A cursor that has executed it."""
        many = len(rows) > 1
        values = [self._values(row) for row in rows] if many else self._values(rows[0])
        cursor = connection.connection.cursor()
        try:
            for listener in connection.dispatch.before_cursor_execute:  # who watches statements, watches these too
                listener(connection, cursor, self.text, values, None, many)
            if many:
                cursor.executemany(self.text, values)
            else:
                cursor.execute(self.text, values)
            for listener in connection.dispatch.after_cursor_execute:
                listener(connection, cursor, self.text, values, None, many)
        except self._dialect.loaded_dbapi.Error as error:
            cursor.close()
            raise as_sqlalchemys(connection, self.text, error) from error
        except BaseException:
            cursor.close()
            raise
        return cursor

    def rows(self, connection: Connection, cursor: Any) -> list[Any]:
        """What the cursor has, as named tuples of Python's values."""
        try:
            found = cursor.fetchall()
        except self._dialect.loaded_dbapi.Error as error:  # in a pipeline, that of any statement before it
            raise as_sqlalchemys(connection, self.text, error) from error
        if self._out is None:
            impl = [kind.dialect_impl(self._dialect) for kind in self._types]
            described = [column[1] for column in cursor.description]
            out = [one.result_processor(self._dialect, code) for one, code in zip(impl, described, strict=True)]
            self._out = [(i, process) for i, process in enumerate(out) if process is not None]
        make, out_ = self._row._make, self._out
        if not out_:
            return [make(row) for row in found]
        rows = []
        for row in found:
            values = list(row)
            for i, process in out_:
                if values[i] is not None:
                    values[i] = process(values[i])
            rows.append(make(values))
        return rows

    def _values(self, row: Values) -> Any:
        values: Any
        if self._positional:
            try:
                values = list(self._take(row))
            except KeyError:
                values = list(self._take({**self._fixed, **row}))
        else:
            values = {**self._fixed, **row}
        for place, process in self._in:
            values[place] = process(values[place])
        return values


def _taking(names: Sequence[str]) -> Callable[[Values], Sequence[Any]]:
    """What takes the values of these names out of a row, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: [row[name] for name in names]

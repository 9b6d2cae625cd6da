"""What a batch does not have to ask or say at once: rows that wait, and answers that were asked for ahead.

To a database server each statement is one way there and back, which is most of what a mail costs. So within `gathering()` the rows
of a `PreparedInsert` wait until somebody could see them, and what each of many messages will ask is asked for all of them at once.
Nobody can tell, for two things hold:

- Before a statement is executed, all rows that it could see are written, in their order. It could see those of each table whose
  name stands in its text, SQLAlchemy's own statements and savepoints too; where a prepared one says by which column it asks (`by`), those
  only that bear a value it asks for.
- An answer holds until a row is written that bears what was asked for; any other statement that writes the table ends them all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Connection

from postroom.store.driver import Pipeline
from postroom.store.tables import Base

Row = Mapping[str, Any]

TEXTS_MAX = 1000  # statements of which is remembered what they could see

_KEY = "postroom_waiting"  # in a connection's own dictionary
_ORDER = {
    table.name: place for place, table in enumerate(Base.metadata.sorted_tables)
}  # those first to which others refer
_FAMILY = {  # each table with all to whose rows its own refer, directly or through others
    table.name: frozenset({table.name}) for table in Base.metadata.sorted_tables
}
for _table in Base.metadata.sorted_tables:
    _FAMILY[_table.name] |= frozenset[str]().union(*(_FAMILY[key.column.table.name] for key in _table.foreign_keys))
_WORD = re.compile(r"\w+")
_SEES_ALL = re.compile(r"\s*(SAVEPOINT|RELEASE|ROLLBACK)\b")
_READS = re.compile(r"\s*(SELECT|SAVEPOINT|RELEASE)\b")
_asked_by: defaultdict[str, set[str]] = defaultdict(set)  # the columns by which statements ask, of each table


@dataclass(frozen=True, slots=True)
class Column:
    """By which column a statement asks for the rows of a table; `of` makes it known to those who add rows."""

    table: str
    name: str

    @classmethod
    def of(cls, attribute: Any) -> Column:
        """The mapped column."""
        _asked_by[attribute.table.name].add(attribute.key)
        return cls(attribute.table.name, attribute.key)


class Writes(Protocol):
    """What writes rows of one table: a `PreparedInsert`."""

    table: str

    def write(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write them now, which all have the same keys."""


@dataclass(slots=True)
class _Run:
    """Rows that one statement writes, one after the other."""

    insert: Writes
    keys: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)


class Waiting:
    """Of one transaction: the rows that are not written yet, and the answers that were asked for ahead."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._pipeline = connection, Pipeline(connection)
        self._runs: dict[str, list[_Run]] = {}  # by table
        self._values: defaultdict[tuple[str, str], set[Any]] = defaultdict(
            set
        )  # what the rows bear, by table and column
        self._answers: dict[str, dict[object, dict[Any, list[Any]]]] = {}  # by table, who asked, and for which value
        self._columns: dict[object, str] = {}  # by which column each of those asked

    def add(self, insert: Writes, rows: Sequence[Row]) -> None:
        """Let these rows wait, which all have the same keys."""
        runs, keys = self._runs.setdefault(insert.table, []), tuple(rows[0])
        if not runs or runs[-1].insert is not insert or runs[-1].keys != keys:
            runs.append(_Run(insert, keys))
        runs[-1].rows += rows
        for column in _asked_by[insert.table]:
            self._values[insert.table, column].update(row.get(column) for row in rows)
        self.outdate(insert.table, rows)

    def before(
        self, text: str, by: Column | None = None, values: Collection[Any] = (), adds: bool = False
    ) -> None:  # fmt: skip
        """A statement of this text is about to be executed: write what it could see, and forget what it may change.

        `by`, `values`: of that table it sees rows only that bear one of these. `adds`: it adds rows of which this was told.
        """
        self._pipeline.open()
        if self._runs or self._answers:
            self._prepare_for(text, by, values, adds)

    def before_sqlalchemys(self, text: str) -> None:
        """The same for a statement of SQLAlchemy's, which reads its answer at once, and in no pipeline."""
        if self._runs or self._answers:
            self._prepare_for(text, None, (), adds=False)
        self._pipeline.close()

    def _prepare_for(self, text: str, by: Column | None, values: Collection[Any], adds: bool) -> None:
        tables, is_writing = _known(text)
        if not self._runs.keys().isdisjoint(tables):
            seen = tables & self._runs.keys()
            if by is not None and by.table in seen and self._values[by.table, by.name].isdisjoint(values):
                seen -= {by.table}
            if seen:
                self._write(frozenset[str]().union(*(_FAMILY[table] for table in seen)) & self._runs.keys())
        if is_writing and not adds:
            for table in tables & self._answers.keys():
                del self._answers[table]

    def _write(self, tables: frozenset[str]) -> None:
        """Write what waits of these: those first to which others refer, and the rows of a table in the order in which they came."""
        if tables:
            self._pipeline.open()
        for table in sorted(tables, key=_ORDER.__getitem__):
            runs = self._runs.pop(table)
            for column in _asked_by[table]:
                self._values[table, column].clear()
            for run in runs:
                run.insert.write(self._connection, run.rows)

    def end(self) -> None:
        """Write all that waits, and see that nothing went wrong."""
        self._write(frozenset(self._runs))
        self._pipeline.close()

    def drop(self) -> None:
        """Nothing of it is wanted any more."""
        self._runs.clear()
        self._pipeline.drop()

    def keep(self, asker: object, by: Column, answers: dict[Any, list[Any]]) -> None:
        """Keep the rows that were found for each of these values, also where they are none."""
        self._answers.setdefault(by.table, {}).setdefault(asker, {}).update(answers)
        self._columns[asker] = by.name

    def answer(self, asker: object, by: Column | None, values: Sequence[Any]) -> list[Any] | None:
        """The rows for these values, one value's after the other's; None where they were not all asked for, or may have changed."""
        known = self._answers.get(by.table, {}).get(asker) if by is not None else None
        if known is None or not all(value in known for value in values):
            return None
        return [row for value in dict.fromkeys(values) for row in known[value]]

    def outdate(self, table: str, rows: Sequence[Row]) -> None:
        """Such rows are written: what was asked about them is to be asked anew."""
        for asker, known in self._answers.get(table, {}).items():
            for row in rows:
                known.pop(row.get(self._columns[asker]), None)


@contextmanager
def gathering(connection: Connection) -> Iterator[None]:
    """Rows that are added wait until somebody could see them, or the end; where that is an error, they come to nothing.

    What breaks a constraint is so raised later than it was added, and the caller cannot tell which row that was.
    """
    waiting = connection.info[_KEY] = Waiting(connection)
    try:
        yield
        waiting.end()
    finally:
        waiting.drop()
        if not connection.invalidated:
            connection.info.pop(_KEY, None)


def waiting_on(connection: Connection) -> Waiting | None:
    """What waits on this connection; None where nothing is gathered."""
    found: Waiting | None = connection.info.get(_KEY)
    return found


def before_sqlalchemys(
    connection: Connection, _cursor: Any, text: str, _values: Any, context: Any, _many: bool
) -> None:  # fmt: skip
    """Hears of each statement that SQLAlchemy executes; of those that are prepared (without a context) they tell themselves."""
    if context is not None and (waiting := waiting_on(connection)) is not None:
        waiting.before_sqlalchemys(text)


@lru_cache(TEXTS_MAX)
def _known(text: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement could see, and whether it may change what is in them."""
    tables = _ORDER.keys() if _SEES_ALL.match(text) else _ORDER.keys() & set(_WORD.findall(text))
    return frozenset(tables), _READS.match(text) is None

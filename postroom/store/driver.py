"""What SQLAlchemy does not do for statements that run on the driver's own cursor: its errors, and several sent in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def as_sqlalchemys(connection: Connection, text: str, error: Exception) -> Exception:
    """The driver's error as SQLAlchemy's, without the values: they are people's words. `text`: of the statement."""
    dialect: Any = connection.dialect
    is_gone = dialect.is_disconnect(error, connection.connection.driver_connection, None)
    named = DBAPIError.instance(
        text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_gone, dialect=dialect,
        hide_parameters=True,
    )  # fmt: skip
    if is_gone:
        connection.invalidate(error)
    return named


@contextmanager
def in_one_go(connection: Connection) -> Iterator[None]:
    """To PostgreSQL all that is executed in it is sent before the first answer is read; an error is raised at the end."""
    if connection.dialect.name == "sqlite":
        yield
        return
    driver, dialect = connection.connection.driver_connection, connection.dialect
    try:
        with driver.pipeline():  # type: ignore[union-attr]
            yield
    except dialect.loaded_dbapi.Error as error:
        raise as_sqlalchemys(connection, "rows that waited", error) from error

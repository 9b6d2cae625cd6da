"""What SQLAlchemy does not do for statements that run on the driver's own cursor: its errors, and the pipeline."""

from __future__ import annotations

from contextlib import suppress
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


class Pipeline:
    """What is executed while it is open is only sent, to PostgreSQL; an answer is read where somebody asks for it. SQLite has none.

    A statement that fails says so at the next answer, or at the end: the caller cannot tell which it was.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._opened: Any = None

    def open(self) -> None:
        """From now on, or still."""
        if self._opened is None and self._connection.dialect.name != "sqlite":
            driver: Any = self._connection.connection.driver_connection
            opened = driver.pipeline()
            opened.__enter__()
            self._opened = opened

    def close(self) -> None:
        """Wait for all that was sent. Raises what went wrong with it."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        dialect: Any = self._connection.dialect
        try:
            opened.__exit__(None, None, None)
        except dialect.loaded_dbapi.Error as error:
            raise as_sqlalchemys(self._connection, "sent before", error) from error

    def drop(self) -> None:
        """Close it where something went wrong already: what else did says nothing new."""
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(Exception):
                opened.__exit__(None, None, None)

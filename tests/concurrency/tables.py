"""Reads and changes the tables below the servers. Every call is a transaction of its own."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.base import Executable

Columns = Any  # of a table, by name


def columns_of(model: Any) -> Columns:
    """The columns of a table class."""
    return model.__table__.c


class Tables:
    """One database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def rows(self, statement: Executable) -> list[Any]:
        """What a select gives."""
        with self._engine.connect().execution_options(rowhouse_transaction="read") as connection:
            return list(connection.execute(statement).all())

    def value(self, statement: Executable) -> Any:
        """The one value that a select gives."""
        ((found,),) = self.rows(statement)
        return found

    def count(self, *conditions: sa.ColumnElement[bool]) -> int:
        """How many rows of a table are so."""
        return int(self.value(sa.select(sa.func.count()).where(*conditions)))

    def change(self, statement: Executable) -> None:
        """Run it and commit."""
        with self._engine.begin() as connection:
            connection.execute(statement)

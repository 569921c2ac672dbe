"""`SearchIndex`: an index on PostgreSQL for `search` and the text filters, which otherwise read the whole table.

Example:
    class Book(Entity, table=True):
        __table_args__ = (SearchIndex("title", "author"),)

It holds the grams of the columns' case-folded texts: for each letter, itself and the two after it. All texts on SQLite
read the table. There an empty index of the same name exists, so that a migration written on SQLite creates the index.
Every write on PostgreSQL updates it: about 0.1 ms for two short columns, more for long texts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.schema import SchemaItem
from sqlmodel import AutoString

from rowhouse.db.sql_functions import FOLD, create_gram_functions
from rowhouse.entities.no_overlap import literal

INFO = "search_index"
# Each write appends its grams to a list, and the write that finds more than 128 kB there moves them into the index.
# Without the list a write takes twice as long; with the default of 4 MB, searches and the move of the list do.
PENDING = "fastupdate = on, gin_pending_list_limit = 128"
NOTHING = "0"  # the condition of SQLite's index: false for every row


class SearchIndexRule(NamedTuple):
    """The index as a migration states it: names only."""

    name: str
    table: str
    columns: tuple[str, ...]

    def create(self, connection: sa.Connection) -> None:
        """Create the index. On SQLite, create an empty one that only records it; no query uses it."""
        quote = connection.dialect.identifier_preparer.quote
        name = quote(self.name)
        if connection.dialect.name == "sqlite":
            columns = ", ".join(map(quote, self.columns))
            connection.execute(
                sa.text(f"CREATE INDEX IF NOT EXISTS {name} ON {quote(self.table)} ({columns}) WHERE {NOTHING}")
            )
            return
        # The project's migrations may come before the engine's migration that creates them in an older database.
        create_gram_functions(connection)
        schema = self._schema(connection)
        table = f"{schema}{quote(self.table.rpartition('.')[2])}"
        folded = [f"{FOLD}({quote(column)})" for column in self.columns]
        index = f"rowhouse_grams({', '.join(folded)})"
        connection.execute(
            sa.text(f"CREATE INDEX IF NOT EXISTS {name} ON {table} USING gin ({index}) WITH ({PENDING})")
        )
        # The planner needs to know how many rows contain a text, and nothing about grams: if it believed that many rows
        # contain one, it would compute the grams of the whole table.
        connection.execute(sa.text(f"ALTER INDEX {schema}{name} ALTER COLUMN 1 SET STATISTICS 0"))
        for column, expression in zip(self.columns, folded, strict=True):
            statistics = f"{schema}{quote(f'{self.name}_{column}')}"
            connection.execute(sa.text(f"CREATE STATISTICS IF NOT EXISTS {statistics} ON ({expression}) FROM {table}"))

    def drop(self, connection: sa.Connection) -> None:
        """Drop what `create` has made."""
        quote = connection.dialect.identifier_preparer.quote
        schema = self._schema(connection)
        connection.execute(sa.text(f"DROP INDEX IF EXISTS {schema}{quote(self.name)}"))
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(self._drop_statistics(f"{schema}{quote(self.table.rpartition('.')[2])}")))

    def _drop_statistics(self, table: str) -> str:
        """Return the statement that drops the planner's statistics of the index.

        It looks their names up, because they keep the former name of a renamed column. It is one statement, so that
        `--sql` can print it.
        """
        is_ours = f"stxrelid = to_regclass({literal(table)}) AND starts_with(stxname, {literal(f'{self.name}_')})"
        return (
            "DO $do$ DECLARE found text; BEGIN FOR found IN "  # noqa: S608  # nosec B608  # every name is quoted
            "SELECT quote_ident(nspname) || '.' || quote_ident(stxname) "
            f"FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {is_ours} "
            "LOOP EXECUTE 'DROP STATISTICS ' || found; END LOOP; END $do$"
        )

    def _schema(self, connection: sa.Connection) -> str:
        """Return the schema of the table as a prefix, or an empty string. Names of indexes on SQLite have no schema."""
        if connection.dialect.name == "sqlite":
            return ""
        schema = self.table.rpartition(".")[0]
        return f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""


class SearchIndex(SchemaItem):
    """Declare in `__table_args__` the text columns that `search` and text filters find by an index on PostgreSQL.

    Example:
        class Book(Entity, table=True):
            __table_args__ = (SearchIndex("title", "author"),)

    Raises:
        ValueError: when the class is made, for a column that does not exist or holds no text; the message says how to
            fix it.
    """

    def __init__(self, *columns: str, name: str | None = None) -> None:
        self.columns = columns
        self.name = name
        event.listen(self, "after_parent_attach", self._attach)

    def _attach(self, _declaration: SchemaItem, parent: Any) -> None:
        if not isinstance(parent, sa.Table):
            raise TypeError("SearchIndex belongs in a class's __table_args__")
        _check(self.columns, parent)
        rule = SearchIndexRule(self.name or f"ix_{parent.name}_search", parent.fullname, self.columns)
        parent.info[INFO] = rule
        event.listen(parent, "after_create", lambda _table, connection, **_others: rule.create(connection))


def search_index_of(table: sa.Table) -> SearchIndexRule | None:
    """Return the search index of a table, or None."""
    info: Mapping[str, Any] = table.info
    return info.get(INFO)


def _check(columns: tuple[str, ...], table: sa.Table) -> None:
    texts = [column.name for column in table.columns if _is_text(column.type)]
    unknown = [name for name in columns if name not in texts]
    if unknown or not columns:
        raise ValueError(
            f"SearchIndex takes text columns of {table.name}, which are {', '.join(texts)}; "
            f"not {', '.join(unknown) or 'none'}"
        )


def _is_text(kind: Any) -> bool:
    return isinstance(kind, AutoString | sa.String) and not isinstance(kind, sa.Enum)

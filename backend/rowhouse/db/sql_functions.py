"""SQL functions for text, with the same results on both databases: order by code point, case folding, and trigrams.

The SQL function `rowhouse_fold` folds the case of Unicode text. On SQLite it is Python's `str.casefold`, registered on
every connection. On PostgreSQL a migration creates a function with the same results (`casefold_function`).

PostgreSQL's `rowhouse_trigrams` returns the hashes of every three successive letters of some texts, for `SearchIndex`.
It needs no extension, which a server may lack or forbid (docs/decisions/0012).
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction

from rowhouse.db.casefold_function import create_fold_statements
from rowhouse.db.compiled import NeedsCustomPlan

FOLD = "rowhouse_fold"
DROP_FOLD = "DROP FUNCTION IF EXISTS rowhouse_fold(text)"
TRIGRAM = 3  # letters; a shorter text has none
# Split into letters first: `substr` counts from the start each time, which is quadratic for a long text.
CREATE_TRIGRAMS_ON_POSTGRESQL = """
CREATE OR REPLACE FUNCTION rowhouse_trigrams(VARIADIC texts text[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
DECLARE
  found integer[] := '{}';
  one text;
  letters text[];
BEGIN
  FOREACH one IN ARRAY texts LOOP
    letters := string_to_array(one, NULL);
    FOR place IN 3 .. coalesce(array_length(letters, 1), 0) LOOP
      found := found || hashtext(letters[place - 2] || letters[place - 1] || letters[place]);
    END LOOP;
  END LOOP;
  RETURN found;
END $body$
"""
DROP_TRIGRAMS_ON_POSTGRESQL = "DROP FUNCTION IF EXISTS rowhouse_trigrams(text[])"


class rowhouse_fold(GenericFunction[str], NeedsCustomPlan):  # noqa: N801  SQLAlchemy finds it under its name in SQL
    """`func.rowhouse_fold(...)`."""

    inherit_cache = True
    type = sa.String()


class Folded(FunctionElement[str], NeedsCustomPlan):
    """A column as text that a folded pattern of LIKE can be compared with.

    SQLite's LIKE ignores the case of ASCII letters itself. So only other texts are folded, by Python: calling it takes
    most of the time of a search that reads the table. A text is ASCII if it has as many letters as bytes.
    """

    inherit_cache = True
    type = sa.String()


@compiles(Folded)
def _folded(element: Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"{FOLD}({compiler.process(element.clauses, **options)})"


@compiles(Folded, "sqlite")
def _folded_if_not_ascii(element: Folded, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    is_ascii = f"length({text}) = length(CAST({text} AS BLOB))"
    return f"CASE WHEN {is_ascii} THEN {text} ELSE {FOLD}({text}) END"


class MayHold(FunctionElement[bool], NeedsCustomPlan):
    """An SQL condition: one of these columns may contain a text, ignoring case. The text is the last argument.

    PostgreSQL compares trigrams, for which an index of the same columns in the same order is used. Elsewhere it is
    always true. A query must check the columns as well, because the trigrams may be spread over them.
    """

    inherit_cache = True
    type = sa.Boolean()


@compiles(MayHold)
def _may_hold_anything(_element: MayHold, _compiler: SQLCompiler, **_options: Any) -> str:
    return "1 = 1"


@compiles(MayHold, "postgresql")
def _may_hold_by_trigrams(element: MayHold, compiler: SQLCompiler, **options: Any) -> str:
    *columns, text = [compiler.process(part, **options) for part in element.clauses]
    folded = ", ".join(f"{FOLD}({column})" for column in columns)
    return f"rowhouse_trigrams({folded}) @> rowhouse_trigrams({FOLD}({text}))"


class SortedText(FunctionElement[str]):
    """A column of words, as text that sorts by code point. PostgreSQL sorts a native enum by its declaration."""

    inherit_cache = True
    type = sa.String()


@compiles(SortedText)
def _as_it_is(element: SortedText, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(SortedText, "postgresql")
def _as_text(element: SortedText, compiler: SQLCompiler, **options: Any) -> str:
    return f'CAST({compiler.process(element.clauses, **options)} AS TEXT) COLLATE "C"'


def portable_text(length: int | None) -> sa.types.TypeEngine[Any]:
    """Return a type of text that PostgreSQL orders by code point, as SQLite does."""
    return in_code_point_order(sa.String(length))


def in_code_point_order(kind: sa.String) -> sa.String:
    """Return the same type of text in the order of `portable_text`."""
    collated = kind.copy()
    collated.collation = "C"
    return kind.with_variant(collated, "postgresql")


def fold_text(text: str | None) -> str | None:
    """Return `text` with its case folded. SQLite runs this as `rowhouse_fold`."""
    return None if text is None else text.casefold()


def create_fold_function(connection: sa.Connection) -> None:
    """Create the case folding function on PostgreSQL. SQLite has it on every connection."""
    if connection.dialect.name == "postgresql":
        for statement in create_fold_statements():
            connection.execute(sa.text(statement))


def drop_fold_function(connection: sa.Connection) -> None:
    """Undo `create_fold_function`."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(DROP_FOLD))


def create_trigram_function(connection: sa.Connection) -> None:
    """Create the trigram function on PostgreSQL, which has search indexes."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(CREATE_TRIGRAMS_ON_POSTGRESQL))


def drop_trigram_function(connection: sa.Connection) -> None:
    """Undo `create_trigram_function`."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(DROP_TRIGRAMS_ON_POSTGRESQL))


def fold_with(metadata: sa.MetaData) -> None:
    """Create the functions before `metadata.create_all` creates tables, for databases without migrations."""

    @event.listens_for(metadata, "before_create")
    def create(_target: sa.MetaData, connection: sa.Connection, **_: object) -> None:
        create_fold_function(connection)
        create_trigram_function(connection)

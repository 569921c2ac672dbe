"""SQL functions for text, with the same results on both databases: order by code point, case folding, and grams.

The SQL function `rowhouse_fold` folds the case of Unicode text. On SQLite it is Python's `str.casefold`, registered on
every connection. On PostgreSQL a migration creates a function with the same results (`casefold_function`).

PostgreSQL's `rowhouse_grams` returns the grams of some texts, for `SearchIndex`: for each letter, itself and the two
after it, or as many as there are. `rowhouse_gram_query` returns the condition that a text is among them. They need no
extension, which a server may lack or forbid (docs/decisions/0012).
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
# The index returns a row with texts of more than 300 kB for every search: its grams might exceed a tsvector's megabyte.
CREATE_GRAMS_ON_POSTGRESQL = r"""
DO $do$ BEGIN
  IF to_regprocedure('rowhouse_gram_query(text)') IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE $create$
    CREATE FUNCTION rowhouse_grams(VARIADIC texts text[]) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
    DECLARE
      found text[] := '{}';
      size bigint := 0;
      one text;
      letters text[];
    BEGIN
      FOREACH one IN ARRAY texts LOOP
        size := size + coalesce(octet_length(one), 0);
      END LOOP;
      IF size > 300000 THEN
        RETURN $$'any text'$$::tsvector;
      END IF;
      FOREACH one IN ARRAY texts LOOP
        -- Split into letters first: `substr` counts from the start each time, which is quadratic for a long text.
        letters := string_to_array(one, NULL) || ARRAY['', ''];
        FOR place IN 1 .. array_length(letters, 1) - 2 LOOP
          found := found || (letters[place] || letters[place + 1] || letters[place + 2]);
        END LOOP;
      END LOOP;
      RETURN array_to_tsvector(found);
    END $body$
  $create$;
  EXECUTE $create$
    CREATE FUNCTION rowhouse_gram_query(searched text) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
    DECLARE
      letters text[] := string_to_array(searched, NULL);
      found text[] := '{}';
      gram text;
    BEGIN
      FOR place IN 1 .. greatest(array_length(letters, 1) - 2, 1) LOOP
        gram := array_to_string(letters[place : place + 2], '');
        -- Within quotes, a tsquery reads a backslash and a quote as one letter if they are doubled.
        found := found || ($$'$$ || replace(replace(gram, $$\$$, $$\\$$), $$'$$, $$''$$) || $$'$$);
      END LOOP;
      IF array_length(letters, 1) < 3 THEN
        found[1] := found[1] || ':*';
      END IF;
      RETURN ('(' || array_to_string(found, ' & ') || $$) | 'any text'$$)::tsquery;
    END $body$
  $create$;
END $do$
"""
DROP_GRAMS_ON_POSTGRESQL = (
    "DROP FUNCTION IF EXISTS rowhouse_grams(text[])",
    "DROP FUNCTION IF EXISTS rowhouse_gram_query(text)",
    "DROP FUNCTION IF EXISTS rowhouse_trigrams(text[])",  # of an earlier version; see the migration rowhouse_0003
)


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
    return f"CASE WHEN {is_ascii} THEN {text} ELSE {FOLD}(CAST({text} AS BLOB)) END"


class MayHold(FunctionElement[bool], NeedsCustomPlan):
    """An SQL condition: one of these columns may contain a text, ignoring case. The text is the last argument.

    PostgreSQL compares grams, for which an index of the same columns in the same order is used. Elsewhere it is always
    true. A query must check the columns as well, because the grams may be spread over them.
    """

    inherit_cache = True
    type = sa.Boolean()


@compiles(MayHold)
def _may_hold_anything(_element: MayHold, _compiler: SQLCompiler, **_options: Any) -> str:
    return "1 = 1"


@compiles(MayHold, "postgresql")
def _may_hold_by_grams(element: MayHold, compiler: SQLCompiler, **options: Any) -> str:
    *columns, text = [compiler.process(part, **options) for part in element.clauses]
    folded = ", ".join(f"{FOLD}({column})" for column in columns)
    return f"rowhouse_grams({folded}) @@ rowhouse_gram_query({FOLD}({text}))"


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


def fold_text(text: str | bytes | None) -> str | None:
    """Return `text` with its case folded. SQLite runs this as `rowhouse_fold`.

    A stored text comes as bytes, because SQLite passes no text that is not UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
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


def create_gram_functions(connection: sa.Connection) -> None:
    """Create the functions of grams on PostgreSQL, which has search indexes, if they are not there."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(CREATE_GRAMS_ON_POSTGRESQL))


def drop_gram_functions(connection: sa.Connection) -> None:
    """Undo `create_gram_functions`."""
    if connection.dialect.name == "postgresql":
        for statement in DROP_GRAMS_ON_POSTGRESQL:
            connection.execute(sa.text(statement))


def fold_with(metadata: sa.MetaData) -> None:
    """Create the functions before `metadata.create_all` creates tables, for databases without migrations."""

    @event.listens_for(metadata, "before_create")
    def create(_target: sa.MetaData, connection: sa.Connection, **_: object) -> None:
        create_fold_function(connection)
        create_gram_functions(connection)

"""Text that sorts by code point, compares in any case, Unicode included, alike on both databases, and is found by its trigrams.

The SQL function `rowhouse_fold` folds the case. SQLite calls Python's `str.casefold` (registered on every connection). PostgreSQL gets a function of that name by migration: full
case folding on 18 and later, ICU's lower case before, the database's own collation where there is no ICU.

PostgreSQL's `rowhouse_trigrams` gives the hashes of every three letters in a row in some texts: what `SearchIndex` is made of. It
needs no extension, which a server may lack or not permit (docs/decisions/0012).
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction

from backend.core.statement import PlannedAnew

FOLD = "rowhouse_fold"
_BODY = "CREATE OR REPLACE FUNCTION rowhouse_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS"
CREATE_FOLD_ON_POSTGRESQL = f"""
DO $do$ BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    EXECUTE $body$ {_BODY} 'SELECT casefold($1 COLLATE "pg_unicode_fast")' $body$;
  ELSIF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
    EXECUTE $body$ {_BODY} 'SELECT lower($1 COLLATE "und-x-icu")' $body$;
  ELSE
    EXECUTE $body$ {_BODY} 'SELECT lower($1 COLLATE "default")' $body$;
  END IF;
END $do$
"""  # noqa: S608  # nosec B608  # composed of constants
DROP_FOLD_ON_POSTGRESQL = "DROP FUNCTION IF EXISTS rowhouse_fold(text)"
TRIGRAM = 3  # letters; a shorter text has none
# Split into letters first: `substr` would count from the start for each of them, which a long text pays for with its square.
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


class rowhouse_fold(GenericFunction[str], PlannedAnew):  # noqa: N801  SQLAlchemy finds it under its name in SQL
    """`func.rowhouse_fold(...)`."""

    inherit_cache = True
    type = sa.String()


class MayHold(FunctionElement[bool], PlannedAnew):
    """Whether one of some columns may hold a folded text, which comes last.

    PostgreSQL tells by their trigrams, so that an index of the same columns in the same order answers; elsewhere they always may.
    Whoever asks must look at the columns too, for the trigrams may stand apart.
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
    return f"rowhouse_trigrams({folded}) @> rowhouse_trigrams({text})"


def portable_text(length: int | None) -> sa.types.TypeEngine[Any]:
    """Text that PostgreSQL orders by code point, as SQLite does."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def fold_text(text: str | None) -> str | None:
    """`text` for comparison in any case; what SQLite runs as `rowhouse_fold`."""
    return None if text is None else text.casefold()


def create_fold_function(connection: sa.Connection) -> None:
    """Make the function where the database, not the connection, holds it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(CREATE_FOLD_ON_POSTGRESQL)


def drop_fold_function(connection: sa.Connection) -> None:
    """Undo `create_fold_function`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(DROP_FOLD_ON_POSTGRESQL)


def create_trigram_function(connection: sa.Connection) -> None:
    """Make the function that search indexes are made of, where there are such."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(CREATE_TRIGRAMS_ON_POSTGRESQL)


def drop_trigram_function(connection: sa.Connection) -> None:
    """Undo `create_trigram_function`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(DROP_TRIGRAMS_ON_POSTGRESQL)


def fold_with(metadata: sa.MetaData) -> None:
    """Make the functions before `metadata.create_all` makes tables; for databases made without a migration."""

    @event.listens_for(metadata, "before_create")
    def create(_target: sa.MetaData, connection: sa.Connection, **_: object) -> None:
        create_fold_function(connection)
        create_trigram_function(connection)

"""Text that sorts by code point and compares in any case, Unicode included, alike on both databases.

The SQL function `rowhouse_fold` folds the case. SQLite calls Python's `str.casefold` (registered on every connection). PostgreSQL gets a function of that name by migration: full
case folding on 18 and later, ICU's lower case before, the database's own collation where there is no ICU.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

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


def fold_with(metadata: sa.MetaData) -> None:
    """Make the function before `metadata.create_all` makes tables; for databases made without a migration."""

    @event.listens_for(metadata, "before_create")
    def create(_target: sa.MetaData, connection: sa.Connection, **_: object) -> None:
        create_fold_function(connection)

"""Text is folded alike on every version of PostgreSQL: all that Python's `casefold` finds is found before 18 as well.

Revision: 0008, after 0007; 2026-11-27 16:00:00.000000
"""

from alembic import op

from rowhouse.db.casefold_function import REFRESH_BEFORE_18, create_fold_statements

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FORMER = """
DO $do$ BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
    CREATE OR REPLACE FUNCTION rowhouse_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT lower($1 COLLATE "und-x-icu")';
  ELSE
    CREATE OR REPLACE FUNCTION rowhouse_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT lower($1 COLLATE "default")';
  END IF;
END $do$
"""


def upgrade() -> None:
    """Apply; before PostgreSQL 18 the search indexes are made anew, in which time their tables are read but not written."""
    _replace(*create_fold_statements())


def downgrade() -> None:
    """Undo."""
    _replace(FORMER)


def _replace(*statements: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        for statement in (*statements, REFRESH_BEFORE_18):
            op.execute(statement)

"""Let search indexes find texts of one and two letters: they hold the grams of the texts instead of hashes of trigrams.

Revision: rowhouse_0003, after rowhouse_0002; 2026-11-29

Every search index is built again: 14 seconds for a million short texts, during which writes to its table wait. Servers
of the version before use `rowhouse_trigrams`, so it stays; their searches read the table.
"""

from alembic import op

from rowhouse.db.sql_functions import create_gram_functions

revision = "rowhouse_0003"
down_revision = "rowhouse_0002"
branch_labels = None
depends_on = None

# Reads wait only while the old indexes are dropped, at the end. PostgreSQL writes the schema before a function that is
# not on the search path, such as that of another project's schema, whose indexes stay.
REBUILD = r"""
DO $do$
DECLARE
  old record;
BEGIN
  FOR old IN SELECT *, 'rowhouse_' || md5(indexname) AS made FROM pg_indexes
    WHERE strpos(indexdef, '(rowhouse_trigrams(') > 0 LOOP
    EXECUTE replace(
      regexp_replace(
        replace(old.indexdef, '(rowhouse_trigrams(', '(rowhouse_grams('), ' WITH \([^()]*\)$',
        ' WITH (fastupdate = on, gin_pending_list_limit = 128)'
      ),
      format('INDEX %I ON', old.indexname), format('INDEX %I ON', old.made)
    );
    EXECUTE format('ALTER INDEX %I.%I ALTER COLUMN 1 SET STATISTICS 0', old.schemaname, old.made);
  END LOOP;
  FOR old IN SELECT *, 'rowhouse_' || md5(indexname) AS made FROM pg_indexes
    WHERE strpos(indexdef, '(rowhouse_trigrams(') > 0 LOOP
    EXECUTE format('DROP INDEX %I.%I', old.schemaname, old.indexname);
    EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', old.schemaname, old.made, old.indexname);
  END LOOP;
END $do$
"""


def upgrade() -> None:
    """Apply."""
    create_gram_functions(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REBUILD)


def downgrade() -> None:
    """Keep the functions and the indexes, which the first migration of this version creates too."""

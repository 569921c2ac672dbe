"""The migration `rowhouse_0003` builds the search indexes of an earlier version again."""

import sqlalchemy as sa
from alembic import command

from tests.migrations import schema
from tests.migrations.test_chain import config_for, down, up

LONG = f"ix_{'x' * 60}"
FOLDED = "rowhouse_fold(email), rowhouse_fold(full_name)"
# What `SearchIndex` created before.
EARLIER = (
    "CREATE FUNCTION rowhouse_trigrams(VARIADIC texts text[]) RETURNS integer[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[1]'",
    "DROP INDEX ix_users_search",
    f"CREATE INDEX ix_users_search ON users USING gin (rowhouse_trigrams({FOLDED})) WITH (fastupdate = off)",
    'CREATE SCHEMA "Old shop"',
    'CREATE TABLE "Old shop"."Hats" (name text)',
    f'CREATE INDEX {LONG} ON "Old shop"."Hats" USING gin (rowhouse_trigrams(rowhouse_fold(name))) WITH (fastupdate = off)',
    'INSERT INTO "Old shop"."Hats" SELECT \'Hat \' || n FROM generate_series(1, 2000) n',
    "DROP FUNCTION rowhouse_grams(text[])",
    "DROP FUNCTION rowhouse_gram_query(text)",
)
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE strpos(indexdef, 'USING gin') > 0"
STATISTICS = "SELECT min(attstattarget) FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attnum = 1"


def test_earlier_search_indexes_are_built_again_under_their_names(empty: sa.Connection) -> None:
    """In every schema, with the settings of a new one. The earlier function stays for servers of that version."""
    command.upgrade(config_for(empty), "rowhouse_0002")
    empty.commit()
    if empty.dialect.name == "postgresql":
        for statement in EARLIER:
            empty.exec_driver_sql(statement)
        empty.commit()
    up(empty)
    if empty.dialect.name == "postgresql":
        found: dict[str, str] = dict(map(tuple, empty.exec_driver_sql(INDEXES)))
        for name in ("ix_users_search", LONG):
            assert "rowhouse_grams(" in found[name]
            assert "fastupdate='on', gin_pending_list_limit='128'" in found[name]
        assert "rowhouse_trigrams(" not in "".join(found.values())
        assert not [name for name in found if name.endswith("_new")]
        assert empty.scalar(sa.text(STATISTICS), {"name": f'"Old shop".{LONG}'}) == 0
        empty.exec_driver_sql('ANALYZE "Old shop"."Hats"')
        asked = 'EXPLAIN SELECT * FROM "Old shop"."Hats" WHERE rowhouse_grams(rowhouse_fold(name)) @@ rowhouse_gram_query(\'xq\')'
        assert LONG in "".join(empty.exec_driver_sql(asked).scalars())
        empty.exec_driver_sql('DROP SCHEMA "Old shop" CASCADE')
        assert any("rowhouse_trigrams(" in function for function in schema.functions(empty))
    empty.commit()
    down(empty)
    assert schema.functions(empty) == set()

"""The migration `rowhouse_0003` builds the search indexes of an earlier version again."""

import sqlalchemy as sa
from alembic import command

from tests.migrations import schema
from tests.migrations.test_chain import config_for, down, up

LONG, OTHER_LONG = (f"ix_{'x' * 59}{last}" for last in "ab")
INDEX = 'CREATE INDEX {name} ON "Old shop"."Hats" USING gin ({function}(rowhouse_fold("made WITH"))) WITH (fastupdate = off)'
FOLDED = "rowhouse_fold(email), rowhouse_fold(full_name)"
# What `SearchIndex` created before.
EARLIER = (
    "CREATE FUNCTION rowhouse_trigrams(VARIADIC texts text[]) RETURNS integer[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[1]'",
    "DROP INDEX ix_users_search",
    f"CREATE INDEX ix_users_search ON users USING gin (rowhouse_trigrams({FOLDED})) WITH (fastupdate = off)",
    'CREATE SCHEMA "Old shop"',
    'CREATE TABLE "Old shop"."Hats" ("made WITH" text)',
    INDEX.format(name=LONG, function="rowhouse_trigrams"),
    INDEX.format(name=OTHER_LONG, function="rowhouse_trigrams"),
    # Another project in the same database.
    "CREATE FUNCTION \"Old shop\".rowhouse_trigrams(text) RETURNS integer[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[1]'",
    INDEX.format(name="ix_of_others", function='"Old shop".rowhouse_trigrams'),
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
        assert '"Old shop".rowhouse_trigrams(' in found.pop("ix_of_others")
        assert {*found} >= {"ix_users_search", LONG, OTHER_LONG}
        assert not [name for name in found if name.startswith("rowhouse_")]
        for definition in found.values():
            assert "rowhouse_grams(" in definition
            assert "fastupdate='on', gin_pending_list_limit='128'" in definition
        assert "rowhouse_trigrams(" not in "".join(found.values())
        assert empty.scalar(sa.text(STATISTICS), {"name": f'"Old shop".{LONG}'}) == 0
        empty.exec_driver_sql('ANALYZE "Old shop"."Hats"')
        asked = 'EXPLAIN SELECT * FROM "Old shop"."Hats" WHERE rowhouse_grams(rowhouse_fold("made WITH")) @@ rowhouse_gram_query(\'xq\')'
        assert LONG[:-1] in "".join(empty.exec_driver_sql(asked).scalars())
        empty.exec_driver_sql('DROP SCHEMA "Old shop" CASCADE')
        assert any("rowhouse_trigrams(" in function for function in schema.functions(empty))
    empty.commit()
    down(empty)
    assert schema.functions(empty) == set()

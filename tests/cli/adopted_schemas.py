"""The databases that `rowhouse adopt` is tested with: what other programs make, on PostgreSQL and on SQLite."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

POSTGRESQL = (
    "CREATE TYPE mood AS ENUM ('calm', 'Very busy', 'class')",
    "CREATE DOMAIN postcode AS varchar(10) CHECK (VALUE ~ '^[0-9]+$')",
    """CREATE TABLE "Shop" (
        "shopId" serial PRIMARY KEY, "Display Name" varchar(60) NOT NULL, "class" text, mood mood NOT NULL DEFAULT 'calm',
        moods mood[], zip postcode, tags text[] NOT NULL DEFAULT '{}', opened timestamptz NOT NULL DEFAULT now(),
        naive timestamp, updated_at timestamptz NOT NULL DEFAULT '2020-01-01Z', rating numeric(4,2), ratio real,
        total numeric, about jsonb, code uuid UNIQUE DEFAULT gen_random_uuid(), ip inet, hours interval, at time,
        area int GENERATED ALWAYS AS ("shopId" * 2) STORED, logo bytea, metadata text, sort int, date date, str text,
        words tsvector, place point, price money, grid bit(3))""",
    """COMMENT ON TABLE "Shop" IS 'A place that "sells".'""",
    "CREATE TABLE country (code char(3) PRIMARY KEY, name varchar(50) NOT NULL)",
    """CREATE TABLE tag (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label text UNIQUE, home char(3)
        REFERENCES country ON DELETE SET NULL, CONSTRAINT uq_tag_home_label UNIQUE (home, label))""",
    """CREATE TABLE shop_tag (shop_id int REFERENCES "Shop" ON DELETE CASCADE, tag_id bigint REFERENCES tag,
        PRIMARY KEY (shop_id, tag_id))""",
    """CREATE TABLE visit (shop_id int REFERENCES "Shop", day date, guide int REFERENCES visitor_of, n smallint NOT NULL
        DEFAULT 1, PRIMARY KEY (shop_id, day))""",
    """CREATE TABLE note (id int PRIMARY KEY, shop_id int NOT NULL, day date NOT NULL, parent int REFERENCES note,
        FOREIGN KEY (shop_id, day) REFERENCES visit)""",
    "CREATE UNIQUE INDEX one_note ON note (shop_id, day)",
    "CREATE INDEX notes_by_parent ON note (parent)",
    "CREATE DOMAIN rated AS mood",
    "CREATE TABLE people (id int PRIMARY KEY, mood rated, desk int, model_dump text, codes postcode[], grid int[][])",
    "INSERT INTO people VALUES (1, 'calm', NULL, NULL, NULL, '{{1, 2}}')",
    "CREATE TABLE desks (id int PRIMARY KEY, owner_id int REFERENCES people DEFERRABLE INITIALLY DEFERRED)",
    "ALTER TABLE people ADD FOREIGN KEY (desk) REFERENCES desks",
    "CREATE TABLE no_key (a int)",
    "CREATE TABLE spots (place cidr PRIMARY KEY)",
    """CREATE VIEW busy AS SELECT * FROM "Shop" WHERE mood = 'Very busy'""",
    "CREATE TABLE measure (id int, at date DEFAULT '2030-06-01', v double precision, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    "CREATE TABLE measure_2030 PARTITION OF measure FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')",
    "CREATE TABLE event (id int PRIMARY KEY, said text)",
    "CREATE TABLE birth (weight int, PRIMARY KEY (id)) INHERITS (event)",
    "CREATE TABLE alarm (level int) INHERITS (event)",
    "CREATE SCHEMA ops",
    """CREATE TABLE ops.job (id int PRIMARY KEY, shop_id int REFERENCES "Shop", state mood NOT NULL, p point NOT NULL)""",
    "CREATE TABLE ops.tag (id int PRIMARY KEY)",
    "INSERT INTO country VALUES ('FR', 'France'), ('DEU', 'Germany')",
    """INSERT INTO "Shop" ("Display Name", "class", mood, moods, zip, tags, naive, rating, ratio, total, about, ip, hours,
        at, logo, metadata, sort, date, str, words)
        SELECT 'Shop ' || n, NULLIF('Ä' || n, 'Ä3'), (ARRAY['calm','Very busy','class']::mood[])[n % 3 + 1],
        ARRAY['calm']::mood[], (1000 + n)::text, ARRAY['a', 'b'], timestamp '2030-01-01' + n * interval '1 hour', n + .25,
        n / 7::real, n * 1.0625, '{"a": [1]}', '10.0.0.1', interval '1 hour', '10:00', '\\x00ff', 'm', n, '2030-01-02',
        'x', 'hello' FROM generate_series(1, 5) n""",
    "INSERT INTO tag (label, home) VALUES ('a', 'FR'), ('b', 'DEU'), ('c', NULL)",
    "INSERT INTO shop_tag VALUES (1, 1), (1, 2), (2, 2)",
    "INSERT INTO visit (shop_id, day) VALUES (1, '2030-01-02'), (2, '2030-01-02')",
    "INSERT INTO note VALUES (1, 1, '2030-01-02', NULL), (2, 2, '2030-01-02', 1)",
    "INSERT INTO measure VALUES (1, '2030-02-03', 1.5)",
    "INSERT INTO birth VALUES (1, 'a', 3)",
    "INSERT INTO ops.job VALUES (1, 1, 'calm', '(1,2)')",
)
SQLITE = (
    """CREATE TABLE "Shop" ("shopId" INTEGER PRIMARY KEY, "Display Name" VARCHAR(60) NOT NULL, "class" TEXT, rating
        NUMERIC(4,2), total NUMERIC, seen DATETIME, day DATE, "when" DATE, big INTEGER, mixed INTEGER, odd, flag BOOLEAN,
        code CHAR(3) UNIQUE, area INTEGER GENERATED ALWAYS AS ("shopId" * 2) STORED, logo BLOB, about JSON, number INT
        NOT NULL DEFAULT 7, updated_at TIMESTAMP, "Näme (%s)" TEXT)""",
    "CREATE TABLE tag (id INTEGER PRIMARY KEY, label TEXT NOT NULL)",
    """CREATE TABLE shop_tag (shop_id INTEGER REFERENCES "Shop" ON DELETE CASCADE, tag_id INTEGER REFERENCES tag,
        PRIMARY KEY (shop_id, tag_id))""",
    """CREATE TABLE visit (shop_id INTEGER NOT NULL REFERENCES "Shop", day DATE NOT NULL, host INTEGER REFERENCES "Shop"
        DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (shop_id, day)) WITHOUT ROWID""",
    "CREATE TABLE country (code INT PRIMARY KEY, name TEXT)",
    "CREATE TABLE no_key (a INTEGER)",
    "CREATE VIEW busy AS SELECT * FROM tag",
    "CREATE VIRTUAL TABLE words USING fts5(text)",
    """INSERT INTO "Shop" ("shopId", "Display Name", "class", rating, total, seen, day, "when", big, mixed, odd, flag, code,
        logo, about, updated_at, "Näme (%s)") VALUES
        (1, 'a', NULL, 1.25, 1.5, '2030-01-02 03:04:05', '2030-01-02', '2030-01-02 00:00:00', 5000000000, 1, x'00', 1, 'ab',
        x'00ff', '{"a": 1}', '2030-01-02 03:04:05.123456', 'ä'),
        (2, 'b', 'x', 2, 2, NULL, NULL, NULL, NULL, 'two', 'text', NULL, NULL, NULL, NULL, NULL, NULL),
        (3, 'c', 'y', 2, 2, NULL, NULL, NULL, NULL, 3, 3, 0, 'c', NULL, NULL, NULL, NULL)""",
    "INSERT INTO tag VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO shop_tag VALUES (1, 1), (1, 2), (2, 2)",
    "INSERT INTO visit VALUES (1, '2030-01-02', 2)",
    "INSERT INTO country VALUES (7, 'x')",
)
STATEMENTS: Mapping[str, Sequence[str]] = {
    "postgresql": tuple(statement.replace("REFERENCES visitor_of", 'REFERENCES "Shop"') for statement in POSTGRESQL),
    "sqlite": SQLITE,
}
# What the adopted tables are, without the tables that Rowhouse makes.
OURS = "('users', 'refresh_tokens', 'idempotency_keys', 'deleted_rows', 'history_entries', 'alembic_version')"
SHAPES = {
    "postgresql": """
        SELECT c.table_schema || '.' || c.table_name || '.' || c.column_name || c.data_type || c.is_nullable
            || coalesce(c.column_default, '') FROM information_schema.columns c
        WHERE c.table_schema IN ('public', 'ops') AND c.table_name NOT IN OURS
        UNION ALL SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace::regnamespace::text IN ('public', 'ops') AND conrelid::regclass::text NOT IN OURS
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'ops') AND tablename NOT IN OURS
        UNION ALL SELECT typname FROM pg_type WHERE typtype IN ('e', 'd') AND typnamespace::regnamespace::text = 'public'
        ORDER BY 1""",
    "sqlite": "SELECT sql FROM sqlite_master WHERE tbl_name NOT IN OURS AND name <> 'sqlite_sequence' ORDER BY sql",
}


def make_tables(connection: sa.Connection) -> None:
    """Make the tables of other programs, with rows."""
    for statement in STATEMENTS[connection.dialect.name]:
        connection.exec_driver_sql(
            statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement
        )


def shape_of(connection: sa.Connection) -> list[str]:
    """The adopted tables as the database describes them."""
    statement = SHAPES[connection.dialect.name].replace("OURS", OURS)
    return [str(row[0]) for row in connection.exec_driver_sql(statement)]

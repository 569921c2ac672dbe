"""`rowhouse_fold` in the database folds case exactly as Python's `str.casefold`, on every version."""

import sys
import unicodedata
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.casefold_function import CREATE_ON_18, REFRESH_BEFORE_18, case_pairs, create_fold_statements
from rowhouse.db.engine import create_engine
from tests.conftest import migrate
from tests.databases import Databases
from tests.migrations import schema

AWKWARD = (
    "", "plain ascii", "ÀÉÎÕÜ", "Straße", "STRASSE", "ẞ", "ﬁ ﬃ ﬆ", "İstanbul", "ISPARTA \u0131sparta", "ΣΊΣΥΦΟΣ ς", "ὈΔΥΣΣΕΎΣ",
    "ᾼ ῼ ᾳ", "ΐ ΰ", "Ǆ ǅ ǆ", "ŉ", "Ⅷ Ⓐ", "K Å Ω", "\u13a0 \uab70", "Ⴀ ა Ა", "𐐀 𐐨", "ПРИВЕТ Ѐ", "ՙ և ՖՓ", "e\u0301 É", "q\u0307\u0323", "I\u0307",
    "日本語", "عربى", "🚗 🏳️‍🌈", "a%b_c\\d", "'; DROP TABLE books; --",
)  # fmt: skip


# Newer databases know more letters than Python does: what is unassigned here, and surrogates and private ones, are left
# out.
UNKNOWN = {"Cn", "Cs", "Co"}
KNOWN = "".join(c for c in map(chr, range(1, sys.maxunicode + 1)) if unicodedata.category(c) not in UNKNOWN)
CASED = [source for source, _ in case_pairs()]
FOLD = sa.select(sa.func.rowhouse_fold(sa.bindparam("text", type_=sa.String())))
BASES = ("pg_c_utf8", "C.utf8", "C")
INDEXED = """
    CREATE TABLE plays (title text COLLATE "C");
    INSERT INTO plays SELECT 'Große Erwartungen' FROM generate_series(1, 9);
    CREATE INDEX ix_plays ON plays (rowhouse_fold(title));
    ALTER INDEX ix_plays ALTER COLUMN 1 SET STATISTICS 7;
    CREATE STATISTICS st_plays ON (rowhouse_fold(title)) FROM plays;
"""
BY_INDEX = "SELECT title FROM plays WHERE rowhouse_fold(title) = rowhouse_fold('GROSSE ERWARTUNGEN')"
# A function that does not fold sharp s.
FORMER = """
    CREATE FUNCTION rowhouse_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT lower($1 COLLATE "default")'
"""
TARGET = "SELECT attstattarget FROM pg_attribute WHERE attrelid = 'ix_plays'::regclass"
COMMON_VALUES = "SELECT most_common_vals::text FROM pg_stats_ext_exprs WHERE statistics_name = 'st_plays'"


def test_the_pairs_are_those_of_python() -> None:
    """A character of its own each, with its result; ASCII and what stays are left out."""
    case_pairs.cache_clear()
    pairs = dict(case_pairs())
    assert len(pairs) == len(case_pairs()) == len(CASED)
    assert (pairs["ß"], pairs["É"], pairs["ﬃ"]) == ("ss", "é", "ffi")
    assert "A" not in pairs
    assert "é" not in pairs


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "postgresql 16"])
def migrated(request: pytest.FixtureRequest, databases: Databases) -> Iterator[sa.Connection]:
    """A connection to a migrated database on each version."""
    is_older = request.param == "postgresql 16"
    makes: Databases = request.getfixturevalue("older_postgresql") if is_older else databases
    yield from connected(makes.prepared(request.param.split()[0], "migrated", migrate))


@pytest.fixture
def older(older_postgresql: Databases) -> Iterator[sa.Connection]:
    """A connection to an empty database on PostgreSQL 16."""
    yield from connected(older_postgresql.empty("postgresql"))


def connected(url: str) -> Iterator[sa.Connection]:
    """A connection as the application has it."""
    engine = create_engine(Settings(database_url=url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fold(connection: sa.Connection, text: str) -> object:
    """`text` as the database folds it."""
    return connection.scalar(FOLD, {"text": text})


@pytest.mark.parametrize("text", AWKWARD)
def test_folds_like_casefold(migrated: sa.Connection, text: str) -> None:
    """Texts on which lower-casing and folding differ, and those that must stay as they are."""
    assert fold(migrated, text) == text.casefold()


@pytest.mark.parametrize("context", ["{}", "\u0391Σ{}", "{}Σ", "a{}\u0307", "ﬁ{}ß ς"])
def test_folds_every_character_that_python_knows(migrated: sa.Connection, context: str) -> None:
    """Every assigned character of Unicode in one text, and every cased one beside letters whose case depends on their neighbours."""
    for text in (KNOWN, "".join(map(context.format, CASED)), " ".join(map(context.format, CASED))):
        assert fold(migrated, text) == text.casefold()


def test_folds_each_cased_character_by_itself(migrated: sa.Connection) -> None:
    """A text that has no other letter goes the same way through the function."""
    for text in CASED:
        assert fold(migrated, text) == text.casefold()


def test_null_folds_to_null(migrated: sa.Connection) -> None:
    """A missing value stays missing."""
    assert migrated.scalar(sa.select(sa.func.rowhouse_fold(sa.null()))) is None


def test_the_functions_are_immutable_so_that_an_index_may_use_them(migrated: sa.Connection) -> None:
    """SQLite's is registered on every connection; PostgreSQL's stand in the database."""
    definitions = schema.functions(migrated)
    names = {definition.partition("public.")[2].partition("(")[0] for definition in definitions}
    assert names == (
        {"rowhouse_fold", "rowhouse_grams", "rowhouse_gram_query"} if migrated.dialect.name == "postgresql" else set()
    )
    assert all("IMMUTABLE" in definition for definition in definitions)


@pytest.mark.parametrize("base", BASES)
def test_any_collation_will_do_for_the_letters_that_need_no_constant(databases: Databases, base: str) -> None:
    """Among them that of PostgreSQL 17, and "C", which every server has and which leaves all but ASCII to the constants."""
    before_18 = create_fold_statements()[1].replace("180000", "990000")
    of_one = ", ".join(f"'{name}'" for name in (base, "C"))
    head, _, tail = before_18.partition("ARRAY[")
    for connection in connected(databases.empty("postgresql")):
        connection.execute(sa.text(f"{head}ARRAY[{of_one}]{tail.partition(']')[2]}"))
        for text in (KNOWN[:60_000], "".join(CASED), "".join(map("\u0391{}Σ ß".format, CASED)), *AWKWARD):
            assert fold(connection, text) == text.casefold()


def test_a_database_that_is_not_utf8_is_refused_with_the_way_out(databases: Databases) -> None:
    """It could not hold what clients send."""
    url = databases.empty("postgresql", "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    for connection in connected(url):
        with pytest.raises(sa.exc.DatabaseError, match="is LATIN1, and Rowhouse needs UTF8: CREATE DATABASE"):
            connection.execute(sa.text(CREATE_ON_18))
        connection.rollback()


def test_a_new_function_rebuilds_the_indexes_that_use_it(older: sa.Connection) -> None:
    """And what the planner knows of them: what a migration runs that replaces the function (docs/decisions/0014)."""
    older.execute(sa.text(FORMER))
    older.execute(sa.text(f"{INDEXED} ANALYZE plays"))
    found = [_found_by_index(older)]
    for statement in (*create_fold_statements(), REFRESH_BEFORE_18):
        older.exec_driver_sql(statement)
    found.append(_found_by_index(older))
    assert found == [(None, '{"große erwartungen"}', 7), ("Große Erwartungen", '{"grosse erwartungen"}', 7)]
    assert not older.scalars(sa.text("SELECT relname FROM pg_class WHERE relname LIKE 'rowhouse%'")).all()
    older.rollback()


def _found_by_index(connection: sa.Connection) -> tuple[object, ...]:
    """What the index finds, what the planner knows, and how much it is to know."""
    connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    assert "ix_plays" in "\n".join(connection.scalars(sa.text(f"EXPLAIN {BY_INDEX}")))
    return tuple(connection.scalar(sa.text(query)) for query in (BY_INDEX, COMMON_VALUES, TARGET))

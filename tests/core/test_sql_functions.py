"""Case folding and search of Unicode text, the same on both databases."""

import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.database import Database
from rowhouse.db.sql_functions import (
    Folded,
    MayHold,
    SortedText,
    create_fold_function,
    create_gram_functions,
    drop_fold_function,
    drop_gram_functions,
    fold_text,
    fold_with,
)
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.search_index import SearchIndex
from rowhouse.query.operators import CONTAINS, folded_like, searched_text
from tests.databases import Databases


@pytest.fixture(scope="module")
def database(backend: str, databases: Databases) -> Iterator[Database]:
    """A database whose tables were created without a migration."""
    metadata = sa.MetaData()
    fold_with(metadata)
    made = Database(Settings(database_url=databases.prepared(backend, "folding", metadata.create_all)), metadata)
    yield made
    made.dispose()


@pytest.mark.parametrize("text", ["Ärger", "STRASSE", "straße", "ΑΣ", "ﬁn", "İ", "Ǆ", "plain", "", None])
def test_the_function_folds_as_python_does(database: Database, text: str | None) -> None:
    """NULL stays NULL."""
    fold = sa.select(sa.func.rowhouse_fold(sa.bindparam("text", type_=sa.String())).label("folded"))
    with UnitOfWork(database, write=False) as unit:
        assert unit.fetch(fold, {"text": text}) == [{"folded": fold_text(text)}]


@pytest.mark.parametrize("text", ["Straße", "ASCII of %_", "\u017fet", "\u212a", "ΑΣ", "ẞ", "", None])
def test_a_piece_is_found_as_python_finds_it(database: Database, text: str | None) -> None:
    """In any case. SQLite folds only texts that are not ASCII; the Kelvin sign and the long s fold to ASCII."""
    for piece in ("STRASSE", "ss", "s", "K", "\u212a", "\u03c3", "ascii", "ﬁ", ""):
        of_text, of_pattern = (sa.bindparam(name, type_=sa.String()) for name in ("text", "pattern"))
        found = sa.select(folded_like(of_text, of_pattern).label("found"))
        with UnitOfWork(database, write=False) as unit:
            (row,) = unit.fetch(found, {"text": text, "pattern": f"%{piece}%"})
        expected = None if text is None else piece.casefold() in text.casefold()
        assert row["found"] == expected, piece


def test_sqlite_folds_no_ascii() -> None:
    """Each call of Python takes longer than reading the row."""
    folded: list[str | bytes | None] = []

    def fold(text: str | bytes | None) -> str | None:
        folded.append(text)
        return fold_text(text)

    connection = sqlite3.connect(":memory:")
    connection.create_function("rowhouse_fold", 1, fold)
    text = str(sa.select(Folded(sa.column("text"))).compile(dialect=make_url("sqlite://").get_dialect()()))
    for value, found in (("ASCII", "ASCII"), ("ÄRGER", "ärger"), (None, None)):
        assert connection.execute(f"{text} FROM (SELECT ? AS text)", [value]).fetchone() == (found,)
    connection.close()
    assert folded == ["ÄRGER".encode(), None]


def test_folding_is_for_comparison() -> None:
    """Two spellings of a word become equal."""
    assert fold_text("Straße") == fold_text("STRASSE") == "strasse"
    assert fold_text(None) is None


def test_the_function_can_be_made_again_and_dropped(database: Database) -> None:
    """As migrations do. SQLite has it on every connection and keeps it."""
    exists = sa.text("SELECT rowhouse_fold('A')")
    with database.engine.connect() as connection:
        create_fold_function(connection)
        assert connection.scalar(exists) == "a"
        drop_fold_function(connection)
        if connection.dialect.name == "postgresql":
            with pytest.raises(sa.exc.ProgrammingError):
                connection.scalar(exists)
        else:
            assert connection.scalar(exists) == "a"
        connection.rollback()


@pytest.mark.parametrize("version", ["18", "16"])
def test_a_search_that_the_database_folds_goes_by_the_index(
    version: str, databases: Databases, request: pytest.FixtureRequest
) -> None:
    """On every version the pattern is folded while the statement is planned, and the planner knows how many rows match."""
    metadata = sa.MetaData()
    fold_with(metadata)
    plays = sa.Table(
        "plays", metadata, sa.Column("id", sa.Integer(), primary_key=True), sa.Column("title", sa.Text()), SearchIndex("title")
    )  # fmt: skip
    makes: Databases = databases if version == "18" else request.getfixturevalue("older_postgresql")
    made = Database(Settings(database_url=makes.prepared("postgresql", "plays", metadata.create_all)), metadata)
    with made.engine.connect() as connection:
        connection.execute(
            sa.text("INSERT INTO plays (title) SELECT 'Große Straße ' || n FROM generate_series(1, 3000) n")
        )
        connection.execute(sa.text("INSERT INTO plays (title) VALUES ('ΣΊΣΥΦΟΣ')"))
        connection.execute(sa.text("ANALYZE plays"))
        connection.commit()
    found = sa.select(plays.c.id).where(folded_like(plays.c.title, sa.bindparam("text", type_=sa.String())))
    for source, indexed in ((found.where(MayHold(plays.c.title, searched_text("text"))), True), (found, False)):
        statement = CompiledStatement(source, made.dialect, columns=[plays.c.id], explain=True)
        for text, rows in (("Σίσυφος", 1), ("STRASSE", 3000)):
            with UnitOfWork(made, write=False) as unit:
                plan = unit.run(statement, CONTAINS.bind("text", text)[1])[0]["id"]
            assert ("ix_plays_search" in str(plan)) == indexed
            assert text.casefold() in str(plan)
            assert indexed or abs(plan[0]["Plan"]["Plan Rows"] - rows) < 10
    made.dispose()


def test_the_grams_of_a_text_hold_those_of_its_pieces(database: Database) -> None:
    """For letters of one to four bytes, and for all that has a meaning in a tsquery. NULL has none."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            create_gram_functions(connection)  # has none, and makes none
            drop_gram_functions(connection)
            return
        texts = ["straße", "ab", "", None, "李白的诗😀😀", "a'b\\c", "(x) & y:* | !z <->", "  "]
        ask = sa.text("SELECT rowhouse_grams(VARIADIC CAST(:texts AS text[])) @@ rowhouse_gram_query(:piece)")
        known = [text for text in texts if text]
        pieces = {text[start : start + size] for text in known for start in range(len(text)) for size in (1, 2, 3, 5)}
        for piece in pieces:
            assert connection.scalar(ask, {"texts": texts, "piece": piece}) is True, piece
        for piece in ("eab", "xyz", "q", "bb", "ße白", "\\'", "\\\\", "''", "*:"):
            assert connection.scalar(ask, {"texts": texts, "piece": piece}) is False, piece
        assert connection.scalar(sa.text("SELECT CAST(rowhouse_grams('', NULL) AS text)")) == ""
        drop_gram_functions(connection)
        with pytest.raises(sa.exc.ProgrammingError):
            connection.scalar(ask, {"texts": texts, "piece": "abc"})
        connection.rollback()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_text_that_is_too_long_for_its_grams_is_found_by_every_search(database: Database) -> None:
    """100,000 different grams of nine bytes are the most that a tsvector holds."""
    with database.engine.connect() as connection:
        ask = sa.text("SELECT rowhouse_grams(:text, 'other') @@ rowhouse_gram_query(:piece)")
        letters = [chr(0x4E00 + n) for n in range(20_000)]
        longest = "".join("".join(letters[start::step]) for step in (1, 3, 7, 11, 13) for start in range(step))[:99_990]
        assert len({longest[n : n + 3] for n in range(len(longest))}) > 90_000
        assert connection.scalar(ask, {"text": longest, "piece": longest[-40:]}) is True
        assert connection.scalar(ask, {"text": longest, "piece": "xyz"}) is False
        assert connection.scalar(ask, {"text": longest + longest, "piece": "xyz"}) is True


def test_a_native_enum_sorts_as_text() -> None:
    """On PostgreSQL by a cast, for an enum sorts there by its declaration."""
    word = SortedText(sa.column("word", sa.String()))
    texts = {"postgresql+psycopg": 'CAST(word AS TEXT) COLLATE "C"', "sqlite": "word"}
    for name, text in texts.items():
        assert str(word.compile(dialect=make_url(f"{name}://").get_dialect()())) == text

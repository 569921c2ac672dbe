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
    create_trigram_function,
    drop_fold_function,
    drop_trigram_function,
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
    folded: list[str | None] = []

    def fold(text: str | None) -> str | None:
        folded.append(text)
        return fold_text(text)

    connection = sqlite3.connect(":memory:")
    connection.create_function("rowhouse_fold", 1, fold)
    text = str(sa.select(Folded(sa.column("text"))).compile(dialect=make_url("sqlite://").get_dialect()()))
    for value, found in (("ASCII", "ASCII"), ("ÄRGER", "ärger"), (None, None)):
        assert connection.execute(f"{text} FROM (SELECT ? AS text)", [value]).fetchone() == (found,)
    connection.close()
    assert folded == ["ÄRGER", None]


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


def test_the_trigrams_of_a_text_hold_those_of_its_pieces(database: Database) -> None:
    """For letters of one to four bytes. A text of two letters has none, nor has NULL."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            create_trigram_function(connection)  # has none, and makes none
            return
        texts = ["straße", "ab", "", None, "李白的诗😀😀"]
        ask = sa.text("SELECT rowhouse_trigrams(VARIADIC CAST(:texts AS text[])) @> rowhouse_trigrams(:piece)")
        for piece, held in {"raß": True, "白的诗😀": True, "ab": True, "eab": False, "xyz": False}.items():
            assert connection.scalar(ask, {"texts": texts, "piece": piece}) is held, piece
        assert connection.scalar(sa.text("SELECT rowhouse_trigrams('ab', '', NULL)")) == []
        drop_trigram_function(connection)
        with pytest.raises(sa.exc.ProgrammingError):
            connection.scalar(ask, {"texts": texts, "piece": "abc"})
        connection.rollback()


def test_a_native_enum_sorts_as_text() -> None:
    """On PostgreSQL by a cast, for an enum sorts there by its declaration."""
    word = SortedText(sa.column("word", sa.String()))
    texts = {"postgresql+psycopg": 'CAST(word AS TEXT) COLLATE "C"', "sqlite": "word"}
    for name, text in texts.items():
        assert str(word.compile(dialect=make_url(f"{name}://").get_dialect()())) == text

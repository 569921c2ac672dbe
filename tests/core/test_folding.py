"""Text in any case, Unicode included, alike on both databases."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from backend.core.config import Settings
from backend.core.db import Database, UnitOfWork
from backend.core.folding import create_fold_function, drop_fold_function, fold_text, fold_with
from tests.databases import Databases


@pytest.fixture(scope="module")
def database(backend: str, databases: Databases) -> Iterator[Database]:
    """A database whose tables were made without a migration."""
    metadata = sa.MetaData()
    fold_with(metadata)
    made = Database(Settings(database_url=databases.prepared(backend, "folding", metadata.create_all)), metadata)
    yield made
    made.dispose()


@pytest.mark.parametrize("text", ["Ärger", "STRASSE", "straße", "ΑΣ", "ﬁn", "İ", "Ǆ", "plain", "", None])
def test_the_function_folds_as_python_does(database: Database, text: str | None) -> None:
    """Nothing stays nothing."""
    fold = sa.select(sa.func.rowhouse_fold(sa.bindparam("text", type_=sa.String())).label("folded"))
    with UnitOfWork(database, write=False) as unit:
        assert unit.fetch(fold, {"text": text}) == [{"folded": fold_text(text)}]


def test_folding_is_for_comparison() -> None:
    """Two spellings of a word meet."""
    assert fold_text("Straße") == fold_text("STRASSE") == "strasse"
    assert fold_text(None) is None


def test_the_function_can_be_made_again_and_dropped(database: Database) -> None:
    """As migrations up and down do; SQLite has it on every connection and keeps it."""
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

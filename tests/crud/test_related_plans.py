"""The plans of filters over related rows use the index of the reference, on both databases."""

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from rowhouse.core.security import Caller
from rowhouse.crud import related
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.list_query import FIRST_PAGE
from rowhouse.sql import pages
from tests.crud.test_relationships import API, client
from tests.sample_entities.library.models import Book, Label, LibraryEntity

__all__ = ["client"]
ADMINISTRATOR = Caller(id=1, role="admin", is_admin=True)
# On SQLite those that match are found first.
BY_KEY = "SEARCH books USING INTEGER PRIMARY KEY (rowid=?)"
CASES = [
    (Book, {"writer__name": "x"}, ("ix_books_author_id", "ix_authors_name")),
    (Book, {"reviews__rating__gte": "4"}, ("ix_reviews_book_id", BY_KEY)),
    (Book, {"sequels__title__contains": "x"}, ("ix_books_prequel_id", BY_KEY)),
    (
        Book,
        {"labels__name__in": "x,y"},
        ("pk_book_labels", "ix_book_labels_label_id", "sqlite_autoindex_book_labels_1"),
    ),
    (Label, {"books__title": "x"}, ("ix_book_labels_label_id", "ix_books_title")),
]


def plan(client: TestClient, model: type[LibraryEntity], query: dict[str, str]) -> str:
    """Return the plan of the keys that a list selects, without the choice of a full scan."""
    state = client.app.state  # type: ignore[attr-defined]  # a FastAPI application
    crud = state.cruds[API][model]
    selection = crud.resource.parameters.query_of(query)
    with UnitOfWork(state.database, write=False) as unit:
        unit.caller = ADMINISTRATOR
        selected = sa.select(crud.resource.key.columns[0].column).where(crud.selected(unit, selection).clause)
        assert crud.selected(unit, FIRST_PAGE).clause is None
        text = str(selected.compile(dialect=state.database.dialect, compile_kwargs={"literal_binds": True}))
        is_sqlite = state.database.dialect.name == "sqlite"
        if not is_sqlite:
            unit.session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        rows = unit.session.connection().exec_driver_sql(f"{explain} {text.replace('%', '%%')}")
        return "\n".join(str(row) for row in rows)


def test_postgresql_looks_for_each_rows_relation_below_an_or(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless few rows are found first. A large `IN` there is read again for each row.

    SQLite has an index of it, and uses one for each branch.
    """
    monkeypatch.setattr(pages, "COMMON", 0)
    state = client.app.state  # type: ignore[attr-defined]  # a FastAPI application
    crud = state.cruds[API][Book]
    own = '{"title": "x"}'
    texts = []
    for branches in (f'[{own}, {{"writer__name": "x"}}]', '[{"writer__name": "x", "title": "x"}]'):
        with UnitOfWork(state.database, write=False) as unit:
            unit.caller = ADMINISTRATOR
            selection = crud.resource.parameters.query_of({"any": branches})
            texts.append(str(crud.selected(unit, selection).clause))
    assert ["EXISTS" in text for text in texts] == [state.database.dialect.name == "postgresql", False]
    found = plan(client, Book, {"any": f'[{own}, {{"writer__name": "x"}}]'})
    if state.database.dialect.name == "sqlite":
        assert "MULTI-INDEX OR" in found
        assert "SCAN books" not in found


@pytest.mark.parametrize(
    ("changed", "value", "is_found_first"),
    [("COMMON", 10_000, True), ("COMMON", 0, False), ("SMALL_TABLE", 0.0, False)],
)
@pytest.mark.parametrize(
    ("model", "query"), [(Book, {"reviews__rating__gte": "4"}), (Label, {"books__title": "x"})], ids=("many", "link")
)
def test_few_related_rows_are_found_first(  # noqa: PLR0913  the cases and what they need
    client: TestClient,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
    model: type[LibraryEntity],
    query: dict[str, str],
    *,
    changed: str,
    value: float,
    is_found_first: bool,
) -> None:
    """If PostgreSQL's planner expects few, and an index finds them or their table is small. SQLite always does."""
    monkeypatch.setattr(related, "FOUND_ROW", 0.0)
    monkeypatch.setattr(related, changed, value)
    found = plan(client, model, query)
    if backend == "postgresql":
        assert ("ANY" in found) == is_found_first, found
        assert ("InitPlan" in found) == is_found_first, found


@pytest.mark.parametrize(
    ("model", "query", "indexes"), CASES, ids=lambda case: next(iter(case)) if isinstance(case, dict) else ""
)
def test_the_index_of_the_reference_serves_a_filter(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    model: type[LibraryEntity],
    query: dict[str, str],
    indexes: tuple[str, ...],
) -> None:
    """Unless few related rows are found first."""
    monkeypatch.setattr(related, "COMMON", 0)
    found = plan(client, model, query)
    assert any(index in found for index in indexes), found

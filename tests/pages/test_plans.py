"""Both databases use an index for pages by cursor and for searches (EXPLAIN)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row
from rowhouse.sql import pages
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.sample_entities.shop.models import Book

COUNT, SHELVES = 4000, 40
Plan = Callable[[str], str]


@pytest.fixture(scope="module")
def library(backend: str, make_app: Callable[..., TestClient]) -> TestClient:
    """An application with enough books for an index to pay off."""
    client = make_app(backend)
    headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    names = [{"name": "most"}, *({"name": f"shelf {n}"} for n in range(SHELVES))]
    most, *shelves = (row["id"] for row in client.post("/api/v1/categories/batch", json=names, headers=headers).json())
    for start in range(0, COUNT, 1000):
        rows = [
            {
                "title": f"T{n:05}",
                "author": f"A{n % 400}",
                "price": 1 + n % 50,
                "category_id": shelves[n] if n < SHELVES else most,
            }
            for n in range(start, start + 1000)
        ]
        assert client.post("/api/v1/books/batch", json=rows, headers=headers).status_code == 201
    with engine_of(client).connect() as connection:
        connection.execute(sa.text("ANALYZE"))
        connection.commit()
    return client


def engine_of(client: TestClient) -> sa.Engine:
    """Return the engine of the application behind a client."""
    app = client.app
    assert isinstance(app, FastAPI)
    engine: sa.Engine = app.state.database.engine
    return engine


def crud_of_books(client: TestClient) -> CRUDBase[Book]:
    """Return the application's CRUD object of books."""
    app = client.app
    assert isinstance(app, FastAPI)
    found: CRUDBase[Book] = app.state.cruds["/api/v1"][Book]
    return found


@pytest.fixture
def plan(library: TestClient, backend: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """`plan(query)` returns the plan of a page and its total, as text."""
    plans: list[str] = []
    execute = CompiledStatement.execute

    def explaining(
        self: CompiledStatement, driver: Any, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING
    ) -> list[Row]:
        text, explain = self.text, "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
        if text.startswith("EXPLAIN"):
            return execute(self, driver, parameters, predicate)
        recorder = Recorder(driver)
        found = execute(self, recorder, parameters, predicate)
        lines = driver.execute(explain + text, recorder.values).fetchall()
        plans.append("\n".join(str(line[-1]) for line in lines))
        return found

    def explain(query: str) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(CompiledStatement, "execute", explaining)
            plans.clear()
            assert library.get(f"/api/v1/books?{query}").status_code == 200
        # SQLite counts the rows of a text by a second statement, if the page is full.
        assert len(plans) == 1 or backend == "sqlite"
        return "\n".join(plans)

    return explain


@pytest.fixture
def plan_behind(library: TestClient, plan: Plan) -> Plan:
    """`plan_behind(query)` returns the plan of the page after the first one."""
    return lambda query: plan(f"cursor={library.get(f'/api/v1/books?{query}').json()['next_cursor']}")


class Recorder:
    """A driver that records the values it was given."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.reads_any_text = driver.reads_any_text
        self.values: Any = None

    def execute(self, text: str, values: Any, **options: Any) -> Any:
        """Run a statement like the driver."""
        self.values = values
        return self._driver.execute(text, values, **options)


@pytest.mark.parametrize(
    ("query", "index", "start"),
    [
        ("skip=3000", "pk_books", "rowid>?"),
        ("sort=-id&skip=3000", "pk_books", "rowid<?"),
        ("sort=title&skip=3000", "uq_books_title", "title>?"),
        ("sort=-title,-id&skip=3000", "uq_books_title", "title<?"),
        ("sort=author&skip=3000", "ix_books_author_id", "author>?"),
        ("sort=-author&skip=3000", "ix_books_author_id", "author<?"),
        ("sort=price&skip=3000", "ix_books_price_id", "price>?"),
    ],
)
def test_a_page_behind_a_cursor_starts_in_the_index(
    plan_behind: Plan, backend: str, query: str, index: str, start: str
) -> None:
    """No sequential scan, and an index condition that skips the rows before it."""
    found = plan_behind(query)
    if backend == "postgresql":
        assert f"using {index}" in found
        assert "Index Cond" in found
        assert "Seq Scan" not in found
    else:
        assert f"({start}" in found
        assert "SCAN" not in found


def test_without_an_index_it_is_a_scan(plan_behind: Plan, backend: str) -> None:
    """So the test above can fail."""
    assert ("Seq Scan" if backend == "postgresql" else "SCAN") in plan_behind("sort=stock&skip=3000")


@pytest.mark.parametrize(
    "query", ["search=t0123", "title__contains=0123", "author__endswith=123", "search=T01&sort=-author"]
)
def test_a_search_goes_by_the_index(plan: Plan, backend: str, query: str) -> None:
    """The page and the total, for every text of three letters, on PostgreSQL. SQLite reads the table."""
    found = plan(query)
    if backend == "postgresql":
        assert found.count("Bitmap Index Scan on ix_books_search") == 2
        assert "Seq Scan" not in found
    else:
        assert "SCAN books" in found


@pytest.mark.parametrize(
    ("query", "scans"), [("search=t0123", 1), ('any=[{"title__contains":"t0123"}]', 1), ("search=T01", 2)]
)
def test_sqlite_counts_the_rows_of_a_text_only_if_they_exceed_the_page(
    plan: Plan, backend: str, query: str, scans: int
) -> None:
    """It reads the table for each."""
    found = plan(query)
    assert backend == "postgresql" or found.count("SCAN books") == scans


def test_without_an_index_the_keys_are_sorted_and_then_the_rows_read(
    plan: Plan, plan_behind: Plan, backend: str
) -> None:
    """PostgreSQL would copy every row to sort it."""
    for found in (plan("sort=stock,-title&skip=7"), plan_behind("sort=-stock")):
        assert backend == "sqlite" or "Index Cond: (id = ANY" in found
    for query in ("sort=title", "sort=-author"):
        assert "= ANY" not in plan(query)


@pytest.mark.parametrize(
    ("branches", "indexes"),
    [
        ('[{"title":"T00001"},{"author":"A7"}]', ("uq_books_title", "ix_books_author_id")),
        ('[{"author":"A7","stock":0},{"id__in":[1,2]}]', ("ix_books_author_id", "pk_books")),
        ('[{"title__contains":"0123"},{"author":"A7"}]', ("ix_books_search", "ix_books_author_id")),
    ],
)
def test_each_branch_of_any_goes_by_its_index(
    plan: Plan, backend: str, branches: str, indexes: tuple[str, ...]
) -> None:
    """The page and the total. SQLite has no index of texts, so it reads the table for one."""
    found = plan(f"any={branches}")
    if backend == "postgresql":
        assert found.count("BitmapOr") == 2
        assert all(f"Bitmap Index Scan on {index}" in found for index in indexes)
        assert "Seq Scan" not in found
    else:
        assert found.count("MULTI-INDEX OR") == (0 if "contains" in branches else 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"search": "T01"}, True),
        ({"search": "T"}, True),
        ({"any": '[{"stock": 0}, {"title__contains": "T01", "stock": 1}]'}, True),
        ({"any": '[{"stock": 0}, {"title__contains": ""}, {"description__contains": "T01"}]'}, False),
        ({"stock": "0"}, False),
    ],
)
def test_a_text_may_use_the_index(library: TestClient, query: dict[str, str], *, expected: bool) -> None:
    """Also in a branch of `any`."""
    parameters = crud_of_books(library).resource.parameters
    assert parameters.uses_search_index(parameters.query_of(query).shape) is expected


def test_a_common_text_is_searched_in_the_order_of_the_list(
    plan: Plan, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first rows are found soon, and only the total uses the index. A rare text uses it for both."""
    monkeypatch.setattr(pages, "COMMON", 500)
    for query, asked in (("search=T00", 1), ("search=T0", 1), ("search=t", 1), ("search=T00123", 2), ("search=q", 2)):
        found = plan(query)
        if backend == "postgresql":
            assert found.count("ix_books_search") == asked, found
            assert ("Index Scan using pk_books" in found) == (asked == 1)


def statements_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the text of each compiled statement from now on."""
    sent: list[str] = []
    execute = CompiledStatement.execute

    def listening(self: CompiledStatement, *arguments: Any) -> Any:
        sent.append(self.text)
        return execute(self, *arguments)

    monkeypatch.setattr(CompiledStatement, "execute", listening)
    return sent


@pytest.fixture
def bounded(library: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Totals past a hundred are estimates."""
    crud = crud_of_books(library)
    cached = (crud.statements.list, crud.statements.count, crud.statements.estimate)
    for one in (crud.lists, crud.statements):
        monkeypatch.setattr(one, "_exact_count_limit", 100)
    for statements in cached:
        statements.cache_clear()
    yield
    for statements in cached:
        statements.cache_clear()


@pytest.mark.usefixtures("bounded")
def test_a_total_that_is_estimated_is_of_the_text(library: TestClient) -> None:
    """The planner has statistics of the text, but none of its grams."""
    found = library.get("/api/v1/books?search=T00").json()
    assert found["total_is_estimate"] is True
    assert 800 < found["total"] < 1200


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("text", "is_common", "statements"),
    [("T00", True, 1), ("T03", True, 2), ("T000", False, 1), ("T0012", False, 1)],
)
def test_a_common_text_is_counted_in_the_first_blocks(
    library: TestClient, backend: str, monkeypatch: pytest.MonkeyPatch, *, text: str, is_common: bool, statements: int
) -> None:
    """If they do not have enough of it, the index counts it. The planner does not know that T03 is in the last ones."""
    monkeypatch.setattr(pages, "COMMON", 50)
    sent = statements_of(monkeypatch)
    found = library.get(f"/api/v1/books?search={text}").json()
    in_order = [f"{text}{n:0{6 - len(text)}}" for n in range(50)]
    assert [row["title"] for row in found["items"]] == in_order[: len(found["items"])]
    if backend == "postgresql":
        read = [one for one in sent if "EXPLAIN" not in one]
        assert len(read) == statements
        assert ("ctid" in read[0]) == is_common
        assert ("rowhouse_grams" in read[-1]) == (text != "T00")
    for sort in ("", "&sort=category__name"):
        sent.clear()
        total = library.head(f"/api/v1/books?search={text}{sort}").headers["x-total-count"]
        assert total == str(found["total"])
        if backend == "postgresql":
            read = [one for one in sent if "EXPLAIN" not in one]
            assert [("ctid" in one, "rowhouse_grams" in one) for one in read] == (
                [(True, False), (False, True)][:statements] if is_common else [(False, True)]
            )


@pytest.mark.parametrize(
    ("query", "is_found_first"),
    [
        ('any=[{"category__name":"shelf 7"},{"author":"A7"}]', True),
        ('any=[{"category__name":"shelf 7"},{"stock":0}]', False),
        ('any=[{"category__name":"shelf 7"},{"author":"A7"}]&id__in=1,2', False),
    ],
)
def test_few_rows_of_branches_over_a_relation_are_found_first(
    plan: Plan, backend: str, monkeypatch: pytest.MonkeyPatch, *, query: str, is_found_first: bool
) -> None:
    """Those of each branch by its index. Each row is checked where a branch has many or another filter leaves few."""
    monkeypatch.setattr(pages, "COMMON", 500)
    found = plan(query)
    if backend == "postgresql":
        assert ("Append" in found) == is_found_first, found
        assert found.count("Index Scan on ix_books_category_id_id") == (2 if is_found_first else 0), found


@pytest.mark.parametrize(
    ("query", "is_indexed"),
    [
        ("title__endswith=99&sort=-author", True),
        ('search=xq&any=[{"title__contains":"99"},{"stock":0}]', True),
        ("search=q", True),
        ("description__contains=0123", False),
        ("title__contains=", False),
        ("stock=7", False),
    ],
)
def test_a_rare_text_of_two_letters_is_found_by_the_index(
    plan: Plan, backend: str, *, query: str, is_indexed: bool
) -> None:
    """The index does not include the description. An empty text is in every row."""
    assert ("ix_books_search" in plan(query)) == (is_indexed and backend == "postgresql")


def test_pages_of_a_rare_text_follow_one_another(library: TestClient) -> None:
    """Each continues behind the one before."""
    page = library.get("/api/v1/books?title__endswith=99&sort=-author&size=15").json()
    assert page["total"] == COUNT // 100
    found = page["items"]
    while page["next_cursor"]:
        page = library.get(f"/api/v1/books?cursor={page['next_cursor']}").json()
        found += page["items"]
    rows = sorted(range(99, COUNT, 100), key=lambda n: f"A{n % 400}", reverse=True)
    assert [row["title"] for row in found] == [f"T{n:05}" for n in rows]


def test_the_index_finds_the_same_rows_as_a_scan(library: TestClient) -> None:
    """In any case, across words but not across columns, with literal wildcards."""
    every = [
        row["title"]
        for page in range(1, 1 + COUNT // 100)
        for row in library.get(f"/api/v1/books?size=100&page={page}").json()["items"]
    ]
    for piece in ("t0123", "0123", "399", "T00", "99", "q", "T%0", "___", "23a", "9" * 7):
        found = library.get("/api/v1/books", params={"title__contains": piece, "size": 100}).json()
        wanted = [title for title in every if piece.casefold() in title.casefold()]
        assert ([row["title"] for row in found["items"]], found["total"]) == (wanted[:100], len(wanted))


@pytest.mark.parametrize("query", ["sort=category__name&size=5", "sort=-category__id,id&size=5"])
def test_a_parents_order_reads_a_page_of_its_rows(
    plan: Plan, plan_behind: Plan, backend: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of each parent come by the index of the reference, in the order of the list, and are not sorted."""
    monkeypatch.setattr(pages.PageReader, "_reads_parents", lambda *_arguments: True)
    for found in (plan(query), plan_behind(query)):
        if backend == "postgresql":
            assert "category_id = " in found
        else:
            assert "COVERING INDEX ix_books_category_id_id (category_id=?" in found
    assert ("Seq Scan on books" if backend == "postgresql" else "SCAN books") not in found

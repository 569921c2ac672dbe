"""Totals past a limit are estimates if the registration says so, and the response says that (docs/contract.md §3)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.registration.registry import Registry
from rowhouse.sql.count_estimate import count_from_start
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, shop_database, sign_in
from tests.databases import Databases
from tests.pages.test_plans import statements_of
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import Book, Category

BOUND, COUNT = 50, 4000
registry = Registry("/api/v1")
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
registry.register(Book, read=ANYONE, write=SIGNED_IN, search=("title",), exact_count_limit=BOUND)
registry.register(Category, read=ANYONE, write=SIGNED_IN)


@contextmanager
def opened(url: str) -> Iterator[TestClient]:
    """Open a client of the application on a database, signed in as administrator."""
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    with TestClient(create_app(settings, registry), raise_server_exceptions=False) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


@pytest.fixture(scope="module")
def shop(databases: Databases, backend: str) -> Iterator[TestClient]:
    """An application with many books, three quarters of them by Hers, the others by His."""
    with opened(shop_database(databases, backend)) as client:
        category = client.post("/api/v1/categories", json={"name": "all"}).json()["id"]
        for start in range(0, COUNT, 1000):
            rows = [
                {"title": f"T{n}", "author": "His" if n % 4 == 0 else "Hers", "price": 1, "category_id": category}
                for n in range(start, start + 1000)
            ]
            assert client.post("/api/v1/books/batch", json=rows).status_code == 201
        analyse(client)
        yield client


def analyse(client: TestClient) -> None:
    """Let PostgreSQL's planner collect statistics of the table, as it does by itself in time."""
    app = client.app
    assert isinstance(app, FastAPI)
    with app.state.database.engine.connect() as connection:
        connection.execute(sa.text("ANALYZE"))
        connection.commit()


def page(client: TestClient, **query: Any) -> dict[str, Any]:
    """Return a page of the books."""
    answer = client.get("/api/v1/books", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_head_estimates_as_a_page_does(shop: TestClient) -> None:
    """The same total, without the rows."""
    queries: list[dict[str, Any]] = [{"title": "T1"}, {"author": "Hers"}, {}]
    for query in queries:
        head = shop.head("/api/v1/books", params=query)
        assert head.headers["x-total-count"] == str(page(shop, **query)["total"])


def test_up_to_the_bound_a_total_is_exact(shop: TestClient) -> None:
    for count in (0, 1, BOUND):
        titles = ",".join(f"T{n}" for n in range(count)) or "none"
        found = page(shop, title__in=titles, size=10)
        assert (found["total"], "total_is_estimate" in found) == (count, False)
        assert found["pages"] == -(-count // 10)


@pytest.mark.parametrize(
    ("query", "true"),
    [({}, COUNT), ({"author": "Hers"}, 3 * COUNT // 4), ({"author": "His"}, COUNT // 4), ({"id__gt": COUNT // 2}, COUNT // 2)],
)  # fmt: skip
def test_past_the_bound_a_total_is_an_estimate_and_marked_as_one(
    shop: TestClient, query: dict[str, Any], true: int
) -> None:
    found = page(shop, **query)
    assert found["total_is_estimate"] is True
    assert true * 0.8 < found["total"] < true * 1.2
    assert found["pages"] == -(-found["total"] // 50)
    assert found["next_cursor"] is not None


def test_an_estimate_is_never_below_what_was_seen(shop: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the planner estimates."""
    monkeypatch.setattr("rowhouse.sql.pages.estimated_rows", lambda _answer: 0)
    assert page(shop, size=1)["total"] == BOUND + 1
    assert page(shop, page=10, size=50)["total"] == 501
    last = page(shop, skip=COUNT - 3)
    assert (last["total"], last["next_cursor"], len(last["items"])) == (COUNT, None, 3)


def test_past_the_end_there_is_a_total_too(shop: TestClient) -> None:
    """That of the list: no row was seen where the page begins."""
    found = page(shop, skip=1_000_000)
    assert (found["items"], found["total_is_estimate"], found["next_cursor"]) == ([], True, None)
    assert BOUND < found["total"] == page(shop, size=1)["total"]


def test_a_page_behind_a_cursor_counts_nothing(shop: TestClient) -> None:
    found = page(shop, cursor=page(shop)["next_cursor"])
    assert (found["total"], "total_is_estimate" in found) == (None, False)


def test_rows_that_are_gone_do_not_count(databases: Databases, backend: str) -> None:
    """The largest id is not the number of rows."""
    with opened(shop_database(databases, backend)) as client:
        category = client.post("/api/v1/categories", json={"name": "all"}).json()["id"]
        rows = [{"title": f"T{n}", "author": "A", "price": 1, "category_id": category} for n in range(1000)]
        made = client.post("/api/v1/books/batch", json=rows).json()
        gone = ",".join(str(row["id"]) for row in made[:600])
        assert client.delete("/api/v1/books/batch", params={"ids": gone}).status_code == 204
        analyse(client)
        assert 300 < page(client)["total"] < 500


def test_the_other_lists_count_exactly_and_do_not_say(shop: TestClient) -> None:
    found = shop.get("/api/v1/categories").json()
    assert (found["total"], "total_is_estimate" in found) == (1, False)


def test_the_word_is_documented_where_it_is(shop: TestClient) -> None:
    schemas = shop.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Page_BookPublic_"]["properties"]["total_is_estimate"]["const"] is True
    assert "total_is_estimate" not in schemas["Page_BookPublic_"]["required"]
    assert "total_is_estimate" not in schemas["Page_CategoryPublic_"]["properties"]


def test_an_exact_page_takes_one_statement_and_an_estimate_two(
    shop: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[object] = []
    run: Callable[..., Any] = UnitOfWork.run

    def counting(self: UnitOfWork, *arguments: Any) -> Any:
        counted.append(arguments[0])
        return run(self, *arguments)

    shop.headers.pop("Authorization")
    monkeypatch.setattr(UnitOfWork, "run", counting)
    page(shop, title="T1")
    assert len(counted) == 1
    page(shop)
    assert len(counted) == 3


def test_a_total_is_counted_independently_of_the_order(
    shop: TestClient, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL counts all rows in the first blocks, which it keeps in memory; SQLite counts pages.

    The rows of a filter are counted by the filter's index.
    """
    sent = statements_of(monkeypatch)
    for query in ({"id__gt": 1}, {"search": "t"}):
        sent.clear()
        page(shop, sort="title", **query)
        text = next(text for text in sent if f"LIMIT {BOUND + 1}" in text)
        assert "ORDER BY" not in text[: text.index(f"LIMIT {BOUND + 1}")]
    sent.clear()
    page(shop, sort="title")
    (text,) = [text for text in sent if "ORDER BY books.title" in text]
    whole = {
        "postgresql": f"WHERE ctid >= '(0,0)' AND ctid < '({BOUND // 4 + 1},0)' \n LIMIT {BOUND + 1}",
        "sqlite": "(SELECT count(*) AS count_1 \nFROM books)",
    }
    assert whole[backend] in text


@pytest.mark.parametrize("count_exactly", [0, 10**6])
def test_sqlite_counts_large_tables_and_small_ones_to_the_bound(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, count_exactly: int
) -> None:
    """However large a table is."""
    monkeypatch.setattr("rowhouse.sql.count_estimate.COUNTED_WHOLE", count_exactly)
    with opened(shop_database(databases, "sqlite")) as client:
        assert page(client)["total"] == 0
        category = client.post("/api/v1/categories", json={"name": "all"}).json()["id"]
        rows = [{"title": f"T{n}", "author": "A", "price": 1, "category_id": category} for n in range(BOUND)]
        assert client.post("/api/v1/books/batch", json=rows).status_code == 201
        found = page(client)
        assert (found["total"], "total_is_estimate" in found) == (BOUND, False)
        one_more = {"title": "one more", "author": "A", "price": 1, "category_id": category}
        assert client.post("/api/v1/books", json=one_more).status_code == 201
        found = page(client)
        assert (found["total"], found["total_is_estimate"]) == (BOUND + 1, True)


def test_postgresql_counts_rows_behind_the_first_blocks(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the rows of the first blocks were deleted."""
    monkeypatch.setattr("rowhouse.sql.count_estimate.ROWS_PER_BLOCK", 10 * BOUND)
    with opened(shop_database(databases, "postgresql")) as client:
        category = client.post("/api/v1/categories", json={"name": "all"}).json()["id"]
        rows = [{"title": f"T{n}", "author": "A", "price": 1, "category_id": category} for n in range(500)]
        made = client.post("/api/v1/books/batch", json=rows).json()
        gone = ",".join(str(row["id"]) for row in made[:-BOUND])
        assert client.delete("/api/v1/books/batch", params={"ids": gone}).status_code == 204
        found = page(client)
        assert (found["total"], "total_is_estimate" in found) == (BOUND, False)
        assert client.head("/api/v1/books").headers["x-total-count"] == str(BOUND)


def test_postgresql_counts_whole_tables_only(databases: Databases) -> None:
    """The first block of a table of two, of one, and of a partitioned table."""
    engine = sa.create_engine(databases.empty("postgresql"))
    quoted = sa.Table('odd "name', sa.MetaData(), sa.Column("id", sa.Integer))
    parts = sa.Table("parts", sa.MetaData(), sa.Column("id", sa.Integer), postgresql_partition_by="RANGE (id)")

    def counted(table: sa.Table) -> int | None:
        return connection.scalar(sa.select(count_from_start(table, 3, dialect=engine.dialect)))

    with engine.connect() as connection:
        for table in (quoted, parts):
            table.create(connection)
        connection.exec_driver_sql("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (1000)")
        for table in (quoted, parts):
            connection.execute(table.insert(), [{"id": number} for number in range(3)])
        assert [counted(quoted), counted(parts)] == [3, None]
        connection.execute(quoted.insert(), [{"id": number} for number in range(3, 1000)])
        assert counted(quoted) == 4
        connection.execute(quoted.delete().where(quoted.c.id < 998))
        assert counted(quoted) is None
    engine.dispose()

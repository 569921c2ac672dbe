"""What strangers have tried: values, names, headers and routes that no sample entity has."""

from collections.abc import Iterator
from typing import Any, ClassVar

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import SecretStr
from sqlmodel import Field, col, select
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, CRUDBase, Entity, Registry, Router, SessionDep, UnitDep, include_accounts
from rowhouse.core.settings import Settings
from rowhouse.entities.model import Record
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()
mapped = sa.orm.registry(metadata=metadata)


class Named(Record, registry=mapped):
    """A class with a key of its own."""


class Base(Entity, registry=mapped):
    """`Entity` in a metadata of its own."""


class Lot(Named, table=True):
    """A lot with a key of text, and columns called like parameters of exports and aggregates."""

    code: str = Field(primary_key=True, max_length=40)
    sold: bool = False
    price: int = Field(default=0, index=True)
    ratio: float | None = None
    count: int = 0
    format: str = "paper"


class Photo(Base, table=True):
    """A photo, perhaps without content. Deleted ones can be restored."""

    content: bytes | None = None


class LotCRUD(CRUDBase[Lot]):
    """The price of a sold lot is hidden."""

    computed_columns: ClassVar = {"price": sa.case((col(Lot.sold).is_(False), col(Lot.price)))}


router = Router(prefix="/lots")


@router.post("/{code}/refused", policy=ANYONE)
def refuse(code: str, session: SessionDep, response: Response, *, returned: bool) -> Any:
    """Write, and respond with an error."""
    session.add(Lot(code=code))
    session.flush()
    if returned:
        return JSONResponse({"detail": "no"}, 409)
    response.status_code = 409
    return {"detail": "no"}


@router.get("/streamed", policy=ANYONE)
def stream(unit: UnitDep, session: SessionDep, *, by_session: bool) -> StreamingResponse:
    """Read when the unit of work has ended."""
    session.exec(select(Lot)).all()

    def lines() -> Iterator[str]:
        rows = (session if by_session else unit.session).exec(select(Lot))
        yield from (row.code for row in rows)

    return StreamingResponse(lines())


def application(url: str) -> FastAPI:
    """Return the application."""
    registry = Registry(API)
    include_accounts(registry)
    registry.register(Lot, read=ANYONE, write=ANYONE, crud=LotCRUD)
    registry.register(Photo, read=ANYONE, write=ANYONE, soft_delete=True)
    registry.include(router)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Lots")


@pytest.fixture
def url(databases: Databases, backend: str) -> str:
    """A database with the tables."""
    return databases.prepared(backend, "strange_requests", metadata.create_all)


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    """The application, signed in as administrator."""
    with QuickClient(application(url)) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


def lot(client: TestClient, **values: Any) -> dict[str, Any]:
    """Create a lot and return it."""
    answer = client.post(f"{API}/lots", json={"code": unique("L"), **values})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_row_without_its_bytes_is_deleted_and_restored(client: TestClient) -> None:
    key = client.post(f"{API}/photos", json={}).json()["id"]
    assert client.delete(f"{API}/photos/{key}").status_code == 204
    assert client.post(f"{API}/photos/{key}/restore").json()["content"] is None


@pytest.mark.parametrize("sort", ["price", "-price", "price,-code"])
def test_cursors_lose_no_row_of_a_computed_column_that_reads_null(client: TestClient, sort: str) -> None:
    """Nulls come last ascending and first descending, on both databases."""
    group = unique("g")
    for number in range(7):
        lot(client, price=number % 3, sold=number % 2 == 0, format=group)
    page = client.get(f"{API}/lots?format__eq={group}&sort={sort}&size=2").json()
    rows = page["items"]
    while page["next_cursor"] is not None:
        page = client.get(f"{API}/lots", params={"cursor": page["next_cursor"]}).json()
        rows += page["items"]
    assert len({row["code"] for row in rows}) == len(rows) == 7
    prices = [row["price"] for row in rows]
    assert (prices[:4] if sort == "-price" else prices[-4:]) == [None] * 4


def test_columns_called_like_parameters_of_exports_and_aggregates(client: TestClient) -> None:
    """Equality has a name of its own, in each of the three. The plain name is the parameter, or refused."""
    group = unique("g")
    for count in (1, 2):
        lot(client, count=count, format=group)
    query = f"format__eq={group}&count__eq=1"
    assert client.get(f"{API}/lots?{query}").json()["total"] == 1
    assert client.get(f"{API}/lots/aggregate?{query}&count=true").json() == {"items": [{"count": 1}]}
    assert len(client.get(f"{API}/lots/export?{query}&format=csv").text.splitlines()) == 2
    assert client.get(f"{API}/lots?count=1").status_code == 422


def test_numbers_that_json_does_not_know_are_empty_cells(client: TestClient, url: str, backend: str) -> None:
    """Another program has stored them."""
    code = lot(client)["code"]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        stored = "'Infinity'" if backend == "postgresql" else "9e999"
        connection.execute(sa.text(f"UPDATE lots SET ratio = {stored} WHERE code = '{code}'"))  # noqa: S608  ours
    engine.dispose()
    found = client.get(f"{API}/lots/export?code={code}&fields=code,ratio&format=csv").text
    assert found == f"code,ratio\r\n{code},\r\n"


def test_a_date_of_another_program_is_shown_as_it_is_stored(client: TestClient, url: str, backend: str) -> None:
    """Python has no value for it. It makes no list fail."""
    code = lot(client)["code"]
    stored = "infinity" if backend == "postgresql" else "31.1.2030"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE lots SET created_at = '{stored}' WHERE code = '{code}'"))  # noqa: S608  ours
    engine.dispose()
    others = [lot(client)["code"] for _ in range(2)]
    query = f"code__in={','.join([others[0], code, others[1]])}"
    rows = {row["code"]: row["created_at"] for row in client.get(f"{API}/lots?{query}").json()["items"]}
    assert rows[code] == client.get(f"{API}/lots/{code}").json()["created_at"] == stored
    assert all(rows[other].startswith("20") for other in others)
    assert stored in client.get(f"{API}/lots/export?{query}&format=csv").text
    assert client.get(f"{API}/lots/aggregate?{query}&group_by=created_at").status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_date_of_another_program_is_an_instant_at_midnight(client: TestClient, url: str) -> None:
    """In a column of instants, also beside others."""
    code, other = lot(client)["code"], lot(client)["code"]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE lots SET created_at = '2030-01-02' WHERE code = :code"), {"code": code})
    engine.dispose()
    assert client.get(f"{API}/lots/{code}").json()["created_at"] == "2030-01-02T00:00:00Z"
    grouped = client.get(f"{API}/lots/aggregate?code__in={code},{other}&group_by=created_at&sort=-created_at")
    assert grouped.json()["items"][0] == {"created_at": "2030-01-02T00:00:00Z", "count": 1}


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_condition_is_met_or_refused(client: TestClient, header: str) -> None:
    """Of one row 412 and nothing changes; a request for many rows cannot keep it."""
    made = lot(client)
    path = f"{API}/lots/{made['code']}"
    condition = {header: '"stale"' if header == "If-Match" else client.get(path).headers["etag"]}
    assert client.patch(path, json={"count": 7}, headers=condition).status_code == 412
    assert client.delete(path, headers=condition).status_code == 412
    body = [{"code": made["code"], "count": 7}]
    batches = [
        client.post(f"{API}/lots", json={"code": "new"}, headers=condition),
        client.patch(f"{API}/lots/batch", json=body, headers=condition),
        client.post(f"{API}/lots/batch?on=code", json=body, headers=condition),
        client.delete(f"{API}/lots/batch?ids={made['code']}", headers=condition),
        client.post(f"{API}/lots/import", content="code\nx\n", headers={"Content-Type": "text/csv", **condition}),
    ]
    for answer in batches:
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["header", header])
    assert client.get(path).json() == made
    other = {header: '"other"' if header == "If-None-Match" else "*"}
    assert client.patch(path, json={"count": 8}, headers=other).status_code == 200
    tag = client.get(path).headers["etag"]
    for wrong in (f"{tag}x", tag.strip('"'), f"{tag} {tag}", "", f"*{tag}", "W/"):
        answer = client.patch(path, json={"count": 9}, headers={header: wrong})
        # Nothing matches what is no entity tag.
        assert answer.status_code == (412 if header == "If-Match" else 422), wrong


def test_a_key_that_is_not_utf8_is_refused(client: TestClient) -> None:
    """The server would make one key of all of them."""
    answer = client.put(f"{API}/lots/%FF", json={})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["path", "id"])
    assert client.put(f"{API}/lots/%EF%BF%BD", json={}).status_code in (200, 201)


@pytest.mark.parametrize("returned", [True, False])
def test_a_route_that_responds_with_an_error_changes_nothing(client: TestClient, *, returned: bool) -> None:
    """It need not raise one."""
    code = unique("L")
    assert client.post(f"{API}/lots/{code}/refused?returned={returned}").status_code == 409
    assert client.get(f"{API}/lots/{code}").status_code == 404


@pytest.mark.parametrize("by_session", [True, False])
def test_a_streamed_response_does_not_use_the_connection_of_others(client: TestClient, *, by_session: bool) -> None:
    """The unit of work has ended, and another request has its connection."""
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(f"{API}/lots/streamed?by_session={by_session}")
    assert client.get(f"{API}/lots").status_code == 200


def test_an_application_starts_again_and_runs_the_handlers_of_the_project(url: str) -> None:
    """As a test suite does with a module's application, and as `app.on_event` promises."""
    app, events = application(url), list[str]()

    async def begin() -> None:
        events.append("begin")

    app.router.add_event_handler("startup", begin)
    app.router.add_event_handler("shutdown", lambda: events.append("end"))
    for number in range(2):
        with TestClient(app) as client:
            assert client.get("/ready").status_code == 200
            assert client.get(f"{API}/lots").status_code == 200
            assert client.put(f"{API}/lots/again", json={"count": number}).status_code in (200, 201)
    assert events == ["begin", "end"] * 2


def test_a_handler_that_fails_does_not_keep_the_threads(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application ends as without it, and the error is raised."""
    app, ended = application(url), list[bool]()
    close = app.state.runner.close

    def noted(**options: Any) -> bool:
        ended.append(close(**options))
        return ended[-1]

    def fail() -> None:
        raise RuntimeError("of the project")

    monkeypatch.setattr(app.state.runner, "close", noted)
    app.router.add_event_handler("shutdown", fail)
    with pytest.raises(RuntimeError, match="of the project"), TestClient(app) as client:
        assert client.get(f"{API}/lots").status_code == 200
    assert ended == [True]

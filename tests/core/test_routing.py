"""Hand-written routes: plain `def` endpoints, their arguments and their responses."""

from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from fastapi import BackgroundTasks, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict

from rowhouse.core.policy import ANYONE
from rowhouse.http.dependencies import SessionDep, SettingsDep, UnitDep
from rowhouse.http.routing import Router
from tests.conftest import unique
from tests.core.conftest import Serve, get
from tests.sample_entities.shop.models import Category


class Item(BaseModel):
    """A body and a response."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    note: str | None = None


def test_a_plain_def_answers_with_json(serve: Serve) -> None:
    """By its annotation."""

    def endpoint() -> Item:
        return Item(name="ä")

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.json()) == (200, {"name": "ä", "note": None})
    assert answer.headers["content-type"] == "application/json"


def test_a_row_answers_as_its_response_model(serve: Serve, sqlite_url: str) -> None:
    """The response has only the members of the model. The row is stored."""
    router, name = Router(), unique("category")

    @router.post("/shelves", policy=ANYONE, status_code=201, response_model=Item)
    def make_shelf(body: Item, session: SessionDep) -> Category:
        category = Category(name=body.name, description="kept inside")
        session.add(category)
        return category

    @router.get("/shelves/{name}", policy=ANYONE)
    def read_shelf(name: str, session: SessionDep) -> int:
        return session.scalar(sa.select(sa.func.count()).where(sa.column("name") == name).select_from(Category)) or 0

    client = serve(router)
    answer = client.post("/api/v1/shelves", json={"name": name})
    assert (answer.status_code, answer.json()) == (201, {"name": name, "note": None})
    assert client.get(f"/api/v1/shelves/{name}").json() == 1


def test_a_reading_route_does_not_take_the_write_lock(serve: Serve) -> None:
    """The route's method says whether its unit of work writes."""
    router = Router()

    def endpoint(unit: UnitDep, session: SessionDep) -> bool:
        return unit.write and session.is_active

    router.api_route("/writes", policy=ANYONE, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])(endpoint)
    client = serve(router)
    assert client.get("/api/v1/writes").json() is False
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/api/v1/writes").json() is True


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (202, b"")])
def test_none_is_an_empty_response(serve: Serve, status: int, body: bytes) -> None:
    """With the route's status."""

    def endpoint() -> None:
        return None

    answer = get(serve, endpoint, status_code=status)
    assert (answer.status_code, answer.content) == (status, body)
    assert ("content-length" in answer.headers) == (status != 204)


def test_a_response_passes_as_it_is(serve: Serve) -> None:
    """Its status, type and bytes."""

    def endpoint() -> Response:
        return Response("a,b", 203, {"x-own": "1"}, "text/csv")

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (203, "a,b", "1")
    assert answer.headers["content-type"].startswith("text/csv")


def test_the_response_parameter_sets_headers_and_status(serve: Serve) -> None:
    """In the endpoint and in its dependencies, also if only a dependency takes it."""

    def mark(response: Response) -> None:
        response.headers["x-dependency"] = "1"

    def endpoint(response: Response, _mark: Annotated[None, Depends(mark)]) -> int:
        response.headers["x-endpoint"] = "1"
        response.status_code = 202
        return 1

    def other(_mark: Annotated[None, Depends(mark)]) -> int:
        return 1

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.headers["x-endpoint"], answer.headers["x-dependency"]) == (202, "1", "1")
    answer = get(serve, other)
    assert (answer.status_code, answer.headers["x-dependency"]) == (200, "1")


def test_the_options_of_a_response_model_hold(serve: Serve) -> None:
    """As FastAPI documents them."""

    def endpoint() -> Item:
        return Item(name="x")

    for option in ("none", "unset", "defaults"):
        options: dict[str, Any] = {f"response_model_exclude_{option}": True}
        assert get(serve, endpoint, **options).json() == {"name": "x"}
    assert get(serve, endpoint, response_model_exclude={"name"}).json() == {"note": None}
    assert get(serve, endpoint, response_model_include={"name"}).json() == {"name": "x"}


def test_a_value_of_a_route_that_declares_none_is_an_error(serve: Serve) -> None:
    """The value would be lost otherwise."""

    def endpoint() -> None:
        return {"a": 1}  # type: ignore[return-value]  # the fault

    assert get(serve, endpoint).status_code == 500


def test_background_tasks_run_after_the_answer(serve: Serve) -> None:
    """As in FastAPI."""
    done: list[str] = []

    def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "done")
        return "answered"

    assert get(serve, endpoint).json() == "answered"
    assert done == ["done"]


def test_settings_and_request_are_there(serve: Serve) -> None:
    """By type."""

    def endpoint(settings: SettingsDep, request: Request) -> tuple[int, str]:
        return settings.worker_threads, request.url.path

    assert get(serve, endpoint).json() == [8, "/api/v1/probe"]


def test_an_http_exception_keeps_its_words(serve: Serve) -> None:
    """In the form of every error. The transaction is rolled back."""
    router, name = Router(), unique("category")

    @router.post("/half", policy=ANYONE)
    def endpoint(session: SessionDep) -> None:
        session.add(Category(name=name))
        session.flush()
        raise HTTPException(404, "No such thing.", {"x-why": "because"})

    @router.get("/half", policy=ANYONE)
    def read(session: SessionDep) -> int:
        return len(session.execute(sa.text("SELECT 1 FROM categories WHERE name = :name"), {"name": name}).all())

    client = serve(router)
    answer = client.post("/api/v1/half")
    assert (answer.status_code, answer.json()["detail"]) == (404, "No such thing.")
    assert answer.headers["x-why"] == "because"
    assert client.get("/api/v1/half").json() == 0

"""A route that was added to the application itself never loses its policy without an error."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.crud.dependencies import crud_of
from rowhouse.http.dependencies import CallerDep, SessionDep, UnitDep, get_caller
from rowhouse.http.routing import Router
from tests.core.conftest import build
from tests.hand_written.clinic import STAFF
from tests.sample_entities.shop.models import Category

Add = Callable[[FastAPI], object]


def closed_router() -> Router:
    """A router for staff, with a route that takes no session."""
    router = Router(prefix="/direct", policy=STAFF)

    @router.get("/secrets")
    def list_secrets() -> str:
        return "secret"

    return router


def include(app: FastAPI) -> None:
    """Add the router as FastAPI's tutorial does."""
    app.include_router(closed_router())


def include_nested(app: FastAPI) -> None:
    """Add it within a router of FastAPI."""
    outer = APIRouter(prefix="/outer")
    outer.include_router(closed_router())
    app.include_router(outer)


def extend(app: FastAPI) -> None:
    """Add its routes without a method."""
    app.routes.extend(closed_router().routes)


def of_session(session: SessionDep) -> int:
    """Take a session."""
    return len(session.info)


def of_unit(unit: UnitDep) -> int:
    """Take a unit."""
    return id(unit)


def of_caller(caller: CallerDep) -> int:
    """Take the caller."""
    return int(caller.id)


def of_crud(found: Annotated[Any, crud_of(Category)]) -> str:
    """Take the verbs of an entity."""
    return str(found)


def below(value: Annotated[int, Depends(of_session)]) -> int:
    """Take a session through another function."""
    return value


def plain() -> int:
    """Take nothing."""
    return 1


def include_guarded(app: FastAPI) -> None:
    """Add it with a dependency of the whole router."""
    router = APIRouter()
    router.get("/direct/plain")(plain)
    app.include_router(router, dependencies=[Depends(get_caller)])


def at_the_application(endpoint: Callable[..., Any]) -> Add:
    """Use `@app.get` for an endpoint."""
    return lambda app: app.get("/direct/own")(endpoint)


ADDED: dict[str, Add] = {
    "included": include,
    "nested": include_nested,
    "extended": extend,
    "guarded": include_guarded,
    **{one.__name__: at_the_application(one) for one in (of_session, of_unit, of_caller, of_crud, below)},
}


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_such_a_route_stops_the_start(sqlite_url: str, add: Add) -> None:
    """The message names the function and the fix."""
    app = build(sqlite_url)
    add(app)
    with pytest.raises(TypeError, match=r"(list_secrets|plain|of_\w+|below) .*registry\.include\(\)"), TestClient(app):
        pass


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_one_that_is_added_while_the_server_runs_answers_nothing(sqlite_url: str, add: Add) -> None:
    """It is 500, and never shows data for staff only."""
    app = build(sqlite_url)
    with TestClient(app, raise_server_exceptions=False) as client:
        add(app)
        found = {
            client.get(f"{path}").status_code for path in ("/direct/secrets", "/outer/direct/secrets", "/direct/own")
        }
    assert found == {500}


def test_routes_that_need_no_registry_are_the_applications(sqlite_url: str) -> None:
    """Plain FastAPI routes stay as they are, at the application and in routers."""
    app = build(sqlite_url, Router(prefix="/things", policy=ANYONE))
    app.get("/own")(plain)
    router = APIRouter(prefix="/more")
    router.get("/own")(plain)
    app.include_router(router)
    with TestClient(app) as client:
        assert [client.get(path).text for path in ("/own", "/more/own")] == ["1", "1"]

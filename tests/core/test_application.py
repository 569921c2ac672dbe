"""The fast path responds like the slow path, with all middleware and handlers that a developer adds."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from sqlalchemy.orm import registry
from sqlmodel import Field
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from rowhouse.app.factory import StartupCheck, create_app
from rowhouse.core.errors import NotFoundError
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.health.readiness import StartRefusedError
from rowhouse.http.routing import Router
from rowhouse.query.list_query import ListQuery
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET
from tests.core.conftest import build
from tests.fast_client import QuickClient
from tests.sample_entities.shop.models import metadata
from tests.sample_entities.shop.registry import registry as product

ORDINARY = "starlette.exception_handlers"  # FastAPI's layers leave it in the scope
LIST = "/api/v1/lanterns"


class OwnRecord(Record, registry=registry(metadata=sa.MetaData())):
    """`Record` in a metadata of its own."""


class Lantern(IntegerKey, OwnRecord, table=True):
    """An entity whose list always fails; it has no table."""

    name: str = Field(max_length=20, index=False)


class LanternWentOutError(Exception):
    """An error of the project."""


class LanternCRUD(CRUDBase[Lantern]):
    """Raises the error that the test sets."""

    error: ClassVar[Exception] = NotFoundError()

    def list(self, unit: UnitOfWork, selection: ListQuery) -> Any:
        """Fail."""
        raise self.error


class Watch:
    """Middleware of a project. It keeps each request's scope, adds a header, and fails at one path."""

    scopes: ClassVar[list[Scope]] = []

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-watched", b"yes")]
            await send(message)

        self.scopes.append(scope)
        if scope.get("path") == "/trap":
            raise LanternWentOutError("secret")
        await self._app(scope, receive, named if scope["type"] == "http" else send)


async def handle(_request: Request, _error: Exception) -> Response:
    """An exception handler of a project."""
    return JSONResponse({"lit": False}, 418)


@pytest.fixture
def app(sqlite_url: str) -> FastAPI:
    """An application with generated routes that work, one that fails, and a hand-written one."""
    entries = Registry("/api/v1")
    entries.registrations = dict(product.registrations)
    entries.declare_roles(product.roles)
    entries.register(Lantern, read=ANYONE, write=ANYONE, crud=LanternCRUD)
    router = Router()

    @router.get("/written")
    def written() -> str:
        return "by hand"

    made = build(sqlite_url, router, registry=entries)
    made.add_middleware(Watch)
    made.add_exception_handler(LanternWentOutError, handle)
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of it."""
    Watch.scopes.clear()
    with QuickClient(app) as client:
        yield client


def last_scope() -> Scope:
    """Return the scope of the last request."""
    return Watch.scopes[-1]


def test_generated_routes_skip_fastapis_layers(client: TestClient) -> None:
    """Added middleware wraps both kinds of routes."""
    for path in ("/api/v1/books", "/api/v1/books/export"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["x-watched"], ORDINARY in last_scope()) == (200, "yes", False)
    answer = client.get("/api/v1/written")
    assert (answer.json(), answer.headers["x-watched"], ORDINARY in last_scope()) == ("by hand", "yes", True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/books/0", 404),
        ("GET", "/api/v1/books/x", 422),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/api/v1/books", 405),
        ("POST", "/api/v1/lanterns", 415),
        ("GET", LIST, 404),
    ],
)
def test_a_rejected_request_gets_the_usual_error(client: TestClient, method: str, path: str, status: int) -> None:
    """As a problem, once, by the handlers of the application."""
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["x-watched"] == "yes"
    assert ORDINARY in last_scope()


def test_a_developers_own_handler_answers_for_generated_routes(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FastAPI promises for any route."""
    monkeypatch.setattr(LanternCRUD, "error", LanternWentOutError())
    answer = client.get(LIST)
    assert (answer.status_code, answer.json()) == (418, {"lit": False})
    assert client.head(LIST).status_code == 418  # the project's own `list` responds to HEAD as well


def test_an_unexpected_error_is_a_bare_500(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error goes on to the server, which logs it."""
    monkeypatch.setattr(LanternCRUD, "error", ZeroDivisionError("secret"))
    answer = client.get(LIST)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    with TestClient(client.app) as told, pytest.raises(ZeroDivisionError, match="secret"):
        told.get(LIST)


def test_an_error_of_added_middleware_is_a_bare_500_too(client: TestClient) -> None:
    """With all headers of a response: the outermost layer wraps middleware that is added later."""
    answer = client.get("/trap", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert (answer.headers["x-request-id"], answer.headers["x-frame-options"]) == ("mine", "DENY")
    with TestClient(client.app) as told, pytest.raises(LanternWentOutError, match="secret"):
        told.get("/trap")


def test_other_protocols_are_not_on_the_fast_path(client: TestClient) -> None:
    """There is no websocket here."""
    with TestClient(client.app) as caller, pytest.raises(WebSocketDisconnect), caller.websocket_connect(LIST):
        pass
    assert (last_scope()["type"], ORDINARY in last_scope()) == ("websocket", True)


def test_a_shutdown_that_leaves_a_thread_is_logged(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Connections stay open for a thread that still uses one."""
    app = build(sqlite_url, log_level="warning")
    close = app.state.runner.close

    def close_in_vain(*, seconds: float) -> bool:
        close(seconds=seconds)
        return False

    monkeypatch.setattr(app.state.runner, "close", close_in_vain)
    with TestClient(app):
        pass
    assert "a thread still waits for the database" in capsys.readouterr().err
    app.state.database.dispose()


def test_a_startup_check_of_the_project_stops_the_start(shop_url: str) -> None:
    """Before the first request, with its own message, after the checks before it have passed."""
    passed = []

    def count(unit: UnitOfWork, *, settings: Settings) -> None:
        passed.append(settings.environment.value)

    def refuse(unit: UnitOfWork, *, settings: Settings) -> None:
        raise StartRefusedError(f"The shop is closed in {settings.environment.value}.")

    def build(*checks: StartupCheck) -> FastAPI:
        settings = Settings(database_url=shop_url, **QUIET)
        return create_app(product, settings=settings, metadata=metadata, startup_checks=checks)

    with pytest.raises(StartRefusedError, match="closed in development"), QuickClient(build(count, refuse)):
        pass
    with QuickClient(build(count)):
        assert passed == ["development", "development"]

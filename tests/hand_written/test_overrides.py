"""`app.dependency_overrides` works on every route, as in FastAPI. One that cannot work is an error that says why."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request
from sqlmodel import Session
from starlette.testclient import TestClient

from rowhouse.auth.models import ADMIN
from rowhouse.core.errors import PermissionDeniedError
from rowhouse.core.policy import ANYONE
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.crud.dependencies import crud_of
from rowhouse.http.dependencies import (
    CallerDep,
    SessionDep,
    SettingsDep,
    UnitDep,
    get_caller,
    get_session,
    get_settings,
)
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.workers.runner import current_unit_of_work
from tests.conftest import unique
from tests.core.conftest import Serve
from tests.sample_entities.shop.models import Category

API = "/api/v1"
BOSS = Caller(id=1, role="admin", is_admin=True)
DRIVER = Caller(id=2, role="driver")


def deepest() -> str:
    """A dependency of a dependency."""
    return "deepest"


def middle(below: Annotated[str, Depends(deepest)]) -> str:
    """A dependency."""
    return f"middle of {below}"


router = Router()


@router.get("/words")
def read_words(word: Annotated[str, Depends(middle)], again: Annotated[str, Depends(deepest)]) -> list[str]:
    """A route with two dependencies."""
    return [word, again]


@router.get("/me")
def read_me(caller: CallerDep, unit: UnitDep) -> list[Any]:
    """A route that takes the caller."""
    return [caller.role, caller.id, unit.caller is caller]


@router.get("/settings")
def read_settings(settings: SettingsDep) -> int:
    """A route that takes the settings."""
    return settings.worker_threads


@router.get("/session", policy=ANYONE)
def read_session(session: SessionDep) -> str:
    """A route that returns the class of its session."""
    return type(session).__name__


@router.get("/verbs")
def read_verbs(found: Annotated[Any, crud_of(Category)]) -> str:
    """A route that takes the verbs."""
    return str(found)


@router.post("/fail", policy=ANYONE)
def fail(_session: SessionDep) -> None:
    """A route that rejects every request."""
    raise PermissionDeniedError


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """An application of these routes and of generated ones for administrators."""
    registry = Registry(API)
    registry.register(Category, read=ADMIN, write=ADMIN)
    return serve(router, registry=registry)


@pytest.fixture
def overrides(client: TestClient) -> dict[Any, Any]:
    """`app.dependency_overrides`."""
    assert isinstance(client.app, FastAPI)
    return client.app.dependency_overrides


class OtherSession(Session):
    """A session class of the test."""


def test_a_dependency_and_one_below_it_are_replaced(client: TestClient, overrides: dict[Any, Any]) -> None:
    """At every level, and only while they are in the dictionary."""
    before = client.get(f"{API}/words").json()
    overrides[deepest] = lambda: "other"
    assert client.get(f"{API}/words").json() == ["middle of other", "other"]
    overrides[middle] = lambda: "flat"
    assert client.get(f"{API}/words").json() == ["flat", "other"]
    overrides.clear()
    assert client.get(f"{API}/words").json() == before == ["middle of deepest", "deepest"]


def test_an_override_takes_dependencies_and_parameters_of_its_own(
    client: TestClient, overrides: dict[Any, Any]
) -> None:
    """They are parsed and validated like the route's. An override may depend on the original."""

    def louder(below: Annotated[str, Depends(deepest)], times: int, x_mood: Annotated[str, Header()]) -> str:
        return below.upper() * times + x_mood

    overrides[deepest] = louder
    answer = client.get(f"{API}/words?times=2", headers={"X-Mood": "!"})
    assert answer.json() == ["middle of DEEPESTDEEPEST!", "DEEPESTDEEPEST!"]
    assert client.get(f"{API}/words", headers={"X-Mood": "!"}).status_code == 422
    assert client.get(f"{API}/words?times=1&nope=1", headers={"X-Mood": "!"}).status_code == 422


@pytest.mark.parametrize("kind", ["sync", "async", "class", "yield", "below"])
def test_the_caller_is_replaced_on_every_route(client: TestClient, overrides: dict[Any, Any], kind: str) -> None:
    """Hand-written and generated, reading, writing, export and import. The policies check this caller."""

    async def later() -> Caller:
        return BOSS

    def lent() -> Iterator[Caller]:
        yield BOSS

    def below(settings: SettingsDep) -> Caller:
        assert settings.worker_threads
        return BOSS

    class Boss(Caller):
        """An administrator."""

        def __init__(self) -> None:
            super().__init__(id=1, role="admin", is_admin=True)

    kinds = {"sync": lambda: BOSS, "async": later, "class": Boss, "yield": lent, "below": below}
    overrides[get_caller] = kinds[kind]
    assert client.get(f"{API}/me").json() == ["admin", 1, True]
    made = client.post(f"{API}/categories", json={"name": unique("overridden")})
    assert made.status_code == 201
    assert client.get(f"{API}/categories/{made.json()['id']}").status_code == 200
    assert client.get(f"{API}/categories/export").status_code == 200
    csv = {"Content-Type": "text/csv"}
    body = f"name\n{unique('imported')}\n"
    assert client.post(f"{API}/categories/import", content=body, headers=csv).status_code == 201
    assert client.post(f"{API}/categories", content=b"{").status_code == 415
    overrides[get_caller] = lambda: DRIVER
    assert client.get(f"{API}/me").json() == ["driver", 2, True]
    assert client.get(f"{API}/categories").status_code == 403
    assert client.post(f"{API}/categories", content=b"{").status_code == 403
    overrides.clear()
    assert client.get(f"{API}/categories").status_code == 401


def test_an_override_of_the_caller_may_refuse(client: TestClient, overrides: dict[Any, Any]) -> None:
    """On every route, in the form of every error. One that returns None means no account."""

    def refuse() -> Caller:
        raise HTTPException(402, "Pay first.")

    overrides[get_caller] = refuse
    for path in ("/me", "/categories"):
        answer = client.get(f"{API}{path}")
        assert (answer.status_code, answer.json()["detail"]) == (402, "Pay first.")
    overrides[get_caller] = lambda: None
    for path in ("/me", "/categories"):
        assert client.get(f"{API}{path}").status_code == 401


def test_an_override_of_the_caller_has_its_own_dependencies_replaced(
    client: TestClient, overrides: dict[Any, Any]
) -> None:
    """As in FastAPI."""

    def named(word: Annotated[str, Depends(deepest)]) -> Caller:
        return Caller(id=3, role=word)

    overrides[get_caller] = named
    overrides[deepest] = lambda: "admin"
    assert client.get(f"{API}/me").json() == ["admin", 3, True]
    assert client.get(f"{API}/categories").status_code == 200


def test_settings_session_and_verbs_are_replaced(client: TestClient, overrides: dict[Any, Any]) -> None:
    """The engine's own dependencies can be overridden too."""
    overrides[get_settings] = lambda: Settings(worker_threads=3)
    assert client.get(f"{API}/settings").json() == 3
    overrides[get_session] = lambda: OtherSession(bind=current_unit_of_work().thread_connection.connection)
    assert client.get(f"{API}/session").json() == "OtherSession"
    overrides[crud_of(Category).dependency] = lambda: "verbs"
    overrides[get_caller] = lambda: BOSS
    assert client.get(f"{API}/verbs").json() == "verbs"


def test_an_override_may_yield(client: TestClient, overrides: dict[Any, Any]) -> None:
    """As in FastAPI's documentation: it ends after the response is made, and sees an exception."""
    seen: list[str] = []

    def lend() -> Iterator[Session]:
        with OtherSession(bind=current_unit_of_work().thread_connection.connection) as session:
            try:
                yield session
            except PermissionDeniedError:
                seen.append("refused")
                raise
        seen.append("closed")

    overrides[get_session] = lend
    assert client.get(f"{API}/session").json() == "OtherSession"
    assert seen == ["closed"]
    assert client.post(f"{API}/fail").status_code == 403
    assert seen == ["closed", "refused"]


def test_an_exception_that_a_yield_override_hides_is_an_error(client: TestClient, overrides: dict[Any, Any]) -> None:
    """There would be no response."""

    def hide() -> Iterator[None]:
        try:
            yield None
        except PermissionDeniedError:
            return

    overrides[get_session] = hide
    assert client.post(f"{API}/fail").status_code == 500


async def lend_later() -> AsyncIterator[str]:
    """An `async` override that yields."""
    yield "later"


async def wait_for(settings: SettingsDep) -> str:
    """An `async` override above a plain `def`."""
    return str(settings)


async def read_body(request: Request) -> str:
    """An override that reads the body itself."""
    return (await request.body()).decode()


def take_body(body: Annotated[str, Body()]) -> str:
    """An override that takes the body."""
    return body


@pytest.mark.parametrize(
    ("override", "words"),
    [(lend_later, "`yield` dependency"), (wait_for, "Write wait_for as a plain `def`"), (take_body, "takes a body")],
)
def test_what_cannot_be_honoured_says_so(
    client: TestClient, overrides: dict[Any, Any], override: Any, words: str
) -> None:
    """It is never ignored."""
    strict = TestClient(client.app)
    for original, path in ((deepest, "/words"), (get_caller, "/categories")):
        overrides.clear()
        overrides[original] = override
        with pytest.raises(TypeError, match=words):
            strict.get(f"{API}{path}")
    overrides[get_caller] = read_body
    with pytest.raises(TypeError, match="reads the body"):
        strict.get(f"{API}/categories")

"""Dependencies of hand-written routes run in the worker thread, once for each request, and none is skipped."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, HTTPException
from starlette.requests import Request

from rowhouse.auth.service import issue_access_token
from rowhouse.core.security import Caller
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.dependencies import CallerDep, UnitDep, get_caller
from rowhouse.http.routing import Router
from rowhouse.workers.runner import RequestRunner
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.core.conftest import Serve, get


class Paging:
    """A class as a dependency."""

    def __init__(self, skip: int = 0, limit: int = 10) -> None:
        self.skip, self.limit = skip, limit


def test_a_dependency_is_called_once_a_request(serve: Serve) -> None:
    """Whether a parameter, another dependency or the route needs it; with `use_cache=False`, once for each."""
    calls: list[int] = []

    def counted() -> int:
        calls.append(1)
        return len(calls)

    def above(below: Annotated[int, Depends(counted)]) -> int:
        return below

    def endpoint(
        one: Annotated[int, Depends(counted)],
        same: Annotated[int, Depends(above)],
        other: Annotated[int, Depends(counted, use_cache=False)],
    ) -> list[int]:
        return [one, same, other]

    assert get(serve, endpoint, dependencies=[Depends(counted)]).json() == [1, 1, 2]


def refuse() -> None:
    """A dependency that always rejects."""
    raise HTTPException(403, "guarded")


@pytest.mark.parametrize("where", ["route", "router"])
def test_a_dependency_without_a_parameter_is_called(serve: Serve, where: str) -> None:
    """The endpoint is not."""
    entered: list[str] = []
    guards = [Depends(refuse)]
    router = Router(dependencies=guards if where == "router" else [])

    @router.get("/guarded", dependencies=guards if where == "route" else [])
    def endpoint() -> None:
        entered.append("entered")

    answer = serve(router).get("/api/v1/guarded")
    assert (answer.status_code, answer.json()["detail"]) == (403, "guarded")
    assert entered == []


def test_dependencies_of_every_kind(serve: Serve) -> None:
    """A class, an instance, an `async def` and an instance with an async call."""

    class Adder:
        def __call__(self, number: int) -> int:
            return number + 1

    class AsyncAdder:
        async def __call__(self, number: int) -> int:
            return number + 2

    async def double(number: int) -> int:
        return number * 2

    def endpoint(
        paging: Annotated[Paging, Depends()],
        one: Annotated[int, Depends(Adder())],
        two: Annotated[int, Depends(AsyncAdder())],
        three: Annotated[int, Depends(double)],
    ) -> list[int]:
        return [paging.skip, paging.limit, one, two, three]

    assert get(serve, endpoint, "/probe?number=10&limit=3").json() == [0, 3, 11, 12, 20]
    assert get(serve, endpoint, "/probe?limit=3").status_code == 422


async def async_endpoint() -> None:
    """An endpoint that is not a plain `def`."""


def yielding_endpoint() -> Iterator[int]:
    """Another one."""
    yield 1


async def async_yielding_endpoint() -> AsyncIterator[int]:
    """Another one."""
    yield 1


@pytest.mark.parametrize("endpoint", [async_endpoint, yielding_endpoint, async_yielding_endpoint])
def test_only_a_plain_def_is_an_endpoint(endpoint: Any) -> None:
    """Any other would not run in the worker thread, so it is rejected at start-up."""
    with pytest.raises(TypeError, match="must be a plain `def`"):
        Router().get("/probe")(endpoint)


@pytest.mark.parametrize("dependency", [yielding_endpoint, async_yielding_endpoint])
def test_a_yield_dependency_is_refused(dependency: Any) -> None:
    """Also below another dependency. The message says how to fix it."""

    def above(below: Annotated[int, Depends(dependency)]) -> int:
        return below

    def endpoint(value: Annotated[int, Depends(above)]) -> int:
        return value

    with pytest.raises(TypeError, match="Use SessionDep"):
        Router().get("/probe")(endpoint)


def test_an_endpoint_says_what_it_returns() -> None:
    """Without an annotation its response would be empty."""

    def endpoint():  # type: ignore[no-untyped-def]  # noqa: ANN202  the fault in question
        return {"a": 1}

    with pytest.raises(TypeError, match="has no return annotation"):
        Router().get("/probe")(endpoint)
    Router().get("/probe", response_model=dict[str, int])(endpoint)


def test_the_caller_is_a_parameter_by_its_type(serve: Serve, sqlite_url: str) -> None:
    """It is authenticated once a request. Without a token, or with another scheme, the response is 401 with its header."""
    router = Router()

    def role(caller: CallerDep) -> str:
        return caller.role

    @router.get("/caller")
    def read_caller(
        caller: CallerDep, role: Annotated[str, Depends(role, use_cache=False)], unit: UnitDep
    ) -> list[Any]:
        return [caller is unit.caller, caller.role, role]

    client = serve(router, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)
    token = issue_access_token(1, 0, settings=client.app.state.settings)  # type: ignore[attr-defined]  # a FastAPI
    assert client.get("/api/v1/caller", headers={"Authorization": f"bearer {token}"}).json() == [True, "admin", "admin"]
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x.y.z"}):
        answer = client.get("/api/v1/caller", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_known_caller_is_not_authenticated_again(bare: Database) -> None:
    """A dependency with `use_cache=False` costs no second read."""
    calls: list[str] = []

    def authenticate(_unit: UnitOfWork, token: str) -> Caller:
        calls.append(token)
        return Caller(id=1, role="user")

    runner = RequestRunner(bare, bare.settings, authenticate)
    request = Request({"type": "http", "headers": [(b"authorization", b"Bearer abc")]})

    async def scenario() -> None:
        await runner.run(lambda _unit: [get_caller(request, None), get_caller(request, None)], write=False)

    asyncio.run(scenario())
    runner.close()
    assert calls == ["abc"]

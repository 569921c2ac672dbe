"""Ids and query parameters of hand-written routes are as strict as those of generated routes, with the same messages."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from annotated_types import Ge
from fastapi import Depends, Query
from pydantic import AliasChoices, AliasPath, BaseModel, Field
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.http.routing import Router
from rowhouse.operations.route import row_id
from rowhouse.registration.registry import Registry
from tests.contract.entity_client import Headers
from tests.core.conftest import Serve, get
from tests.databases import Databases
from tests.sample_entities.odd.registry import registry as odd
from tests.sample_entities.opened import open_odd
from tests.sample_entities.shop.models import Category, ChargePoint

API = "/api/v1"
KEYS = (
    "1", "-1", "0", "01", "-0", "%31", "2147483647", "-2147483648",
    "1.0", "1e0", "+1", "%2B1", "%201", "1%20", "1%09", "1_0", "0x1", "1,0", "1.", "x", "%00", "%EF%BC%91", "%D9%A1", "--1",
    "2147483648", "-2147483649", "9223372036854775808", "1" * 20, "9" * 21, "9" * 5000, "NaN", "true", "null",
)  # fmt: skip
router = Router(prefix="/categories", tags=["categories"])


@router.get("/{id}/echo")
def echo_marked(key: Annotated[int, row_id("Category")]) -> int:
    """A route with `row_id`."""
    return key


@router.get("/{id}/plain")
def echo_plain(id: int) -> int:  # noqa: A002  the plain form that a developer writes first
    """A route without it."""
    return id


@router.get("/{category_id}/rooms/{room_id}")
def echo_both(category_id: int, room_id: int) -> list[int]:
    """A route with the keys of two entities, under other names."""
    return [category_id, room_id]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Two entities with 32-bit keys, and the routes."""
    made = Registry(API)
    made.register(Category, read=ANYONE, write=ANYONE)
    made.register(ChargePoint, path="rooms", read=ANYONE, write=ANYONE)
    made.include(router)
    return made


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key)[:22])
def test_a_key_is_read_as_by_the_generated_route(serve: Serve, registry: Registry, key: str) -> None:
    """It accepts and rejects the same values with the same messages.

    With `row_id`, with a plain `int`, and for a second entity.
    """
    client = serve(registry=registry)
    generated = client.get(f"{API}/categories/{key}")
    for path in ("/categories/{}/echo", "/categories/{}/plain", "/categories/{}/rooms/1"):
        answer = client.get(API + path.format(key))
        if generated.status_code == 422:
            faults = [{**fault, "loc": ["path", "id"]} for fault in answer.json()["errors"]]
            assert (answer.status_code, faults) == (422, generated.json()["errors"])
        else:
            assert (answer.status_code, generated.status_code) in {(200, 200), (200, 404)}
    second, own = client.get(f"{API}/categories/1/rooms/{key}"), client.get(f"{API}/rooms/{key}")
    assert (second.status_code == 422) == (own.status_code == 422)


def test_the_document_shows_the_bounds_of_a_key(serve: Serve, registry: Registry) -> None:
    """As for the generated route."""
    paths = resolved(serve(registry=registry).get("/openapi.json").json())["paths"]

    def schema(path: str) -> Any:
        found = paths[f"{API}/categories/{path}"]["get"]["parameters"][0]["schema"]
        return {name: found[name] for name in ("type", "minimum", "maximum")}

    assert schema("{id}/plain") == schema("{id}/echo") == schema("{id}")
    assert schema("{id}") == {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}


@pytest.mark.parametrize("key", ["1.0", "%201", "+1", "x", "2147483648"])
def test_steps_are_as_strict_as_generated_operations(client: TestClient, admin: Headers, key: str) -> None:
    """The response is that of `GET /bookings/{id}`."""
    generated = client.get(f"{API}/bookings/{key}", headers=admin)
    assert generated.status_code == 422
    for step in ("confirm", "cancel"):
        answer = client.post(f"{API}/bookings/{key}/{step}", headers=admin)
        assert (answer.status_code, answer.json()) == (422, generated.json())


def test_keys_of_other_types_are_strict(databases: Databases) -> None:
    """64-bit integers and UUIDs."""
    by_hand = Router()

    @by_hand.get("/branches/{id}/echo")
    def echo_branch(id: int) -> int:  # noqa: A002  as above
        return id

    @by_hand.get("/leaves/{id}/echo")
    def echo_leaf(id: UUID) -> UUID:  # noqa: A002  as above
        return id

    made = Registry(API)
    made.registrations, made.routers = dict(odd.registrations), [*odd.routers, by_hand]
    with open_odd(databases, "sqlite", made) as client:
        key = str(uuid4())
        for path, keys in (
            ("branches", ("9223372036854775807", "9223372036854775808", "1.0", "2147483648")),
            (
                "leaves",
                (key, key.upper(), key.replace("-", ""), f"{{{key}}}", f"urn:uuid:{key}", f"%20{key}", "1", key[:-1]),
            ),
        ):
            for one in keys:
                echoed, generated = (client.get(f"{API}/{path}/{one}{tail}") for tail in ("/echo", ""))
                assert (echoed.status_code == 422) == (generated.status_code == 422), one
                assert echoed.status_code in (200, 422)
                if echoed.status_code == 422:
                    assert echoed.json()["errors"] == generated.json()["errors"]


def limited(limit: int = 7) -> int:
    """A dependency with a parameter."""
    return limit


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, ("7", "-7", "07"), ("7.0", "+7", " 7", "7_0", "1e2", "", "9223372036854775808", "true")),
        (int | None, ("7",), ("7.0", "null", "")),
        (float, ("7", "7.5", "-7e2"), ("7_0", " 7", "nan", "inf", "+7", ".5")),
        (Decimal, ("7", "7.50"), ("7_0", " 7", "NaN", "Infinity")),
        (bool, ("true", "false", "1", "0"), ("2", "maybe", "")),
        (datetime, ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00+02:00"),
         ("2030-01-31", "2030-01-31T12:00:00", "1700000000", "2030-01-31T12:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00")),
        (date, ("2030-01-31",), ("1700000000", "2030-01-31T00:00:00", "2030-1-1")),
        (time, ("12:00", "12:00:01.5"), ("12:00:00Z", "43200")),
        (timedelta, ("PT1H",), ("P40000D",)),
        (list[int], ("7",), ("7.0", "x")),
        (list[Annotated[int, Ge(5)]], ("7",), ("7.0", "4")),
        (set[int], ("7",), ("7.0", "x", "+7")),
        (frozenset[date], ("2030-01-31",), ("1700000000",)),
        (tuple[int, ...], ("7",), ("7.0", "x")),
        (Sequence[int], ("7",), ("7.0", "x")),
    ],
    ids=str,
)  # fmt: skip
def test_a_query_parameter_is_read_as_a_filter(
    serve: Serve, kind: Any, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    """In one form for each type. Other forms, which pydantic alone would accept, are 422 and never a 500."""

    def endpoint(value: Annotated[kind, Query()]) -> str:
        return str(value)

    router = Router()
    router.get("/probe")(endpoint)
    client = serve(router)
    for text in good:
        assert client.get(f"{API}/probe", params={"value": text}).status_code == 200, text
    for text in bad:
        answer = client.get(f"{API}/probe", params={"value": text})
        assert answer.status_code == 422, (text, answer.text)
        assert [fault["loc"][:2] for fault in answer.json()["errors"]] == [["query", "value"]]


def test_what_a_route_says_of_a_parameter_still_holds(serve: Serve) -> None:
    """Its own bounds and default, those of lists and of dependencies. An instant is in UTC."""

    def endpoint(
        small: Annotated[int, Query(ge=1, lt=5)] = 3,
        many: Annotated[list[int] | None, Query(max_length=2)] = None,
        at: datetime | None = None,
        either: int | str = 0,
        limit: Annotated[int, Depends(limited)] = 0,
    ) -> list[Any]:
        return [small, many, at, either, limit]

    assert get(serve, endpoint).json() == [3, None, None, 0, 7]
    answer = get(serve, endpoint, "/probe?small=4&many=1&many=2&at=2030-01-31T12:00:00%2B02:00&either=x&limit=9")
    assert answer.json() == [4, [1, 2], "2030-01-31T10:00:00Z", "x", 9]
    for query in ("small=5", "small=0", "many=1&many=2&many=3", "limit=9.0"):
        assert get(serve, endpoint, f"/probe?{query}").status_code == 422
    answer = get(serve, endpoint, "/probe?many=1&many=x")
    assert [fault["loc"] for fault in answer.json()["errors"]] == [["query", "many", 1]]


class Window(BaseModel):
    """A model of query parameters."""

    model_config = {"extra": "forbid"}

    limit: int = 10
    since: datetime | None = None
    days: set[date] = set()
    word: str = "x"
    least: int = Field(default=0, alias="min")
    most: int = Field(default=0, validation_alias=AliasChoices("max", "most", AliasPath("range", 1)))


def test_the_members_of_a_model_of_parameters_are_as_strict(serve: Serve) -> None:
    """Like parameters of the route."""

    def endpoint(window: Annotated[Window, Query()]) -> Window:
        return window

    client = serve_endpoint(serve, endpoint)
    answer = client.get(f"{API}/probe?limit=7&since=2030-01-31T12:00:00%2B02:00&days=2030-01-31&min=3")
    assert answer.json() == {
        "limit": 7, "since": "2030-01-31T10:00:00Z", "days": ["2030-01-31"], "word": "x", "min": 3, "most": 0,
    }  # fmt: skip
    assert client.get(f"{API}/probe").json()["limit"] == 10
    for query, loc in (
        ("limit=7.0", ["limit"]),
        ("since=1700000000", ["since"]),
        ("since=2030-01-31T12:00:00", ["since"]),
        ("days=2030-01-31&days=0", ["days", 1]),
        ("min=1.0", ["min"]),
        ("max=1.0", ["max"]),
        ("most=1.0", ["most"]),
        ("limit=x&min=x", ["limit"]),
    ):
        answer = client.get(f"{API}/probe?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["query", *loc]


def serve_endpoint(serve: Serve, endpoint: Any) -> TestClient:
    """Return a client of an application with this endpoint at `/probe`."""
    router = Router()
    router.get("/probe")(endpoint)
    return serve(router)


def test_the_document_shows_the_bounds_of_a_number(serve: Serve) -> None:
    """64 bits by default, or the bounds of the route."""
    router = Router()

    @router.get("/probe")
    def endpoint(free: int, small: Annotated[int, Query(gt=1)], maybe: int | None = None) -> int:
        return free + small + (maybe or 0)

    client = serve(router)
    parameters = resolved(client.get("/openapi.json").json())["paths"][f"{API}/probe"]["get"]["parameters"]
    told = {one["name"]: one["schema"] for one in parameters}
    assert (told["free"]["minimum"], told["free"]["maximum"]) == (-(2**63), 2**63 - 1)
    assert "minimum" not in told["small"]
    assert (told["small"]["exclusiveMinimum"], told["small"]["maximum"]) == (1, 2**63 - 1)
    assert client.get(f"{API}/probe?free=1&small=2&maybe=9223372036854775808").status_code == 422

"""The general rate limit: requests of one account or address in a window. Every response states it. Off by default."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.testclient import TestClient

from rowhouse.core.clock import set_clock
from rowhouse.core.openapi import resolved
from rowhouse.core.settings import Settings
from tests.conftest import sign_up, unique

MOST, API = 5, "/api/v1"
INSTANT = datetime(2040, 1, 1, 12, 0, 30, tzinfo=UTC)
POLICY = f'"default";q={MOST};w=60'


@pytest.fixture(scope="module")
def limited(backend: str, make_app: Callable[..., TestClient]) -> FastAPI:
    """An application with a limit of 5 requests a minute."""
    client = make_app(backend, rate_limit=f"{MOST}/minute", cors_origins=("https://shop.example",))
    assert isinstance(client.app, FastAPI)
    return client.app


@pytest.fixture(autouse=True)
def clock() -> Iterator[list[datetime]]:
    """A clock that stands still in the middle of a minute. Tests set another instant."""
    instants = [INSTANT]
    with set_clock(lambda: instants[-1]):
        yield instants


def at(app: FastAPI, address: str | None = None) -> TestClient:
    """Return a client with an address, by default one that no other test uses."""
    return TestClient(app, raise_server_exceptions=False, client=(address or unique("address"), 50000))


def told(answer: Any) -> tuple[int, str, str]:
    """Return the status and the headers of the limit."""
    return answer.status_code, answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]


def test_every_answer_says_what_is_left(limited: FastAPI) -> None:
    """Of a list, of an error and of a 429, which is a problem with the seconds to wait."""
    client = at(limited)
    paths = ["/books", "/books/999999", "/nowhere", "/books?unknown=1", "/books/"]
    answers = [told(client.get(f"{API}{path}")) for path in paths]
    assert answers == [
        (status, POLICY, f'"default";r={MOST - 1 - n};t=30') for n, status in enumerate((200, 404, 404, 422, 200))
    ]
    refused = client.get(f"{API}/books")
    assert told(refused) == (429, POLICY, '"default";r=0;t=30')
    assert refused.headers["Retry-After"] == "30"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert "X-Request-ID" in refused.headers


def test_the_next_window_begins_anew(limited: FastAPI, clock: list[datetime]) -> None:
    """At the full minute, whenever the first request came. Until then requests are rejected."""
    client = at(limited)
    answers = [client.get(f"{API}/books").status_code for _ in range(MOST + 1)]
    assert answers == [200] * MOST + [429]
    clock.append(INSTANT + timedelta(seconds=29.9))
    assert told(client.get(f"{API}/books"))[::2] == (429, '"default";r=0;t=1')
    clock.append(INSTANT + timedelta(seconds=30))
    assert told(client.get(f"{API}/books"))[::2] == (200, f'"default";r={MOST - 1};t=60')


def test_each_address_has_its_own_bound(limited: FastAPI) -> None:
    """An IPv6 network of 64 bits is one address."""
    answers = [at(limited, f"2001:db8:1:1::{n:x}").get(f"{API}/books").status_code for n in range(MOST + 1)]
    assert answers == [200] * MOST + [429]
    assert at(limited, "2001:db8:1:2::1").get(f"{API}/books").status_code == 200


def test_an_account_has_one_bound_wherever_it_is(limited: FastAPI) -> None:
    """At every address. Accounts at one address do not affect each other."""
    home = at(limited)
    headers, other = sign_up(home), sign_up(at(limited))
    answers = [at(limited).get(f"{API}/users/me", headers=headers).status_code for _ in range(MOST + 1)]
    assert answers == [200] * MOST + [429]
    assert home.get(f"{API}/books").status_code == 200
    assert home.get(f"{API}/users/me", headers=other).status_code == 200


@pytest.mark.parametrize("sent", ["Bearer forged", "Bearer", "Basic YTpi"])
def test_invalid_credentials_count_for_the_address(limited: FastAPI, sent: str) -> None:
    """Otherwise each invalid token would have a limit of its own."""
    client = at(limited)
    answers = [client.get(f"{API}/users/me", headers={"Authorization": sent}).status_code for _ in range(MOST)]
    assert set(answers) == {401}
    assert client.get(f"{API}/books").status_code == 429


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs", "/openapi.json", "/api/v1x"])
def test_what_is_not_below_the_prefix_is_not_counted(limited: FastAPI, path: str) -> None:
    """Its response does not state the limit."""
    client = at(limited)
    answers = [client.get(path) for _ in range(MOST + 2)]
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert not any("RateLimit" in answer.headers for answer in answers)
    assert client.get(f"{API}/books").headers["RateLimit"] == f'"default";r={MOST - 1};t=30'


def test_a_page_of_another_origin_may_read_it(limited: FastAPI) -> None:
    """Preflights are not counted. A 429 has the CORS headers too, so that the page can read it."""
    client, origin = at(limited), {"Origin": "https://shop.example"}
    asked = {**origin, "Access-Control-Request-Method": "GET"}
    assert {client.options(f"{API}/books", headers=asked).status_code for _ in range(MOST + 2)} == {200}
    answers = [client.get(f"{API}/books", headers=origin) for _ in range(MOST + 1)]
    assert answers[-1].status_code == 429
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        exposed = re.split(", *", answer.headers["Access-Control-Expose-Headers"])
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


def test_the_document_says_so(limited: FastAPI) -> None:
    """Every operation documents 429."""
    paths = resolved(at(limited).get("/openapi.json").json())["paths"]
    found = [one for item in paths.values() for operation in item.values() for one in operation["responses"].values()]
    assert all({"RateLimit", "RateLimit-Policy"} <= one["headers"].keys() for one in found)
    answers = [operation["responses"] for item in paths.values() for operation in item.values()]
    assert answers
    assert all("Retry-After" in one["429"]["headers"] for one in answers)


def test_off_there_is_no_layer_and_no_header(client: TestClient, app: FastAPI) -> None:
    """By default."""
    assert "RateLimit" not in [getattr(layer.cls, "__name__", "") for layer in app.user_middleware]
    assert "RateLimit" not in client.get(f"{API}/books").headers


@pytest.mark.parametrize("rate", ["600", "0/minute", "600/minutes", "600 per minute", "1/minute;2/hour", "-1/second"])
def test_a_rate_that_is_none_stops_the_start(rate: str) -> None:
    """A rate is a whole number of requests in a second, minute, hour or day."""
    with pytest.raises(ValidationError, match="rate_limit"):
        Settings(rate_limit=rate)

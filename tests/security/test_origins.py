"""CORS: pages of other origins are rejected unless a setting names them exactly, and credentials are never allowed."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from tests.contract.problems import problem
from tests.security.attacked_app import API, ORIGIN, AttackedApp
from tests.security.response_kinds import KINDS, PREFLIGHT, ask

SECOND = "http://localhost:5173"
ALLOW, CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"
OTHERS = (
    "null", "*", "", "https://shop.example.evil.example", "https://evil-shop.example", "http://shop.example", "https://shop.example:444",
    "https://shop.example/", "https://SHOP.example", "https://shopxexample", "https://sub.shop.example", "file://", "https://evil.example",
    "https://shop.example, https://evil.example", "https://shop.example\x00", "https://shop.example%0d%0ax",
)  # fmt: skip
READABLE = {
    "etag", "location", "x-request-id", "retry-after", "idempotent-replayed", "content-disposition", "preference-applied", "x-total-count", "ratelimit", "ratelimit-policy",
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(make_app: Callable[..., TestClient]) -> TestClient:
    """The sample shop, open to two origins."""
    return make_app("sqlite", cors_origins=(ORIGIN, SECOND))


def told(answer: Any) -> set[str]:
    """Return the CORS headers of a response."""
    return {name for name in answer.headers if name.startswith("access-control-allow-origin")}


def test_it_is_closed_unless_configured(attacked: AttackedApp) -> None:
    """No CORS header is sent, for requests and for preflights."""
    for origin in (ORIGIN, SECOND, *OTHERS[:3]):
        answer = attacked.client.get(f"{API}/books", headers={"Origin": origin})
        assert not any(name.startswith("access-control-") for name in answer.headers)
        answer = attacked.client.options(f"{API}/books", headers={**PREFLIGHT, "Origin": origin})
        problem(answer, 405)
        assert not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize("origin", [ORIGIN, SECOND])
def test_a_named_origin_is_let_in(opened: TestClient, origin: str) -> None:
    """By its exact name. Caches keep the responses to different origins apart."""
    answer = opened.get(f"{API}/books", headers={"Origin": origin})
    assert answer.headers.get_list(ALLOW) == [origin]
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", OTHERS)
def test_no_other_origin_is(opened: TestClient, origin: str) -> None:
    """The response never repeats the origin."""
    answer = opened.get(f"{API}/books", headers={"Origin": origin})
    assert (answer.status_code, told(answer)) == (200, set())
    preflight = opened.options(f"{API}/books", headers={**PREFLIGHT, "Origin": origin})
    problem(preflight, 400, "bad_request")
    assert told(preflight) == set()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_every_method_passes_its_preflight(opened: TestClient, method: str) -> None:
    """With the headers that clients send. Other methods do not."""
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method}
    wanted = "authorization, content-type, idempotency-key, if-match, if-none-match, x-request-id"
    answer = opened.options(f"{API}/books/1", headers={**asked, "Access-Control-Request-Headers": wanted})
    assert (answer.status_code, answer.headers[ALLOW]) == (200, ORIGIN)
    assert method in answer.headers["access-control-allow-methods"]
    assert set(wanted.split(", ")) <= set(answer.headers["access-control-allow-headers"].split(", "))
    problem(opened.options(f"{API}/books/1", headers={**asked, "Access-Control-Request-Method": "TRACE"}), 400)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_reads_every_kind_of_answer(served: AttackedApp, kind: str) -> None:
    """Errors too, with the request id, and never with cookies."""
    answer = ask(served, kind)
    if kind != "a refused preflight":
        assert answer.headers.get_list(ALLOW) == [ORIGIN]
    if "preflight" not in kind:
        assert {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")} == READABLE
    assert CREDENTIALS not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*.example", "https://shop.example/", "https://shop.example/path", "shop.example", "ftp://x", "https://", "https://Shop.example",
     "https://user@shop.example", "https://shop.example:port", "https://a.example https://b.example", ".*", "https://shop.example\n"],
)  # fmt: skip
def test_a_setting_that_opens_more_than_it_says_stops_the_start(origin: str) -> None:
    """Such as a wildcard: each origin must be named."""
    with pytest.raises(ValidationError, match="CORS_ORIGINS: write each origin"):
        Settings(cors_origins=(ORIGIN, origin))


@pytest.mark.parametrize("origin", [ORIGIN, SECOND, "https://127.0.0.1", "https://a-b.c.example:8443", "https://x"])
def test_an_origin_as_browsers_send_it_is_taken(origin: str) -> None:
    """With a port if it has one."""
    assert Settings(cors_origins=(origin,)).cors_origins == (origin,)

"""The response of a hand-written route: FastAPI's options on the decorator work, or are rejected at start-up."""

from datetime import date
from functools import partial
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, File, Form
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel
from starlette.responses import Response

from rowhouse.auth.models import User
from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.http.dependencies import SettingsDep
from rowhouse.http.routing import Router
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import unique
from tests.core.conftest import Serve, get

API = "/api/v1"


class Indented(JSONResponse):
    """JSON with a media type of its own."""

    media_type = "application/vnd.shop+json"


class Item(BaseModel):
    """A response."""

    name: str
    note: str | None = None


def word() -> str:
    """Return a text."""
    return "<b>ä</b>"


def item() -> Item:
    """Return a model."""
    return Item(name="ä")


def number() -> int:
    """Return a number."""
    return 7


@pytest.mark.parametrize(
    ("endpoint", "kind", "media_type", "body"),
    [
        (word, HTMLResponse, "text/html", "<b>ä</b>"),
        (word, PlainTextResponse, "text/plain", "<b>ä</b>"),
        (item, JSONResponse, "application/json", '{"name":"ä","note":null}'),
        (item, Indented, "application/vnd.shop+json", '{"name":"ä","note":null}'),
        (number, JSONResponse, "application/json", "7"),
    ],
)
def test_the_answer_is_of_the_routes_class(
    serve: Serve, endpoint: Any, kind: type[Response], media_type: str, body: str
) -> None:
    """With its media type, as documented. Also if the router sets the class."""
    routers = Router(), Router(default_response_class=kind)
    routers[0].get("/probe", response_class=kind)(endpoint)
    routers[1].get("/probe")(endpoint)
    for router in routers:
        client = serve(router)
        answer = client.get(f"{API}/probe")
        assert (answer.status_code, answer.text) == (200, body)
        assert answer.headers["content-type"].partition(";")[0] == media_type
        told = resolved(client.get("/openapi.json").json())["paths"][f"{API}/probe"]["get"]["responses"]["200"]
        assert list(told["content"]) == [media_type]


def test_options_of_the_model_hold_in_every_class(serve: Serve) -> None:
    """As in the default class. So does the status."""
    options: dict[str, Any] = {"response_class": Indented, "response_model_exclude_none": True, "status_code": 203}
    answer = get(serve, item, **options)
    assert (answer.status_code, answer.text) == (203, '{"name":"ä"}')


def test_a_response_stays_as_it_is_in_every_class(serve: Serve) -> None:
    """Whatever class the route declares."""

    def endpoint() -> Response:
        return PlainTextResponse("plain", 202)

    answer = get(serve, endpoint, response_class=HTMLResponse)
    assert (answer.status_code, answer.text) == (202, "plain")
    assert answer.headers["content-type"].startswith("text/plain")


def test_without_a_model_the_class_has_the_value(serve: Serve) -> None:
    """As in FastAPI: a redirect to an address, with the status of its class, and no body for a status that has none."""
    answer = get(serve, word, response_class=HTMLResponse, response_model=None)
    assert answer.text == "<b>ä</b>"
    router = Router()

    @router.get("/elsewhere", response_class=RedirectResponse, response_model=None)
    def lead_elsewhere() -> str:
        return "/health"

    @router.get("/nothing", response_class=JSONResponse, status_code=204)
    def nothing() -> None:
        return None

    client = serve(router)
    answer = client.get(f"{API}/elsewhere", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/health")
    answer = client.get(f"{API}/nothing")
    assert (answer.status_code, answer.content, "content-length" in answer.headers) == (204, b"", False)


def test_a_replayed_answer_keeps_its_class(serve: Serve) -> None:
    """The second response equals the first, with its media type."""
    router = Router()

    @router.post("/pages", status_code=201, response_class=HTMLResponse)
    def make_page() -> str:
        return f"<i>{unique('page')}</i>"

    client, key = serve(router), {"Idempotency-Key": unique("page")}
    first, second = (client.post(f"{API}/pages", headers=key) for _ in range(2))
    assert (first.text, first.headers["content-type"]) == (second.text, second.headers["content-type"])
    assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(("options", "words"), [({"max_body_size": 10}, "max_body_size has no effect")])
def test_words_that_have_no_effect_are_refused(options: dict[str, Any], words: str) -> None:
    """At start-up, with the route and the option."""
    with pytest.raises(TypeError, match=f"number: {words}"):
        Router().get("/probe", **options)(number)


def test_a_router_of_loose_media_types_is_refused() -> None:
    """A body without a type is 415 here."""
    with pytest.raises(TypeError, match="number: strict_content_type=False has no effect"):
        Router(strict_content_type=False).get("/probe")(number)


def test_bounds_of_a_dependency_are_refused() -> None:
    """FastAPI would count requests that collect arguments, not those that work."""

    def endpoint(value: Annotated[int, Depends(number, max_concurrency=1)]) -> int:
        return value

    with pytest.raises(TypeError, match="max_concurrency of number has no effect"):
        Router().get("/probe")(endpoint)


async def above(settings: SettingsDep) -> int:
    """An `async` dependency on a plain one."""
    return settings.worker_threads


def test_an_async_dependency_above_a_plain_one_is_refused() -> None:
    """It would get a placeholder instead of the value."""

    def endpoint(value: Annotated[int, Depends(above)]) -> int:
        return value

    with pytest.raises(TypeError, match="above is `async` and depends on get_settings"):
        Router().get("/probe")(endpoint)


def test_a_partial_and_a_class_are_dependencies(serve: Serve) -> None:
    """Also a class whose instances are `async`."""

    class Later:
        """A class with `async` instances."""

        async def __call__(self) -> int:
            return 1

    def add(first: int, second: int) -> int:
        return first + second

    def endpoint(
        three: Annotated[int, Depends(partial(add, second=2))], later: Annotated[Later, Depends(Later)]
    ) -> list[Any]:
        return [three, type(later).__name__]

    assert get(serve, endpoint, "/probe?first=1").json() == [3, "Later"]


def test_a_route_without_a_model_answers_with_what_it_returns(serve: Serve) -> None:
    """`response_model=None`, as in FastAPI's documentation. A route with `-> None` returns nothing."""
    router = Router()

    @router.get("/portal", response_model=None)
    def portal(*, teleport: bool = False) -> Response | dict[str, date]:
        return PlainTextResponse("elsewhere") if teleport else {"day": date(2030, 1, 31)}

    client = serve(router)
    assert client.get("/api/v1/portal?teleport=true").text == "elsewhere"
    answer = client.get("/api/v1/portal")
    assert (answer.json(), answer.headers["content-type"]) == ({"day": "2030-01-31"}, "application/json")


class Wrapped(BaseModel):
    """A response that contains accounts."""

    accounts: list[User | None]


@pytest.mark.parametrize("model", [User, list[User], dict[str, User | None], Wrapped, list[Wrapped]], ids=str)
@pytest.mark.parametrize("kind", [Router, APIRouter])
def test_no_answer_shows_a_secret(serve: Serve, model: Any, kind: type[APIRouter]) -> None:
    """A table class with a secret is rejected as a response at any depth. The message names the right schema."""
    router = kind()

    @router.get("/everybody")
    def list_everybody() -> model:
        raise NotImplementedError

    with pytest.raises(RegistrationError, match=r"hashed_password.* is SECRET: answer with public_schema\(User\)"):
        serve(router)


@pytest.mark.parametrize("sent", ["form", "file"])
def test_a_form_takes_a_key(serve: Serve, sent: str) -> None:
    """A form or a file that creates a row is safe to repeat."""
    router = Router(policy=ANYONE)
    made: list[int] = []

    @router.post("/photos", status_code=201)
    def store_photo(photo: Annotated[bytes, File()] = b"", title: Annotated[str, Form()] = "") -> int:
        made.append(len(photo) + len(title))
        return len(made)

    client, key = serve(router), {"Idempotency-Key": unique("photo")}

    def post(text: str) -> httpx2.Response:
        boundary = '--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n{}\r\n--b--\r\n'
        body, kind = (
            (f"title={text}", "application/x-www-form-urlencoded")
            if sent == "form"
            else (boundary.format(text), "multipart/form-data; boundary=b")
        )
        return client.post("/api/v1/photos", content=body, headers={**key, "Content-Type": kind})

    first, again, other = post("abc"), post("abc"), post("abcd")
    assert (first.status_code, first.json(), again.json(), other.status_code) == (201, 1, 1, 422)
    assert "idempotent-replayed" in again.headers
    assert made == [3]
    assert post("x" * 2**21).status_code == 413

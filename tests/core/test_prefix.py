"""Under a prefix, every path in a response is the one that the client sees, however the prefix was set."""

import base64
import hashlib
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.app.openapi_document import CACHED_PREFIXES, under_prefix
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.requests.paths import location, prefix_of
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, unique
from tests.core.conftest import build, build_shop
from tests.fast_client import QuickClient

ADMINISTRATOR = {"admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD}
Way = Callable[[FastAPI], ASGIApp]


class Server:
    """A request as uvicorn with `--root-path` makes it: the root path comes before the path that a proxy sent."""

    def __init__(self, app: ASGIApp, *, root_path: str, strips: str = "") -> None:
        self._app = app
        self._root_path = root_path
        self._strips = strips

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] == "http":
            path = self._root_path + scope["path"].removeprefix(self._strips)
            scope = {**scope, "root_path": self._root_path, "path": path}
        await self._app(scope, receive, send)


class Sometimes(Server):
    """Two proxies in front of one server: one strips a prefix, the other has none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        is_below = scope.get("path", "").startswith(self._strips)
        await (super().__call__ if is_below else self._app)(scope, receive, send)


class Given(Server):
    """A root path and an unchanged path, as in Starlette's `TestClient(app, root_path=...)`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        path = scope.get("path", "").removeprefix(self._strips)
        await self._app({**scope, "root_path": self._root_path, "path": path}, receive, send)


def mounted(app: FastAPI) -> ASGIApp:
    """Mount it in another application, whose lifespan runs the inner one's."""

    @asynccontextmanager
    async def lifespan(_outer: FastAPI) -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/shop", app)
    return outer


WAYS: dict[str, Way] = {
    "a proxy that strips": lambda app: Server(app, root_path="/shop", strips="/shop"),
    "a proxy that does not strip": lambda app: Server(app, root_path="/shop"),
    "a slash behind": lambda app: Server(app, root_path="/shop/", strips="/shop"),
    "a slash behind, not stripped": lambda app: Server(app, root_path="/shop/"),
    "no slash before": lambda app: Server(app, root_path="shop", strips="/shop"),
    "a root path beside the whole path": lambda app: Given(app, root_path="/shop"),
    "a root path beside a stripped path": lambda app: Given(app, root_path="/shop", strips="/shop"),
    "a mount": mounted,
}


@pytest.fixture(scope="module")
def product(shop_url: str) -> Iterator[TestClient]:
    """A client at the root, started once for all ways that do not change its lifespan."""
    with QuickClient(build_shop(shop_url, **ADMINISTRATOR)) as client:
        yield client


@pytest.fixture(scope="module", params=WAYS)
def shop(request: pytest.FixtureRequest, product: TestClient, shop_url: str) -> Iterator[TestClient]:
    """A client below `/shop`, in each way."""
    if request.param == "a mount":
        with QuickClient(mounted(build_shop(shop_url, **ADMINISTRATOR))) as client:
            yield client
        return
    assert isinstance(product.app, FastAPI)
    client = QuickClient(WAYS[request.param](product.app))
    client.portal = product.portal
    yield client


def signed_in(client: TestClient) -> dict[str, str]:
    """The headers of the administrator, who signs in at the documented path."""
    document = client.get("/shop/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    answer = client.post(scheme["flows"]["password"]["tokenUrl"], data=form)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_the_document_says_the_prefix(shop: TestClient) -> None:
    """In `servers`, as in FastAPI. The path of the login is complete, because Swagger UI does not add a server to it."""
    document = shop.get("/shop/openapi.json").json()
    assert document["servers"] == [{"url": "/shop"}]
    assert "/api/v1/books" in document["paths"]
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "/shop/api/v1/auth/login"


def test_a_location_leads_to_the_row(shop: TestClient) -> None:
    """For generated and hand-written routes. A repeated request gets the same one."""
    server = shop.get("/shop/openapi.json").json()["servers"][0]["url"]
    headers = {**signed_in(shop), "Idempotency-Key": unique("key")}
    made, again = (shop.post(f"{server}/api/v1/categories/", json={"name": "x" * 9}, headers=headers) for _ in range(2))
    if made.status_code == 409:  # an earlier way made it
        made = again = shop.post(f"{server}/api/v1/categories", json={"name": unique("category")}, headers=headers)
    assert re.fullmatch(r"/shop/api/v1/categories/\d+", made.headers["location"])
    assert again.headers["location"] == made.headers["location"]
    assert shop.get(made.headers["location"]).json() == made.json()
    body = {"email": f"{unique('user')}@example.com", "password": PASSWORD, "full_name": "Somebody"}
    account = shop.post(f"{server}/api/v1/users", json=body)
    assert shop.get(account.headers["location"], headers=signed_in(shop)).json() == account.json()


def test_the_paths_at_the_root_answer(shop: TestClient) -> None:
    """Below the prefix too. An unknown path stays 404."""
    assert shop.get("/shop/health").json() == {"status": "ok"}
    assert shop.get("/shop/ready").json()["status"] == "ready"
    assert shop.get("/shop/api/v1/nothing").status_code == 404
    assert shop.get("/shop/api/v1/books").status_code == 200
    assert shop.put("/shop/api/v1/books").headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("page", ["/shop/docs", "/shop/redoc"])
def test_the_pages_find_all_that_they_need(shop: TestClient, page: str) -> None:
    """Every asset and the document, under a content policy that has the hashes of their scripts."""
    answer = shop.get(page)
    (policy,) = answer.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; script-src 'self'")
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    paths = re.findall(r"(?:src|href|spec-url)=\"([^\"]+)\"|url: '([^']+)'", answer.text)
    found = [one or other for one, other in paths]
    assert "/shop/openapi.json" in found
    assert len(found) > 2
    assert [path for path in found if shop.get(path).status_code != 200] == []


def test_cursors_and_keys_know_no_prefix(shop_url: str) -> None:
    """A list that began below a prefix continues without it, and a repeated request counts as the same one."""
    app = build_shop(shop_url, **ADMINISTRATOR)
    with QuickClient(Sometimes(app, root_path="/shop", strips="/shop")) as client:
        headers = signed_in(client)
        for _ in range(3):
            client.post("/shop/api/v1/categories", json={"name": unique("category")}, headers=headers)
        page = client.get("/shop/api/v1/categories?size=2").json()
        assert client.get(f"/api/v1/categories?size=2&cursor={page['next_cursor']}").status_code == 200
        body = {"email": f"{unique('user')}@example.com", "password": PASSWORD, "full_name": "Somebody"}
        key = {"Idempotency-Key": unique("key")}
        made = client.post("/shop/api/v1/users", json=body, headers=key)
        again = client.post("/api/v1/users", json=body, headers=key)
        assert (made.status_code, again.status_code) == (201, 201)
        assert again.headers["idempotent-replayed"] == "true"


def test_a_mount_works_without_its_lifespan(sqlite_url: str) -> None:
    """Starlette does not run it, and no response needs it."""
    outer = FastAPI()
    outer.mount("/shop", build_shop(sqlite_url))
    client = TestClient(outer)
    assert client.get("/shop/api/v1/books").status_code == 200
    assert client.get("/shop/ready").status_code == 200
    assert client.get("/shop/shop/api/v1/books").status_code == 404


def test_a_path_that_begins_like_the_prefix_is_found(sqlite_url: str) -> None:
    """The prefix is removed once."""
    router = Router(prefix="/shop")

    @router.get("/probe")
    def probe() -> str:
        return "mine"

    app = build(sqlite_url, router, registry=Registry(""))
    with QuickClient(Server(app, root_path="/shop", strips="/shop")) as client:
        assert client.get("/shop/shop/probe").json() == "mine"
        assert client.get("/shop/shop/health").json() == {"status": "ok"}
        assert client.get("/shop/shopping").status_code == 404


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx2.Client]:
    """A client of a real server with `--root-path /shop`."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, root_path="/shop", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def test_uvicorn_serves_below_a_root_path(sqlite_url: str) -> None:
    """A proxy that strips the prefix sends the first kind of path, another one the second."""
    with serving(build_shop(sqlite_url)) as client:
        for sent in ("", "/shop"):
            assert client.get(f"{sent}/health").status_code == 200
            assert client.get(f"{sent}/api/v1/books").status_code == 200
            head = client.head(f"{sent}/api/v1/books")
            assert (head.status_code, head.content) == (200, b"")
            assert client.get(f"{sent}/openapi.json").json()["servers"] == [{"url": "/shop"}]
            assert "url: '/shop/openapi.json'" in client.get(f"{sent}/docs").text
            body = {"email": f"{unique('user')}@example.com", "password": PASSWORD, "full_name": "Somebody"}
            made = client.post(f"{sent}/api/v1/users", json=body)
            assert re.fullmatch(r"/shop/api/v1/users/\d+", made.headers["location"])


def test_a_location_can_be_sent_whatever_the_key_is() -> None:
    """Characters that a path cannot have are encoded, in the key and in the prefix (RFC 3986 §3.3)."""
    scope: Scope = {"type": "http", "path": "/bücher/ways", "root_path": "/bücher"}
    assert location(scope, "a/b ü") == "/b%C3%BCcher/ways/a%2Fb%20%C3%BC"
    assert location({"path": "/ways/"}, 7) == "/ways/7"
    assert prefix_of({"root_path": "/'\"<>&"}) == "/%27%22%3C%3E%26"


def test_pages_for_many_prefixes_do_not_fill_the_memory(sqlite_url: str) -> None:
    """Some middleware reads the prefix from a header, in which a client may send anything."""
    server = Given(build(sqlite_url), root_path="")
    with QuickClient(server) as client:
        for number in range(CACHED_PREFIXES + 2):
            server._root_path = f"/p{number}"
            for path in ("/openapi.json", "/docs", "/redoc"):
                assert f"/p{number}" in client.get(path).text


def test_a_developers_own_document_keeps_its_servers() -> None:
    """The prefix is added once. A login elsewhere stays as it is."""
    flows = {"password": {"tokenUrl": "https://login.example/token", "scopes": {}}}
    schemes = {"there": {"type": "oauth2", "flows": flows}, "key": {"type": "apiKey"}}
    given = {"servers": [{"url": "/v"}], "components": {"securitySchemes": schemes}}
    found = under_prefix(given, "/shop")
    assert found == {**given, "servers": [{"url": "/shop"}, {"url": "/v"}]}
    assert under_prefix(given, "/v") == given
    assert under_prefix({"paths": {}}, "/v") == {"paths": {}, "servers": [{"url": "/v"}]}


@pytest.mark.parametrize("root_path", ["/", "//"])
def test_a_root_path_of_slashes_is_none(sqlite_url: str, root_path: str) -> None:
    """It means the root."""
    with QuickClient(Server(build(sqlite_url), root_path=root_path)) as client:
        assert client.get("/health").status_code == 200
        assert "servers" not in client.get("/openapi.json").json()

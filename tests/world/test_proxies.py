"""nginx in front: a prefix that it strips or passes on, forwarded addresses and schemes, and two servers that restart."""

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html.parser import HTMLParser

import httpx2
import pytest

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.world.conftest import Figure
from tests.world.load import sign_in
from tests.world.services.nginx import nginx
from tests.world.services.postgresql import ICU, Cluster, postgresql
from tests.world.services.process import HOST, free_port
from tests.world.services.server import API, migrate, rowhouse

PREFIX = "/shop"
TRUSTED = {"FORWARDED_ALLOW_IPS": HOST}
pytestmark = pytest.mark.xdist_group("proxies")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL for all of these servers."""
    with postgresql(*ICU) as started:
        yield started


@pytest.fixture(scope="module")
def database_url(cluster: Cluster) -> str:
    """A migrated database."""
    url = cluster.create_database("proxied")
    migrate(url)
    return url


class Links(HTMLParser):
    """The addresses that a page loads or calls."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a script, a stylesheet or an icon is loaded from."""
        self.found += [
            value for name, value in attrs if name in {"src", "href"} and value and not value.startswith("data:")
        ]


@pytest.fixture(scope="module", params=["stripped", "passed-on"])
def shop(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """The URL of the prefix at an nginx: it takes the prefix away, or leaves it."""
    with (
        rowhouse(database_url, "--root-path", PREFIX, settings=TRUSTED, wait_for="/health") as server,
        nginx([server.port], prefix=PREFIX, strips=request.param == "stripped") as proxy,
    ):
        yield f"{proxy.url}{PREFIX}"


def test_the_api_answers_below_the_prefix(shop: str) -> None:
    """A row is made, its `Location` leads to it through the proxy, and a list gives it."""
    headers = sign_in(shop)
    made = httpx2.post(f"{shop}{API}/categories", json={"name": f"category {uuid.uuid4()}"}, headers=headers)
    assert made.status_code == 201, made.text
    location = httpx2.URL(made.url).join(made.headers["Location"])
    assert location.path == f"{PREFIX}{API}/categories/{made.json()['id']}"
    assert httpx2.get(location).json() == made.json()
    assert httpx2.get(f"{shop}{API}/categories", params={"name": made.json()["name"]}).json()["total"] == 1
    assert httpx2.get(f"{shop}/ready").status_code == 200


def test_a_cursor_leads_on_below_the_prefix(shop: str) -> None:
    """Every page of a list."""
    headers = sign_in(shop)
    names = [f"walked {uuid.uuid4()}" for _ in range(5)]
    made = httpx2.post(f"{shop}{API}/categories/batch", json=[{"name": name} for name in names], headers=headers)
    assert made.status_code == 201, made.text
    page = httpx2.get(f"{shop}{API}/categories", params={"size": 2, "name__startswith": "walked"}).json()
    seen = len(page["items"])
    while page["next_cursor"]:
        page = httpx2.get(f"{shop}{API}/categories", params={"cursor": page["next_cursor"]}).json()
        seen += len(page["items"])
    assert seen >= len(names)


def test_the_document_names_the_prefix(shop: str) -> None:
    """Each operation and the token's address are reached by what the document says."""
    document = httpx2.get(f"{shop}/openapi.json").json()
    server = httpx2.URL(f"{shop}/openapi.json").join(document["servers"][0]["url"].rstrip("/") + "/")
    listed = server.join(f"{API}/books".lstrip("/"))
    assert listed.path == f"{PREFIX}{API}/books"
    assert httpx2.get(listed).status_code == 200
    (flow,) = [
        scheme["flows"]["password"]
        for scheme in document["components"]["securitySchemes"].values()
        if "flows" in scheme
    ]
    token = httpx2.URL(f"{shop}/openapi.json").join(flow["tokenUrl"])
    assert token.path == f"{PREFIX}{API}/auth/login"
    answer = httpx2.post(token, data={"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_find_their_assets(shop: str, page: str) -> None:
    """Whatever the page loads is there, below the prefix."""
    answer = httpx2.get(f"{shop}{page}")
    assert answer.status_code == 200
    links = Links()
    links.feed(answer.text)
    assert links.found
    for link in links.found:
        address = httpx2.URL(answer.url).join(link)
        assert address.path.startswith(f"{PREFIX}/"), link
        assert httpx2.get(address).status_code == 200, link


def test_the_callers_address_and_scheme_come_from_the_proxy(database_url: str) -> None:
    """Only the trusted proxy is believed.

    Https brings HSTS, and wrong passwords count for the address that it names.
    """
    settings = {**TRUSTED, "LOGIN_FAILURES_PER_ADDRESS": "2"}
    with rowhouse(database_url, settings=settings) as server, nginx([server.port], scheme="https") as proxy:
        assert "strict-transport-security" in httpx2.get(f"{proxy.url}{API}/books").headers
        assert "strict-transport-security" not in server.get(f"{API}/books").headers
        # What a client says itself stands before what nginx adds, and is not believed.
        assert [guess(proxy.url, own="127.0.0.2", told=f"192.0.2.{number}") for number in range(3)] == [401, 401, 429]
        assert guess(proxy.url, own="127.0.0.3", told="127.0.0.2") == 401


def guess(url: str, *, own: str, told: str) -> int:
    """The status of a wrong password, from a loopback address of its own that says that it is another."""
    form = {"username": f"{uuid.uuid4()}@example.com", "password": "wrong-password"}
    with httpx2.Client(transport=httpx2.HTTPTransport(local_address=own), timeout=30) as client:
        return client.post(f"{url}{API}/auth/login", data=form, headers={"X-Forwarded-For": told}).status_code


def test_two_servers_are_one(database_url: str) -> None:
    """A key that is sent to both at once makes one row; the other answer is a replay."""
    with rowhouse(database_url) as one, rowhouse(database_url) as other:
        headers = {**sign_in(one.url), "Idempotency-Key": str(uuid.uuid4())}
        body = {"name": f"twice {uuid.uuid4()}"}
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(
                    lambda server: httpx2.post(f"{server.url}{API}/categories", json=body, headers=headers, timeout=30),
                    (one, other),
                )
            )
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        assert sorted(answer.headers.get("Idempotent-Replayed", "") for answer in answers) == ["", "true"]
        assert other.get(f"{API}/categories?name={body['name']}").json()["total"] == 1


def test_a_rolling_restart_loses_no_response(database_url: str, figure: Figure) -> None:
    """Two servers behind nginx, one restarted after the other: every request of four clients is answered with success.

    Between its last look and its end a server may have been given a connection that it never accepts. nginx sends a GET
    again then, and with `non_idempotent` a POST too, whose `Idempotency-Key` makes that safe.
    """
    ports = [free_port(), free_port()]
    statuses: list[int] = []
    is_over = threading.Event()
    with ExitStack() as stack:
        servers = [stack.enter_context(ExitStack()) for _ in ports]
        for server, port in zip(servers, ports, strict=True):
            server.enter_context(rowhouse(database_url, port=port))
        proxy = stack.enter_context(nginx(ports, more="proxy_next_upstream error timeout non_idempotent;"))
        headers = sign_in(proxy.url)

        def visit(number: int) -> None:
            with httpx2.Client(base_url=proxy.url, headers=headers, timeout=30) as client:
                while not is_over.is_set():
                    statuses.append(client.get(f"{API}/books").status_code)
                    key = {"Idempotency-Key": str(uuid.uuid4())}
                    made = client.post(f"{API}/categories", json={"name": f"rolling {uuid.uuid4()}"}, headers=key)
                    statuses.append(made.status_code)

        with ThreadPoolExecutor(4) as pool:
            visits = [pool.submit(visit, number) for number in range(4)]
            for server, port in zip(servers, ports, strict=True):
                time.sleep(0.5)
                server.close()
                server.enter_context(rowhouse(database_url, port=port))
            is_over.set()
            for one in visits:
                one.result()
        errors = proxy.errors()
    failures = [status for status in statuses if status not in {200, 201}]
    figure(f"rolling restart of two servers behind nginx: {len(statuses)} requests, {len(failures)} without success")
    assert len(statuses) > 100
    assert failures == [], errors[-1000:]

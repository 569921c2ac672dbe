"""`/metrics`: what is counted, by what, for whom, and over several processes."""

import gc
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fastapi import FastAPI, Request
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families as families
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from rowhouse.app.metrics_page import operations_of
from rowhouse.core.settings import Settings
from rowhouse.http.routing import Router
from rowhouse.metrics import layout
from rowhouse.metrics.exposition import OPEN_METRICS, PROMETHEUS, quoted, render
from rowhouse.metrics.objectives import objectives
from rowhouse.metrics.recorder import PLACE, Metrics, Operation
from rowhouse.workers import runner
from rowhouse.workers.runner import WorkerGroup
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.core.conftest import Serve, build_shop
from tests.fast_client import QuickClient

TOKEN = "a-token-of-the-scraper"
READ, WRITE = Operation("read", 0.2, (1,)), Operation("write", 0.7, (2, 3))
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(text: str) -> Values:
    """Return every sample of a scrape, by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text)
        for sample in family.samples
    }


def of(values: Values, name: str, **labels: str) -> float | None:
    """Return one sample, or None without it."""
    return values.get((f"rowhouse_{name}", frozenset(labels.items())))


@pytest.fixture(scope="module")
def client(sqlite_url: str) -> Iterator[TestClient]:
    """A client of the sample shop with an administrator and a route that shows what is in flight."""
    probes = Router()

    @probes.get("/slow", openapi_extra={"x-slo-ms": 700})
    def slow(request: Request) -> Response:
        return PlainTextResponse(text_of(request.app.state.metrics))

    app = build_shop(sqlite_url, probes, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)

    @app.get("/own")
    def own() -> None:
        """Do nothing."""

    with QuickClient(app) as client:
        yield client


def text_of(metrics: Metrics) -> str:
    """Return a scrape without HTTP."""
    return render(metrics, media_type=PROMETHEUS, version="1", engine="2").decode()


def now(client: TestClient) -> Values:
    """Scrape a server."""
    return scraped(client.get("/metrics").text)


def test_requests_are_counted_by_operation_and_status_class(client: TestClient) -> None:
    """Generated routes, hand-written routes, the application's own, HEAD with its GET; unknown paths all as one."""
    before = now(client)
    for path in ("/api/v1/books", "/api/v1/slow", "/health", "/own", "/docs/assets/none.js"):
        client.get(path)
    client.head("/api/v1/books")
    client.get("/api/v1/books?size=0")
    for number in range(3):
        client.get(f"/unknown/{number}")
    after = now(client)

    def grown(operation: str, status: str) -> float:
        found, former = (of(v, "requests_total", operation=operation, status=status) or 0 for v in (after, before))
        return found - former

    assert [grown("list_books", "2xx"), grown("list_books", "4xx"), grown("slow", "2xx")] == [2, 1, 1]
    assert [grown("/health", "2xx"), grown("own_own_get", "2xx"), grown("/docs/assets", "4xx")] == [1, 1, 1]
    assert [grown("none", "4xx"), grown("/metrics", "2xx")] == [3, 1]


def test_a_histogram_has_a_bucket_at_each_objective(client: TestClient) -> None:
    """So that its 95th percentile is exact where it is compared. The sum and the last bucket hold every request."""
    client.get("/api/v1/slow")
    values = now(client)
    labels = {"operation": "slow", "status": "2xx"}
    assert [of(values, "slo_seconds", operation=name) for name in ("slow", "list_books")] == [0.7, 0.2]
    assert of(values, "slo_seconds", operation="/health") is None
    counts = [of(values, "request_seconds_bucket", **labels, le=bound) for bound in ("0.2", "0.7", "+Inf")]
    assert counts[2] == of(values, "request_seconds_count", **labels) == of(values, "requests_total", **labels)
    assert None not in counts
    assert 0 < (of(values, "request_seconds_sum", **labels) or 0) < 60


@pytest.mark.parametrize(("slo", "last"), [(0.2, 10), (10, 20), (30, 60)])
def test_the_last_bound_is_no_objective(slo: float, last: float) -> None:
    """Prometheus takes it for every longer time, so the query of the documentation would call an SLO there held."""
    metrics = Metrics()
    metrics.open([Operation("report", slo, ()), Operation("own", 0, ())])
    assert metrics.bounds[-1] == last
    assert slo in metrics.bounds


def test_objectives_are_compared_with_the_numbers_of_a_scrape() -> None:
    """Exact at the SLO, whatever the status; the worst operation first; none without a request or an SLO."""
    metrics = Metrics()
    metrics.open([READ, WRITE, Operation("unused", 0.2, ()), Operation("own", 0, ())])
    for number, seconds, status in [(1, 0.2, 200)] * 18 + [(1, 0.04, 404), (1, 0.3, 200), (2, 60, 500), (3, 1, 200)]:
        scope = {"state": {PLACE: metrics.place_of(number if number < 3 else 4)}}
        metrics.end_request(scope, status, seconds)
    write, read = objectives(metrics)
    assert (write.operation, write.requests, write.in_time, write.bound, write.is_met) == (
        "write",
        1,
        0,
        math.inf,
        False,
    )
    assert (read.operation, read.requests, read.share, read.bound, read.is_met) == ("read", 20, 0.95, 0.2, True)
    metrics.end_request({"state": {PLACE: metrics.place_of(1)}}, 200, 0.21)
    read = objectives(metrics)[1]
    assert (read.in_time, read.bound, read.is_met) == (19, 0.25, False)


def test_a_request_is_in_flight_until_it_ends(client: TestClient) -> None:
    """Seen from within the request, as is its busy thread."""
    within = scraped(client.get("/api/v1/slow").text)
    assert of(within, "requests_in_flight", operation="slow") == 1
    assert of(within, "threads_busy", threads="default") == 1
    assert of(now(client), "requests_in_flight", operation="slow") == 0


def test_threads_statements_passwords_and_transfers_are_counted(client: TestClient) -> None:
    """Each by the request that causes it."""
    before = now(client)
    login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    token = client.post("/api/v1/auth/login", data=login).json()["access_token"]
    client.post("/api/v1/auth/login", data={**login, "password": "wrong-password"})
    headers = {"Authorization": f"Bearer {token}"}
    file = '{"name": "counted 1"}\n{"name": "counted 2"}\n'
    options: dict[str, Any] = {"headers": {**headers, "Content-Type": "application/x-ndjson"}, "content": file}
    assert client.post("/api/v1/categories/import", **options).status_code == 201
    assert client.get("/api/v1/categories/export?name__startswith=counted", headers=headers).status_code == 200
    after = now(client)

    def grown(name: str, **labels: str) -> float:
        return (of(after, name, **labels) or 0) - (of(before, name, **labels) or 0)

    assert [grown("login_failures_total"), grown("password_hashes_total")] == [1, 2]
    assert grown("password_hash_seconds_total") > 0
    assert [grown("transfer_rows_total", direction=way) for way in ("import", "export")] == [2, 2]
    assert of(after, "threads_busy", threads="default") == 0
    assert grown("statements_total") > 4
    assert grown("statement_seconds_total") > 0
    assert (of(after, "database_connections") or 0) > 0
    assert [grown("lock_timeouts_total"), grown("retries_total", reason="conflict")] == [0, 0]


def test_a_long_wait_for_a_thread_is_recorded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one is the change of threads alone."""
    before = of(now(client), "queue_wait_seconds_count", threads="default") or 0
    for bound, expected in ((60, 0), (0, 1)):
        monkeypatch.setattr(runner, "LONG_WAIT", bound)
        client.get("/api/v1/books")
        assert (of(now(client), "queue_wait_seconds_count", threads="default") or 0) - before == expected


def test_both_formats_have_the_same_numbers(client: TestClient) -> None:
    """Two parsers read them. The answer to HEAD has the headers alone."""
    client.get("/api/v1/books")
    plain = client.get("/metrics")
    newer = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"})
    assert (plain.headers["Content-Type"], newer.headers["Content-Type"]) == (PROMETHEUS, OPEN_METRICS)
    assert [newer.headers["Cache-Control"], newer.headers["X-Content-Type-Options"]] == ["no-store", "nosniff"]
    read: Any = parser.text_string_to_metric_families  # has no types
    names = {sample.name for family in read(newer.text) for sample in family.samples}
    assert names == {name for name, _ in scraped(plain.text)}
    head = client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert any(name == "rowhouse_build_info" for name, _ in scraped(plain.text))


def test_the_page_is_closed_in_production_without_a_token(serve: Serve) -> None:
    """As if there were no such page, and nothing is counted."""
    client = serve(environment="production", jwt_secret="s" * 32)
    response = client.get("/metrics")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    app: Any = client.app
    assert app.state.metrics is None


def test_without_metrics_files_are_read_and_written(sqlite_url: str) -> None:
    """Nothing is counted, and every row is there."""
    login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    app = build_shop(sqlite_url, metrics=False, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)
    with QuickClient(app) as client:
        token = client.post("/api/v1/auth/login", data=login).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        body = '{"name": "uncounted 1"}\n{"name": "uncounted 2"}\n'
        stored = client.post("/api/v1/categories/import", headers=headers, content=body)
        assert (stored.status_code, stored.json()) == (201, {"created": 2})
        path = "/api/v1/categories/export?name__startswith=uncounted&format=csv&fields=name"
        assert client.get(path, headers=headers).text.split() == ["name", "uncounted", "1", "uncounted", "2"]
        assert client.get("/metrics").status_code == 404


def test_a_token_opens_it(serve: Serve) -> None:
    """No other one does, in development either."""
    client = serve(metrics_token=TOKEN)
    for value in (None, "", "Bearer", f"Bearer {TOKEN}x", TOKEN, "Bearer é"):
        refused = client.get("/metrics", headers={} if value is None else {b"authorization": value.encode("latin-1")})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert refused.headers["Content-Type"] == "application/problem+json"
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"metrics": False}, False),
        ({"environment": "production"}, False),
        ({"environment": "production", "metrics_token": TOKEN}, True),
        ({"environment": "production", "metrics_token": TOKEN, "metrics": False}, False),
    ],
)
def test_the_settings_say_whether_anything_is_counted(values: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  cases
    """`METRICS` and `METRICS_TOKEN`."""
    assert Settings.model_validate({"jwt_secret": "s" * 32, **values}).serves_metrics is expected


def test_below_a_prefix_the_operations_are_the_same(client: TestClient) -> None:
    """In another application, whose own route is in the scope as well."""
    app: Any = client.app
    outer = FastAPI()
    outer.mount("/shop", app)
    other = QuickClient(outer)
    other.portal = client.portal
    before = of(now(client), "requests_total", operation="list_books", status="2xx") or 0
    assert [other.get(f"/shop{path}").status_code for path in ("/api/v1/books", "/nothing")] == [200, 404]
    values = scraped(other.get("/shop/metrics").text)
    assert of(values, "requests_total", operation="list_books", status="2xx") == before + 1


def opened(directory: Path | None = None, *operations: Operation) -> Metrics:
    """Return the numbers of one process."""
    metrics = Metrics(directory=directory)
    metrics.open(operations or (READ, WRITE))
    return metrics


def ended(metrics: Metrics, name: str, status: int, seconds: float = 0.01) -> None:
    """Record a request to an operation."""
    place = metrics.place_of([one.name for one in metrics.operations].index(name))
    metrics.cells[place] += 1
    metrics.end_request({"state": {PLACE: place}}, status, seconds)


def test_processes_that_share_a_directory_are_summed(tmp_path: Path) -> None:
    """Counts of an ended process stay, and its gauges go. The next process takes over its file."""
    first, second = opened(tmp_path), opened(tmp_path)
    for metrics, number in ((first, 2), (second, 3)):
        for _ in range(number):
            ended(metrics, "read", 200)
        metrics.cells[layout.BUSY["default"]] += 1
    second.cells[second.place_of(1)] += 1  # a request that will never end
    for metrics in (first, second):
        values = scraped(text_of(metrics))
        assert of(values, "requests_total", operation="read", status="2xx") == 5
        assert [of(values, "threads_busy", threads="default"), of(values, "processes")] == [2, 2]
        assert of(values, "requests_in_flight", operation="read") == 1
    del second, metrics
    gc.collect()
    for processes in (1, 2):
        taking_over = opened(tmp_path) if processes == 2 else first
        values = scraped(text_of(taking_over))
        assert of(values, "requests_total", operation="read", status="2xx") == 5
        assert of(values, "requests_in_flight", operation="read") == 0
        assert of(values, "threads_busy", threads="default") == 1
        assert of(values, "processes") == processes
    assert len(list(tmp_path.iterdir())) == 2


def test_processes_of_another_release_are_not_summed(tmp_path: Path) -> None:
    """Their numbers mean something else. A file that has just been made has none yet."""
    first, other = opened(tmp_path), opened(tmp_path, READ)
    ended(other, "read", 200)
    (own,) = {path.name.partition("-")[0] for path in tmp_path.iterdir() if path.stat().st_size > other.cells.nbytes}
    (tmp_path / f"{own}-7").touch()
    assert of(scraped(text_of(first)), "processes") == 1
    assert of(scraped(text_of(first)), "requests_total", operation="read", status="2xx") is None


def test_what_was_counted_before_the_first_request_is_kept() -> None:
    """Such as the connection of the first check of the database."""
    metrics = Metrics()
    metrics.add(layout.CONNECTIONS)
    metrics.open([READ])
    assert of(scraped(text_of(metrics)), "database_connections") == 1


def test_refusals_and_odd_statuses_are_counted() -> None:
    """429 and 503 on their own; a status that HTTP does not know is a server's fault."""
    metrics = opened()
    for status in (200, 404, 429, 503, 799):
        ended(metrics, "write", status, seconds=math.inf if status == 200 else 0.7)
    values = scraped(text_of(metrics))
    assert [of(values, "refusals_total", status=status) for status in ("429", "503")] == [1, 1]
    found = [of(values, "requests_total", operation="write", status=name) for name in ("2xx", "4xx", "5xx")]
    assert found == [1, 2, 2]
    assert of(values, "request_seconds_bucket", operation="write", status="4xx", le="0.7") == 2
    assert of(values, "request_seconds_bucket", operation="write", status="2xx", le="10.0") == 0


def test_no_addition_of_a_thread_is_lost() -> None:
    """However often the interpreter switches threads."""
    metrics, interval = opened(), sys.getswitchinterval()

    def work() -> None:
        for _ in range(5000):
            metrics.record_wait("default", 0.002)
            metrics.cells[layout.STATEMENTS] += 1

    threads = [Thread(target=work) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    values = scraped(text_of(metrics))
    assert of(values, "queue_wait_seconds_count", threads="default") == 20_000
    assert of(values, "statements_total") == 20_000


def test_the_thread_groups_are_the_runners() -> None:
    """A group without a place would fail at its first request."""
    assert tuple(WorkerGroup) == layout.GROUPS


def test_a_label_is_escaped() -> None:
    """As the format requires."""
    assert quoted('a"b\\c\nd') == r"a\"b\\c\nd"


def test_every_operation_has_its_routes(client: TestClient) -> None:
    """Operations have the ids of the document, and no name twice."""
    app: Any = client.app
    found = operations_of(app.routes, app.route_tree, app.state.settings)
    documented = {one["operationId"] for item in app.openapi()["paths"].values() for one in item.values()}
    assert documented <= {one.name for one in found}
    handlers = [handler for one in found if one.name in documented for handler in one.handlers]
    assert len(set(handlers)) == len(handlers)
    assert id(None) not in {handler for one in found for handler in one.handlers}

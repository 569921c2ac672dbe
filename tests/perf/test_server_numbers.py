"""The server's own numbers beside those of Locust."""

from typing import Any

import httpx2
import pytest

from perf.load.server_numbers import Requests, between, differences, numbers_in, scrape
from perf.report.results import ServerNumber
from rowhouse.load.runs.results import evaluate
from rowhouse.metrics.exposition import PROMETHEUS, render
from rowhouse.metrics.recorder import PLACE, Metrics, Operation
from tests.load.sample_runs import GET, QUICK, SECONDS, SLOW, bounds


def test_a_scrape_has_the_share_of_each_operation_within_its_slo() -> None:
    """Of all status classes. An operation without an SLO, and other metrics, do not count."""
    metrics = Metrics()
    metrics.open([Operation("get_thing", 0.2, (1,)), Operation("/health", 0, (2,))])
    for number, status, seconds in ((1, 200, 0.1), (1, 404, 0.2), (1, 200, 0.3), (2, 200, 0.1)):
        place = metrics.place_of(number)
        metrics.cells[place] += 1
        metrics.end_request({"state": {PLACE: place}}, status, seconds)
    text = render(metrics, media_type=PROMETHEUS, version="1", engine="2").decode()
    assert numbers_in(text) == {"get_thing": Requests(3, 2)}


def test_a_load_is_the_difference_of_two_scrapes() -> None:
    """What was called before does not count."""
    before, after = {"get_thing": Requests(5, 1)}, {"get_thing": Requests(9, 4), "create_thing": Requests(2, 2)}
    assert between(before, after) == {
        "get_thing": {"requests": 4, "within_slo": 3},
        "create_thing": {"requests": 2, "within_slo": 2},
    }


def test_a_server_without_metrics_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `METRICS=false`, or where they need a token."""
    monkeypatch.setattr(httpx2, "get", lambda *_arguments, **_options: httpx2.Response(404))
    assert scrape("http://127.0.0.1:1") is None
    assert between(None, {}) is None


@pytest.mark.parametrize(
    ("samples", "server", "expected"),
    [
        (QUICK, (100, 95), {}),
        (SLOW, (100, 94), {}),
        (QUICK, (100, 94), {GET: "p95 3.0 ms for Locust, within the SLO of 200 ms; the server sent 94.0% of 100 responses within it"}),
        (SLOW, (100, 95), {GET: "p95 253.0 ms for Locust, over the SLO of 200 ms; the server sent 95.0% of 100 responses within it"}),
        (QUICK, (0, 0), {GET: "20 requests for Locust, none for the server"}),
        (QUICK, None, {GET: "20 requests for Locust, none for the server"}),
        ([one for one in QUICK if one.name != GET], None, {}),
    ],
)  # fmt: skip
def test_a_difference_is_named(samples: list[Any], server: tuple[int, int] | None, expected: dict[str, str]) -> None:
    """Where one says that 95 of 100 requests were within the SLO, and the other does not."""
    numbers: dict[str, ServerNumber] = {"create_thing": {"requests": 20, "within_slo": 20}}
    if server is not None:
        numbers["get_thing"] = {"requests": server[0], "within_slo": server[1]}
    assert dict(differences(evaluate(bounds(), samples, seconds=SECONDS), numbers)) == expected


def test_streams_are_not_compared() -> None:
    """Locust measures their first byte, and the server their end."""
    endpoints = evaluate(bounds(), SLOW, seconds=SECONDS)
    for endpoint in endpoints:
        endpoint["measured"] = "first byte"
    assert dict(differences(endpoints, {})) == {}

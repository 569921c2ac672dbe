"""The figures of raw samples, and the verdicts: slow, failed and never called endpoints fail a run."""

from typing import Any

import pytest

from rowhouse.load.operations import Api, UncallableOperationError
from rowhouse.load.runs.results import (
    BOUNDS,
    Sample,
    Verdict,
    bounds_of,
    evaluate,
    histogram,
    name_of,
    passes,
    percentile,
    verdict,
)
from rowhouse.load.runs.sample_recorder import SampleRecorder
from tests.load.sample_runs import FAILED, GET, POST, QUICK, SECONDS, SLOW, bounds, samples_of
from tests.openapi_documents import document_of
from tests.sample_entities.application import create_odd_app


@pytest.mark.parametrize(
    ("samples", "verdicts"),
    [
        (QUICK, ["ok", "ok"]),
        (SLOW, ["slow", "ok"]),
        (FAILED, ["ok", "failed"]),
        (samples_of(POST, 300.0), ["never hit", "ok"]),
        ([], ["never hit", "never hit"]),
    ],
    ids=["quick", "250 ms slower", "failures", "never hit", "no samples"],
)
def test_a_run_fails_if_one_endpoint_does(samples: list[Sample], verdicts: list[Verdict]) -> None:
    """The endpoints keep the order of the document, and the others stay ok."""
    endpoints = evaluate(bounds(), samples, seconds=SECONDS)
    assert [endpoint["verdict"] for endpoint in endpoints] == verdicts
    assert [endpoint["name"] for endpoint in endpoints] == [GET, POST]
    assert passes(endpoints) is (verdicts == ["ok", "ok"])


def test_a_run_without_endpoints_fails() -> None:
    assert not passes(evaluate([], [], seconds=SECONDS))


def test_a_sample_of_an_unknown_operation_is_an_error() -> None:
    """It is not ignored."""
    with pytest.raises(KeyError, match="/api/v1/others"):
        evaluate(bounds(), samples_of("GET /api/v1/others", 1.0), seconds=SECONDS)


def test_a_percentile_is_a_measured_value() -> None:
    """By nearest rank, the p95 is the 190th of 200 samples, and the second of two."""
    assert percentile([float(n) for n in range(1, 201)], 0.95) == 190
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95
    assert percentile([1.0, 9.0], 0.95) == 9
    assert percentile([1.0, 9.0], 0.5) == 1
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7
    assert percentile([], 0.95) == 0


@pytest.mark.parametrize(("p95", "found"), [(199.9, "ok"), (200.0, "ok"), (200.001, "slow"), (450.0, "slow")])
def test_a_p95_equal_to_the_bound_is_ok(p95: float, found: Verdict) -> None:
    """One that is a microsecond higher is slow, whatever the table rounds it to."""
    assert verdict(requests=20, failures=0, p95_ms=p95, slo_ms=200) == found


def test_one_slow_response_of_twenty_is_ok_and_two_are_slow() -> None:
    """The bound is for the 95th percentile."""
    for slow, expected in ((1, "ok"), (2, "slow")):
        samples = samples_of(GET, *[5.0] * (20 - slow), *[900.0] * slow)
        assert evaluate(bounds(), samples, seconds=SECONDS)[0]["verdict"] == expected


def test_the_figures_of_an_endpoint() -> None:
    """Failed requests count in all of them, and the first failure is quoted."""
    found = evaluate(bounds(), FAILED, seconds=SECONDS)[1]
    assert (found["requests"], found["failures"], found["first_failure"]) == (22, 2, "500 oh")
    assert (found["p50_ms"], found["p95_ms"], found["max_ms"]) == (300.0, 300.0, 300.0)
    assert (found["mean_ms"], found["requests_per_second"]) == (round((20 * 300 + 4) / 22, 3), 11.0)
    assert found["histogram"] == histogram([300.0] * 20 + [2.0] * 2)


def test_a_histogram_holds_every_sample_once() -> None:
    """A bound is in its own bucket. The last bucket has no bound."""
    found = histogram([0.1, BOUNDS[3], BOUNDS[3] + 0.01, 1e6])
    assert found[0] == (BOUNDS[0], 1)
    assert found[3] == (BOUNDS[3], 1)
    assert found[4] == (BOUNDS[4], 1)
    assert found[-1] == (None, 1)
    assert sum(count for _, count in found) == 4


def test_a_conflict_is_counted_and_is_no_failure() -> None:
    """An operation that has nothing but conflicts fails, because nobody knows whether it works."""
    conflicts = [Sample(0.1, POST, 3.0, None, "overlap")] * 2
    found = evaluate(bounds(), [*QUICK, *conflicts], seconds=SECONDS)[1]
    assert (found["verdict"], found["conflicts"], found["failures"]) == ("ok", 2, 0)
    found = evaluate(bounds(), conflicts, seconds=SECONDS)[1]
    assert (found["verdict"], found["first_failure"]) == ("failed", "every request was a conflict: overlap")


def test_streams_batches_and_files_are_measured_differently() -> None:
    """A batch of rows that no batch can create has one element."""
    api = Api(document_of(create_odd_app))
    bounds_by_name = {bound.name: bound for bound in bounds_of(api)}
    assert len(bounds_by_name) == len(api.operations)
    assert {bound.slo_ms for bound in bounds_by_name.values()} == {200}
    for name, bound in bounds_by_name.items():
        if name.endswith("/export"):
            assert bound.measured == "first byte"
        elif name.endswith(("/batch", "/import")) and "/users/" not in name:
            assert bound.measured == "20 elements"
        else:
            assert bound.measured == "whole response"


def test_only_requests_that_begin_in_the_measured_time_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their responses may be later. The latencies are not rounded."""
    recorder, clock = SampleRecorder(), iter([11.0, 10.1, 20.5, 20.5])
    event: dict[str, Any] = {"request_type": "GET", "name": "/things", "response_length": 0, "context": {}}
    recorder.record(**event, response_time=1.0, exception=None)
    recorder.begin, recorder.end = 10.0, 20.0
    monkeypatch.setattr("rowhouse.load.runs.sample_recorder.time.perf_counter", lambda: next(clock))
    recorder.record(**{**event, "context": {"conflict": "overlap"}}, response_time=123.4567, exception=None)
    recorder.record(**event, response_time=200.0, exception=None)
    recorder.record(**event, response_time=1000.0, exception=RuntimeError("500 oh"))
    recorder.record(**event, response_time=400.0, exception=None)
    assert [sample[1:] for sample in recorder.samples] == [
        ("GET /things", 123.4567, None, "overlap"),
        ("GET /things", 1000.0, "500 oh", None),
    ]
    assert recorder.samples[1][0] == pytest.approx(9.5)


def test_an_operation_without_a_bound_is_an_error() -> None:
    """Without a bound it could not fail."""
    described = {"operationId": "list_things", "responses": {"200": {}}}
    with pytest.raises(UncallableOperationError, match="x-slo-ms of GET /things"):
        bounds_of(Api({"paths": {"/api/v1/things": {"get": described}}}))


def test_a_sample_has_the_name_of_its_bound() -> None:
    """A request that is no operation of the document keeps its label, and is an error at the end."""
    api = Api({"paths": {"/api/v1/things": {"get": {"operationId": "list_things", "responses": {"200": {}}}}}})
    assert name_of(api, "GET /things") == "GET /api/v1/things"
    assert name_of(api, "GET /others") == "GET /others"

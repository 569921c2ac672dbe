"""The figures of raw samples, and the verdicts: slow, failed and never called endpoints fail a run."""

from pathlib import Path

import pytest

from perf.harness.meters import MachineSecond
from perf.report.results import (
    BOUNDS,
    Sample,
    UnreadableRunError,
    Verdict,
    by_second,
    evaluate,
    histogram,
    passes,
    percentile,
    read_run,
    step,
    totals,
    verdict,
    write_run,
)
from tests.perf.sample_runs import FAILED, GET, POST, QUICK, SECONDS, SLOW, bounds, run_of, samples_of


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


def test_seconds_and_totals() -> None:
    """A request belongs to the second in which it begins. One after the last second belongs to none."""
    samples = [Sample(0.2, GET, 4.0, None), Sample(1.1, GET, 6.0, "500"), Sample(1.9, POST, 8.0, None)]
    machine = [MachineSecond(5, 1.0, 90.0, 0.5, 7.0), MachineSecond(6, 1.4, 91.0, 0.1, 3.0)]
    first, second = by_second([*samples, Sample(2.0, GET, 1.0, None)], machine)
    assert (first["second"], first["requests"], first["p50_ms"], first["users"], first["server_cpu"]) == (
        0,
        1,
        4.0,
        5,
        1.0,
    )
    assert (second["requests"], second["failures"], second["p50_ms"], second["p95_ms"]) == (2, 1, 6.0, 8.0)
    found = totals(samples, machine, seconds=SECONDS)
    assert (found["requests"], found["failures"], found["requests_per_second"]) == (3, 1, 1.5)
    assert (found["server_cpu_ms_per_request"], found["database_cpu_ms_per_request"]) == (800.0, 200.0)
    assert (first["disk_ms"], found["disk_p50_ms"], found["disk_max_ms"]) == (7.0, 3.0, 7.0)


def test_the_worst_endpoint_of_a_step_is_nearest_to_its_bound() -> None:
    """It is not always the slowest."""
    samples = [*samples_of(GET, 190.0), *samples_of(POST, 400.0)]
    found = step(50, evaluate(bounds(), samples, seconds=SECONDS), totals(samples, [], seconds=SECONDS))
    assert (found["users"], found["worst"], found["worst_p95_ms"], found["ok"]) == (50, GET, 190.0, True)
    broken = step(60, evaluate(bounds(), SLOW, seconds=SECONDS), totals(SLOW, [], seconds=SECONDS))
    assert (broken["worst"], broken["ok"]) == (GET, False)


def test_a_step_need_not_call_every_endpoint() -> None:
    """It must call one, and a failure breaks it."""
    for samples, ok in ((samples_of(POST, 1.0), True), (samples_of(POST, 1.0, failure="500"), False), ([], False)):
        endpoints = evaluate(bounds(), samples, seconds=SECONDS)
        assert step(1, endpoints, totals(samples, [], seconds=SECONDS))["ok"] is ok


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Only tuples become lists."""
    run, path = run_of(FAILED), tmp_path / "run.json"
    write_run(run, path)
    found = read_run(path)
    assert [tuple(bucket) for bucket in found["endpoints"][0]["histogram"]] == run["endpoints"][0]["histogram"]
    assert found["endpoints"][1]["first_failure"] == "500 oh"
    assert (found["totals"], found["seconds"], found["passed"]) == (run["totals"], run["seconds"], False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON document"),
        ("[]", "is a run of version None, but this program reads version 1"),
        ('{"version": 2}', "is a run of version 2, but this program reads version 1: measure it again"),
    ],
)
def test_another_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    """The message has its path."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UnreadableRunError) as caught:
        read_run(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)

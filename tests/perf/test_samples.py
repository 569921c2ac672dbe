"""Figures of raw samples, and the verdicts: the gate fails for what is slow, what failed and what was never hit."""

from pathlib import Path

import pytest

from perf.report.results import (
    BOUNDS,
    Load,
    Sample,
    UnreadableRunError,
    Verdict,
    by_second,
    histogram,
    judge,
    passes,
    percentile,
    read_run,
    step,
    totals,
    verdict,
    write_run,
)
from tests.perf.made_up import GET, POST, QUICK, REFUSED, SECONDS, SLOWED, answers, bounds, run_of


@pytest.mark.parametrize(
    ("samples", "verdicts"),
    [
        (QUICK, ["ok", "ok"]),
        (SLOWED, ["slow", "ok"]),
        (REFUSED, ["ok", "failed"]),
        (answers(POST, 300.0), ["never hit", "ok"]),
        ([], ["never hit", "never hit"]),
    ],
    ids=["quick", "slowed by 250 ms", "made to fail", "never hit", "nothing"],
)
def test_the_gate_fails_for_one_endpoint_and_names_it(samples: list[Sample], verdicts: list[Verdict]) -> None:
    """In the order of the document, and the others stay as they are."""
    endpoints = judge(bounds(), samples, seconds=SECONDS)
    assert [endpoint["verdict"] for endpoint in endpoints] == verdicts
    assert [endpoint["name"] for endpoint in endpoints] == [GET, POST]
    assert passes(endpoints) is (verdicts == ["ok", "ok"])


def test_a_run_of_no_endpoints_has_not_passed() -> None:
    """There is nothing that it shows."""
    assert not passes(judge([], [], seconds=SECONDS))


def test_an_answer_that_no_operation_stands_for_is_an_error() -> None:
    """It is not left out silently."""
    with pytest.raises(KeyError, match="/api/v1/others"):
        judge(bounds(), answers("GET /api/v1/others", 1.0), seconds=SECONDS)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """Nearest rank: the 190th of 200, and of two the second."""
    assert percentile([float(n) for n in range(1, 201)], 0.95) == 190
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95
    assert percentile([1.0, 9.0], 0.95) == 9
    assert percentile([1.0, 9.0], 0.5) == 1
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7
    assert percentile([], 0.95) == 0


@pytest.mark.parametrize(("p95", "found"), [(199.9, "ok"), (200.0, "ok"), (200.001, "slow"), (450.0, "slow")])
def test_the_bound_itself_is_within_the_bound(p95: float, found: Verdict) -> None:
    """What is over it by a microsecond is not, whatever a table rounds it to."""
    assert verdict(requests=20, failures=0, p95_ms=p95, slo_ms=200) == found


def test_one_slow_answer_of_twenty_is_not_yet_slow_and_two_are() -> None:
    """95 of 100 is what is promised."""
    for slow, expected in ((1, "ok"), (2, "slow")):
        samples = answers(GET, *[5.0] * (20 - slow), *[900.0] * slow)
        assert judge(bounds(), samples, seconds=SECONDS)[0]["verdict"] == expected


def test_the_figures_of_an_endpoint() -> None:
    """Failures count in all of them, and the first is told."""
    found = judge(bounds(), REFUSED, seconds=SECONDS)[1]
    assert (found["requests"], found["failures"], found["first_failure"]) == (22, 2, "500 oh")
    assert (found["p50_ms"], found["p95_ms"], found["max_ms"]) == (300.0, 300.0, 300.0)
    assert (found["mean_ms"], found["requests_per_second"]) == (round((20 * 300 + 4) / 22, 3), 11.0)
    assert found["histogram"] == histogram([300.0] * 20 + [2.0] * 2)


def test_a_histogram_holds_every_sample_once() -> None:
    """A bound is in its own bucket, and the last bucket has none."""
    found = histogram([0.1, BOUNDS[3], BOUNDS[3] + 0.01, 1e6])
    assert found[0] == (BOUNDS[0], 1)
    assert found[3] == (BOUNDS[3], 1)
    assert found[4] == (BOUNDS[4], 1)
    assert found[-1] == (None, 1)
    assert sum(count for _, count in found) == 4


def test_seconds_and_totals() -> None:
    """An answer is of the second in which it was asked for; what is past the last one is in no second."""
    samples = [Sample(0.2, GET, 4.0, None), Sample(1.1, GET, 6.0, "500"), Sample(1.9, POST, 8.0, None)]
    loads = [Load(5, 1.0, 90.0, 0.5, 7.0), Load(6, 1.4, 91.0, 0.1, 3.0)]
    first, second = by_second([*samples, Sample(2.0, GET, 1.0, None)], loads)
    assert (first["second"], first["requests"], first["p50_ms"], first["users"], first["server_cpu"]) == (
        0,
        1,
        4.0,
        5,
        1.0,
    )
    assert (second["requests"], second["failures"], second["p50_ms"], second["p95_ms"]) == (2, 1, 6.0, 8.0)
    found = totals(samples, loads, seconds=SECONDS)
    assert (found["requests"], found["failures"], found["requests_per_second"]) == (3, 1, 1.5)
    assert (found["server_cpu_ms_per_request"], found["database_cpu_ms_per_request"]) == (800.0, 200.0)
    assert (first["disk_ms"], found["disk_p50_ms"], found["disk_max_ms"]) == (7.0, 3.0, 7.0)


def test_the_worst_of_a_step_is_the_one_nearest_to_its_own_bound() -> None:
    """Not the one that takes longest."""
    samples = [*answers(GET, 190.0), *answers(POST, 400.0)]
    found = step(50, judge(bounds(), samples, seconds=SECONDS), totals(samples, [], seconds=SECONDS))
    assert (found["users"], found["worst"], found["worst_p95_ms"], found["ok"]) == (50, GET, 190.0, True)
    broken = step(60, judge(bounds(), SLOWED, seconds=SECONDS), totals(SLOWED, [], seconds=SECONDS))
    assert (broken["worst"], broken["ok"]) == (GET, False)


def test_a_step_need_not_come_round_to_every_endpoint() -> None:
    """But to one at least, and a failure breaks it."""
    for samples, ok in ((answers(POST, 1.0), True), (answers(POST, 1.0, failure="500"), False), ([], False)):
        endpoints = judge(bounds(), samples, seconds=SECONDS)
        assert step(1, endpoints, totals(samples, [], seconds=SECONDS))["ok"] is ok


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """But for the tuples, which JSON has as lists."""
    run, path = run_of(REFUSED), tmp_path / "run.json"
    write_run(run, path)
    found = read_run(path)
    assert [tuple(bucket) for bucket in found["endpoints"][0]["histogram"]] == run["endpoints"][0]["histogram"]
    assert found["endpoints"][1]["first_failure"] == "500 oh"
    assert (found["totals"], found["seconds"], found["passed"]) == (run["totals"], run["seconds"], False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON document"),
        ("[]", "is a run of version None, and only 1 is read"),
        ('{"version": 2}', "is a run of version 2, and only 1 is read: measure it again"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    """Nothing is guessed of another version."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UnreadableRunError) as caught:
        read_run(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)

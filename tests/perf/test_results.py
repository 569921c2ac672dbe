"""The document of a run: seconds, totals, the steps of a capacity run, and the file."""

from pathlib import Path

import pytest

from perf.harness.meters import MachineSecond
from perf.report.results import UnreadableRunError, by_second, read_run, step, totals, write_run
from rowhouse.load.runs.results import Sample, evaluate
from tests.load.sample_runs import FAILED, GET, POST, SECONDS, SLOW, bounds, run_of, samples_of


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

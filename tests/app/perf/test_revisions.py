"""The verdicts of `scripts/perf-compare`: the arithmetic, the report, and a revision that does not exist."""

import pytest

from perf.app.compare import revisions
from perf.app.compare.scenarios import Scenario
from perf.app.compare.side_by_side import Sample
from perf.app.compare.verdict import Interval, Verdict, interval_of


@pytest.mark.parametrize(
    ("rounds", "outside"),
    [(6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (20, 5), (25, 7)],
)
def test_an_interval_is_that_of_the_sign_test(rounds: int, outside: int) -> None:
    """Of the tables of the binomial distribution at 95 %."""
    found = interval_of([float(number) for number in reversed(range(rounds))])
    assert found == Interval(outside, (rounds - 1) / 2, rounds - 1 - outside)


def test_too_few_rounds_have_none() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        interval_of([1.0] * 5)


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.1, 1.12, 1.08, 1.3, 1.09, 1.11], Verdict.SLOWER),
        ([0.8, 0.9, 0.85, 0.7, 0.97, 0.9], Verdict.FASTER),
        ([1.01, 0.99, 1.0, 1.04, 0.96, 1.0], Verdict.SAME),
        ([1.01, 0.99, 1.0, 1.2, 0.96, 1.0], Verdict.UNCLEAR),
        ([1.01, 0.99, 1.0, 9.0, 0.96, 1.0, 1.0, 1.0, 1.0], Verdict.SAME),
        ([1.015, 1.2, 1.2, 1.2, 1.2, 1.2], Verdict.UNCLEAR),
    ],
)
def test_a_verdict_needs_the_whole_interval(ratios: list[float], verdict: Verdict) -> None:
    """One disturbed round of nine does not decide."""
    assert interval_of(ratios).verdict is verdict


def samples(cost: dict[str, float]) -> list[Sample]:
    """Six rounds, in which an application costs what is given, and 2 ms without."""
    return [
        Sample(
            app=app,
            scenario=scenario,
            server_ms=1,
            database_ms=1,
            both_ms=cost.get(app, 2.0),
            latency_p50_ms=3,
            requests_per_second=1,
        )
        for _ in range(6)
        for scenario in Scenario
        for app in ("rowhouse", "before", "rowhouse-sqlite", "before-sqlite")
    ]


def test_the_report_names_what_moved() -> None:
    found = revisions.report(samples({"rowhouse-sqlite": 3.0}), "main")
    assert f"| {Scenario.GET.value} | SQLite | 1.50 | 1.50 to 1.50 | slower |" in found.splitlines()
    assert f"| {Scenario.GET.value} | PostgreSQL | 1.00 | 1.00 to 1.00 | same |" in found.splitlines()
    assert found.count("is slower (CPU of server and database).") == len(Scenario)
    assert revisions.report(samples({}), "main").endswith("Nothing has changed beyond the noise.")


def test_what_cannot_be_measured_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert revisions.main(["no-such-revision"]) == 1
    assert "no-such-revision" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        revisions.main(["main", "--rounds", "5"])

"""The report of `perf.growth`: a table of medians, and the bounded cases that grew too much."""

from collections.abc import Mapping

from perf.app.micro.growth import CASES, report

BOUNDED = next(case.name for case in CASES if case.is_bounded)
UNBOUNDED = next(case.name for case in CASES if not case.is_bounded)


def latencies(**grown: float) -> Mapping[tuple[str, int], list[float]]:
    """Return latencies of two milliseconds with an outlier, except for the cases that have grown at 5,000 rows."""
    found = {(case.name, rows): [2.0, 2.0, 900.0] for case in CASES for rows in (10, 5000)}
    return found | {(name, 5000): [time, time, 0.1] for name, time in grown.items()}


def test_a_bounded_case_may_grow_by_half() -> None:
    table, broken = report(latencies(**{BOUNDED: 3.0}), [10, 5000])
    assert broken == []
    assert f"| {BOUNDED} | yes | 2.00 | 3.00 | 1.50 |" in table.splitlines()
    assert "| request | bounded | 10 rows, ms | 5,000 rows, ms | 5,000 / 10 |" in table.splitlines()
    assert len(table.splitlines()) == 2 + len(CASES)


def test_only_a_bounded_case_that_grows_by_more_is_listed() -> None:
    assert report(latencies(**{BOUNDED: 3.1, UNBOUNDED: 60.0}), [10, 5000])[1] == [BOUNDED]

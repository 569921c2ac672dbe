"""Growth: a table of medians, and a verdict on those that are held to a bound."""

from collections.abc import Mapping

from perf.app.micro.growth import CASES, report

HELD = next(case.name for case in CASES if case.is_held)
FREE = next(case.name for case in CASES if not case.is_held)


def latencies(**grown: float) -> Mapping[tuple[str, int], list[float]]:
    """Two milliseconds everywhere, with an outlier, but for cases that have grown at 5,000 rows."""
    found = {(case.name, rows): [2.0, 2.0, 900.0] for case in CASES for rows in (10, 5000)}
    return found | {(name, 5000): [time, time, 0.1] for name, time in grown.items()}


def test_what_is_held_may_grow_by_half() -> None:
    table, broken = report(latencies(**{HELD: 3.0}), [10, 5000])
    assert broken == []
    assert f"| {HELD} | yes | 2.00 | 3.00 | 1.50 |" in table.splitlines()
    assert "| request | held | 10 rows, ms | 5,000 rows, ms | 5,000 / 10 |" in table.splitlines()
    assert len(table.splitlines()) == 2 + len(CASES)


def test_what_grows_by_more_is_named_where_it_is_held() -> None:
    assert report(latencies(**{HELD: 3.1, FREE: 60.0}), [10, 5000])[1] == [HELD]

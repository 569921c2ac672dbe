"""Growth: a table of medians, and a verdict on those that are held to a bound."""

from collections.abc import Mapping

import pytest

from perf.growth import CASES, main, report

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


def test_the_command_measures_a_server_with_so_many_books(capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer is a success, or it would end in an error; one size alone grows from nothing."""
    assert main(["--rows=200", "--database=sqlite", "--rounds=1", "--requests=1"]) == 0
    table = capsys.readouterr().out
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]] == [c.name for c in CASES]
    assert table.startswith("| request | held | 200 rows, ms |\n")

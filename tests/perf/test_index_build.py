"""The measure of an index that is made while others write: writes go on beside each of its three lines, on a table small enough for a test."""

import re

import pytest

from perf.app.micro import index_build
from perf.app.micro.index_build import Measure, main


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Both indexes are valid, and each line tells of writes that were not failed."""
    assert main(["--rows", "2000", "--writers", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\| (none|CONCURRENTLY|plain) ", line)]
    assert [line.split("|")[1].strip() for line in lines] == ["none", "CONCURRENTLY", "plain"]
    assert all(int(line.split("|")[3]) > 0 for line in lines)


def test_the_longest_write_is_told() -> None:
    """Beside the median and the 99th percentile."""
    measure = Measure(what="plain", seconds=1.234, milliseconds=[*[2.0] * 98, 3.0, 900.0])
    assert str(measure) == "| plain | 1.23 | 100 | 2.0 | 900.0 | 900.0 |"


def test_a_write_that_fails_ends_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time would say nothing."""
    monkeypatch.setattr(index_build, "WRITE", b"UPDATE books SET nothing = $1")
    with pytest.raises(RuntimeError, match="nothing"):
        main(["--rows", "10", "--writers", "1"])

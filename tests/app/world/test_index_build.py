"""`perf.index_build` on a small table. Writes run during each of its three measurements."""

import re

import pytest

from perf.app.micro import index_build
from perf.app.micro.index_build import Measurement, main


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Both indexes are valid, and each line has writes."""
    assert main(["--rows", "2000", "--writers", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\| (none|CONCURRENTLY|plain) ", line)]
    assert [line.split("|")[1].strip() for line in lines] == ["none", "CONCURRENTLY", "plain"]
    assert all(int(line.split("|")[3]) > 0 for line in lines)


def test_a_line_has_the_longest_write() -> None:
    """It is after the median and the 99th percentile."""
    measurement = Measurement(name="plain", seconds=1.234, milliseconds=[*[2.0] * 98, 3.0, 900.0])
    assert str(measurement) == "| plain | 1.23 | 100 | 2.0 | 900.0 | 900.0 |"


def test_a_failed_write_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time would mean nothing."""
    monkeypatch.setattr(index_build, "WRITE", b"UPDATE books SET nothing = $1")
    with pytest.raises(RuntimeError, match="nothing"):
        main(["--rows", "10", "--writers", "1"])

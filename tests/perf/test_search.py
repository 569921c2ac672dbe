"""The measure of searches: every text is asked for and told of, on a table that is small enough for a test."""

import pytest

from perf.search import TEXTS, main


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each text, and no complaint of what no index serves."""
    assert main(["--rows", "200", "--rounds", "1", "--database", "sqlite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(TEXTS)

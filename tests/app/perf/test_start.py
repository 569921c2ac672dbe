"""`perf.start`: one line for each application and number of entities."""

import pytest

from perf.app.micro.start import main, measure


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line has the medians. The figures of one start come from a process of its own."""
    assert measure("rowhouse", 2).keys() == {"start_s", "document_s", "document_kb", "memory_mb", "all_mb"}
    figures = dict.fromkeys(("start_s", "document_s", "document_kb", "memory_mb", "all_mb"), 1.25)
    monkeypatch.setattr("perf.app.micro.start.measure", lambda _name, _entities: figures)
    assert main(["--rounds", "2", "--entities", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [f"| {name} | 7 | 1.25 | 1.25 | 1 | 1 | 1 |" for name in ("rowhouse", "fastcrud")]

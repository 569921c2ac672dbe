"""`perf.start`: one line for each application and number of entities."""

import pytest

from perf.app.micro.start import FIGURES, NAMES, main, measure


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line has the medians. The figures of one start come from a process of its own."""
    found = measure("rowhouse", 2)
    assert found.keys() == FIGURES.keys()
    assert found["sent_kb"] < found["document_kb"]
    pages = {"first_ms", "later_ms"}
    figures = {name: {key: 1.25 for key in FIGURES if name == "rowhouse" or key not in pages} for name in NAMES}
    monkeypatch.setattr("perf.app.micro.start.measure", lambda name, _entities: figures[name])
    assert main(["--rounds", "2", "--entities", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| rowhouse | 7 | 1.25 | 1.25 | 1 | 1 | 1 | 1 | 1.2 | 1.2 |",
        "| fastcrud | 7 | 1.25 | 1.25 | 1 | 1 | 1 | 1 | - | - |",
    ]

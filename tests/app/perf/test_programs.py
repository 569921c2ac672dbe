"""The modules of `perf` start programs that exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import perf

STARTED = re.compile(r'^    run\("([\w.]+)"\)$', re.MULTILINE)
PROGRAMS = {
    path.stem: names
    for path in Path(perf.__file__).parent.glob("*.py")
    if (names := STARTED.findall(path.read_text("utf-8")))
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_module_starts_a_program_that_exists(module: str) -> None:
    """`perf.bench` starts `perf.app.compare.bench`."""
    assert [find_spec(f"perf.app.{name}") is not None for name in PROGRAMS[module]] == [True]

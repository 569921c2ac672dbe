"""Fixtures of tests/world. Nothing here is collected unless `scripts/test-world` asks for it.

The tests need more than a bare machine has.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clones import Clone, cloned

collect_ignore_glob = [] if os.environ.get("ROWHOUSE_WORLD") else ["*"]
FIGURE = "figure"
Figure = Callable[[str], None]


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    """A fresh clone."""
    with cloned() as made:
        yield made


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that every account of the machine can read: PostgreSQL's programs run as another one.

    pytest closes its own folders again whenever another run begins.
    """
    with tempfile.TemporaryDirectory(prefix="rw", ignore_cleanup_errors=True) as parent:
        Path(parent).chmod(0o755)
        yield Path(parent)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """`figure("0 of 4,000 answers wrong")`: a line for the end of the run, also from another process."""
    return lambda line: record_property(FIGURE, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all tests, the failed ones' too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    lines = [value for report in reports for name, value in report.user_properties if name == FIGURE]
    if lines:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(str(line) for line in dict.fromkeys(lines)))

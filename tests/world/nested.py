"""Runs other tests of this project in a process of their own, against another PostgreSQL than the wheel's."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.conftest import ROOT
from tests.world.services.process import WITH_ITS_PARENT

TAIL = 6000  # characters of output that an error shows
# The parts of the suite where versions, locales and settings of PostgreSQL could show.
TEXT_AND_VALUES = (
    "tests/contract/test_filters.py",
    "tests/contract/test_lists.py",
    "tests/contract/test_export.py",
    "tests/crud/test_csv_cells.py",
    "tests/core/test_sql_functions.py",
    "tests/core/test_clock.py",
    "tests/app/catalog/test_money.py",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run of tests ended."""

    passed: int
    failed: int
    skipped: int
    output: str


def run_tests(*arguments: str, environment: Mapping[str, str]) -> Outcome:
    """Run pytest with these arguments and this environment besides ours."""
    command = [
        *WITH_ITS_PARENT,
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--maxfail=20",
        "--tb=short",
    ]
    without = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "ROWHOUSE_"))
    }
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env={**without, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    output = done.stdout.decode(errors="replace")
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", output)}
    return Outcome(
        passed=counts.get("passed", 0),
        failed=counts.get("failed", 0) + counts.get("error", 0) + (done.returncode not in {0, 1}),
        skipped=counts.get("skipped", 0),
        output=output[-TAIL:],
    )


def assert_passed(outcome: Outcome, *, at_least: int) -> None:
    """All have passed, and as many as there ought to be."""
    assert outcome.failed == 0, outcome.output
    assert outcome.skipped == 0, outcome.output
    assert outcome.passed >= at_least, outcome.output

"""Measure what a start costs with 2, 20, 100 and 300 entities, beside FastCRUD: `python -m perf.start`.

Each figure is the median of several processes. The applications take turns. FastCRUD has its five generated routes for
each entity, Rowhouse its twelve. The pages are of Rowhouse only.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from perf.harness.servers import REPOSITORY

COUNTS = (2, 20, 100, 300)
NAMES = ("rowhouse", "fastcrud")
HEAD = (
    "application", "entities", "start, s", "document, s", "document, kB", "compressed, kB", "memory, MB",
    "with the document, MB", "first page, ms", "later page, ms",
)  # fmt: skip
FIGURES = {
    "start_s": ".2f", "document_s": ".2f", "document_kb": ".0f", "sent_kb": ".0f", "memory_mb": ".0f", "all_mb": ".0f",
    "first_ms": ".1f", "later_ms": ".1f",
}  # fmt: skip


def measure(name: str, entities: int) -> dict[str, float]:
    """Return the figures of one start in a new process."""
    command = [sys.executable, "-m", "perf.app.micro.start_app", name, str(entities)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def line(cells: Sequence[str]) -> str:
    """Return a line of the table."""
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--entities", type=int, nargs="+", default=COUNTS)
    options = parser.parse_args(arguments)
    print(line(HEAD))
    print(line(["---", *(["---:"] * (len(HEAD) - 1))]))
    for entities in options.entities:
        rounds = [{name: measure(name, entities) for name in NAMES} for _ in range(options.rounds)]
        for name in NAMES:
            keys = rounds[0][name]
            medians = {key: statistics.median(one[name][key] for one in rounds) for key in keys}
            cells = [format(medians[key], form) if key in medians else "-" for key, form in FIGURES.items()]
            print(line([name, str(entities), *cells]), flush=True)
    return 0

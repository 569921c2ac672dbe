"""Compare this checkout with another revision: `scripts/perf-compare BASE`.

Both are served on one PostgreSQL, and each on a SQLite file of its own, and get the same requests in turns, round after
round, as in `perf.bench`. For each kind of request it prints the median of the rounds' ratios, now to before, with its
interval of 95 %, and a verdict: slower or faster, if the whole interval is beyond 2 %; same, if it is within 5 %;
otherwise unclear, and more rounds or a quieter machine are needed. Of twenty verdicts one may be chance.

The exit status is 0 whatever the verdicts are, and 1 if nothing could be measured.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from perf.app.compare.bench import FailedRequestError, Plan, running
from perf.app.compare.scenarios import Scenario
from perf.app.compare.side_by_side import Sample
from perf.app.compare.targets import EMBEDDED, ROWHOUSE, before
from perf.app.compare.verdict import LEAST_ROUNDS, Verdict, interval_of
from perf.harness.servers import REPOSITORY, ServerStartError

# Each application with the one that it is compared with.
PAIRS = {"rowhouse": "before", "rowhouse-sqlite": "before-sqlite"}
DATABASES = {"rowhouse": "PostgreSQL", "rowhouse-sqlite": "SQLite"}
MEASURES = {"both_ms": "CPU of server and database", "latency_p50_ms": "median latency"}


class RevisionError(RuntimeError):
    """The other revision cannot be checked out. The message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/perf-compare", description=__doc__)
    parser.add_argument("base", metavar="BASE", help="the other revision: a branch, a tag or a commit")
    parser.add_argument("--rounds", type=_rounds, default=9, help=f"at least {LEAST_ROUNDS}")
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=500, help="for each kind of request and round")
    parser.add_argument("--warm-up", type=int, default=100, help="sent first, not measured")
    parser.add_argument("--connections", type=int, default=16)
    options = vars(parser.parse_args(arguments))
    base = options.pop("base")
    try:
        with checkout(base) as directory:
            samples = measure(directory, **options)
    except (RevisionError, FailedRequestError, ServerStartError, argparse.ArgumentTypeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report(samples, base))
    return 0


def _rounds(text: str) -> int:
    """Parse a number of rounds."""
    if int(text) < LEAST_ROUNDS:
        raise argparse.ArgumentTypeError(f"measure at least {LEAST_ROUNDS} rounds; fewer say nothing")
    return int(text)


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Yield a directory with another revision of this repository, and remove it after the block.

    Raises:
        RevisionError: git cannot check it out.
    """
    with tempfile.TemporaryDirectory(prefix="perf-compare-") as parent:
        directory = Path(parent) / "before"
        _git("worktree", "add", "--detach", str(directory), revision)
        try:
            yield directory
        finally:
            with contextlib.suppress(RevisionError):
                _git("worktree", "remove", "--force", str(directory))


def _git(*words: str) -> None:
    done = subprocess.run(  # nosec B603 B607  fixed words and a revision
        ["git", *words],  # noqa: S607  the git of the shell
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RevisionError(f"git {' '.join(words[:2])}: {done.stderr.strip()}")


def measure(directory: Path, **options: Any) -> list[Sample]:
    """Return the samples of this checkout and of the one in a directory."""
    earlier = before(str(directory))
    embedded = replace(EMBEDDED, name=PAIRS[EMBEDDED.name], factory=earlier.factory, directory=earlier.directory)
    plan = Plan(targets=[ROWHOUSE, earlier, EMBEDDED, embedded], **options)
    with running(plan, None) as bench:
        return list(bench.run())


def report(samples: Sequence[Sample], base: str) -> str:
    """Return the tables in Markdown, and a sentence about what has changed."""
    lines, moved = [], []
    for measure_name, title in MEASURES.items():
        lines += [f"**{title}**, now / {base}", "", "| request | database | ratio | interval | verdict |"]
        lines.append("|---|---|---:|---|---|")
        for scenario in Scenario:
            for app, other in PAIRS.items():
                found = interval_of(_ratios(samples, scenario, app, other, measure_name))
                cells = (scenario.value, DATABASES[app], f"{found.median:.2f}", f"{found.low:.2f} to {found.high:.2f}")
                lines.append(f"| {' | '.join(cells)} | {found.verdict} |")
                if found.verdict in (Verdict.SLOWER, Verdict.FASTER):
                    moved.append(f"{scenario.value} on {DATABASES[app]} is {found.verdict} ({title}).")
        lines.append("")
    return "\n".join([*lines, *(moved or ["Nothing has changed beyond the noise."])])


def _ratios(samples: Sequence[Sample], scenario: Scenario, app: str, other: str, measure_name: str) -> list[float]:
    """Return one ratio for each round. Samples of one application are in the order of the rounds."""
    figures = [
        [getattr(one, measure_name) for one in samples if (one.app, one.scenario) == (name, scenario)]
        for name in (app, other)
    ]
    return [now / then for now, then in zip(*figures, strict=True)]

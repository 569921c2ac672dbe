"""Measure what a hundred registered entities cost a request: `python -m perf.entities --rounds 5`.

The same anonymous get of a book goes to Rowhouse with 2 and with 100 registered entities, on PostgreSQL with one
worker. The two servers have the same rows and take turns. It prints the medians of the server's CPU per request, their
ratio, and the range of the ratios of the rounds, which is the noise. `--few 2 --many 2` is the control: it shows the
noise of the machine.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace

from perf.app.compare.bench import Bench, Plan, running
from perf.app.compare.scenarios import Scenario
from perf.app.compare.targets import ROWHOUSE, BookTarget


def with_entities(entities: int) -> BookTarget:
    """Return Rowhouse with this number of entities."""
    environment = {"ENTITIES": str(entities)}
    factory = "perf.app.micro.entities_app:create_app"
    return replace(ROWHOUSE, name=f"entities_{entities}", factory=factory, environment=environment)


def measure(bench: Bench) -> list[list[float]]:
    """Return the CPU in ms per request, a figure per server and round. Each round begins with the other server."""
    figures: list[list[float]] = [[] for _ in bench.servers]
    for round_number in range(bench.plan.rounds):
        turns = list(enumerate(bench.servers))
        for position, server in turns if round_number % 2 == 0 else reversed(turns):
            figure = bench.measure(server, Scenario.GET, token="").server_ms
            print(f"round {round_number + 1} {server.target.name}: {figure:.3f} ms", file=sys.stderr)
            figures[position].append(figure)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.entities", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--few", type=int, default=2, help="entities of the first server")
    parser.add_argument("--many", type=int, default=100, help="entities of the second server")
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=3_000, help="measured, per server and round")
    parser.add_argument("--warm-up", type=int, default=300, help="sent first, not measured")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of one from the wheel")
    options = vars(parser.parse_args(arguments))
    few, many, database_url = (options.pop(name) for name in ("few", "many", "database_url"))
    plan = Plan(targets=[with_entities(few), with_entities(many)], **options)
    with running(plan, database_url) as bench:
        figures = measure(bench)
    low, high = (statistics.median(rounds) for rounds in figures)
    ratios = [after / before for before, after in zip(*figures, strict=True)]
    print(f"Server CPU, ms per get, medians of {plan.rounds} rounds of {plan.requests} requests\n")
    print(f"| {few} entities | {many} entities | ratio | ratios of the rounds |\n|---:|---:|---:|---|")
    print(f"| {low:.3f} | {high:.3f} | {high / low:.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")

"""Compares the API with a plain model of its contract, step by step, on both databases. Each run is different.

A failure prints its seed: `MACHINE_SEED=… MACHINE_STEPS=…` repeats it, and `MACHINE_SHRINK=1` also looks for the
shortest failure, which takes minutes. A long run: MACHINE_STEPS=10000 .venv/bin/python -m pytest tests/stateful
"""

import os
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import Phase
from hypothesis.stateful import run_state_machine_as_test
from starlette.testclient import TestClient

from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import entries
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, sign_up
from tests.databases import Databases
from tests.sample_entities.opened import open_odd
from tests.stateful.batch_rules import BatchRules
from tests.stateful.history_rules import HistoryRules
from tests.stateful.list_rules import ListRules
from tests.stateful.machine import StatefulApplication
from tests.stateful.projection_rules import ProjectionRules

STEPS = int(os.environ.get("MACHINE_STEPS", "1000"))
SEED = int(os.environ.get("MACHINE_SEED", secrets.randbits(32)))
SHRINK = "MACHINE_SHRINK" in os.environ
STEPS_OF_A_RUN = 60
ROUNDS = 5
TABLES = ("exhibits", "crates", deleted_rows.name, entries.name)
ENOUGH_FOR_EVERY_RULE = 10_000


class Machine(BatchRules, ListRules, HistoryRules, ProjectionRules):
    """Every part; a new operation's part is named here."""


@pytest.fixture(scope="module")
def ground(backend: str, databases: Databases) -> Iterator[StatefulApplication]:
    """The odd entities on a database of their own, which every run of the machine begins by emptying."""
    with open_odd(databases, backend) as client:
        admin = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        callers = {"admin": admin, "anna": sign_up(client), "bert": sign_up(client)}
        yield StatefulApplication(client, callers, lambda: empty(client))


def empty(client: TestClient) -> None:
    """No rows, and ids from 1 on again, so that a run can be repeated."""
    app: Any = client.app
    with app.state.database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
            return
        for table in TABLES:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  names of our own
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('exhibits', 'crates')")


def test_the_api_agrees_with_the_model(ground: StatefulApplication) -> None:
    """As many steps as were asked for, each with the answer that the model foretold."""
    sys.stdout.write(f"MACHINE_SEED={SEED} MACHINE_STEPS={STEPS}\n")
    for number in range(ROUNDS):
        missing = STEPS - sum(ground.steps.values())
        if missing > 0:
            run(ground, seed=SEED + number, examples=-(-missing // STEPS_OF_A_RUN))
    sys.stdout.write(f"{ground.steps} {sorted(ground.answers.items())}\n")
    assert sum(ground.steps.values()) >= STEPS
    if STEPS >= ENOUGH_FOR_EVERY_RULE:
        assert set(ground.steps) == {rule.function.__name__ for rule in Machine(ground).rules}


def run(ground: StatefulApplication, *, seed: int, examples: int) -> None:
    """This number of runs of the state machine, each on empty tables. A failing one is shortened before it is reported."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS_OF_A_RUN,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    make: Any = hypothesis.seed(seed)(lambda: Machine(ground))  # hypothesis takes any callable, and asks for a class
    run_state_machine_as_test(make, settings=settings)

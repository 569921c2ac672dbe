"""Random chains of class changes over filled tables that refer to each other: nothing is lost that no change named.

Walks the same chains each time, so that a run that fails tells of the change and not of its luck. A failure prints the
seed of its chain, and `CHAINS_SEED=… CHAINS=1` repeats it. The long run by hand, over other chains:

    CHAINS_SEED=$RANDOM CHAINS=100 CHAIN_STEPS=30 .venv/bin/python -m pytest tests/migrations/test_chains_of_changes.py
"""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.databases import BACKENDS, Databases
from tests.migrations.chains.walk import Walk, noted
from tests.migrations.project import Project

CHAINS = int(os.environ.get("CHAINS", "2"))
STEPS = int(os.environ.get("CHAIN_STEPS", "8"))
SEED = int(os.environ.get("CHAINS_SEED", "20261128"))
EMPTY_SCHEMA = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


class Empty:
    """Gives an empty database of one kind again and again."""

    def __init__(self, backend: str, databases: Databases) -> None:
        self._backend, self._databases = backend, databases
        self.engine = self._make()

    def __call__(self) -> sa.Engine:
        """An engine of a database without tables; the former one is gone."""
        if self._backend == "sqlite":
            self.engine.dispose()
            self.engine = self._make()
        else:
            with self.engine.begin() as connection:
                for statement in EMPTY_SCHEMA:
                    connection.exec_driver_sql(statement)
        return self.engine

    def _make(self) -> sa.Engine:
        return create_engine(Settings(database_url=self._databases.empty(self._backend)))


@pytest.fixture
def empty(backend: str, databases: Databases) -> Iterator[Empty]:
    """`empty()`, for the tables that `create_all` makes."""
    made = Empty(backend, databases)
    yield made
    made.engine.dispose()


@pytest.fixture
def elsewhere(backend: str, databases: Databases) -> Iterator[Empty]:
    """The same on the other database."""
    made = Empty(next(name for name in BACKENDS if name != backend), databases)
    yield made
    made.engine.dispose()


@pytest.mark.parametrize("number", range(CHAINS))
def test_a_chain_of_changes_loses_nothing(
    number: int, backend: str, databases: Databases, tmp_path: Path, empty: Empty, elsewhere: Empty
) -> None:
    """Up, down, up at each step, and at the end; then on the other database."""
    seed = SEED + number
    other = next(name for name in BACKENDS if name != backend)
    with (
        closing(Project(tmp_path / "here", databases.empty(backend))) as project,
        closing(Project(tmp_path / "elsewhere", databases.empty(other))) as copy,
        noted(f"CHAINS_SEED={seed} CHAINS=1 CHAIN_STEPS={STEPS}"),
    ):
        walk = Walk(project, empty, random.Random(seed))  # noqa: S311  no secret
        walk.go(STEPS)
        walk.go_elsewhere(copy, elsewhere())

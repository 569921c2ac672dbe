"""Random chains of class changes over filled tables: a migration loses only what it names.

The chains are the same in each run, so a new failure comes from a change of the code. A failure prints the seed of its
chain; `CHAINS_SEED=… CHAINS=1` repeats it. A long run over other chains: CHAINS_SEED=$RANDOM CHAINS=100 CHAIN_STEPS=30
.venv/bin/python -m pytest tests/migrations/test_chains_of_changes.py
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
    """Returns an empty database of one kind, again and again."""

    def __init__(self, backend: str, databases: Databases) -> None:
        self._backend, self._databases = backend, databases
        self.engine = self._make()

    def __call__(self) -> sa.Engine:
        """Return an engine of a database without tables. The former one is deleted."""
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
    """`empty()` returns a database for the tables that `create_all` makes."""
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
    """Up, down and up at each step and at the end; then on the other database."""
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

"""A walk along a chain.

Each step is written, applied, undone and applied again over filled tables, and checked each time.
"""

import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import command

from rowhouse.db.engine import TRANSACTION_KIND
from tests.migrations.chains.catalogue import catalogue, create_all, open_nulls, same_lines
from tests.migrations.chains.changes import first_schema, step
from tests.migrations.chains.classes import Schema, build
from tests.migrations.chains.decisions import can_be_undone, decisions_for, dropped, lost, named
from tests.migrations.chains.draw import Draw
from tests.migrations.chains.rows import Rows, empty_tables, filled, kept, read, refill, same_rows
from tests.migrations.project import Project

TWO_CHANGES = 40  # percent of the steps
TABLE_RENAMES = 20
# What this repository's own first migrations make.
FUNCTIONS = '''"""The functions that search indexes are made of."""

from alembic import op

from rowhouse.db import sql_functions as folding

revision, down_revision, branch_labels, depends_on = "functions", None, None, None


def upgrade() -> None:
    """Apply."""
    folding.create_fold_function(op.get_bind())
    folding.create_gram_functions(op.get_bind())


def downgrade() -> None:
    """Undo."""
    folding.drop_gram_functions(op.get_bind())
    folding.drop_fold_function(op.get_bind())
'''


class Walk:
    """One chain in one database. `empty` returns another database, in which `create_all` makes the same tables."""

    def __init__(self, project: Project, empty: Callable[[], sa.Engine], chance: random.Random) -> None:
        self.project, self._empty, self._random = project, empty, chance
        self._numbers = itertools.count(1)
        self.schema, self._metadata, self._catalogue = Schema(), sa.MetaData(), set[str]()
        (project.directory / "versions" / "functions.py").write_text(FUNCTIONS)
        self.project.upgrade(self._metadata)

    def go(self, steps: int) -> None:
        """Create the first tables, then change them step by step. At last go all the way down and up again."""
        draw = self._draw()
        first_schema(draw)
        self._step(draw, "the first tables")
        for _ in range(steps):
            draw = self._draw()
            said = [draw.rename_table()] if draw.chance(TABLE_RENAMES) else []
            said += step(draw, changes=2 if draw.chance(TWO_CHANGES) else 1)
            self._step(draw, "; ".join(said))
        with noted("all the way down and up"):
            self._down_and_up()

    def _draw(self) -> Draw:
        return Draw(self._random, self.schema, self.schema, self._numbers)

    def _step(self, draw: Draw, said: str) -> None:
        with noted(said):
            after, metadata = draw.schema, build(draw.schema)
            wanted = create_all(self._empty(), metadata, after)
            rows = kept(filled(draw.base), draw.base, after)
            if self._write(draw, metadata):
                self.project.upgrade(metadata)
                self._look(rows, metadata, after, wanted)
                rows = self._down_up(rows, draw)
            self._look(rows, metadata, after, wanted)
            nothing_left(self.project, metadata)
            command.check(self.project.config(metadata))
            with self.project.engine.begin() as connection:
                refill(connection, after, metadata, rows)
            self.schema, self._metadata, self._catalogue = after, metadata, wanted

    def _write(self, draw: Draw, metadata: sa.MetaData) -> bool:
        """Write the migration, if there is a change. It must name its losses."""
        written = self.project.write(metadata, "step", decisions=decisions_for(draw.base, draw.schema, draw.renamed))
        losses = [] if written is None else written[1].losses
        assert sorted(named(losses)) == sorted(lost(draw.base, draw.schema)), (
            f"the losses that the file names: {losses}"
        )
        return written is not None

    def _down_up(self, rows: Rows, draw: Draw) -> Rows:
        """Undo the step and apply it again, if the rows allow it."""
        before, after = draw.base, draw.schema
        if not can_be_undone(before, after):
            return rows
        with noted("undone"):
            self.project.downgrade(self._metadata)
            rows = kept(rows, after, before, is_undone=True)
            self._look_back(rows, draw)
        with noted("applied again"):
            self.project.upgrade(self._metadata)
            return kept(rows, before, after)

    def _look(self, rows: Rows, metadata: sa.MetaData, schema: Schema, wanted: set[str]) -> None:
        """Require the expected rows and the catalogue of `create_all`."""
        with reading(self.project.engine) as connection:
            same_rows(read(connection, metadata), rows)
            same_lines(catalogue(connection, schema), wanted)

    def _look_back(self, rows: Rows, draw: Draw) -> None:
        """Require the expected rows and the former catalogue. A restored column may be nullable."""
        old, new = draw.renamed or ("", "")
        former = {table.name: old if table.name == new else table.name for table in draw.base.tables}
        back = {
            f"{former[table.name]}.{name}"
            for table in draw.base.tables
            if draw.schema.has(table.name)
            for name in dropped(table, draw.schema.table(table.name))
        }
        with reading(self.project.engine) as connection:
            same_rows(read(connection, self._metadata), {former[name]: found for name, found in rows.items()})
            found = catalogue(connection, self.schema)
        same_lines(open_nulls(found, back), open_nulls(self._catalogue, back))

    def _down_and_up(self) -> None:
        with self.project.engine.begin() as connection:
            empty_tables(connection, self._metadata)
        self._down_to_nothing(self.project)
        self._up_to_all(self.project, self._catalogue)

    def _up_to_all(self, project: Project, wanted: set[str]) -> None:
        project.upgrade(self._metadata)
        with reading(project.engine) as connection:
            same_lines(catalogue(connection, self.schema), wanted)

    def _down_to_nothing(self, project: Project) -> None:
        project.downgrade(self._metadata, "base")
        with reading(project.engine) as connection:
            same_lines(catalogue(connection, self.schema), set())

    def go_elsewhere(self, project: Project, empty: sa.Engine) -> None:
        """Apply the files of one database to the other, and undo them."""
        for path in self.project.versions:
            shutil.copy(path, project.directory / "versions")
        with noted("on the other database"):
            # PostgreSQL's `create_all` has taken the references that go in circles out of the tables of its metadata.
            self._metadata = build(self.schema)
            self._up_to_all(project, create_all(empty, self._metadata, self.schema))
            nothing_left(project, self._metadata)
            self._down_to_nothing(project)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection that locks nothing."""
    with engine.connect() as connection:
        yield connection.execution_options(**{TRANSACTION_KIND: "read"})


@contextmanager
def noted(words: str) -> Iterator[None]:
    """Add the step to an error."""
    try:
        yield
    except BaseException as error:
        error.add_note(words)
        raise


def nothing_left(project: Project, metadata: sa.MetaData) -> None:
    """Require that a comparison finds no difference. `alembic check` must agree."""
    left = [(type(operation).__name__, vars(operation)) for operation in project.plan(metadata).operations]
    assert left == [], str(left)

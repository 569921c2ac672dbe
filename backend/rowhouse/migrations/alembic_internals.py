"""Parts of Alembic that are not documented. No other module uses one; `sqlite.rebuild` derives from its batch classes.

`tests/migrations/test_alembic_internals.py` fails first when an upgrade changes one.
"""

from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _alter_column, _render_gen_name
from alembic.operations import batch
from alembic.operations.batch import BatchOperationsImpl
from alembic.operations.ops import AlterColumnOp, CreateTableOp
from alembic.util.sqla_compat import all_table_check_constraints

BATCH: Any = batch
is_self_referential: Callable[[Any], bool] = BATCH._fk_is_self_referential  # noqa: SLF001  it has no other name


def rendered_name(context: AutogenContext, name: Any) -> Any:
    """Return the name of a constraint as a file states it: with `op.f(...)` if the naming convention gave it."""
    return _render_gen_name(context, name)


def rendered_alteration(context: AutogenContext, operation: AlterColumnOp) -> str:
    """Return the code of `op.alter_column(...)` as Alembic writes it."""
    return _alter_column(context, operation)


def is_in_batch(context: AutogenContext) -> bool:
    """Return True while the operations of a batch are rendered, which do not name their table."""
    return context._has_batch  # noqa: SLF001  nothing public says it


def checks_of(table: sa.Table) -> Collection[sa.CheckConstraint]:
    """Return the check constraints of a table, of its columns and of their types."""
    return all_table_check_constraints(table)


def creation_of(drop: Any) -> CreateTableOp:
    """Return the operation from which autogenerate made the drop of a table."""
    creation: CreateTableOp = drop._reverse  # noqa: SLF001  `reverse` returns a copy
    return creation


def use_batch(kind: type[BatchOperationsImpl], is_copied: Callable[[Any], bool]) -> None:
    """Let Alembic rebuild SQLite tables with a class derived from its own.

    `is_copied` replaces `is_self_referential`: it decides whether a foreign key gets the name of the new table.
    """
    BATCH._fk_is_self_referential = is_copied  # noqa: SLF001  as above
    BATCH.BatchOperationsImpl = kind

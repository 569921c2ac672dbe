"""The undocumented parts of Alembic: an upgrade that changes one fails here."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import batch
from alembic.operations.ops import AlterColumnOp, DropTableOp
from alembic.runtime.migration import MigrationContext

from rowhouse.migrations import alembic_internals as internals
from rowhouse.migrations.sqlite.names import BatchOfOneName

TABLE = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("size", sa.Integer(), sa.CheckConstraint("size > 0", name="on_column")),
    sa.Column("kind", sa.Enum("a", "b", name="of_type", native_enum=False, create_constraint=True)),
    sa.CheckConstraint("size < 9", name="on_table"),
)


def context() -> AutogenContext:
    """Return the context of a comparison without a database."""
    migration: Any = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True})
    return AutogenContext(migration, opts={"alembic_module_prefix": "op."}, autogenerate=False)


def test_a_conventional_name_is_marked() -> None:
    """`_render_gen_name`: `conv` becomes `op.f(...)`, and any other name is text."""
    assert internals.rendered_name(context(), "plain") == "plain"
    assert repr(internals.rendered_name(context(), sa.schema.conv("ck_things"))) == "op.f('ck_things')"


def test_an_alteration_is_written() -> None:
    """`_alter_column`."""
    operation = AlterColumnOp("things", "size", modify_nullable=False)
    assert internals.rendered_alteration(context(), operation).startswith("op.alter_column('things', 'size'")


def test_a_batch_is_known_while_it_is_rendered() -> None:
    """`AutogenContext._has_batch`."""
    found = context()
    assert not internals.is_in_batch(found)
    with found._within_batch():
        assert internals.is_in_batch(found)


def test_every_check_of_a_table_is_found() -> None:
    """`all_table_check_constraints`: those of the table, of a column and of a type."""
    assert {str(check.name) for check in internals.checks_of(TABLE)} == {"on_table", "on_column", "of_type"}


def test_a_drop_knows_the_creation() -> None:
    """`DropTableOp._reverse`."""
    creation = internals.creation_of(DropTableOp.from_table(TABLE))
    assert [part.name for part in creation.columns if isinstance(part, sa.Column)] == ["size", "kind"]


def test_rebuilds_use_the_engines_batch() -> None:
    """`BatchOperationsImpl` and `_fk_is_self_referential` of `alembic.operations.batch`."""
    replaced: Any = batch
    assert replaced.BatchOperationsImpl is BatchOfOneName
    assert replaced._fk_is_self_referential is not internals.is_self_referential
    reference = sa.ForeignKeyConstraint(["size"], ["things.size"])
    sa.Table("things", sa.MetaData(), sa.Column("size", sa.Integer()), reference)
    assert internals.is_self_referential(reference)

"""`op.create_enum`, `op.change_enum` and `op.drop_enum`.

PostgreSQL's types of a native `sa.Enum`, and SQLite's lists.
"""

import io
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import AddColumnOp
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from rowhouse.migrations.autogenerate import autogenerate_options, only_adds
from rowhouse.migrations.losses import losses_of
from rowhouse.migrations.operations.native_enums import ChangeEnum, CreateEnum, DropEnum

MEMBERS = "SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype('state') ORDER BY enumsortorder"


def members(connection: sa.Connection) -> list[str]:
    """Return the members of the type, or those that SQLite's view lists."""
    if connection.dialect.name == "postgresql":
        return list(connection.exec_driver_sql(MEMBERS).scalars())
    if "enum_state" not in sa.inspect(connection).get_view_names():
        return []
    return list(connection.exec_driver_sql("SELECT member FROM enum_state").scalars())


def test_a_type_is_made_once_and_dropped_when_no_column_has_it(empty: sa.Connection) -> None:
    operations: Any = Operations(MigrationContext.configure(empty))
    on_postgresql = empty.dialect.name == "postgresql"
    for _ in range(2):
        operations.create_enum("state", "it's", ":b", "100%")
    assert members(empty) == ["it's", ":b", "100%"]
    operations.change_enum("state", ("it's", ":b", "100%"), ("it's", ":a", ":b", "100%"))
    assert members(empty) == ["it's", ":a", ":b", "100%"]
    if on_postgresql:
        empty.exec_driver_sql("CREATE TABLE houses (state state)")
        operations.drop_enum("state")
    operations.change_enum("state", ("it's", ":a", ":b", "100%"), ("100%", ":a"))
    assert members(empty) == ["100%", ":a"]
    if on_postgresql:
        empty.exec_driver_sql("DROP TABLE houses")
    operations.drop_enum("state")
    assert members(empty) == []


def test_a_row_that_has_a_member_that_goes_is_an_error(empty: sa.Connection) -> None:
    """The error names the member, and nothing changes, on both databases."""
    operations: Any = Operations(MigrationContext.configure(empty))
    operations.create_enum("state", "a", "b")
    empty.exec_driver_sql("CREATE TABLE houses (state state)")
    empty.exec_driver_sql("INSERT INTO houses VALUES ('a'), ('b')")
    if empty.dialect.name == "postgresql":
        refused: Any = pytest.raises(sa.exc.DataError, match='invalid input value for enum state: "a"')
    else:
        refused = pytest.raises(CommandError, match=r"houses\.state has rows with 'a', which state no longer has")
    with refused, empty.begin_nested():
        operations.change_enum("state", ("a", "b"), ("b",), columns=[("houses", "state")])
    assert members(empty) == ["a", "b"]
    empty.exec_driver_sql("UPDATE houses SET state = 'b'")
    operations.change_enum("state", ("a", "b"), ("b",), columns=[("houses", "state")])
    assert members(empty) == ["b"]


def test_a_comparison_names_the_columns_of_the_type(empty: sa.Connection) -> None:
    """SQLite searches them for rows with a removed member, also in a downgrade."""

    def declared(*state: str) -> sa.MetaData:
        metadata = sa.MetaData()
        sa.Table(
            "houses",
            metadata,
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("state", sa.Enum(*state, name="state")),
        )
        return metadata

    declared("a", "b").create_all(empty)
    after = declared("b", "c")
    context = MigrationContext.configure(empty, opts=autogenerate_options(after))
    script = produce_migrations(context, after)
    assert script.upgrade_ops is not None
    (found,) = script.upgrade_ops.ops
    assert isinstance(found, ChangeEnum)
    assert found.columns == found.reverse().columns == [("houses", "state")]
    code = render_python_code(script.upgrade_ops, migration_context=context)
    assert "op.change_enum('state', ('a', 'b'), ('b', 'c'), columns=[('houses', 'state')])" in code


def test_written_out_as_sql_it_cannot_look_for_the_columns() -> None:
    """The error comes before anything is written."""
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True})
    with pytest.raises(CommandError, match="run it on a database"):
        Operations(context).invoke(ChangeEnum("state", ("a", "b"), ("b",)))


def test_written_out_for_sqlite_it_looks_for_no_rows() -> None:
    """There is no database. The view of the members is created again."""
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True, "output_buffer": buffer})
    Operations(context).invoke(ChangeEnum("state", ("a", "b"), ("b",), [("houses", "state")]))
    assert "DROP VIEW IF EXISTS enum_state" in buffer.getvalue()
    assert "CREATE VIEW IF NOT EXISTS enum_state (member) AS VALUES ('b')" in buffer.getvalue()


def test_each_undoes_the_other() -> None:
    """As a downgrade needs it. A new member is an addition, a removed one is not."""
    made = CreateEnum("state", ("a",)).reverse()
    assert isinstance(made, DropEnum)
    assert made.reverse().members == ("a",)
    change = ChangeEnum("state", ("a",), ("a", "b"))
    assert change.reverse().after == ("a",)
    column = AddColumnOp("houses", sa.Column("note", sa.String()))
    assert only_adds([change, column])
    assert not only_adds([change.reverse(), column])


@pytest.mark.parametrize("backend", ["sqlite"], scope="session")
def test_a_database_that_was_migrated_before_gets_its_list(empty: sa.Connection) -> None:
    """A project's own view with such a name is left alone."""
    metadata = sa.MetaData()
    sa.Table("houses", metadata, sa.Column("state", sa.Enum("it's", ":b", name="State of it")))
    metadata.create_all(empty)
    context = MigrationContext.configure(empty, opts=autogenerate_options(metadata))
    assert compare_metadata(context, metadata) == []
    empty.exec_driver_sql('DROP VIEW "enum_State of it"')
    empty.exec_driver_sql("CREATE VIEW enum_theirs AS SELECT 1 AS one")
    script = produce_migrations(context, metadata)
    assert script.upgrade_ops is not None
    (found,) = script.upgrade_ops.ops
    assert isinstance(found, CreateEnum)
    assert (found.name, found.members) == ("State of it", ("it's", ":b"))
    Operations(context).invoke(found)
    assert compare_metadata(context, metadata) == []


def test_a_member_that_goes_is_a_loss() -> None:
    """Another order of the members is not."""
    change = ChangeEnum("state", ("a", "b", "c"), ("c", "d"))
    assert [loss.what for loss in losses_of([change])] == ["state: the members a, b"]
    assert losses_of([ChangeEnum("state", ("a", "b"), ("b", "a"))]) == []

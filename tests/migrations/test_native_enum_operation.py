"""`op.create_enum`, `op.change_enum` and `op.drop_enum`: PostgreSQL's types of a native `sa.Enum`, and nothing on SQLite."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.operations.ops import AddColumnOp
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from rowhouse.migrations.autogenerate import only_adds
from rowhouse.migrations.compare.native_enums import ChangeEnum, CreateEnum, DropEnum

MEMBERS = "SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype('state') ORDER BY enumsortorder"


def members(connection: sa.Connection) -> list[str]:
    """The members of the type; none on SQLite, which has no types."""
    return list(connection.exec_driver_sql(MEMBERS).scalars()) if connection.dialect.name == "postgresql" else []


def test_a_type_is_made_once_and_dropped_when_no_column_has_it(empty: sa.Connection) -> None:
    operations: Any = Operations(MigrationContext.configure(empty))
    on_postgresql = empty.dialect.name == "postgresql"
    for _ in range(2):
        operations.create_enum("state", "it's", ":b", "100%")
    assert members(empty) == (["it's", ":b", "100%"] if on_postgresql else [])
    operations.change_enum("state", ("it's", ":b", "100%"), ("it's", ":a", ":b", "100%"))
    empty.exec_driver_sql(f"CREATE TABLE houses (state {'state' if on_postgresql else 'text'})")
    operations.drop_enum("state")
    assert members(empty) == (["it's", ":a", ":b", "100%"] if on_postgresql else [])
    operations.change_enum("state", ("it's", ":a", ":b", "100%"), ("100%", ":a"))
    assert members(empty) == (["100%", ":a"] if on_postgresql else [])
    empty.exec_driver_sql("DROP TABLE houses")
    operations.drop_enum("state")
    assert members(empty) == []


@pytest.mark.parametrize("backend", ["postgresql"], scope="session")
def test_a_row_that_has_a_member_that_goes_is_an_error(empty: sa.Connection) -> None:
    """And nothing is changed."""
    operations: Any = Operations(MigrationContext.configure(empty))
    operations.create_enum("state", "a", "b")
    empty.exec_driver_sql("CREATE TABLE houses (state state)")
    empty.exec_driver_sql("INSERT INTO houses VALUES ('a')")
    with pytest.raises(sa.exc.DataError, match="invalid input value"), empty.begin_nested():
        operations.change_enum("state", ("a", "b"), ("b",))
    assert members(empty) == ["a", "b"]


def test_written_out_as_sql_it_cannot_look_for_the_columns() -> None:
    """Said before anything is written."""
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True})
    with pytest.raises(CommandError, match="run it on a database"):
        Operations(context).invoke(ChangeEnum("state", ("a", "b"), ("b",)))


def test_each_undoes_the_other() -> None:
    """As a downgrade needs it; a member that comes is an addition, one that goes is none."""
    made = CreateEnum("state", ("a",)).reverse()
    assert isinstance(made, DropEnum)
    assert made.reverse().members == ("a",)
    change = ChangeEnum("state", ("a",), ("a", "b"))
    assert change.reverse().after == ("a",)
    column = AddColumnOp("houses", sa.Column("note", sa.String()))
    assert only_adds([change, column])
    assert not only_adds([change.reverse(), column])

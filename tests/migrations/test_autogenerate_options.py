"""The options that Alembic gets from the engine, and how migrators wait for each other."""

from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations.ops import AddColumnOp, CreateTableOp, DropTableOp, UpgradeOps
from sqlalchemy.dialects import postgresql
from sqlmodel import UTCDateTime

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import EnumText
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.migrations import autogenerate, running
from tests.databases import Databases
from tests.sample_entities.shop.models import Booking

ENUM = "sa.Enum('a', name='s').with_variant(postgresql.ENUM('a', name='s', create_type=False), 'postgresql')"
ORDERED = ".with_variant(sa.String({}collation='C'), 'postgresql')"
OPTIONS = autogenerate.autogenerate_options()


class Role(StrEnum):
    """A column type of texts."""

    USER = "user"
    DRIVER = "driver"
    ADMIN = "admin"


CASES: tuple[tuple[Any, str, str], ...] = (
    (UTCDateTime(), "sqlite", "sa.DateTime(timezone=True)"),
    (sa.DateTime(), "sqlite", "sa.DateTime()"),
    (sa.DATETIME(), "sqlite", "sa.DateTime(timezone=True)"),
    (postgresql.TIMESTAMP(timezone=False), "postgresql", "sa.DateTime()"),
    (EnumText(Role), "sqlite", f"sa.String(length=32){ORDERED.format('length=32, ')}"),
    (sa.VARCHAR(9), "sqlite", f"sa.String(length=9){ORDERED.format('length=9, ')}"),
    (sa.VARCHAR(9), "postgresql", "sa.String(length=9)"),
    (sa.VARCHAR(9, collation="C"), "postgresql", f"sa.String(length=9){ORDERED.format('length=9, ')}"),
    (sa.String(9, collation="de"), "sqlite", "sa.String(length=9, collation='de')"),
    (sa.CHAR(32), "sqlite", "sa.Uuid()"),
    (sa.CHAR(32), "postgresql", "sa.CHAR(length=32)"),
    (sa.Uuid(native_uuid=False), "sqlite", "sa.Uuid(native_uuid=False)"),
    (postgresql.JSONB(), "postgresql", "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"),
    (postgresql.ENUM("a", name="s"), "postgresql", ENUM),
    (sa.Float(53), "sqlite", "sa.Float(precision=53)"),
    (sa.DOUBLE_PRECISION(53), "postgresql", "sa.Float()"),
    (sa.Time(timezone=True), "sqlite", "sa.Time(timezone=True)"),
    (sa.Boolean(create_constraint=True, name="b"), "sqlite", "sa.Boolean(create_constraint=True, name='b')"),
    (postgresql.INET(), "postgresql", "postgresql.INET()"),
    (sa.PickleType(), "sqlite", "sa.PickleType()"),
)


@pytest.mark.parametrize(("kind", "dialect", "text"), CASES)
def test_types_are_written_as_sqlalchemy_has_them(kind: Any, dialect: str, text: str) -> None:
    """A migration does not change when the code does, and what one database shows is written so that the other reads it."""
    context = SimpleNamespace(dialect=sa.make_url(f"{dialect}://").get_dialect()(), imports=set())
    assert OPTIONS["render_item"]("type", kind, context) == text
    assert context.imports == ({"from sqlalchemy.dialects import postgresql"} if "postgresql." in text else set())


def test_everything_else_is_left_to_alembic() -> None:
    """Columns, keys and references."""
    assert OPTIONS["render_item"]("column", sa.Column("x"), None) is False


def test_what_belongs_to_the_application_is_left_out_of_a_table() -> None:
    """Its info, and the rule that is an operation of its own."""
    table: sa.Table = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    parts: Any = [*table.columns, NoOverlap("charge_point_id", "start_time", "end_time")]
    made = CreateTableOp("bookings", parts)
    made.info = {"entity": "Booking"}
    steps = UpgradeOps([made, DropTableOp("elsewhere")])
    OPTIONS["process_revision_directives"](None, None, [SimpleNamespace(upgrade_ops=steps)])
    assert made.info == {}
    assert list(made.columns) == list(table.columns)


def test_a_column_that_may_be_null_only_adds() -> None:
    """One that may not be does not: there may be rows."""
    columns = [AddColumnOp("books", sa.Column("x", sa.Integer(), nullable=nullable)) for nullable in (True, False)]
    assert [autogenerate.only_adds([column]) for column in columns] == [True, False]


def test_a_migrator_that_waits_too_long_says_so(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does nothing."""
    monkeypatch.setattr(running, "WAIT_SECONDS", 0.15)
    monkeypatch.setattr(running, "POLL_SECONDS", 0.01)
    engine = create_engine(Settings(database_url=databases.empty("postgresql")))
    late = pytest.raises(running.StillMigratingError, match="another migrator")
    with running._alone(engine), late, running._alone(engine):
        raise AssertionError
    engine.dispose()


def test_what_is_sent_to_the_driver_is_written_out() -> None:
    """In `--sql` mode, with the end that Alembic writes."""
    written: list[str] = []
    context: Any = SimpleNamespace(
        impl=SimpleNamespace(static_output=written.append, command_terminator=";"),
        connection=SimpleNamespace(execute=written.append),
    )
    running.write_out_driver_sql(context)
    context.connection.exec_driver_sql(" SELECT 1 ")
    context.connection.execute("SELECT 2")
    assert written == ["SELECT 1;", "SELECT 2"]


@pytest.mark.parametrize("read", [list, lambda result: result.all(), lambda result: result.rowcount])
def test_what_reads_the_database_cannot_be_written_out(read: Any) -> None:
    """A migration that looks at rows says so, in a sentence."""
    impl = SimpleNamespace(static_output=print, command_terminator=";")
    context: Any = SimpleNamespace(impl=impl, connection=SimpleNamespace(execute=print))
    running.write_out_driver_sql(context)
    for result in (context.connection.exec_driver_sql("SELECT 1"), context.connection.execute("SELECT 1")):
        with pytest.raises(running.UnreadableError, match="reads the database"):
            read(result)

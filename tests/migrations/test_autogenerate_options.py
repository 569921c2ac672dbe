"""What Alembic is told of the engine, and how migrators wait for each other."""

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations.ops import AddColumnOp, CreateTableOp, DropTableOp, UpgradeOps
from sqlmodel.sql.sqltypes import UTCDateTime

from backend.auth.models import Role
from backend.bookings.models import Booking
from backend.core.config import Settings
from backend.core.engines import create_engine
from backend.crud.model import EnumText
from backend.crud.no_overlap import NoOverlap
from backend.migrations import autogenerate, running
from tests.databases import Databases

OPTIONS = autogenerate.autogenerate_options(sa.create_engine("sqlite://").dialect)


def render(kind: Any, what: str = "type") -> Any:
    """How a migration writes a type."""
    return OPTIONS["render_item"](what, kind, None)


def test_types_are_written_as_sqlalchemy_has_them() -> None:
    """A migration does not change when the code does."""
    assert render(UTCDateTime()) == "sa.DateTime(timezone=True)"
    assert render(EnumText(Role)).startswith("sa.String(length=32).with_variant(")
    assert render(sa.Integer()) is False
    assert render(UTCDateTime(), "server_default") is False


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

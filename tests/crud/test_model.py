"""Names that follow from class names, and portable columns."""

import enum
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import NaiveDatetime
from sqlalchemy.dialects.postgresql import JSONB, TEXT
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, UTCDateTime

from rowhouse.crud.base import CRUDBase
from rowhouse.entities.model import EnumText, InstantWithoutZone, IntegerKey, Record, plural, singular_snake
from rowhouse.registration.checks import columns_for
from rowhouse.schemas.column_limits import MAX_INDEXED_TEXT
from rowhouse.schemas.derivation import derive
from rowhouse.schemas.field_types import field_type

metadata = sa.MetaData()
mappings = orm_registry(metadata=metadata)


class Scratch(Record, registry=mappings):
    """`Record` in a metadata that no other test sees."""


class Grade(enum.Enum):
    """An enum with values of two types."""

    NONE = "none"
    TOP = 1


class Report(IntegerKey, Scratch, table=True):
    """Columns whose types differ between the databases, or between SQLModel and the engine."""

    grade: Grade = Grade.NONE
    document: dict[str, Any] | None = Field(
        default=None,
        sa_type=sa.JSON().with_variant(JSONB(), "postgresql"),
    )


class Memo(IntegerKey, Scratch, table=True):
    """Every type of text, and two with a collation of their own."""

    plain: str
    short: str = Field(max_length=40)
    body: str = Field(sa_type=sa.Text)
    motto: str = Field(sa_type=sa.Unicode(20))
    story: str | None = Field(default=None, sa_type=sa.UnicodeText)
    code: str = Field(sa_type=sa.VARCHAR(5))
    title: str = Field(sa_column=sa.Column(sa.String(40), nullable=False))
    grade: Grade = Grade.NONE
    german: str = Field(sa_type=sa.String(40, collation="de-x-icu"))
    own: str = Field(sa_type=sa.String(40).with_variant(TEXT(), "postgresql"))


class Summary(IntegerKey, Record):
    """A class that is mapped to a query, not to a table."""


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Book", "books"),
        ("ChargePoint", "charge-points"),
        ("Category", "categories"),
        ("Day", "days"),
        ("Address", "addresses"),
        ("Box", "boxes"),
        ("Branch", "branches"),
        ("Wish", "wishes"),
        ("APIKey", "api-keys"),
        ("X", "xes"),
        ("Größe", "größes"),
        ("Ü", "üs"),
    ],
)
def test_a_path_is_the_plural_in_kebab_case(name: str, path: str) -> None:
    """For regular English plurals."""
    assert plural(name) == path


@pytest.mark.parametrize(
    ("name", "part"),
    [("Book", "book"), ("ChargePoint", "charge_point"), ("APIKey", "api_key"), ("HTTPServer2", "http_server2")],
)
def test_a_part_of_an_operation_id_is_the_singular_in_snake_case(name: str, part: str) -> None:
    """As in `get_charge_point`."""
    assert singular_snake(name) == part


def test_an_enum_is_stored_as_the_text_of_its_value() -> None:
    """It is read as the member. Text passes, because a filter may send it."""
    dialect = sa.make_url("sqlite://").get_dialect()()
    kind = EnumText(Grade)
    assert [kind.process_bind_param(value, dialect) for value in (Grade.TOP, "none", None)] == ["1", "none", None]
    assert [kind.process_result_value(value, dialect) for value in ("1", "none", None)] == [Grade.TOP, Grade.NONE, None]


def test_an_instant_without_a_zone_is_not_stored_in_utc() -> None:
    """Nobody knows which instant it is. A migration writes the type that the class named."""
    dialect = sa.make_url("sqlite://").get_dialect()()
    kind = InstantWithoutZone()
    at = datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=5)))
    stored = kind.process_bind_param(at, dialect)
    assert (stored, kind.process_bind_param(None, dialect)) == (datetime(2030, 1, 31, 7), None)  # noqa: DTZ001  stored
    assert (kind.process_result_value(stored, dialect), kind.process_result_value(None, dialect)) == (at, None)
    with pytest.raises(ValueError, match="an instant needs a zone; use"):
        kind.process_bind_param(datetime(2030, 1, 31), dialect)  # noqa: DTZ001  what is refused
    assert repr(kind) == "sa.DateTime()"


def test_an_instant_that_has_no_zone_stays_as_the_class_says() -> None:
    """A `NaiveDatetime`, null or not, is no instant in UTC."""

    class Alarm(IntegerKey, Scratch, table=True):
        """Wakes at a time of the clock, wherever it is."""

        rings_at: NaiveDatetime = Field(sa_type=sa.DateTime)
        rang_at: NaiveDatetime | None = Field(default=None, sa_type=sa.DateTime)
        set_at: datetime = Field(sa_type=sa.DateTime)

    kinds = {name: type(metadata.tables["alarms"].c[name].type) for name in Alarm.model_fields}
    assert (kinds["rings_at"], kinds["rang_at"], kinds["set_at"]) == (sa.DateTime, sa.DateTime, InstantWithoutZone)


def test_text_of_every_type_sorts_by_code_point() -> None:
    """As on SQLite, with its own length, unless the class sets a collation for PostgreSQL."""
    ddl = {
        backend: str(
            sa.schema.CreateTable(metadata.tables["memos"]).compile(dialect=sa.make_url(backend).get_dialect()())
        )
        for backend in ("sqlite://", "postgresql://")
    }
    lines = {line.split()[0]: line for line in ddl["postgresql://"].splitlines() if "VARCHAR" in line or "TEXT" in line}
    other = {"german": 'COLLATE "de-x-icu"', "own": "own TEXT NOT NULL"}
    assert lines.keys() == Memo.model_fields.keys() - {"id", "created_at", "updated_at"}
    assert [name for name, line in lines.items() if other.get(name, 'COLLATE "C"') not in line] == []
    assert ["VARCHAR(40)" in lines[name] for name in ("short", "title", "german")] == [True, True, True]
    assert '"C"' not in ddl["sqlite://"]


def test_a_missing_document_is_null_on_each_database() -> None:
    """Not JSON's null, which `__isnull` would not find."""

    class Chart(IntegerKey, Scratch, table=True):
        legend: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON)

    legend: Any = metadata.tables["charts"].columns["legend"].type
    assert legend.none_as_null is True
    table = metadata.tables["reports"]
    assert isinstance(table.columns["grade"].type, EnumText)
    for backend in ("sqlite", "postgresql"):
        dialect = sa.make_url(f"{backend}://").get_dialect()()
        kind: Any = table.columns["document"].type.dialect_impl(dialect)
        assert kind.none_as_null is True


def test_a_class_that_is_no_table_is_left_alone() -> None:
    """The columns of a query belong to its tables and are portable already."""
    query = sa.select(metadata.tables["reports"]).subquery()
    before = [column.type for column in query.columns]
    mappings.map_imperatively(Summary, query, primary_key=[query.c.id])
    assert [column.type for column in query.columns] == before


def test_an_enum_over_a_column_of_another_type_is_the_enum_on_the_wire() -> None:
    """Such as numbers in an existing table."""

    class Level(enum.IntEnum):
        LOW = 1

    assert field_type(Level, sa.Integer()).annotation is Level


def test_an_indexed_text_has_a_limit() -> None:
    """An index entry of PostgreSQL must fit into a page. Text without an index may have any length."""

    class Tag(IntegerKey, Scratch, table=True):
        """Texts without a length."""

        __table_args__ = (sa.UniqueConstraint("kind"),)

        code: str = Field(unique=True)
        label: str = Field(index=True)
        kind: str
        note: str

    columns = columns_for(Tag, CRUDBase)
    schema = derive(Tag, columns, owner=None, extra_fields={}).create.model_json_schema()["properties"]
    assert {name: field.get("maxLength") for name, field in schema.items()} == {
        "code": MAX_INDEXED_TEXT,
        "label": MAX_INDEXED_TEXT,
        "kind": MAX_INDEXED_TEXT,
        "note": None,
    }


def test_a_class_gets_portable_types_and_the_clock_of_the_server() -> None:
    """The class is made by the test, so that coverage follows it."""

    class Guest(IntegerKey, Scratch, table=True):
        """PostgreSQL's own UUIDs, arrays of instants, and instants that the database fills."""

        token_id: UUID = Field(sa_type=sa.UUID)
        times: list[datetime] = Field(sa_type=sa.ARRAY(sa.DateTime(timezone=True)))
        logs: list[Any] = Field(sa_type=sa.ARRAY(sa.JSON))
        made: datetime = Field(
            sa_column=sa.Column(sa.DateTime(timezone=True), server_default=sa.func.now(), onupdate=sa.func.now())
        )

    columns: Any = sa.inspect(Guest).columns
    assert (type(columns["token_id"].type), type(columns["times"].type.item_type)) == (sa.Uuid, UTCDateTime)
    assert columns["logs"].type.dimensions == 1
    filled = columns["made"]
    assert (filled.default.arg({}).tzinfo, filled.onupdate.arg({}).tzinfo) == (UTC, UTC)
    assert filled.server_default is not None

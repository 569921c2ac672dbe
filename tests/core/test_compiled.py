"""Compiled statements: predicates share one text, and values are exact in both directions on both databases."""

import enum
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import UTCDateTime

from rowhouse.core.settings import Settings
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import EnumText
from tests.databases import Databases


class Colour(enum.StrEnum):
    """Two colours."""

    RED = "red"
    BLUE = "blue"


kinds_metadata = sa.MetaData()
kinds = sa.Table(
    "kinds",
    kinds_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", UTCDateTime()),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("ratio", sa.Float),
    sa.Column("flag", sa.Boolean),
    sa.Column("token", sa.Uuid),
    sa.Column("colour", EnumText(Colour)),
    sa.Column("document", sa.JSON(none_as_null=True)),
    sa.Column("day", sa.Date),
    sa.Column("length", sa.Interval),
)
VALUES: Row = {
    "at": datetime(2030, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
    "price": Decimal("12345678.91"),
    "ratio": 0.1,
    "flag": True,
    "token": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "colour": Colour.BLUE,
    "document": {"ä": [1, None]},
    "day": datetime(2030, 1, 31, tzinfo=UTC).date(),
    "length": timedelta(hours=25, microseconds=1),
}
EMPTY = dict.fromkeys(VALUES)


@pytest.fixture(scope="module")
def database(backend: str, databases: Databases) -> Iterator[Database]:
    """A database with one table of every kind of column: row 1 is full, row 2 is empty."""
    url = databases.prepared(backend, "kinds", kinds_metadata.create_all)
    made = Database(Settings(database_url=url), kinds_metadata)
    insert(made, {"id": 1, **VALUES})
    insert(made, {"id": 2, **EMPTY})
    yield made
    made.dispose()


def insert(database: Database, row: Row) -> list[Row]:
    """Store a row by a compiled statement, and return it as stored."""
    values = {name: sa.bindparam(name, type_=kinds.c[name].type) for name in row}
    source = kinds.insert().values(values).returning(*kinds.c)
    return run(database, CompiledStatement(source, database.dialect, columns=list(kinds.c)), row)


def run(
    database: Database, statement: CompiledStatement, parameters: Row, predicate: Predicate = EVERYTHING
) -> list[Row]:
    """Run a statement, commit, and return its rows."""
    with UnitOfWork(database, write=True) as unit:
        return unit.run(statement, parameters, predicate)


def ids(database: Database, predicate: Predicate, statement: CompiledStatement | None = None) -> list[int]:
    """Return the rows that a predicate selects, by a statement compiled for it or for an equal one."""
    statement = statement or select_ids(database, predicate)
    return [row["id"] for row in run(database, statement, {}, predicate)]


def select_ids(database: Database, predicate: Predicate) -> CompiledStatement:
    """Return the statement for a predicate and its equals."""
    source = sa.select(kinds.c.id).order_by(kinds.c.id)
    if predicate.clause is not None:
        source = source.where(predicate.clause)
    return CompiledStatement(source, database.dialect, columns=[kinds.c.id], predicate=predicate)


def test_every_kind_of_value_survives(database: Database) -> None:
    """Stored, returned by RETURNING and by a select. Instants are in UTC."""
    source = sa.select(kinds).order_by(kinds.c.id)
    full, empty = run(database, CompiledStatement(source, database.dialect, columns=list(kinds.c)), {})[:2]
    assert full == {"id": 1, **VALUES}
    assert empty == {"id": 2, **EMPTY}
    assert (type(full["price"]), full["at"].utcoffset()) == (Decimal, timedelta(0))


def test_returned_values_are_converted_too(database: Database) -> None:
    """An instant with another offset is the same instant."""
    stored = insert(database, {"id": 3, **VALUES, "at": VALUES["at"].astimezone(timezone(timedelta(hours=5)))})
    assert {name: stored[0][name] for name in VALUES} == VALUES


def test_a_statement_without_columns_gives_no_rows(database: Database) -> None:
    """Such as an update without RETURNING."""
    source = kinds.update().where(kinds.c.id == -1).values(flag=False)
    assert run(database, CompiledStatement(source, database.dialect, columns=[]), {}) == []


def test_parameters_replace_the_constants_of_the_source(database: Database) -> None:
    """A literal in the source stays."""
    source = sa.select(kinds.c.id).where(
        kinds.c.id == sa.bindparam("wanted", type_=sa.Integer()), kinds.c.flag == sa.true()
    )
    statement = CompiledStatement(source, database.dialect, columns=[kinds.c.id])
    assert run(database, statement, {"wanted": 1}) == [{"id": 1}]
    assert run(database, statement, {"wanted": 2}) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (kinds.c.id == 1, kinds.c.id == 2),
        (kinds.c.token == uuid.uuid4(), kinds.c.token == uuid.uuid4()),
        (sa.and_(kinds.c.id > 1, kinds.c.flag), sa.and_(kinds.c.id > 9, kinds.c.flag)),
        (sa.false(), sa.false()),
    ],
)
def test_predicates_of_one_structure_are_equal(one: Any, other: Any) -> None:
    """Whatever their values are, so they share a compiled statement."""
    assert Predicate(one) == Predicate(other)
    assert hash(Predicate(one)) == hash(Predicate(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (kinds.c.id == 1, kinds.c.id != 1),
        (kinds.c.id == 1, kinds.c.ratio == 1),
        (kinds.c.id == 1, None),
        (kinds.c.id.in_([1]), kinds.c.id.in_([1])),
    ],
)
def test_predicates_with_a_list_equal_only_themselves(one: Any, other: Any) -> None:
    """The text of a list depends on its length, so such a predicate equals only itself."""
    assert Predicate(one) != Predicate(other)
    assert Predicate(one) != one


def test_without_a_condition_every_row_is_selected() -> None:
    """`None` among conditions is ignored."""
    assert Predicate() == Predicate(None) == EVERYTHING
    assert hash(Predicate(None)) == hash(EVERYTHING)
    assert Predicate(None, kinds.c.id == 1) == Predicate(kinds.c.id == 2)


def test_a_list_equals_itself(database: Database) -> None:
    """So it can be looked up by its hash."""
    predicate = Predicate(kinds.c.id.in_([1, 2]))
    assert {predicate: "found"}[predicate] == "found"


def test_equal_predicates_bind_their_own_values(database: Database) -> None:
    """A statement never selects with another caller's values."""
    first, second = Predicate(kinds.c.id == 1), Predicate(kinds.c.id == 2)
    statement = select_ids(database, first)
    assert ids(database, first, statement) == [1]
    assert ids(database, second, statement) == [2]
    assert ids(database, first, statement) == [1]


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        (kinds.c.id.in_([1]), [1]),
        (kinds.c.id.in_([1, 2, -5]), [1, 2]),
        (kinds.c.id.in_([]), []),
        (sa.and_(kinds.c.id.not_in([1]), kinds.c.id < 3), [2]),
        (sa.and_(kinds.c.token.in_([VALUES["token"], uuid.uuid4()]), kinds.c.id < 3), [1]),
        (sa.and_(kinds.c.colour.in_([Colour.BLUE]), kinds.c.id == 1), [1]),
        (sa.and_(kinds.c.colour == Colour.BLUE, kinds.c.id == 1), [1]),
        (sa.and_(kinds.c.at >= VALUES["at"], kinds.c.id.in_([1, 2])), [1]),
        (sa.and_(kinds.c.price == VALUES["price"], kinds.c.id < 3), [1]),
        (sa.and_(kinds.c.token == None, kinds.c.id < 3), [2]),  # noqa: E711  SQLAlchemy's IS NULL
        (sa.literal("100%") == "100%", None),
    ],
)
def test_predicates_select(database: Database, clause: Any, found: list[int] | None) -> None:
    """Lists too, with values of any type."""
    selected = ids(database, Predicate(clause))
    assert selected == found or (found is None and selected[:2] == [1, 2])


class Refusing(sa.types.TypeDecorator[str]):
    """A type of a project that cannot read what is stored."""

    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Refuse it."""
        raise ValueError(f"{value} on {dialect.name}")


def test_an_error_of_a_projects_own_type_is_raised(database: Database) -> None:
    """Only what SQLite stores as text is returned as text."""
    column = sa.type_coerce(kinds.c.colour, Refusing()).label("colour")
    statement = CompiledStatement(sa.select(column), database.dialect, columns=[column])
    with pytest.raises(ValueError, match="on "), UnitOfWork(database, write=False) as unit:
        unit.run(statement, {})


class Broken:
    """A driver of SQLite whose rows cannot be read."""

    reads_any_text = False

    def __init__(self) -> None:
        self.is_closed = False

    def execute(self, *_statement: Any) -> "Broken":
        """Return a cursor."""
        return self

    def fetchall(self) -> list[Any]:
        """Fail, as after `interrupt`."""
        raise sqlite3.OperationalError("interrupted")

    def close(self) -> None:
        """Close the cursor."""
        self.is_closed = True


def test_another_error_of_reading_is_raised_and_leaves_no_statement_open() -> None:
    """Only a text that is not UTF-8 is read again."""
    driver = Broken()
    statement = CompiledStatement(sa.select(kinds.c.id), sa.make_url("sqlite://").get_dialect()(), columns=[kinds.c.id])
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        statement.execute(driver, {})
    assert driver.is_closed

"""Database errors become responses by the name of the constraint, the same on both databases.

Unknown errors reveal nothing.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from rowhouse.core.errors import (
    ConflictError,
    ConnectionLostError,
    DatabaseError,
    DatabaseRightsError,
    DuplicateError,
    InvalidInputError,
    LockedError,
    ReadOnlyDatabaseError,
    ReferenceNotFoundError,
    RowhouseError,
    StatementTimeoutError,
    StillReferencedError,
    TransactionRetryError,
)
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.integrity import (
    NAMING_CONVENTION,
    ConstraintCatalog,
    ForeignKeyError,
    causes,
    is_disconnect,
    translate,
)
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.dependencies import SessionDep
from rowhouse.http.routing import Router
from tests.conftest import unique
from tests.core.conftest import Serve
from tests.databases import Databases


class OverlapError(ConflictError):
    """409: two guests in one room."""

    code = "overlap"


LONG = "a_column_with_a_name_so_long_that_postgresql_shortens_the_constraint"
metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
guests = sa.Table(
    "guests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(50), unique=True),
    sa.Column("first", sa.String(50)),
    sa.Column("last", sa.String(50)),
    sa.Column("nick", sa.String(50)),
    sa.Column("room", sa.Integer),
    sa.Column("badge", sa.Integer),
    sa.Column("host_id", sa.ForeignKey("guests.id")),
    sa.Column("age", sa.Integer, nullable=False, server_default="18"),
    sa.Column(LONG, sa.Integer, unique=True),
    sa.UniqueConstraint("first", "last"),
    sa.CheckConstraint("age > 0", name="age_positive"),
    sa.Index("ix_guests_nick", sa.text("lower(nick)"), unique=True),
    sa.Index("ix_guests_badge", "badge", unique=True),
    info={"entity": "Guest", "conflicts": {"ex_guests_room": OverlapError}},
)
EXCLUSION = "ALTER TABLE guests ADD CONSTRAINT ex_guests_room EXCLUDE USING btree (room WITH =)"
TRIGGER = """
CREATE TRIGGER ex_guests_room BEFORE INSERT ON guests
WHEN EXISTS (SELECT 1 FROM guests WHERE room = NEW.room)
BEGIN SELECT RAISE(ABORT, 'ex_guests_room'); END
"""


def make_tables(connection: sa.Connection) -> None:
    """Create the table, with the rule in each database's form."""
    metadata.create_all(connection)
    connection.exec_driver_sql(EXCLUSION if connection.dialect.name == "postgresql" else TRIGGER)


@pytest.fixture(scope="module")
def database(backend: str, databases: Databases) -> Iterator[Database]:
    """A database with guests. The first has id 1."""
    made = Database(Settings(database_url=databases.prepared(backend, "guests", make_tables)), metadata)
    store(made, room=1)
    yield made
    made.dispose()


def store(database: Database, **values: Any) -> None:
    """Store a guest."""
    with UnitOfWork(database, write=True) as unit:
        unit.session.execute(guests.insert().values(**values))


def refusal(database: Database, **values: Any) -> RowhouseError:
    """Return the error for a guest with these values, who must not be stored."""
    before = total(database)
    with pytest.raises(RowhouseError) as refused:
        store(database, **values)
    assert total(database) == before
    return refused.value


def total(database: Database) -> int:
    """Return the number of guests."""
    with UnitOfWork(database, write=False) as unit:
        return unit.session.scalar(sa.select(sa.func.count()).select_from(guests)) or 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id": 1}, "id"),
        ({"email": "a@example.com"}, "email"),
        ({"first": "Ann", "last": "Lee"}, "first and last"),
        ({"badge": 7}, "badge"),
        ({LONG: 1}, LONG),
    ],
)
def test_a_taken_value_names_its_columns(database: Database, values: dict[str, Any], words: str) -> None:
    """For a constraint or an index, on one or two columns, and with a name too long for PostgreSQL."""
    if "id" not in values:
        store(database, **values)
    error = refusal(database, **values)
    assert isinstance(error, DuplicateError)
    assert str(error) == f"Guest with this {words} already exists"


def test_a_taken_value_of_an_expression_names_the_entity(database: Database) -> None:
    """SQLite knows such an index only by its name."""
    store(database, nick="ann")
    error = refusal(database, nick="ANN")
    assert isinstance(error, DuplicateError)
    assert str(error) == "Guest with this value already exists"


def test_a_reference_to_nothing_names_its_member(database: Database) -> None:
    """On insert and on update."""
    error = refusal(database, host_id=-1)
    assert isinstance(error, ReferenceNotFoundError)
    assert str(error) == "host_id: there is nothing with this id."
    with pytest.raises(ReferenceNotFoundError, match="host_id"), UnitOfWork(database, write=True) as unit:
        unit.session.execute(guests.update().values(host_id=-1))


def test_a_referenced_row_is_not_deleted(database: Database) -> None:
    """The delete is rejected."""
    store(database, host_id=1)
    with pytest.raises(StillReferencedError), UnitOfWork(database, write=True) as unit:
        unit.session.execute(guests.delete().where(guests.c.id == 1))


def test_an_unknown_statement_gives_an_error_without_a_direction() -> None:
    """As at a commit, or in a table without a model."""
    error = ForeignKeyError()
    assert CATALOG.reference_error(error, None) is error
    told = CATALOG.reference_error(error, "INSERT INTO elsewhere (a) VALUES (1)")
    assert str(told) == "A member: there is nothing with this id."
    written = ["WITH given AS (VALUES (1)) UPDATE guests SET age = 2", 'INSERT INTO "elsewhere" (a) VALUES (1)']
    assert CATALOG.reference_error_at_commit(error, written) is error


@pytest.mark.parametrize(("age", "rule"), [(0, "ck_guests_age_positive"), (sa.null(), "guests.age")])
def test_a_broken_rule_is_named(database: Database, age: Any, rule: str) -> None:
    """A check, and a column that may not be null."""
    error = refusal(database, age=age)
    assert (type(error), str(error)) == (ConflictError, f"The values break the rule {rule}.")


def test_an_exclusion_constraint_and_its_trigger_give_one_error(database: Database) -> None:
    """Both raise the error in the table's info."""
    assert isinstance(refusal(database, room=1), OverlapError)


CATALOG = ConstraintCatalog(metadata)


@pytest.mark.parametrize(
    ("name", "table", "detail"),
    [
        ("uq_guests_email", None, "Guest with this email already exists"),
        ("pk_guests", None, "Guest with this id already exists"),
        ("ix_guests_badge", None, "Guest with this badge already exists"),
        ("made_by_hand", "guests", "Guest with this value already exists"),
        ("made_by_hand", "elsewhere", "A value that must be unique is taken."),
        (None, None, "A value that must be unique is taken."),
    ],
)
def test_a_unique_constraint_is_found_by_name(name: str | None, table: str | None, detail: str) -> None:
    """A duplicate in a constraint that the code does not know is still a duplicate."""
    assert str(CATALOG.unique_violation(name, table=table)) == detail


def test_a_rule_without_a_name_is_a_conflict() -> None:
    """A database may leave the name out."""
    assert str(CATALOG.rule_violation(None)) == "The values break a rule of the database."


def test_conflicts_must_be_errors_of_the_tree() -> None:
    """The message names the wrong value."""
    wrong = sa.MetaData()
    sa.Table("wrong", wrong, sa.Column("id", sa.Integer), info={"conflicts": {"rule": ValueError}})
    with pytest.raises(TypeError, match="RowhouseError classes, not <class 'ValueError'>"):
        ConstraintCatalog(wrong).rule_violation("rule")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22003", InvalidInputError),
        ("54000", InvalidInputError),
        ("40001", TransactionRetryError),
        ("40P01", TransactionRetryError),
        ("55P03", LockedError),
        ("08006", ConnectionLostError),
        ("58030", DatabaseError),
        ("53300", DatabaseError),
        ("57P01", ConnectionLostError),
        ("57014", StatementTimeoutError),
        ("25006", ReadOnlyDatabaseError),
        ("25P03", ConnectionLostError),
        ("25P04", ConnectionLostError),
        ("42501", DatabaseRightsError),
        ("26000", TransactionRetryError),
        ("42P05", TransactionRetryError),
        ("0A000", TransactionRetryError),
        ("P0002", ConflictError),
        ("P0004", ConflictError),
        ("27000", ConflictError),
        ("44000", ConflictError),
        ("42P01", RowhouseError),
        ("55000", RowhouseError),
    ],
)
def test_postgresql_states(state: str, kind: type[RowhouseError]) -> None:
    """After PostgREST's table. An error in our SQL is a 500."""
    assert type(translate(psycopg.errors.lookup(state)(), CATALOG)) is kind


FULL = {
    "sqlite": ["CREATE TRIGGER full BEFORE INSERT ON guests BEGIN SELECT RAISE(ABORT, 'the_house_is_full'); END"],
    "postgresql": [
        """CREATE FUNCTION full_() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the_house_is_full' USING DETAIL = new.email; END $$""",
        "CREATE TRIGGER full_ BEFORE INSERT ON guests FOR EACH ROW EXECUTE FUNCTION full_()",
    ],
}


def test_a_trigger_of_ones_own_says_which_rule_is_broken(backend: str, databases: Databases) -> None:
    """It is a conflict on both databases, not a 500."""
    own = Database(Settings(database_url=databases.prepared(backend, "guests", make_tables)), metadata)
    with own.engine.begin() as connection:
        for statement in FULL[backend]:
            connection.execute(sa.text(statement))
    refused = refusal(own, email="secret@example.com")
    own.dispose()
    assert (type(refused), refused.detail) == (ConflictError, "The values break the rule the_house_is_full.")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError("the connection is closed"), ConnectionLostError),
        (psycopg.InterfaceError("the cursor is closed"), DatabaseError),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), InvalidInputError),
        (psycopg.ProgrammingError("cannot adapt type 'object'"), RowhouseError),
    ],
)
def test_errors_of_psycopg_itself_are_translated(error: psycopg.Error, kind: type[RowhouseError]) -> None:
    """Its errors have no SQLSTATE."""
    assert type(translate(error, CATALOG)) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, LockedError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LockedError),
        (sqlite3.SQLITE_LOCKED, LockedError),
        (sqlite3.SQLITE_CANTOPEN, DatabaseError),
        (sqlite3.SQLITE_FULL, DatabaseError),
        (sqlite3.SQLITE_IOERR, DatabaseError),
        (sqlite3.SQLITE_READONLY, ReadOnlyDatabaseError),
        (sqlite3.SQLITE_READONLY_DBMOVED, ReadOnlyDatabaseError),
        (sqlite3.SQLITE_INTERRUPT, StatementTimeoutError),
        (sqlite3.SQLITE_ERROR, RowhouseError),
        (None, RowhouseError),
    ],
)
def test_sqlite_codes(code: int | None, kind: type[RowhouseError]) -> None:
    """An error in our SQL is a 500, and so is one of the module itself."""
    error = sqlite3.OperationalError("some message")
    if code is not None:
        error.sqlite_errorcode = code
    assert type(translate(error, CATALOG)) is kind


@pytest.mark.parametrize("error", [None, ValueError("no driver's")])
def test_anything_else_is_a_500(error: Exception | None) -> None:
    """Without a code of its own."""
    assert type(translate(error, CATALOG)) is RowhouseError


def test_a_lost_connection_is_seen_in_the_cause() -> None:
    """A lock timeout or a rejected value is not one."""
    error = RowhouseError()
    error.__cause__ = sa.exc.OperationalError("statement", None, Exception())
    assert not is_disconnect(error)
    error.__cause__.__cause__ = psycopg.errors.AdminShutdown()
    assert is_disconnect(error)
    assert is_disconnect(psycopg.OperationalError("the connection is closed"))
    assert not is_disconnect(psycopg.errors.LockNotAvailable())
    assert not is_disconnect(None)


def test_an_unknown_error_reveals_nothing(serve: Serve, shop_url: str) -> None:
    """The 500 contains no SQL, names or values."""
    router, name = Router(), unique("hidden")

    @router.get("/broken", policy=ANYONE)
    def read_broken(session: SessionDep) -> None:
        session.execute(sa.text("SELECT :value FROM nowhere"), {"value": name})

    client = serve(router, url=shop_url)
    answer = client.get("/api/v1/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["detail"] == RowhouseError.default_detail
    assert not any(word in answer.text for word in (name, "nowhere", "SELECT"))


def test_an_error_that_is_its_own_cause_comes_once() -> None:
    """Python allows it: `raise error from error`. A loop would hold the thread for ever."""
    error = ValueError("again")
    error.__cause__ = error
    assert list(causes(error)) == [error]

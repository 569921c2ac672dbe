"""PostgreSQL by libpq: what is prepared when, and what becomes of it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from backend.core import libpq
from backend.core.constraints import ConstraintCatalog, translate
from backend.core.errors import TransactionRetryError
from backend.core.libpq import PREPARE_AFTER, Libpq, numbered
from tests.databases import Databases

ONE = "SELECT $1::INTEGER"


@pytest.fixture
def connection(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own."""
    url = databases.empty("postgresql").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


def prepared(connection: psycopg.Connection[Any]) -> list[str]:
    """The statements that the server holds for this connection."""
    rows = connection.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'rowhouse_%' ORDER BY name")
    return [row[0] for row in rows]


def test_parameters_are_numbered_in_their_order() -> None:
    """Each place has its own, and a doubled sign for percent is one."""
    assert numbered("a = %(x)s AND b LIKE '10%%' AND c = %(y)s OR d = %(x)s") == (
        "a = $1 AND b LIKE '10%' AND c = $2 OR d = $3",
        ["x", "y", "x"],
    )


def test_a_statement_is_prepared_once_it_has_come_often_enough(connection: psycopg.Connection[Any]) -> None:
    """And gives the same before and after."""
    driver = Libpq(connection)
    for number in range(PREPARE_AFTER):
        assert driver.execute(ONE, [number]).fetchall() == [(number,)]
    assert prepared(connection) == []
    for number in range(3):
        assert driver.execute(ONE, [number]).fetchone() == (number,)
    assert prepared(connection) == [ONE]


def test_what_is_to_be_planned_anew_is_never_prepared(connection: psycopg.Connection[Any]) -> None:
    """Not even where the same text was before."""
    driver = Libpq(connection)
    for number in range(PREPARE_AFTER + 3):
        assert driver.execute(ONE, [number], prepare=False).fetchall() == [(number,)]
    assert prepared(connection) == []


def test_the_oldest_makes_room(connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection holds so many at most, on both sides."""
    monkeypatch.setattr(libpq, "MAX_PREPARED", 2)
    driver = Libpq(connection)
    texts = [f"SELECT $1::INTEGER + {number}" for number in range(3)]
    for text in texts:
        for _ in range(PREPARE_AFTER + 1):
            driver.execute(text, [1])
    assert prepared(connection) == texts[1:]
    assert driver.execute(texts[0], [1]).fetchall() == [(1,)]


def test_what_comes_once_is_not_counted_for_ever(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts are bounded, for texts that hold values of a request are without number."""
    monkeypatch.setattr(libpq, "MAX_COUNTED", 2)
    driver = Libpq(connection)
    for number in range(9):
        assert driver.execute(f"SELECT {number}").fetchone() == (number,)
    assert len(driver._uses) <= 2


@pytest.mark.parametrize("change", ["ALTER TABLE shelves ADD COLUMN place text", "DEALLOCATE ALL"])
def test_a_plan_that_is_of_no_use_any_more_is_not_missed(connection: psycopg.Connection[Any], change: str) -> None:
    """Outside a transaction the statement is run again at once; within one, the transaction is to be begun anew."""
    driver = Libpq(connection)
    connection.execute("CREATE TABLE shelves (name text)")
    for _ in range(PREPARE_AFTER + 1):
        driver.execute("SELECT * FROM shelves")
    connection.execute(change)
    assert driver.execute("SELECT * FROM shelves").fetchone() is None
    for _ in range(PREPARE_AFTER + 1):
        driver.execute("SELECT name FROM shelves")
    connection.execute("ALTER TABLE shelves ALTER COLUMN name TYPE varchar(9)")
    driver.begin()
    with pytest.raises(psycopg.Error) as raised:
        driver.execute("SELECT name FROM shelves")
    assert isinstance(translate(raised.value, ConstraintCatalog(sa.MetaData())), TransactionRetryError)
    driver.rollback()
    driver.begin()
    assert driver.execute("SELECT name FROM shelves").fetchone() is None
    driver.commit()


def test_a_statement_that_cannot_be_prepared_says_why(connection: psycopg.Connection[Any]) -> None:
    """Each time that it is run, with psycopg's own errors."""
    driver = Libpq(connection)
    for _ in range(PREPARE_AFTER + 2):
        with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
            driver.execute("SELECT * FROM nowhere")
    assert prepared(connection) == []


def test_a_connection_that_is_gone_is_an_operational_error(
    connection: psycopg.Connection[Any], databases: Databases
) -> None:
    """As with a cursor."""
    driver = Libpq(connection)
    (process,) = driver.execute("SELECT pg_backend_pid()").fetchall()[0]
    url = databases.url("postgresql", "postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [process])
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            driver.execute("SELECT 1")

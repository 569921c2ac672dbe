"""The libpq connection: transactions, results, and which statements it prepares."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from rowhouse.core.errors import TransactionRetryError
from rowhouse.db.dialects import libpq
from rowhouse.db.dialects.libpq import (
    PREPARE_AFTER,
    PostgresqlDriver,
    StatementPreparation,
    number_parameters,
    statement_name,
)
from rowhouse.db.integrity import ConstraintCatalog, translate
from tests.databases import Databases

ONE = "SELECT $1::INTEGER"


@pytest.fixture
def connection(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A new connection."""
    url = databases.empty("postgresql").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


def prepared(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the statements that the server has prepared for this connection."""
    rows = connection.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'rowhouse_%' ORDER BY name")
    return [row[0] for row in rows]


def test_parameters_are_numbered_in_their_order() -> None:
    """Each occurrence has a number. A doubled percent sign is one."""
    assert number_parameters("a = %(x)s AND b LIKE '10%%' AND c = %(y)s OR d = %(x)s") == (
        "a = $1 AND b LIKE '10%' AND c = $2 OR d = $3",
        ["x", "y", "x"],
    )


def test_a_statement_is_prepared_once_it_has_come_often_enough(connection: psycopg.Connection[Any]) -> None:
    """Its result is the same before and after."""
    driver = PostgresqlDriver(connection)
    for number in range(PREPARE_AFTER):
        assert driver.execute(ONE, [number]).fetchall() == [(number,)]
    assert prepared(connection) == []
    for number in range(3):
        assert driver.execute(ONE, [number]).fetchone() == (number,)
    assert prepared(connection) == [ONE]


def test_a_statement_that_needs_its_own_plan_is_never_prepared(connection: psycopg.Connection[Any]) -> None:
    """Not even if the same text was prepared before."""
    driver = PostgresqlDriver(connection)
    for number in range(PREPARE_AFTER + 3):
        assert driver.execute(ONE, [number], prepare=False).fetchall() == [(number,)]
    assert prepared(connection) == []


def test_the_oldest_prepared_statement_is_closed_for_a_new_one(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of prepared statements is limited, in the client and on the server."""
    monkeypatch.setattr(libpq, "MAX_PREPARED", 2)
    driver = PostgresqlDriver(connection)
    texts = [f"SELECT $1::INTEGER + {number}" for number in range(3)]
    for text in texts:
        for _ in range(PREPARE_AFTER + 1):
            driver.execute(text, [1])
    assert prepared(connection) == texts[1:]
    assert driver.execute(texts[0], [1]).fetchall() == [(1,)]


def test_counts_of_rare_statements_are_limited(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts are limited, because texts with values of requests are unlimited."""
    monkeypatch.setattr(libpq, "MAX_COUNTED", 2)
    driver = PostgresqlDriver(connection)
    for number in range(9):
        assert driver.execute(f"SELECT {number}").fetchone() == (number,)
    assert len(driver._uses) <= 2


@pytest.mark.parametrize("change", ["ALTER TABLE shelves ADD COLUMN place text", "DEALLOCATE ALL"])
def test_a_stale_plan_is_replaced(connection: psycopg.Connection[Any], change: str) -> None:
    """Outside a transaction the statement runs again at once. Within one, the transaction must be repeated."""
    driver = PostgresqlDriver(connection)
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
    """Every time, with psycopg's own errors."""
    driver = PostgresqlDriver(connection)
    for _ in range(PREPARE_AFTER + 2):
        with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
            driver.execute("SELECT * FROM nowhere")
    assert prepared(connection) == []


def test_a_connection_that_is_gone_is_an_operational_error(
    connection: psycopg.Connection[Any], databases: Databases
) -> None:
    """As with a cursor."""
    driver = PostgresqlDriver(connection)
    (process,) = driver.execute("SELECT pg_backend_pid()").fetchall()[0]
    url = databases.url("postgresql", "postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [process])
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            driver.execute("SELECT 1")


def uses(driver: PostgresqlDriver, text: str = ONE) -> None:
    """Run a statement until it is prepared, if it may be."""
    for _ in range(PREPARE_AFTER + 1):
        assert driver.execute(text, [1]).fetchone() == (1,)


def test_a_name_follows_from_its_text() -> None:
    """On a shared session it never names another statement."""
    assert statement_name("SELECT 1") == statement_name("SELECT 1") != statement_name("SELECT 2")
    assert len(statement_name("SELECT 1")) < 63


@pytest.mark.parametrize("loss", ["DEALLOCATE ALL", "there already"])
def test_where_a_pooler_loses_statements_the_process_goes_on_without(
    connection: psycopg.Connection[Any], loss: str
) -> None:
    """No request fails, and nothing is prepared any more."""
    preparing = StatementPreparation()
    driver, other = (PostgresqlDriver(connection, preparing=preparing, is_pooled=True) for _ in range(2))
    uses(driver)
    if loss == "DEALLOCATE ALL":
        connection.execute(loss)
        uses(driver)
    else:
        uses(other)
    assert not preparing.is_on
    connection.execute("DEALLOCATE ALL")
    uses(driver)
    uses(other)
    assert prepared(connection) == []


def test_a_statement_lost_within_a_transaction_repeats_the_transaction(connection: psycopg.Connection[Any]) -> None:
    """The transaction is lost. The next attempt prepares nothing."""
    preparing = StatementPreparation()
    driver, other = (PostgresqlDriver(connection, preparing=preparing, is_pooled=True) for _ in range(2))
    uses(driver)
    for _ in range(PREPARE_AFTER):
        other.execute(ONE, [1])
    other.begin()
    with pytest.raises(psycopg.errors.DuplicatePreparedStatement) as raised:
        other.execute(ONE, [1])
    assert isinstance(translate(raised.value, ConstraintCatalog(sa.MetaData())), TransactionRetryError)
    other.rollback()
    other.begin()
    uses(other)
    other.commit()


@pytest.mark.parametrize(("setting", "count"), [("never", 0), ("always", 1)])
def test_the_setting_decides(connection: psycopg.Connection[Any], setting: str, count: int) -> None:
    """Also behind a pooler that has lost a statement."""
    driver = PostgresqlDriver(connection, preparing=StatementPreparation(setting), is_pooled=True)
    uses(driver)
    connection.execute("DEALLOCATE ALL")
    uses(driver)
    assert len(prepared(connection)) == count


def test_an_old_libpq_closes_no_prepared_statement(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first statements stay prepared, and no others are prepared."""
    monkeypatch.setattr(libpq, "MAX_PREPARED", 1)
    monkeypatch.setattr(libpq, "CLOSES_PREPARED", 10**9)
    driver = PostgresqlDriver(connection)
    uses(driver)
    uses(driver, "SELECT $1::BIGINT")
    assert prepared(connection) == [ONE]


def test_a_transaction_that_had_failed_is_not_committed_silently(connection: psycopg.Connection[Any]) -> None:
    """PostgreSQL responds to its COMMIT with ROLLBACK, which is an error."""
    driver = PostgresqlDriver(connection)
    driver.begin()
    with pytest.raises(psycopg.errors.UndefinedTable):
        driver.execute("SELECT * FROM nowhere")
    with pytest.raises(psycopg.InternalError, match="had failed"):
        driver.commit()
    assert not driver.in_transaction


def test_a_command_that_fails_says_why(connection: psycopg.Connection[Any]) -> None:
    """Such as the settings of a transaction."""
    driver = PostgresqlDriver(connection, local="set_config('no_such_setting', '1', true)")
    with pytest.raises(psycopg.errors.UndefinedObject, match="no_such_setting"):
        driver.begin_now()
    driver.rollback()
    with pytest.raises(psycopg.errors.UndefinedObject, match="no_such_setting"):
        driver.execute(ONE, [1])


LOCAL = "set_config('lock_timeout', '1s', true)"


def test_a_large_statement_follows_its_settings(connection: psycopg.Connection[Any]) -> None:
    """It is larger than a socket's buffer, and is sent in parts."""
    driver = PostgresqlDriver(connection, local=LOCAL)
    text = "x" * 20_000_000
    assert driver.execute("SELECT length($1::text), $1::text", [text], prepare=False).fetchone() == (len(text), text)


@pytest.mark.parametrize("begin", [PostgresqlDriver.begin, lambda _driver: None])
def test_a_connection_that_is_lost_behind_its_settings_is_an_operational_error(
    connection: psycopg.Connection[Any], begin: Callable[[PostgresqlDriver], None]
) -> None:
    """As with any statement."""
    driver = PostgresqlDriver(connection, local=LOCAL)
    (process,) = driver.execute("SELECT pg_backend_pid()").fetchall()[0]
    begin(driver)
    with pytest.raises(psycopg.OperationalError):
        driver.execute("SELECT pg_terminate_backend($1::integer), pg_sleep(5)", [process])
    with pytest.raises(psycopg.OperationalError):
        driver.execute("SELECT 1")


def test_values_of_a_type_that_psycopg_does_not_know_are_text(connection: psycopg.Connection[Any]) -> None:
    """Such as an enum of the database."""
    connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    assert PostgresqlDriver(connection).execute("SELECT 'glad'::mood", binary=True).fetchone() == ("glad",)


def test_a_result_that_is_missing_is_a_lost_connection(connection: psycopg.Connection[Any]) -> None:
    """In every form in which libpq reports it."""
    driver = PostgresqlDriver(connection)
    driver._pgconn = SimpleNamespace(  # type: ignore[assignment]  # what the method asks of it
        flush=lambda: 0, is_busy=lambda: False, get_result=lambda: None
    )
    with pytest.raises(psycopg.OperationalError, match="was lost"):
        driver._next_result()

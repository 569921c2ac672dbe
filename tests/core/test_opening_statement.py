"""The first statement of a transaction on PostgreSQL shares the round trip of BEGIN, with its values as literals."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import pq

from rowhouse.db.dialects.libpq import MAX_EMBEDDED, PREPARE_AFTER, PostgresqlDriver
from tests.databases import Databases

COUNTED = "SELECT $1::INTEGER + count(*) FROM shelves"
LOCAL = "set_config('lock_timeout', '1234', true)"
SURROGATES: Any = ["Cs"]


@pytest.fixture(scope="module")
def connection(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A connection."""
    url = databases.empty("postgresql").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True, client_encoding="utf8") as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


@pytest.fixture
def driver(connection: psycopg.Connection[Any]) -> PostgresqlDriver:
    """A driver that has prepared nothing, beside an empty table."""
    connection.execute("DEALLOCATE ALL; DROP TABLE IF EXISTS shelves; CREATE TABLE shelves (name text)")
    return PostgresqlDriver(connection)


def prepare(driver: PostgresqlDriver, text: str, values: Sequence[Any] = ()) -> None:
    """Run a statement until it is prepared."""
    for _ in range(PREPARE_AFTER + 1):
        driver.execute(text, values)


def open_with(driver: PostgresqlDriver, text: str, values: Sequence[Any] = ()) -> list[Any]:
    """Begin a transaction with a statement, and return the rows."""
    driver.begin()
    return driver.execute(text, values, binary=True, same_in_text=True).fetchall()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The statements that were run together with BEGIN."""
    found: list[bytes] = []
    run = PostgresqlDriver._open_with

    def note(driver: PostgresqlDriver, name: bytes, parameters: Sequence[bytes | None]) -> Any:
        found.append(name)
        return run(driver, name, parameters)

    monkeypatch.setattr(PostgresqlDriver, "_open_with", note)
    return found


def test_a_transaction_begins_with_its_first_statement(
    driver: PostgresqlDriver, connection: psycopg.Connection[Any], calls: list[bytes]
) -> None:
    """It returns the same rows as alone, and later statements are in its transaction."""
    prepare(driver, COUNTED, [1])
    assert open_with(driver, COUNTED, [41]) == [(41,)]
    assert connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS
    driver.execute("INSERT INTO shelves VALUES ('a')")
    driver.rollback()
    prepare(driver, "INSERT INTO shelves VALUES ($1) RETURNING name", ["b"])
    assert open_with(driver, "INSERT INTO shelves VALUES ($1) RETURNING name", ["c"]) == [("c",)]
    driver.execute("INSERT INTO shelves VALUES ('d')")
    driver.commit()
    assert len(calls) == 2
    assert driver.execute("SELECT name FROM shelves WHERE name > 'b'").fetchall() == [("c",), ("d",)]


@pytest.mark.parametrize("change", ["ALTER TABLE shelves ADD COLUMN place text", "DEALLOCATE ALL"])
def test_it_is_run_again_where_its_plan_is_lost(
    driver: PostgresqlDriver, connection: psycopg.Connection[Any], change: str
) -> None:
    """In a new transaction, because nothing else has happened in the old one."""
    prepare(driver, COUNTED, [1])
    prepare(driver, "SELECT * FROM shelves")
    connection.execute(change)
    for text, values in (("SELECT * FROM shelves", []), (COUNTED, [5])):
        assert open_with(driver, text, values) == ([(5,)] if values else [])
        assert connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS
        driver.rollback()


def test_another_error_is_raised(driver: PostgresqlDriver, connection: psycopg.Connection[Any]) -> None:
    """The transaction has failed."""
    prepare(driver, "SELECT 1 / $1::INTEGER", [1])
    with pytest.raises(psycopg.errors.DivisionByZero):
        open_with(driver, "SELECT 1 / $1::INTEGER", [0])
    assert connection.pgconn.transaction_status == pq.TransactionStatus.INERROR
    driver.rollback()


@pytest.mark.parametrize("conforming", ["on", "off"])
@given(value=st.none() | st.text(st.characters(exclude_categories=SURROGATES, exclude_characters="\0")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_text_is_the_same_as_a_literal(
    driver: PostgresqlDriver, connection: psycopg.Connection[Any], conforming: str, value: str | None
) -> None:
    """Quotes and backslashes included, however the session reads its literals."""
    connection.execute(f"SET standard_conforming_strings = {conforming}")
    prepare(driver, "SELECT $1::text", ["x"])
    for text in (value, value and f"'); DROP TABLE shelves; --{value}\\", value and f"\\'{value}"):
        assert open_with(driver, "SELECT $1::text", [text]) == [(text,)]
        driver.rollback()
    connection.execute("RESET standard_conforming_strings")
    assert driver.execute("SELECT count(*) FROM shelves").fetchall() == [(0,)]


VALUES = {
    "boolean": ["true", "false"],
    "bytea": ["", r"\x00ff5c27", r"\x"],
    "date": ["2024-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "0044-03-15 BC", "infinity", "-infinity"],
    "integer": ["0", "-2147483648"],
    "bigint": ["9223372036854775807"],
    "interval": ["0", "1 year 2 mons -3 days 04:05:06.000007", "-00:00:01", "-1 mons +1 day", "178000000 years"],
    "json": ['{"a": [1, 2.50, "\\u00e9 \\\\ \'"]}', "null", '"x"'],
    "jsonb": ['{"a": [1, 2.50, "\\u00e9 \\\\ \'"]}', "null", '"x"'],
    "numeric": ["0", "0.00", "-12.340", "1e40", "NaN", "123456789012345678901234567890.123456789"],
    "smallint": ["-1"],
    "text": ["", "é\n\t'\"\\"],
    "time": ["00:00", "23:59:59.999999", "24:00", "12:30:00.5"],
    "timestamp": ["2024-02-29 12:00:00.5", "0001-01-01", "10000-01-01 00:00", "0044-03-15 BC", "infinity", "-infinity"],
    "timestamptz": [
        "2024-02-29 12:00:00.123456+05:30",
        "0001-01-01 00:00+00",
        "9999-12-31 23:59:59.999999+00",
        "10000-01-01 00:00+00",
        "10000-01-01 00:00:00.5+00",
        "0044-03-15 01:02:03+00 BC",
        "infinity",
        "-infinity",
    ],
    "uuid": ["00000000-0000-0000-0000-0000000000ff"],
    "varchar": ["x"],
}


@pytest.mark.parametrize("kind", VALUES)
def test_results_in_text_are_those_in_binary(driver: PostgresqlDriver, calls: list[bytes], kind: str) -> None:
    """Of each type that a compiled statement reads in binary, also out of the range of Python's types."""
    text = f"SELECT $1::text::{kind}, NULL::{kind}"
    prepare(driver, text, VALUES[kind][:1])
    for value in VALUES[kind]:
        found = open_with(driver, text, [value])
        driver.rollback()
        alone = driver.execute(text, [value], binary=True).fetchall()
        assert [(repr(one), type(one)) for one in found[0]] == [(repr(one), type(one)) for one in alone[0]]
    assert len(calls) == len(VALUES[kind])


@pytest.mark.parametrize(
    "setting", ["DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Tokyo'"]
)
def test_a_session_whose_style_was_changed_sends_its_values_apart(
    driver: PostgresqlDriver, connection: psycopg.Connection[Any], calls: list[bytes], setting: str
) -> None:
    """Code of the project can change it. The results in binary do not depend on it."""
    text = "SELECT $1::date, '-1 mons +2 days'::interval, '10000-01-01 00:00+00'::timestamptz"
    prepare(driver, text, ["2024-02-29"])
    expected = open_with(driver, text, ["2024-02-29"])
    driver.rollback()
    connection.execute(f"SET {setting}")
    assert repr(open_with(driver, text, ["2024-02-29"])) == repr(expected)
    driver.rollback()
    connection.execute(f"SET {setting.partition(' ')[0]} = {'UTC' if 'Zone' in setting else 'DEFAULT'}")
    assert repr(open_with(driver, text, ["2024-02-29"])) == repr(expected)
    driver.rollback()
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("options", "size", "same_in_text"),
    [
        ({"is_pooled": True}, 1, True),
        ({"local": LOCAL}, 1, True),
        ({}, MAX_EMBEDDED + 1, True),
        ({}, 1, False),
    ],
)
def test_elsewhere_a_transaction_begins_by_itself(
    driver: PostgresqlDriver,
    connection: psycopg.Connection[Any],
    calls: list[bytes],
    options: dict[str, Any],
    size: int,
    *,
    same_in_text: bool,
) -> None:
    """A pooler may know a statement by another name, settings come first, and long values need no second copy."""
    other = PostgresqlDriver(connection, **options)
    for _ in range(PREPARE_AFTER + 2):
        other.begin()
        value = "x" * size
        assert other.execute("SELECT $1::text", [value], same_in_text=same_in_text).fetchall() == [(value,)]
        assert connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS
        other.rollback()
    assert calls == []

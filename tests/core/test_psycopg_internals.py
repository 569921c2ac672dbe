"""The undocumented parts of psycopg: an upgrade that changes one fails here."""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import pq
from psycopg.adapt import PyFormat

from rowhouse.db.dialects.psycopg_internals import error_of, libpq_of, new_transformer
from tests.databases import Databases


@pytest.fixture
def connection(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A connection of psycopg's to an empty database, with unusual settings of the session."""
    url = databases.empty("postgresql").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as made:
        made.execute("SET TimeZone = 'Asia/Tokyo'")
        made.execute("SET IntervalStyle = sql_standard")
        yield made


def test_one_transformer_converts_for_the_life_of_a_connection(connection: psycopg.Connection[Any]) -> None:
    """`Transformer.dump_sequence`, `set_pgresult` and `load_rows`.

    Its caches serve other statements, types and sessions.
    """
    transformer, pgconn = new_transformer(connection), libpq_of(connection)
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    cases: list[list[Any]] = [[1, "one"], [None, b"\x00"], [noon, timedelta(days=1, seconds=-5)], ["two", 2]]
    for values in cases:
        kinds = ["timestamptz", "interval"] if values[0] is noon else ["int8", "bytea"] if values[0] is None else None
        casts = kinds or [("text" if isinstance(value, str) else "int8") for value in values]
        text = f"SELECT $1::{casts[0]}, $2::{casts[1]}".encode()
        parameters: Any = transformer.dump_sequence(values, [PyFormat.TEXT] * 2)
        for form in (pq.Format.TEXT, pq.Format.BINARY):
            result = pgconn.exec_params(text, parameters, result_format=form)
            if kinds == ["timestamptz", "interval"] and form is pq.Format.TEXT:
                continue  # depends on the session; the driver reads these in binary
            transformer.set_pgresult(result)
            assert transformer.load_rows(0, result.ntuples, tuple) == [tuple(values)]


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, psycopg.Binary])
@pytest.mark.parametrize("setting", ["on", "off"])
def test_bytes_are_stored_as_they_are(
    connection: psycopg.Connection[Any], wrap: Callable[[bytes], object], setting: str
) -> None:
    """All of them, quotes and backslashes included, however the session reads literals."""
    connection.execute(f"SET standard_conforming_strings = {setting}")
    given = bytes(range(256)) + b"'' \\\\ \\x27"
    transformer, pgconn = new_transformer(connection), libpq_of(connection)
    for value in (given, b""):
        parameters: Any = transformer.dump_sequence([wrap(value)], [PyFormat.TEXT])
        result = pgconn.exec_params(b"SELECT $1::bytea", parameters, result_format=pq.Format.BINARY)
        assert result.get_value(0, 0) == value


@pytest.mark.parametrize(
    ("form", "given", "expected"),
    [
        (pq.Format.BINARY, struct.pack("!qii", 2**63 - 1, 2**31 - 1, 2**31 - 1), "infinity"),
        (pq.Format.BINARY, struct.pack("!qii", -(2**63), -(2**31), -(2**31)), "-infinity"),
        (pq.Format.BINARY, struct.pack("!qii", 0, 1, -2), timedelta(days=-59)),
        (pq.Format.TEXT, b"-infinity", "-infinity"),
        (pq.Format.TEXT, b"1 mon -2 days -01:00:00.5", timedelta(days=28, hours=-1, microseconds=-500_000)),
    ],
)
def test_intervals_of_any_server(
    connection: psycopg.Connection[Any], form: pq.Format, given: bytes, expected: object
) -> None:
    """A month is 30 days. PostgreSQL has infinite ones since 17."""
    loader = new_transformer(connection).get_loader(psycopg.adapters.types["interval"].oid, form)
    assert loader.load(given) == expected


def test_a_failed_result_is_psycopgs_error(connection: psycopg.Connection[Any]) -> None:
    """`error_from_result` gives the class of the SQLSTATE."""
    pgconn = libpq_of(connection)
    error = error_of(pgconn, pgconn.exec_(b"SELECT 1 / 0"))
    assert isinstance(error, psycopg.errors.DivisionByZero)
    assert error.sqlstate == "22012"


def test_an_error_of_a_lost_connection_is_operational(connection: psycopg.Connection[Any]) -> None:
    """It has no SQLSTATE that says so."""
    pgconn = libpq_of(connection)
    result = pgconn.exec_(f"SELECT pg_terminate_backend({pgconn.backend_pid})".encode())
    if pgconn.status != pq.ConnStatus.BAD:
        result = pgconn.exec_(b"SELECT 1")
    assert isinstance(error_of(pgconn, result), psycopg.OperationalError)

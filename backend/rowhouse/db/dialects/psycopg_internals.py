"""Parts of psycopg that are not documented: converting values and results without a cursor.

No other module imports one. `tests/core/test_psycopg_internals.py` fails first when an upgrade changes one. psycopg
intends a `Transformer` for one query. Here one lives as long as its connection; that is safe because its adapters do
not depend on the session (`_NoSession`).
"""

from datetime import timedelta
from typing import Any

import psycopg
from psycopg import abc, pq
from psycopg.adapt import AdaptersMap, Dumper, Loader, Transformer
from psycopg.errors import error_from_result


class _TextOfUnknownType(Loader):
    """A value of a type that psycopg does not know, such as an enum. Its binary form is its text."""

    format = pq.Format.BINARY

    def load(self, data: Any) -> str:
        """Return the text."""
        return bytes(data).decode()


class _SignedInterval(Dumper):
    """An interval with a sign on each part, which PostgreSQL reads the same whatever its `IntervalStyle`."""

    oid = psycopg.adapters.types["interval"].oid

    def dump(self, obj: timedelta) -> bytes:
        """Return the days, seconds and microseconds."""
        return b"%+d day %+d second %+d microsecond" % (obj.days, obj.seconds, obj.microseconds)


class _NoSession:
    """A context for psycopg's adapters that ignores the session: instants are in UTC, dates in ISO 8601."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = AdaptersMap(adapters)
        self.adapters.register_loader(0, _TextOfUnknownType)
        self.adapters.register_dumper(timedelta, _SignedInterval)
        self.connection = None


def new_transformer(connection: psycopg.Connection[Any]) -> abc.Transformer:
    """Return the object that converts parameters and rows of a connection, without regard to the session's settings.

    `PostgresqlDriver` calls `dump_sequence(values, formats)`, `set_pgresult(result)` and `load_rows(0, count, tuple)`.
    """
    return Transformer(_NoSession(connection.adapters))


def libpq_of(connection: psycopg.Connection[Any]) -> pq.abc.PGconn:
    """Return the libpq connection below a connection."""
    return connection.pgconn


def error_of(pgconn: pq.abc.PGconn, result: pq.abc.PGresult) -> psycopg.Error:
    """Return psycopg's error for a failed result, or `OperationalError` for a lost connection."""
    if pgconn.status == pq.ConnStatus.BAD:
        return psycopg.OperationalError(result.get_error_message())
    return error_from_result(result)

"""Parts of psycopg that are not documented: converting values and results without a cursor.

No other module imports one. `tests/core/test_psycopg_internals.py` fails first when an upgrade changes one. psycopg
intends a `Transformer` for one query. Here one lives as long as its connection; that is safe because its adapters do
not depend on the session (`_NoSession`).
"""

import re
import struct
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import abc, pq
from psycopg.adapt import AdaptersMap, Dumper, Loader, Transformer
from psycopg.errors import error_from_result

from rowhouse.db.out_of_range import (
    END_OF_DAY,
    INFINITY,
    OutOfRange,
    day_text,
    duration_text,
    instant_text,
)

INTERVAL = struct.Struct("!qii")
INTERVAL_TEXT = re.compile(
    rb"(?:([-+]?\d+) years? ?)?(?:([-+]?\d+) mons? ?)?(?:([-+]?\d+) days? ?)?"
    rb"(?:([-+]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
)
DAYS_OF_A_MONTH = 30  # PostgreSQL compares intervals so


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


class _HexBytes(Dumper):
    """Bytes in hexadecimal. Without a connection psycopg's own dumper doubles each quote, as for a literal."""

    oid = psycopg.adapters.types["bytea"].oid

    def dump(self, obj: Any) -> bytes:
        """Return the text that PostgreSQL reads whatever its settings are."""
        return b"\\x" + bytes(obj.obj if isinstance(obj, psycopg.Binary) else obj).hex().encode()


class _Interval(Loader):
    """A binary interval. A month has 30 days, as in PostgreSQL's comparisons, so that cursors follow its order."""

    format = pq.Format.BINARY

    def load(self, data: Any) -> timedelta | OutOfRange:
        """Return the duration."""
        microseconds, days, months = INTERVAL.unpack(data)
        if months == days == 2**31 - 1:
            return OutOfRange(INFINITY)
        if months == days == -(2**31):
            return OutOfRange(f"-{INFINITY}")
        return _duration(months, days, microseconds)


class _IntervalText(Loader):
    """A text interval in the style `postgres`, with months as in `_Interval`."""

    def load(self, data: Any) -> timedelta | OutOfRange:
        """Return the duration."""
        found = INTERVAL_TEXT.fullmatch(bytes(data))
        if found is None:
            return OutOfRange(bytes(data).decode())
        years, months, days, sign, *clock, fraction = (part or b"0" for part in found.groups())
        hours, minutes, seconds = map(int, clock)
        microseconds = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int(fraction.ljust(6, b"0"))
        return _duration(int(years) * 12 + int(months), int(days), -microseconds if sign == b"-" else microseconds)


def _duration(months: int, days: int, microseconds: int) -> timedelta | OutOfRange:
    try:
        return timedelta(days=days + months * DAYS_OF_A_MONTH, microseconds=microseconds)
    except OverflowError:
        return OutOfRange(duration_text(months, days, microseconds))


class _OutOfRange(Loader):
    """A value in text, which may be out of the range of Python's type. `_kind` is the name of the type."""

    _kind: str

    def __init__(self, oid: int, context: abc.AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._load: Any = psycopg.adapters.get_loader(oid, self.format)(oid, context).load  # type: ignore[misc]  # it has one

    def load(self, data: Any) -> Any:
        """Return the value, or its text."""
        try:
            return self._load(data)
        except psycopg.DataError:
            return OutOfRange(self._text(bytes(data)))

    def _text(self, data: bytes) -> str:
        return data.decode()


class _OutOfRangeBinary(_OutOfRange):
    """A binary value that may be out of the range of Python's type: a number of days or microseconds."""

    format = pq.Format.BINARY

    def _text(self, data: bytes) -> str:
        number, most = int.from_bytes(data, signed=True), 2 ** (8 * len(data) - 1)
        if number in (most - 1, -most):
            return INFINITY if number > 0 else f"-{INFINITY}"
        if self._kind == "date":
            return day_text(number)
        if self._kind == "time":
            return END_OF_DAY
        return instant_text(number, "+00" if self._kind == "timestamptz" else "")


class _NoSession:
    """A context for psycopg's adapters that ignores the session: instants are in UTC, dates in ISO 8601."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = AdaptersMap(adapters)
        self.adapters.register_loader(0, _TextOfUnknownType)
        self.adapters.register_loader("interval", _Interval)
        self.adapters.register_loader("interval", _IntervalText)
        self.adapters.register_dumper(timedelta, _SignedInterval)
        for kind in (bytes, bytearray, memoryview, psycopg.Binary):
            self.adapters.register_dumper(kind, _HexBytes)
        self.connection = None


def new_transformer(connection: psycopg.Connection[Any], *, reads_all: bool = False) -> abc.Transformer:
    """Return the object that converts parameters and rows of a connection, without regard to the session's settings.

    `PostgresqlDriver` calls `dump_sequence(values, formats)`, `set_pgresult(result)` and `load_rows(0, count, tuple)`.
    With `reads_all` it also reads what Python's dates and times cannot hold, in Python and so more slowly.
    """
    context = _NoSession(connection.adapters)
    for kind in ("date", "time", "timestamp", "timestamptz") if reads_all else ():
        for base in (_OutOfRange, _OutOfRangeBinary):
            context.adapters.register_loader(kind, type(base.__name__, (base,), {"_kind": kind}))
    return Transformer(context)


def libpq_of(connection: psycopg.Connection[Any]) -> pq.abc.PGconn:
    """Return the libpq connection below a connection."""
    return connection.pgconn


def error_of(pgconn: pq.abc.PGconn, result: pq.abc.PGresult) -> psycopg.Error:
    """Return psycopg's error for a failed result, or `OperationalError` for a lost connection."""
    if pgconn.status == pq.ConnStatus.BAD:
        return psycopg.OperationalError(result.get_error_message())
    return error_from_result(result)

"""A PostgreSQL connection by libpq's blocking calls, for statements that are compiled once.

A psycopg cursor sends, waits and reads in several steps and takes the interpreter's lock anew for each; with a thread a request
that costs three times the CPU of the one step here (docs/decisions/0011). Values go and come through psycopg's own adapters, and
errors are psycopg's own.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from backend.core.constraints import PLAN_LOST

PARAMETER = re.compile(r"%\((\w+)\)s|%%")
PREPARE_AFTER = 3  # executions; what comes once is not worth a round trip more
MAX_PREPARED, MAX_COUNTED = 500, 5_000  # statements a connection; the server keeps the plan of each that is prepared
DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


def numbered(text: str) -> tuple[str, list[str]]:
    """A statement with `$1` in the place of each `%(name)s`, and the names in their order."""
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is None:
            return "%"
        names.append(found[1])
        return f"${len(names)}"

    return PARAMETER.sub(place, text), names


class Result:
    """What a statement gave."""

    __slots__ = ("_result", "_rows")

    def __init__(self, result: pq.abc.PGresult, rows: list[Any]) -> None:
        self._result = result
        self._rows = rows

    @property
    def description(self) -> list[tuple[None, int]]:
        """Of each column, in second place, its type's number, as in DB-API."""
        return [(None, self._result.ftype(column)) for column in range(self._result.nfields)]

    def fetchall(self) -> list[Any]:
        """The rows as tuples."""
        return self._rows

    def fetchone(self) -> Any:
        """The first row, or None."""
        return self._rows[0] if self._rows else None


class Libpq:
    """One thread's connection. A statement that comes again and again is prepared, as a cursor would have it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._numbers = itertools.count(1)
        self._uses: dict[str, int] = {}
        self._prepared: dict[str, bytes] = {}

    def execute(self, text: str, values: Sequence[Any] = (), *, prepare: bool = True) -> Result:
        """Run one statement with `$1` parameters; without `prepare` it is planned for these values. Raises psycopg's errors."""
        parameters: Any = self._transformer.dump_sequence(values, [PyFormat.TEXT] * len(values))
        name = (self._prepared.get(text) or self._prepare(text)) if prepare else None
        if name is not None:
            result = self._pgconn.exec_prepared(name, parameters)
        else:
            result = self._pgconn.exec_params(text.encode(), parameters)
        if result.status not in DONE:
            raise self._error(text, result)
        self._transformer.set_pgresult(result)
        return Result(result, self._transformer.load_rows(0, result.ntuples, tuple))

    def _error(self, text: str, result: pq.abc.PGresult) -> psycopg.Error:
        """What went wrong, as psycopg says it."""
        if self._pgconn.status == pq.ConnStatus.BAD:
            return psycopg.OperationalError(result.get_error_message())
        error = error_from_result(result)
        if error.sqlstate in PLAN_LOST:
            self._prepared.pop(text, None)
        return error

    def _prepare(self, text: str) -> bytes | None:
        """The name of the statement on the server, once it has come often enough."""
        uses = self._uses.get(text, 0) + 1
        if len(self._uses) >= MAX_COUNTED:
            self._uses.clear()
        self._uses[text] = uses
        if uses <= PREPARE_AFTER:
            return None
        if len(self._prepared) >= MAX_PREPARED:
            oldest = self._prepared.pop(next(iter(self._prepared)))
            self._pgconn.exec_(b"DEALLOCATE " + oldest)
        name = b"rowhouse_%d" % next(self._numbers)
        if self._pgconn.prepare(name, text.encode()).status not in DONE:
            return None  # running it says why
        self._prepared[text] = name
        return name

"""A PostgreSQL connection by libpq's blocking calls, for statements that are compiled once.

A psycopg cursor sends, waits and reads in several steps, and takes the interpreter's lock again for each. With one
thread for each request that costs three times the CPU of the single step here (docs/decisions/0011). psycopg's own
adapters convert the values, and the errors are psycopg's. Results are binary where their types allow it, so that they
do not depend on the session's settings.
"""

import re
import select
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import psycopg
import structlog
from psycopg import pq
from psycopg.adapt import PyFormat

from rowhouse.db.dialects.psycopg_internals import error_of, libpq_of, new_transformer
from rowhouse.db.integrity import PLAN_CHANGED, STATEMENT_LOST, STATEMENT_THERE
from rowhouse.db.statement_monitor import shut_down_socket

PARAMETER = re.compile(r"%\((\w+)\)s|%%")
PREPARE_AFTER = 3  # executions; a rare statement is not worth another round trip
MAX_PREPARED, MAX_COUNTED = 500, 5_000  # statements of a connection; the server keeps a plan for each prepared one
MAX_EMBEDDED = 8_000  # bytes of the values that are written into the text of a statement
REPORTED = (b"DateStyle", b"IntervalStyle", b"TimeZone")  # the server reports each change of these
DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
IDLE = pq.TransactionStatus.IDLE
CLOSES_PREPARED = 170000  # the first version of libpq that closes prepared statements
log = structlog.get_logger("database")


def number_parameters(text: str) -> tuple[str, list[str]]:
    """Return a statement with `$1` for each `%(name)s`, and the names in their order."""
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is None:
            return "%"
        names.append(found[1])
        return f"${len(names)}"

    return PARAMETER.sub(place, text), names


def statement_name(text: str) -> bytes:
    """Return the name of a prepared statement.

    It depends on the text alone, so on a shared session it is always the same one.
    """
    return b"rowhouse_" + sha256(text.encode()).hexdigest()[:40].encode()


class Result:
    """The result of a statement."""

    __slots__ = ("_result", "_rows")

    def __init__(self, result: pq.abc.PGresult, rows: list[Any]) -> None:
        self._result = result
        self._rows = rows

    @property
    def description(self) -> list[tuple[None, int]]:
        """One tuple for each column, with the number of its type in second place, as in DB-API."""
        return [(None, self._result.ftype(column)) for column in range(self._result.nfields)]

    def fetchall(self) -> list[Any]:
        """The rows as tuples."""
        return self._rows

    def fetchone(self) -> Any:
        """The first row, or None."""
        return self._rows[0] if self._rows else None


class StatementPreparation:
    """The switch for prepared statements of one process. Turned off when a pooler loses them."""

    def __init__(self, setting: str = "auto") -> None:
        self._setting = setting
        self.is_on = setting != "never"

    def disable(self, sqlstate: str) -> None:
        """Stop preparing, after a shared session lacked a prepared statement or already had it."""
        if self._setting == "auto" and self.is_on:
            self.is_on = False
            log.warning(
                "the pooler does not keep prepared statements; continuing without them (PREPARE_STATEMENTS)",
                sqlstate=sqlstate,
            )


class PostgresqlDriver:
    """One thread's connection. Prepares a statement that is executed often, as a cursor would.

    `local` are the settings to apply in each transaction, where the session is shared and does not have them.
    """

    reads_any_text = True  # PostgreSQL stores no other than the client can read

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        preparing: StatementPreparation | None = None,
        local: str | None = None,
        is_pooled: bool = False,
    ) -> None:
        self._pgconn = libpq_of(connection)
        self._transformer = new_transformer(connection)
        self._connection = connection
        self._preparing = preparing or StatementPreparation()
        self.is_pooled = is_pooled
        self._settings = [local] if local else []
        self._local: bytes | None = None
        self.limit_lock_wait(None)
        self._begins = False
        self._escape = pq.Escaping(self._pgconn).escape_literal
        self._styles = self._present_styles()
        self._uses: dict[str, int] = {}
        self._prepared: dict[str, bytes] = {}
        self._unpreparable: set[str] = set()

    # -- transactions --------------------------------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open, or begins with the next statement."""
        return self._begins or self._pgconn.transaction_status != IDLE

    def begin(self, *, write: bool = True) -> None:  # noqa: ARG002  SQLite's begins differ
        """Begin a transaction with the next statement, in the same round trip where it can be (`_open_with`)."""
        self._begins = True

    def begin_with_read(self) -> None:
        """Begin a transaction with the next statement."""
        self._begins = True

    def begin_now(self, *, write: bool = True) -> None:  # noqa: ARG002  as above
        """Begin the transaction unless it is open, because other code is about to use the connection."""
        if self._pgconn.transaction_status == IDLE:
            self._command(b"BEGIN" if self._local is None else b"BEGIN; " + self._local)
        self._begins = False

    def commit(self) -> None:
        """Commit.

        Raises:
            psycopg.Error: if the commit fails, or the server has rolled back.
        """
        if self._begins:
            self._begins = False
            return
        result = self._command(b"COMMIT")
        if result.command_status != b"COMMIT":
            raise psycopg.InternalError("the transaction had failed before the commit")

    def rollback(self) -> None:
        """Roll back."""
        if self._begins:
            self._begins = False
            return
        self._command(b"ROLLBACK")

    def _command(self, command: bytes) -> pq.abc.PGresult:
        result = self._pgconn.exec_(command)
        if result.status not in DONE:
            raise error_of(self._pgconn, result)
        return result

    def limit_lock_wait(self, seconds: float | None) -> None:
        """Limit the wait for locks, until it is called with None. The session's own setting does not change."""
        bound = [] if seconds is None else [f"set_config('lock_timeout', '{int(seconds * 1000)}', true)"]
        settings = [*self._settings, *bound]
        self._local = f"SELECT {', '.join(settings)}".encode() if settings else None

    def interrupt(self) -> None:
        """Close the socket, because the server does not respond. Called by another thread."""
        if self._pgconn.status == pq.ConnStatus.OK:
            shut_down_socket(self._pgconn.socket)

    # -- statements ----------------------------------------------------------------------------------------------------

    def execute(
        self,
        text: str,
        values: Sequence[Any] = (),
        *,
        prepare: bool = True,
        binary: bool = False,
        same_in_text: bool = False,
    ) -> Result:
        """Run one statement with `$1` parameters. Raises psycopg's errors.

        Without `prepare` the statement is planned for these values. `binary` requests the result in binary. The types
        of its columns must have a loader for that. `same_in_text` says that its text has the same values.
        """
        parameters: Any = self._transformer.dump_sequence(values, [PyFormat.TEXT] * len(values))
        name = None
        if prepare and self._preparing.is_on:
            name = self._prepared.get(text) or self._prepare(text)
        opens = self._begins and same_in_text and name is not None and self._may_embed(parameters)
        result = self._open_with(name or b"", parameters) if opens else self._run(text, name, parameters, int(binary))
        if result.status not in DONE:
            error = error_of(self._pgconn, result)
            if self._forget_if_stale(text, error):
                if opens:
                    self._command(b"ROLLBACK")
                    self._begins = True
                if opens or (self._pgconn.transaction_status == IDLE and not self._begins):
                    return self.execute(text, values, prepare=False, binary=binary)
            raise error
        self._transformer.set_pgresult(result)
        try:
            return Result(result, self._transformer.load_rows(0, result.ntuples, tuple))
        except psycopg.DataError:  # a date that Python cannot hold
            transformer = new_transformer(self._connection, reads_all=True)
            transformer.set_pgresult(result)
            return Result(result, transformer.load_rows(0, result.ntuples, tuple))

    def _run(self, text: str, name: bytes | None, parameters: Any, form: int) -> pq.abc.PGresult:
        """Run a statement, after beginning its transaction where one is due."""
        pgconn = self._pgconn
        if self._begins:
            self.begin_now()
        elif self._local is not None and pgconn.transaction_status == IDLE:
            if name is not None:
                return self._behind_settings(partial(pgconn.send_query_prepared, name, parameters, result_format=form))
            return self._behind_settings(
                partial(pgconn.send_query_params, text.encode(), parameters, result_format=form)
            )
        if name is not None:
            return pgconn.exec_prepared(name, parameters, result_format=form)
        return pgconn.exec_params(text.encode(), parameters, result_format=form)

    def _may_embed(self, parameters: Sequence[bytes | None]) -> bool:
        """Return whether a statement may be called by its name, with its values as literals and its result in text.

        A pooler may know it by another name. Code of the project may have changed how the session writes values.
        """
        if self.is_pooled or self._local is not None or self._present_styles() != self._styles:
            return False
        return sum(len(value) for value in parameters if value is not None) <= MAX_EMBEDDED

    def _present_styles(self) -> Sequence[bytes | None]:
        return [self._pgconn.parameter_status(name) for name in REPORTED]

    def _open_with(self, name: bytes, parameters: Sequence[bytes | None]) -> pq.abc.PGresult:
        """Run `BEGIN` and a prepared statement in one round trip and one call of libpq. The result is in text."""
        self._begins = False
        literals = b", ".join(b"NULL" if value is None else self._escape(value) for value in parameters)
        return self._pgconn.exec_(b"BEGIN; EXECUTE " + name + (b"(" + literals + b")" if literals else b""))

    def _behind_settings(self, send: Callable[[], None]) -> pq.abc.PGresult:
        """Run `send` in one round trip and one transaction with the settings for this one statement."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        pgconn.send_query_params(self._local or b"", None)
        send()
        pgconn.pipeline_sync()
        settings, result = self._next_result(), self._next_result()
        self._wait()
        pgconn.get_result()  # of the synchronisation
        pgconn.exit_pipeline_mode()  # an error before this means that the connection is lost
        return result if settings.status in DONE else settings

    def _next_result(self) -> pq.abc.PGresult:
        self._wait()
        result = self._pgconn.get_result()
        if result is None:
            raise psycopg.OperationalError("the connection to the server was lost")
        self._pgconn.get_result()  # the end of the results, which needs no input
        return result

    def _wait(self) -> None:
        """Send the rest and wait for the next result, without holding the interpreter's lock."""
        pgconn = self._pgconn
        if pgconn.flush() == 0 and not pgconn.is_busy():
            return
        poller = select.poll()
        while True:
            unsent = pgconn.flush()
            poller.register(pgconn.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            poller.poll()
            pgconn.consume_input()
            if not unsent and not pgconn.is_busy():
                return

    # -- preparing -----------------------------------------------------------------------------------------------------

    def _forget_if_stale(self, text: str, error: psycopg.Error) -> bool:
        """Forget a prepared statement that this error makes useless. Return True if it was one."""
        if error.sqlstate == PLAN_CHANGED:
            # Its table has changed. The server keeps the old plan under this name for the rest of the session.
            self._unpreparable.add(text)
        elif error.sqlstate not in (STATEMENT_LOST, STATEMENT_THERE):
            return False
        elif self.is_pooled:
            self._preparing.disable(str(error.sqlstate))
        self._prepared.pop(text, None)
        return True

    def _prepare(self, text: str) -> bytes | None:
        """Prepare the statement once it was executed often enough. Return its name on the server, or None.

        Raises:
            psycopg.Error: as running the statement, such as a lock that is not free.
        """
        uses = self._uses.get(text, 0) + 1
        if len(self._uses) >= MAX_COUNTED:
            self._uses.clear()
        self._uses[text] = uses
        if uses <= PREPARE_AFTER or text in self._unpreparable:
            return None
        if len(self._prepared) >= MAX_PREPARED and not self._make_room():
            return None
        name = statement_name(text)
        result = self._send_prepare(name, text.encode())
        if result.status not in DONE:
            error = error_of(self._pgconn, result)
            if self._forget_if_stale(text, error) and self._pgconn.transaction_status == IDLE:
                return None
            raise error
        self._prepared[text] = name
        return name

    def _send_prepare(self, name: bytes, text: bytes) -> pq.abc.PGresult:
        """Prepare, with the same limit on the wait for locks as the statement."""
        if self._begins:
            self.begin_now()
        elif self._local is not None and self._pgconn.transaction_status == IDLE:
            return self._behind_settings(partial(self._pgconn.send_prepare, name, text))
        return self._pgconn.prepare(name, text)

    def _make_room(self) -> bool:
        """Make the server drop the oldest prepared statement, if this libpq can. Return True if it did."""
        if pq.version() < CLOSES_PREPARED:
            return False
        oldest = self._prepared.pop(next(iter(self._prepared)))
        self._pgconn.close_prepared(oldest)
        return True

"""Logs in one line why the database or Redis failed a request.

Must not log a value, a password or a `DETAIL` line, which quotes the row. For errors about values it logs only the
SQLSTATE.
"""

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from starlette.types import Scope

MAX_CHARACTERS = 300
# Data exceptions, broken constraints and RAISE in functions: their messages quote values.
QUOTING = ("22", "23", "P0")
ANNOTATIONS = re.compile(r"^\s*(DETAIL|HINT|CONTEXT|WHERE|QUERY|LINE \d+):.*", re.MULTILINE | re.DOTALL)
PASSWORDS = ((re.compile(r"://\S*@"), "://***@"), (re.compile(r"(?i)\bpassword=\S+"), "password=***"))
REDIS_CLIENTS = ("redis", "valkey")
log = structlog.get_logger("failures")


def cause_of(error: BaseException | None) -> dict[str, str]:
    """Return the cause of `error` as members of a log line: `cause`, `sqlstate` and `message`.

    Empty if none is known.
    """
    for found in _chain(error):
        if isinstance(found, psycopg.Error):
            return _of_postgresql(found)
        if isinstance(found, sqlite3.Error):
            code = getattr(found, "sqlite_errorname", None)
            return {"cause": f"sqlite3.{type(found).__name__}", "message": _line(str(found)), **_named("code", code)}
        if type(found).__module__.partition(".")[0] in REDIS_CLIENTS:
            return {"cause": f"redis.{type(found).__name__}", "message": _line(str(found))}
    return {}


def _of_postgresql(error: psycopg.Error) -> dict[str, str]:
    """Return the server's own message, or libpq's if there was no server."""
    state, words = error.sqlstate, error.diag.message_primary or str(error)
    quotes = isinstance(error, psycopg.DataError) or (state or "").startswith(QUOTING)
    said = {} if quotes else {"message": _line(words)}
    return {"cause": f"psycopg.{type(error).__name__}", **_named("sqlstate", state), **said}


def _named(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and its causes. Below SQLAlchemy's wrapper that is the driver's error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
            error = error.orig
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line(text: str) -> str:
    """Return a message as one line, without annotations and passwords."""
    line = " ".join(ANNOTATIONS.sub("", text).split())
    for pattern, shown in PASSWORDS:
        line = pattern.sub(shown, line)
    return line[:MAX_CHARACTERS]


def report_failure(scope: Scope, error: BaseException, *, status: int = 500) -> None:
    """Log why a request failed: the message of the database or Redis, or else the error's `reason`.

    If there is neither, log nothing.
    """
    cause = cause_of(error) or _named("reason", getattr(error, "reason", None))
    if not cause:
        return
    log.error("failed", status=status, method=scope.get("method"), path=scope.get("path"), **_operation(scope), **cause)


def _operation(scope: Scope) -> dict[str, Any]:
    return _named("operation", getattr(scope.get("route"), "name", None))

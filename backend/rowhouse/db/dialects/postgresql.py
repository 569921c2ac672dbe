"""Opens and sets up connections to PostgreSQL, so that no setting outside the application changes a response.

Sets only what an ordinary role may set, and sends no start-up parameters: poolers and managed servers reject them. The
URL, `PGOPTIONS` and the `PG*` variables keep their effect, as do time-outs that they or the role set
(docs/decisions/0019).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from sqlalchemy import URL

from rowhouse.db.dialects.psycopg_internals import libpq_of

CONNECT_SECONDS = 2
# Results in text and literals depend on these settings. Compiled statements read binary results, which do not.
STYLE: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
}
TIMEOUTS = ("lock_timeout", "statement_timeout")
# Where a value comes from that was not set for this role, database or connection (pg_settings.source).
DEFAULT_SOURCES = frozenset({"default", "configuration file", "command line", "global", "session", "override"})
SELECT_SESSION = """
SELECT pg_backend_pid(), array_agg(ARRAY[lower(name), setting, source]) FROM pg_settings WHERE lower(name) = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Session:
    """The properties of a new connection.

    `is_pooled`: a pooler is in between, so other clients may share the server's session. `local`: the settings as one
    SQL expression list, for `SELECT …` within a transaction; None where the session itself has them.
    """

    is_pooled: bool
    local: str | None


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return psycopg's arguments in addition to those of the URL.

    The driver is in autocommit mode. It prepares no statements itself: the DEALLOCATE ALL of its cursors at a rollback
    would drop the statements of `PostgresqlDriver`. Text is UTF-8 whatever `PGCLIENTENCODING` says.
    """
    arguments: dict[str, Any] = {"autocommit": True, "prepare_threshold": None, "client_encoding": "utf8"}
    if "connect_timeout" not in url.query and not _is_in_environment(b"connect_timeout"):
        arguments["connect_timeout"] = CONNECT_SECONDS
    return arguments


def _is_in_environment(keyword: bytes) -> bool:
    """Return True if a `PG*` variable sets this connection parameter."""
    return any(option.keyword == keyword and option.val is not None for option in pq.Conninfo.get_defaults())


def open_session(connection: psycopg.Connection[Any], timeouts: Mapping[str, float], *, pooler: str) -> Session:
    """Set up the session of a new connection, or detect that it is shared and must not be changed.

    `timeouts` are `lock_timeout` and `statement_timeout` in seconds, where wanted. A time-out that the role, the
    database or the client has chosen takes precedence. `pooler` is the setting DATABASE_POOLER.
    """
    names = [name.lower() for name in (*STYLE, *TIMEOUTS)]
    row: Any = connection.execute(SELECT_SESSION, [names]).fetchone()
    process, present = row
    stored = {name: (value, source) for name, value, source in present}
    wanted = {name: value for name, value in STYLE.items() if name.lower() in stored}
    for name, seconds in timeouts.items():
        value, source = stored[name]
        wanted[name] = f"{int(seconds * 1000)}" if source in DEFAULT_SOURCES else value
    is_pooled = process != libpq_of(connection).backend_pid if pooler == "auto" else pooler == "yes"
    if is_pooled:
        return Session(is_pooled=True, local=_set(wanted, local=True))
    missing = {name: value for name, value in wanted.items() if stored[name.lower()][0] != value}
    if missing:
        connection.execute(f"SELECT {_set(missing, local=False)}".encode())
    return Session(is_pooled=False, local=None)


def _set(settings: Mapping[str, str], *, local: bool) -> str:
    """Return the calls that set these. Names and values are ours or PostgreSQL's own, and contain no quotes."""
    return ", ".join(f"set_config('{name}', '{value}', {str(local).lower()})" for name, value in settings.items())

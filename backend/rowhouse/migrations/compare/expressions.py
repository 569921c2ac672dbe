"""Compares SQL expressions over a table: one that the database stores, and one that a model declares.

The texts differ: PostgreSQL rewrites an expression, and SQLite keeps its text. So both run through EXPLAIN, which
changes nothing and locks no more than a query does.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from rowhouse.entities.no_overlap import quoted_path

MISREAD = re.compile(r"(?<![:\w\\]):(?=\w)|\\:")  # SQLAlchemy reads this as a parameter, or as an escape
TEXT = r"'(?:[^']|'')*'"
NUMBER = re.compile(r"'(-?[\d.]+)'::(?:smallint|integer|bigint|numeric|real|double precision)\b")
TYPE = r"(?:character varying|double precision|timestamp with(?:out)? time zone|\"?\w+\"?)(?:\([\d, ]+\))?(?:\[\])?"
CAST = re.compile(rf"({TEXT})|::{TYPE}")
ONE_OF = re.compile(rf"(= ANY|<> ALL) \((\()?ARRAY\[((?:{TEXT}|[^'\]])*)\](?(2)\))\)")
OPERATORS = ((" = ANY ", " IN "), (" <> ALL ", " NOT IN "), (" !~~ ", " NOT LIKE "), (" ~~ ", " LIKE "))


def all_alike(connection: sa.Connection, table: str, pairs: Iterable[tuple[str, str]]) -> bool:
    """Return True if the stored and the wanted expression of each pair mean the same for a row of `table`."""
    return all(stored == wanted or _are_alike(connection, table, stored, wanted) for stored, wanted in pairs)


def _are_alike(connection: sa.Connection, table: str, stored: str, wanted: str) -> bool:
    understood = _understood(connection, table, stored)
    return bool(understood) and understood == _understood(connection, table, wanted)


def differ(connection: sa.Connection, table: str, stored: str, wanted: str) -> bool:
    """Return True if the database understands both expressions and they differ."""
    before, after = (_understood(connection, table, one) for one in (stored, wanted))
    return bool(before) and bool(after) and before != after


def _understood(connection: sa.Connection, table: str, expression: str) -> list[Any]:
    """Return the database's reading of an expression. Empty if it rejects it, as for a column that is missing yet."""
    is_sqlite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN" if is_sqlite else "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)"
    source = quoted_path(table, connection.dialect.name)
    # A model declares the expression, or the database stores it.
    query = f"{explain} SELECT ({expression}) FROM {source}"  # noqa: S608  # nosec B608
    try:
        with connection.begin_nested():
            rows = connection.execute(sa.text(query.replace(":", r"\:"))).all()
    except sa.exc.DBAPIError:
        return []
    return [tuple(row) for row in rows] if is_sqlite else _output(rows[0][0])


def _output(answer: Any) -> list[Any]:
    (plan,) = json.loads(answer) if isinstance(answer, str) else answer
    return list(plan["Plan"]["Output"])


def text_of(expression: sa.ClauseElement, dialect: sa.Dialect) -> str:
    """Return an expression as SQL, with its values and without the names of tables."""
    words = {"literal_binds": True, "include_table": False}
    text = str(expression.compile(dialect=dialect, compile_kwargs=words))
    return text if dialect.name == "sqlite" else text.replace("%%", "%")


def escaped(text: str) -> str:
    """Escape SQL for `sa.text`, which reads `:word` as a parameter, and a parameter without a value as NULL."""
    return text.replace(":", r"\:") if MISREAD.search(text) else text


def in_plain_sql(expression: str) -> str:
    """Rewrite SQL that PostgreSQL shows so that SQLite understands it: without casts, with IN and LIKE."""
    plain = CAST.sub(r"\1", NUMBER.sub(r"\1", expression))
    plain = ONE_OF.sub(r"\1 (\3)", plain)
    for shown, word in OPERATORS:
        plain = plain.replace(shown, word)
    return plain

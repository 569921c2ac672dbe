"""Finds the tables that a project has classes of, by its files. Imports none of them."""

import ast
from collections.abc import Iterator

from rowhouse.cli.scaffold.entity import Layout, tables_of
from rowhouse.cli.scaffold.source import classes

SCHEMA, ARGUMENTS = "schema", "__table_args__"


def known_tables(layout: Layout) -> frozenset[str]:
    """Return the full names of the tables that the project's classes have, and of Rowhouse's accounts."""
    named = [(name, table.name) for name, table in tables_of(layout) if table.name]
    schemas = dict(_schemas(layout))
    return frozenset(f"{schemas[name]}.{table}" if name in schemas else table for name, table in named)


def _schemas(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the name of each class whose `__table_args__` say a schema, and the schema."""
    for path in sorted(layout.api.parent.rglob("*.py")):
        for node in classes(path.read_text("utf-8")):
            yield from ((node.name, schema) for statement in node.body for schema in _schema(statement))


def _schema(statement: ast.stmt) -> Iterator[str]:
    """Yield the schema of `__table_args__ = (…, {"schema": "ops"})`."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or not ast.unparse(statement).startswith(ARGUMENTS):
        return
    for options in ast.walk(statement):
        if isinstance(options, ast.Dict):
            for key, value in zip(options.keys, options.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == SCHEMA and isinstance(value, ast.Constant):
                    yield str(value.value)

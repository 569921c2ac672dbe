"""Operations and comparison of `SearchIndex`: a migration states the index in one line.

    op.create_search_index("ix_books_search", "books", "title", "author")

SQLite has no such index. It keeps an empty one in its place, so that a comparison finds it.
"""

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority

from rowhouse.entities.search_index import NOTHING, SearchIndexRule, search_index_of
from rowhouse.migrations.engine_tables import compares_of
from rowhouse.migrations.operations.operation import EngineOperation

STORED = """
    SELECT indexname, CASE schemaname WHEN current_schema() THEN '' ELSE schemaname || '.' END || tablename, indexdef
    FROM pg_indexes WHERE strpos(indexdef, 'rowhouse_grams(') > 0
"""
STORED_ON_SQLITE = f"""
    SELECT m.name, m.tbl_name, (SELECT json_group_array(i.name)
    FROM (SELECT name FROM pragma_index_info(m.name) ORDER BY seqno) i)
    FROM sqlite_master m WHERE m.type = 'index' AND m.sql LIKE '% WHERE {NOTHING}'
"""  # noqa: S608  # nosec B608  our own constant
COLUMN = re.compile(r'rowhouse_fold\(\(?"?([^")]+)')


@Operations.register_operation("create_search_index")
class CreateSearchIndex(EngineOperation):
    """Create the index. On SQLite, create an empty one that only records it."""

    def __init__(self, rule: SearchIndexRule) -> None:
        self.rule = rule

    @classmethod
    def create_search_index(cls, operations: Operations, name: str, table: str, *columns: str) -> None:
        """`op.create_search_index(...)`."""
        operations.invoke(cls(SearchIndexRule(name, table, columns)))

    def reverse(self) -> "DropSearchIndex":
        """Return the operation of the downgrade."""
        return DropSearchIndex(self.rule)


@Operations.register_operation("drop_search_index")
class DropSearchIndex(EngineOperation):
    """Drop the index."""

    def __init__(self, rule: SearchIndexRule) -> None:
        self.rule = rule

    @classmethod
    def drop_search_index(cls, operations: Operations, name: str, table: str, *columns: str) -> None:
        """`op.drop_search_index(...)`."""
        operations.invoke(cls(SearchIndexRule(name, table, columns)))

    def reverse(self) -> CreateSearchIndex:
        """Return the operation of the downgrade."""
        return CreateSearchIndex(self.rule)


@Operations.implementation_for(CreateSearchIndex)
def _create(operations: Operations, operation: CreateSearchIndex) -> None:
    operation.rule.create(operations.get_bind())


@Operations.implementation_for(DropSearchIndex)
def _drop(operations: Operations, operation: DropSearchIndex) -> None:
    operation.rule.drop(operations.get_bind())


@renderers.dispatch_for(CreateSearchIndex)
def _render_create(_context: AutogenContext, operation: CreateSearchIndex) -> str:
    return f"op.create_search_index({_words(operation.rule)})"


@renderers.dispatch_for(DropSearchIndex)
def _render_drop(_context: AutogenContext, operation: DropSearchIndex) -> str:
    return f"op.drop_search_index({_words(operation.rule)})"


def _words(rule: SearchIndexRule) -> str:
    return ", ".join(map(repr, (rule.name, rule.table, *rule.columns)))


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, operations: UpgradeOps, _schemas: Any) -> None:
    """Add operations: create missing search indexes, drop undeclared ones, recreate changed ones."""
    connection: Any = context.connection  # migrations are never written offline
    declared = {rule for table in context.sorted_tables if (rule := search_index_of(table))}
    tables = {table.fullname for table in context.sorted_tables}
    compares = compares_of(context)
    stored = {
        rule for rule in _stored(connection) if rule.table in tables or ("." not in rule.table and compares(rule.table))
    }
    operations.ops += [DropSearchIndex(rule) for rule in sorted(stored - declared)]
    operations.ops += [CreateSearchIndex(rule) for rule in sorted(declared - stored)]


def _stored(connection: sa.Connection) -> list[SearchIndexRule]:
    if connection.dialect.name == "postgresql":
        return [
            SearchIndexRule(name, table, tuple(COLUMN.findall(definition)))
            for name, table, definition in connection.execute(sa.text(STORED))
        ]
    found = connection.execute(sa.text(STORED_ON_SQLITE))
    return [SearchIndexRule(name, table, tuple(json.loads(columns))) for name, table, columns in found]


def is_ordinary(element: Any, kind: str) -> bool:
    """Return False for a search index: this module compares those, not Alembic."""
    if kind != "index":
        return True
    holds_nothing = str(element.dialect_kwargs.get("sqlite_where")) == NOTHING
    return not holds_nothing and not any("rowhouse_grams" in str(part) for part in element.expressions)

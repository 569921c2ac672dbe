"""What Alembic has to know of `SearchIndex`: an operation that states it in one line, and autogenerate that sees whether it is there.

    op.create_search_index("ix_books_search", "books", "title", "author")

SQLite has no such index, so there autogenerate states it with its table alone: for a table that is there already, write the line yourself,
or have Alembic look at a PostgreSQL. Imported by `autogenerate` alone.
"""

import re
from typing import Any

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import CreateTableOp, UpgradeOps
from alembic.util import DispatchPriority

from backend.crud.search_index import SearchIndexRule, search_index_of

STORED = "SELECT indexname, tablename, indexdef FROM pg_indexes WHERE strpos(indexdef, 'rowhouse_trigrams(') > 0"
COLUMN = re.compile(r'rowhouse_fold\(\(?"?([^")]+)')


@Operations.register_operation("create_search_index")
class CreateSearchIndex(MigrateOperation):
    """Make the index, where there are such."""

    def __init__(self, rule: SearchIndexRule) -> None:
        self.rule = rule

    @classmethod
    def create_search_index(cls, operations: Operations, name: str, table: str, *columns: str) -> None:
        """`op.create_search_index(...)`."""
        operations.invoke(cls(SearchIndexRule(name, table, columns)))

    def reverse(self) -> "DropSearchIndex":
        """What a downgrade does."""
        return DropSearchIndex(self.rule)


@Operations.register_operation("drop_search_index")
class DropSearchIndex(MigrateOperation):
    """Give the index up."""

    def __init__(self, rule: SearchIndexRule) -> None:
        self.rule = rule

    @classmethod
    def drop_search_index(cls, operations: Operations, name: str, table: str, *columns: str) -> None:
        """`op.drop_search_index(...)`."""
        operations.invoke(cls(SearchIndexRule(name, table, columns)))

    def reverse(self) -> CreateSearchIndex:
        """What a downgrade does."""
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
    """Add the indexes that the models declare and the database lacks, and give up those that it has otherwise."""
    connection: Any = context.connection  # migrations are never written offline
    declared = {rule for table in context.sorted_tables if (rule := search_index_of(table))}
    if connection.dialect.name == "postgresql":
        stored = {
            SearchIndexRule(name, table, tuple(COLUMN.findall(definition)))
            for name, table, definition in connection.exec_driver_sql(STORED)
        }
    else:
        made = {operation.table_name for operation in operations.ops if isinstance(operation, CreateTableOp)}
        stored = {rule for rule in declared if rule.table not in made}
    operations.ops += [DropSearchIndex(rule) for rule in sorted(stored - declared)]
    operations.ops += [CreateSearchIndex(rule) for rule in sorted(declared - stored)]


def is_compared(element: Any, kind: str) -> bool:
    """Whether Alembic's own comparison is to look at an element of a schema; search indexes are looked at here."""
    return kind != "index" or not any("rowhouse_trigrams" in str(part) for part in element.expressions)

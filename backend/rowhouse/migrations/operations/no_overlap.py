"""Operations and comparison of `NoOverlap`: a migration states the rule in one line.

    op.create_no_overlap("ex_bookings_slot", "bookings", resource="charge_point_id", start="start_time", end="end_time",
                         live={"status": ("PENDING", "CONFIRMED")})

`search_index` does the same for `SearchIndex`. Imported by `autogenerate` alone: the application itself never needs
Alembic.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority

from rowhouse.entities.no_overlap import QUOTE, Live, NoOverlap, Rule, quoted_path, rules_of
from rowhouse.migrations.compare.expressions import all_alike, escaped, in_plain_sql
from rowhouse.migrations.engine_tables import compares_of
from rowhouse.migrations.operations.operation import EngineOperation

TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
EXCLUSIONS = """
    SELECT c.conname, CASE n.nspname WHEN current_schema() THEN '' ELSE n.nspname || '.' END || t.relname,
      pg_get_constraintdef(c.oid), pg_get_indexdef(c.conindid, 1, false), pg_get_indexdef(c.conindid, 2, false),
      coalesce(pg_get_expr(i.indpred, i.indrelid), 'TRUE')
    FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
      JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.contype = 'x'
"""
NAME = r'("(?:[^"]|"")+"|\w+)'
TEXT = r"'(?:[^']|'')*'"
QUOTED = re.compile(r'"(\w+)"')
TRIGGER = re.compile(
    rf"CREATE TRIGGER {NAME} BEFORE INSERT ON {NAME} WHEN (?P<live>.*) AND EXISTS \( SELECT 1 .* "
    rf"WHERE other\.{NAME} = NEW\..* AND other\.{NAME} < NEW\.{NAME} AND .* "
    rf"BEGIN SELECT RAISE\(ABORT, (?P<name>{TEXT})\); END"
)
EXCLUSION = re.compile(
    rf"EXCLUDE USING gist \(int8range\(\(*(?:hashtextextended\(\(*)?{NAME}.* WITH &&, "
    rf"\w+range\(\(?{NAME}(?:\)::bigint)?, \(?{NAME}(?:\)::bigint)?, '\[\)'::text\) WITH &&\)"
    r"(?: WHERE \((?P<live>.*)\))?"
)
IS_NOT_NULL = "IS NOT NULL"
VALUE = r"(?:'(?:[^']|'')*'|-?\d+|\b(?:true|false)\b)"
LIVE = re.compile(rf"(?P<column>{NAME})\)* (?:IN \(|= )(?P<values>{VALUE}(?:, {VALUE})*)", re.IGNORECASE)


@Operations.register_operation("create_no_overlap")
class CreateNoOverlap(EngineOperation):
    """Create the rule in the database."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @classmethod
    def create_no_overlap(  # noqa: PLR0913  the rule's words, by keyword
        cls,
        operations: Operations,
        name: str,
        table: str,
        *,
        resource: str,
        start: str,
        end: str,
        live: Live | None = None,
        key: str = "id",
    ) -> None:
        """`op.create_no_overlap(...)`."""
        operations.invoke(cls(Rule(name, table, resource, start, end, live or {}, key)))

    def reverse(self) -> "DropNoOverlap":
        """Return the operation of the downgrade."""
        return DropNoOverlap(self.rule)


@Operations.register_operation("drop_no_overlap")
class DropNoOverlap(EngineOperation):
    """Drop the rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @classmethod
    def drop_no_overlap(cls, operations: Operations, name: str, table: str) -> None:
        """`op.drop_no_overlap(...)`."""
        operations.invoke(cls(Rule(name, table, "", "", "", {})))

    def reverse(self) -> CreateNoOverlap:
        """Return the operation of the downgrade."""
        return CreateNoOverlap(self.rule)


@Operations.implementation_for(CreateNoOverlap)
def _create(operations: Operations, operation: CreateNoOverlap) -> None:
    rule, connection = operation.rule, operations.get_bind()
    if connection.dialect.name == "postgresql":
        types = _types(operations, rule.table)
        table, name = quoted_path(rule.table, "postgresql"), QUOTE["postgresql"](rule.name)
        _execute(operations, f"ALTER TABLE {table} ADD CONSTRAINT {name} {rule.exclusion(types)}")
        return
    for trigger in rule.triggers().values():
        _execute(operations, trigger)


def _execute(operations: Operations, statement: str) -> None:
    """Run SQL without parameters: a name or a value may contain a colon or a percent sign."""
    operations.execute(sa.text(escaped(statement)))


def _types(operations: Operations, table: str) -> dict[str, Any]:
    """Return the types of a table's columns from the database, or in `--sql` mode from the models."""
    context = operations.migration_context
    if context.as_sql:
        return {column.name: column.type for column in context.opts["target_metadata"].tables[table].columns}
    schema, _, name = table.rpartition(".")
    inspector = sa.inspect(operations.get_bind())
    return {column["name"]: column["type"] for column in inspector.get_columns(name, schema=schema or None)}


@Operations.implementation_for(DropNoOverlap)
def _drop(operations: Operations, operation: DropNoOverlap) -> None:
    rule = operation.rule
    if operations.get_bind().dialect.name == "postgresql":
        table, name = quoted_path(rule.table, "postgresql"), QUOTE["postgresql"](rule.name)
        _execute(operations, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        return
    for trigger in rule.triggers():
        _execute(operations, f"DROP TRIGGER IF EXISTS {QUOTE['sqlite'](trigger)}")


@renderers.dispatch_for(CreateNoOverlap)
def _render_create(_context: AutogenContext, operation: CreateNoOverlap) -> str:
    rule = operation.rule
    live = f", live={rule.live!r}" if rule.live else ""
    live += f", key={rule.key!r}" if rule.key != "id" else ""
    return (
        f"op.create_no_overlap({rule.name!r}, {rule.table!r}, resource={rule.resource!r}, start={rule.start!r}, "
        f"end={rule.end!r}{live})"
    )


@renderers.dispatch_for(DropNoOverlap)
def _render_drop(_context: AutogenContext, operation: DropNoOverlap) -> str:
    return f"op.drop_no_overlap({operation.rule.name!r}, {operation.rule.table!r})"


class StoredRule(NamedTuple):
    """A stored rule, with its expressions on PostgreSQL or its triggers on SQLite."""

    rule: Rule
    texts: tuple[str, ...]


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, operations: UpgradeOps, _schemas: Any) -> None:
    """Add operations: drop undeclared rules, create missing rules, recreate changed rules."""
    connection: Any = context.connection  # migrations are never written offline
    wanted = {str(one.name): one for table in context.sorted_tables for one in rules_of(table)}
    tables = {table.fullname for table in context.sorted_tables}
    compares = compares_of(context)
    stored = {
        one.rule.name: one
        for one in stored_rules(connection)
        if one.rule.table in tables or ("." not in one.rule.table and compares(one.rule.table))
    }
    changed = {
        name for name in wanted.keys() & stored.keys() if not _is_unchanged(connection, stored[name], wanted[name])
    }
    operations.ops += [DropNoOverlap(stored[name].rule) for name in sorted(stored.keys() - wanted.keys() | changed)]
    operations.ops += [CreateNoOverlap(wanted[name].rule) for name in sorted(wanted.keys() - stored.keys() | changed)]


def _is_unchanged(connection: sa.Connection, stored: StoredRule, wanted: NoOverlap) -> bool:
    """Return True if the stored rule equals the declared one."""
    rule = wanted.rule
    if rule.table != stored.rule.table:
        return False
    if connection.dialect.name == "sqlite":
        return [*map(_without_quotes, stored.texts)] == [*map(_without_quotes, rule.triggers().values())]
    pairs = list(zip(stored.texts, rule.expressions(wanted.types), strict=True))
    if not wanted.parent.columns[rule.resource].nullable and IS_NOT_NULL not in stored.texts[-1]:
        # Older constraints do not state that the resource is not null. For this one it makes no difference.
        pairs[-1] = (stored.texts[-1], rule.condition(dialect="postgresql"))
    return all_alike(connection, rule.table, pairs)


def stored_rules(connection: sa.Connection) -> Iterator[StoredRule]:
    """Yield the rules in the database. Leave out constraints and triggers of any other form."""
    if connection.dialect.name == "postgresql":
        for name, table, definition, *texts in connection.execute(sa.text(EXCLUSIONS)):
            if (found := EXCLUSION.fullmatch(definition)) is not None:
                resource, start, end = map(_unquoted, found.group(1, 2, 3))
                yield StoredRule(Rule(name, table, resource, start, end, _live(found["live"])), tuple(texts))
        return
    triggers = {name: _on_one_line(text) for name, text in connection.execute(sa.text(TRIGGERS))}
    for text in triggers.values():
        if (found := TRIGGER.fullmatch(text)) is not None:
            name, table, resource, start, end = _value(found["name"]), *map(_unquoted, found.group(2, 4, 5, 6))
            rule = Rule(name, table, resource, start, end, _live(found["live"].replace("NEW.", "")))
            yield StoredRule(rule, tuple(triggers.get(name, "") for name in rule.triggers()))


def _live(condition: str | None) -> Mapping[str, tuple[Any, ...]]:
    """Return the live values by their columns, parsed from a condition."""
    return {
        _unquoted(found["column"]): tuple(map(_value, re.findall(VALUE, found["values"], re.IGNORECASE)))
        for found in LIVE.finditer(in_plain_sql(condition or ""))
    }


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _value(literal: str) -> Any:
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    return literal.lower() == "true" if literal[0].isalpha() else int(literal)


def _without_quotes(text: str) -> str:
    """Remove the quotes that SQLite adds to a renamed name in a trigger."""
    return QUOTED.sub(r"\1", _on_one_line(text))


def _on_one_line(text: str) -> str:
    return " ".join(text.split())

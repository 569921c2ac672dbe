"""`NoOverlap`: rows of one resource whose half-open intervals [start, end) never overlap while they are live.

Example:
    class Booking(Entity, table=True):
        __table_args__ = (
            NoOverlap("charge_point_id", "start_time", "end_time", live={"status": LIVE}, error=SlotTakenError),
        )

The database enforces the rule for every writer: PostgreSQL with an exclusion constraint that needs no extension, SQLite
with two triggers. This module declares the rule and writes its SQL. `crud.overlap_guard` looks for conflicts before the
database rejects them, and `migrations` adds the rule to migrations.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import DDLCompiler
from sqlmodel import UTCDateTime

from rowhouse.core.errors import OverlapError
from rowhouse.entities.sqlalchemy_internals import TableConstraint

Live = Mapping[str, Sequence[Any]]
RANGES: tuple[tuple[Any, str], ...] = (
    (UTCDateTime, "tstzrange"), (sa.DateTime, "tstzrange"), (sa.Date, "daterange"), (sa.Integer, "int8range"),
)  # fmt: skip
# Quotes a name only if it needs quotes, so that the SQL of ordinary names in databases of earlier versions stays the
# same.
QUOTE = {name: sa.make_url(f"{name}://").get_dialect()().identifier_preparer.quote for name in ("postgresql", "sqlite")}


class Rule(NamedTuple):
    """The rule as a migration states it: names and plain values."""

    name: str
    table: str
    resource: str
    start: str
    end: str
    live: Live
    # The column that identifies a row.
    key: str = "id"

    def condition(self, row: str = "", *, dialect: str = "sqlite") -> str:
        """Return the SQL condition of live rows; `row` is the prefix of their columns."""
        quote = QUOTE[dialect]
        parts = [f"{row}{quote(column)} IN ({', '.join(map(literal, values))})" for column, values in self.live.items()]
        return " AND ".join(parts) or "TRUE"

    def exclusion(self, types: Mapping[str, Any]) -> str:
        """Return PostgreSQL's constraint without its name; `types` are the SQLAlchemy types of the columns.

        Without the extension btree_gist, a GiST index cannot compare plain values. So it compares ranges of one value.
        """
        value, interval, condition = self.expressions(types)
        return f"EXCLUDE USING gist ({value} WITH &&, {interval} WITH &&) WHERE ({condition})"

    def expressions(self, types: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return the parts of `exclusion`: the resource as a range, the interval as a range, and the condition of rows.

        The condition leaves out rows without a resource: a range from NULL to NULL overlaps with every other.
        """
        resource, start, end = map(QUOTE["postgresql"], (self.resource, self.start, self.end))
        value = resource
        if not isinstance(types[self.resource], sa.Integer):
            value = f"hashtextextended({resource}::text, 0)"
        condition = f"{resource} IS NOT NULL"
        if self.live:
            condition += f" AND {self.condition(dialect='postgresql')}"
        return f"int8range({value}, {value}, '[]')", f"{range_of(types[self.start])}({start}, {end}, '[)')", condition

    def triggers(self) -> dict[str, str]:
        """Return SQLite's triggers by name. Their error is the name of the rule, as in PostgreSQL's."""
        watched = ", ".join(map(QUOTE["sqlite"], (self.resource, self.start, self.end, *self.live)))
        events = {"insert": "INSERT", "update": f"UPDATE OF {watched}"}
        return {
            f"{self.name}_{suffix}": self._trigger(f"{self.name}_{suffix}", when) for suffix, when in events.items()
        }

    def _trigger(self, name: str, when: str) -> str:
        quote = QUOTE["sqlite"]
        table, resource, start, end, key = map(quote, (self.table, self.resource, self.start, self.end, self.key))
        return (
            f"CREATE TRIGGER {quote(name)} BEFORE {when} ON {table}\n"  # noqa: S608  # nosec B608  # declared names
            f"WHEN {self.condition('NEW.')} AND EXISTS (\n"
            f"    SELECT 1 FROM {table} AS other\n"
            f"    WHERE other.{resource} = NEW.{resource} AND other.{key} IS NOT NEW.{key}\n"
            f"      AND {self.condition('other.')}\n"
            f"      AND other.{start} < NEW.{end} AND other.{end} > NEW.{start}\n"
            f")\n"
            f"BEGIN SELECT RAISE(ABORT, {literal(self.name)}); END"
        )


class NoOverlap(TableConstraint):
    """Declare in `__table_args__` that rows of one resource never overlap.

    Example:
        class Booking(Entity, table=True):
            __table_args__ = (NoOverlap("room_id", "start_time", "end_time", live={"status": ("held", "confirmed")}),)

    `resource` names a foreign key. `start` and `end` name the columns of a half-open interval: instants, dates or whole
    numbers. `live` names the values of a column with which a row counts; without it every row counts. `error` is the
    subclass of `OverlapError` (409) that a conflict raises.

    Raises:
        ValueError: when the class is made, for a column that does not exist or does not fit; the message says how to
            fix it.
    """

    def __init__(
        self, resource: str, start: str, end: str, *, live: Live | None = None,
        error: type[OverlapError] = OverlapError, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name)
        self.resource, self.start, self.end = resource, start, end
        self.live = {column: tuple(values) for column, values in (live or {}).items()}
        self.error = error
        self.ddl_if(dialect="postgresql")
        event.listen(self, "before_parent_attach", self._attach)

    def _attach(self, _declaration: sa.Constraint, parent: Any) -> None:
        if not isinstance(parent, sa.Table):
            raise TypeError("NoOverlap belongs in a class's __table_args__")
        self.name = self.name or f"ex_{parent.name}_{self.resource}"
        _check(self, parent)
        parent.info["conflicts"] = {**parent.info.get("conflicts", {}), str(self.name): self.error}
        event.listen(parent, "after_create", self._create_triggers)

    def copied(self) -> "NoOverlap":
        """Return the same declaration for a copy of its table."""
        name = None if self.name is None else str(self.name)
        return NoOverlap(self.resource, self.start, self.end, live=self.live, error=self.error, name=name)

    @property
    def rule(self) -> Rule:
        """The rule as names and plain values."""
        live = {column: tuple(map(plain, values)) for column, values in self.live.items()}
        key = next((column.name for column in self.parent.columns if column.primary_key), "id")
        return Rule(str(self.name), str(self.parent.fullname), self.resource, self.start, self.end, live, key)

    @property
    def types(self) -> dict[str, Any]:
        """The types of the table's columns."""
        return {column.name: column.type for column in self.parent.columns}

    def _create_triggers(self, _table: sa.Table, connection: sa.Connection, **_options: Any) -> None:
        if connection.dialect.name == "sqlite":
            for trigger in self.rule.triggers().values():
                connection.exec_driver_sql(trigger)


@compiles(NoOverlap, "postgresql")
def _in_create_table(constraint: NoOverlap, compiler: DDLCompiler, **_options: Any) -> str:
    name = compiler.preparer.quote(str(constraint.name))
    # The driver reads a single % as a parameter, even in a statement without parameters.
    exclusion = constraint.rule.exclusion(constraint.types).replace("%", "%%")
    return f"CONSTRAINT {name} {exclusion}"


def rules_of(table: sa.Table) -> list[NoOverlap]:
    """Return the declarations of a table."""
    return [constraint for constraint in table.constraints if isinstance(constraint, NoOverlap)]


def quoted_path(table: str, dialect: str) -> str:
    """Return the name of a table as SQL, with its schema."""
    # On SQLite schema and name are one name.
    return ".".join(map(QUOTE[dialect], table.split(".") if dialect == "postgresql" else [table]))


def plain(value: Any) -> Any:
    """Return a value as it is stored: the value of an enum's member."""
    return value.value if isinstance(value, Enum) else value


def literal(value: Any) -> str:
    """Return a text, number or boolean as an SQL literal."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def range_of(kind: Any) -> str:
    """Return PostgreSQL's range type for a column type.

    Raises:
        ValueError: the type has no range.
    """
    for column_type, name in RANGES:
        if isinstance(kind, column_type):
            return name
    raise ValueError(f"NoOverlap takes instants, dates or whole numbers for its interval, not {kind!r}")


def _check(constraint: NoOverlap, table: sa.Table) -> None:
    named = (constraint.resource, constraint.start, constraint.end, *constraint.live)
    missing = [name for name in named if name not in table.columns]
    if missing:
        raise ValueError(f"NoOverlap names {', '.join(missing)}; {table.name} has {', '.join(table.columns.keys())}")
    range_of(table.columns[constraint.start].type)
    if constraint.start == constraint.end or range_of(table.columns[constraint.end].type) != range_of(
        table.columns[constraint.start].type
    ):
        raise ValueError(f"NoOverlap: {constraint.start} and {constraint.end} must be two columns of one type")
    optional = [name for name in (constraint.start, constraint.end) if table.columns[name].nullable]
    if optional and not constraint.live:
        raise ValueError(
            f"NoOverlap: {optional[0]} may be null, but each row has an interval; "
            "make it required, or name with live= the rows that have one"
        )

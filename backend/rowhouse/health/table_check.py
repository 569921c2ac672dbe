"""Compares the tables of the database with the models, as far as the running code needs them.

Additional tables and columns belong to a newer deploy and are fine. Alembic compares types and indexes. Runs one query
of the catalogue, for any number of tables.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.migration_state import UPGRADE

MAX_NAMED = 5
GRANT = "GRANT it"
POSTGRESQL = sa.text("""
    SELECT n.nspname, pg_catalog.pg_table_is_visible(c.oid), c.relname, a.attname,
        a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
        pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
        pg_catalog.has_any_column_privilege(c.oid, 'INSERT'), pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),
        pg_catalog.has_table_privilege(c.oid, 'DELETE'),
        a.attidentity <> '' OR s.seqrelid IS NULL OR pg_catalog.has_sequence_privilege(s.seqrelid, 'USAGE, UPDATE')
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
        AND d.refobjsubid = a.attnum AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'a'
    LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid
    WHERE c.relname = ANY(:names) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
""")
SQLITE = sa.text("""
    SELECT 'main', 1, lower(m.name), lower(p.name),
        p."notnull" AND p.dflt_value IS NULL AND NOT p.pk AND NOT p.hidden, 1, 1, 1, 1, 1
    FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p WHERE m.type IN ('table', 'view')
""")


@dataclass(frozen=True, slots=True)
class RequiredTable:
    """A table that the code reads, with the name of its class. The code inserts rows unless `inserts` is False.

    `rights` are those of INSERT, UPDATE and DELETE that the database role needs for what clients do.
    """

    table: sa.Table
    entity: str
    inserts: bool = True
    rights: frozenset[str] = frozenset()


class _StoredColumn(NamedTuple):
    """One column in the catalogue."""

    schema: str
    is_visible: bool
    table: str
    column: str
    is_required: bool
    is_readable: bool
    may_insert: bool
    may_update: bool
    may_delete: bool
    has_usable_sequence: bool

    @property
    def rights(self) -> dict[str, bool]:
        """Whether the role has each right on the table."""
        return {"INSERT": self.may_insert, "UPDATE": self.may_update, "DELETE": self.may_delete}


def table_mismatch(unit: UnitOfWork, required: Iterable[RequiredTable]) -> str | None:
    """Return which tables do not fit the code, and the command that fixes them. None if all fit."""
    required = tuple(
        replace(required_table, rights=frozenset()) if unit.settings.read_only else required_table
        for required_table in required
    )
    found = _columns(unit, {required_table.table.name for required_table in required})
    is_sqlite = unit.database.dialect.name == "sqlite"
    fold, of = (str.lower, _columns_on_sqlite) if is_sqlite else (str, _columns_on_postgresql)
    errors = [
        error
        for required_table in required
        for error in _errors_of(required_table, of(required_table.table, found), fold)
    ]
    if not errors:
        return None
    more = f" and {len(errors) - MAX_NAMED} more" if len(errors) > MAX_NAMED else ""
    advice = "" if all(error.endswith(GRANT) for error in errors) else f" To fix it, {UPGRADE}."
    return f"The database does not fit the models: {'; '.join(errors[:MAX_NAMED])}{more}.{advice}"


def _columns(unit: UnitOfWork, names: Collection[str]) -> Sequence[_StoredColumn]:
    if unit.database.dialect.name == "sqlite":
        rows: Any = unit.session.execute(SQLITE)
    else:
        rows = unit.session.execute(POSTGRESQL, {"names": sorted(names)})
    return [_StoredColumn._make(row) for row in rows]


def _columns_on_sqlite(table: sa.Table, found: Iterable[_StoredColumn]) -> list[_StoredColumn]:
    return [one for one in found if one.table == table.fullname.lower()]


def _columns_on_postgresql(table: sa.Table, found: Iterable[_StoredColumn]) -> list[_StoredColumn]:
    named = [one for one in found if one.table == table.name]
    return [one for one in named if (one.is_visible if table.schema is None else one.schema == table.schema)]


def _errors_of(required_table: RequiredTable, found: Sequence[_StoredColumn], fold: Any) -> list[str]:
    name, entity = required_table.table.fullname, required_table.entity
    if not found:
        return [f"{entity}: the table {name} is missing"]
    wanted = {fold(column.name): column.name for column in required_table.table.columns}
    if any(not one.is_readable for one in found if one.column in wanted):
        return [f"{entity}: the database role may not read the table {name} with every column of the class, {GRANT}"]
    lacking = sorted(right for right in required_table.rights if not found[0].rights[right])
    if lacking:
        return [f"{entity}: the database role may not write to the table {name} ({', '.join(lacking)}), {GRANT}"]
    if "INSERT" in required_table.rights and (locked := [one.column for one in found if not one.has_usable_sequence]):
        return [f"{entity}: the database role may not use the sequence of {name}.{locked[0]}, {GRANT}"]
    errors = [
        f"{entity}: the column {name}.{shown} is missing"
        for column, shown in wanted.items()
        if column not in {one.column for one in found}
    ]
    if required_table.inserts:
        errors += [
            f"{entity}: the column {name}.{one.column} is NOT NULL without a default, and the class does not have it"
            for one in found
            if one.is_required and one.column not in wanted
        ]
    return errors

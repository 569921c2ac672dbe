"""Operation that gives the primary key of a renamed table its new name, and the sequence that counts it.

    op.rename_table("books", "titles")
    op.rename_primary_key("books", "titles")

A constraint and a sequence keep their names when their table is renamed. On PostgreSQL, a later table with the former
name could then not be created, for its primary key would have the name that is taken. SQLite rebuilds the table; with
`--sql`, which cannot read it, the former name stays there.
"""

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.no_overlap import literal
from rowhouse.migrations.compare.column_types import POSTGRESQL
from rowhouse.migrations.operations.operation import EngineOperation
from rowhouse.migrations.sqlite.rebuild import rename_constraint

# The sequences of a table's columns that PostgreSQL named itself.
ON_POSTGRESQL = """
DO $do$
DECLARE found record;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass({table}) AND conname = {old_key}) THEN
        EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', {table}, {old_key}, {new_key});
    END IF;
    FOR found IN
        SELECT sequence.oid::regclass AS place, attribute.attname AS name
        FROM pg_class AS sequence
        JOIN pg_depend AS owner ON owner.objid = sequence.oid AND owner.classid = 'pg_class'::regclass
        JOIN pg_attribute AS attribute
            ON attribute.attrelid = owner.refobjid AND attribute.attnum = owner.refobjsubid
        WHERE sequence.relkind = 'S' AND owner.refobjid = to_regclass({table})
            AND sequence.relname = {old} || '_' || attribute.attname || '_seq'
    LOOP
        EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', found.place, {new} || '_' || found.name || '_seq');
    END LOOP;
END
$do$
"""


@Operations.register_operation("rename_primary_key")
class RenamePrimaryKey(EngineOperation):
    """Name the primary key of the renamed table `new` after it. A key or sequence with a name of its own keeps it."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    @classmethod
    def rename_primary_key(cls, operations: Operations, old: str, new: str) -> None:
        """`op.rename_primary_key(...)`."""
        operations.invoke(cls(old, new))


@Operations.implementation_for(RenamePrimaryKey)
def _rename(operations: Operations, operation: RenamePrimaryKey) -> None:
    old_key, new_key = (NAMING_CONVENTION["pk"] % {"table_name": name} for name in (operation.old, operation.new))
    context = operations.get_context()
    if context.dialect.name == "postgresql":
        names = {"old": operation.old, "new": operation.new, "old_key": old_key, "new_key": new_key}
        names["table"] = POSTGRESQL.identifier_preparer.quote(operation.new)
        operations.execute(ON_POSTGRESQL.format_map({key: literal(name) for key, name in names.items()}))
    elif not context.as_sql:
        rename_constraint(operations, operation.new, old_key, new_key)


@renderers.dispatch_for(RenamePrimaryKey)
def _render(_context: AutogenContext, operation: RenamePrimaryKey) -> str:
    return f"op.rename_primary_key({operation.old!r}, {operation.new!r})"

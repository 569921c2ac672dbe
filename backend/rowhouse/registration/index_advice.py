"""Finds columns without an index that serves them, and describes them for the log at start-up.

Only the classes are read, never a database. An index, a unique constraint or a primary key serves the column that it
begins with. A partial index, an index of an expression and an unordered index do not count. `Field(index=False)` says
that a column deliberately has no index.
"""

from rowhouse.entities.model import is_adopted
from rowhouse.query.resource import Resource, leading_columns
from rowhouse.schemas.sqlmodel_internals import states_no_index

FIX = "write Field(index=True) and a migration, or Field(index=False) if reading the whole table is acceptable"


def missing_indexes(resource: Resource, *, is_listed: bool) -> str | None:
    """Return a sentence with the columns without an index, the owner's first, and the fix. None if there are none.

    `is_listed` says whether the entity has a list. Without one, nobody filters or sorts its rows or lists those of
    one owner. Nothing is said about an adopted table, whose indexes are not the project's.
    """
    if is_adopted(resource.table):
        return None
    served = set(leading_columns(resource.table))
    unserved = [c for c in resource.columns.values() if c.column.name not in served and not states_no_index(c.info)]
    owners = [c.name for c in unserved if is_listed and resource.owner_only and c.name == resource.owner]
    references = [c.name for c in unserved if c.column.foreign_keys and c.name not in owners]
    listed = resource.parameters.sortable if is_listed else ()
    others = [c.name for c in unserved if c.name in listed and c.name not in (*owners, *references)]
    groups = {
        "{} (for lists of one owner's rows)": owners,
        "{} (for deletes of the rows they refer to)": references,
        "{} (for filters and sorting of lists)": others,
    }
    named = "; ".join(text.format(", ".join(names)) for text, names in groups.items() if names)
    return f"{resource.name}: no index begins with {named}: {FIX}" if named else None

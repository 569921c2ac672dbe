"""Which columns of an entity have no index that serves them, in words for the log at start-up.

Only what the classes state is looked at, never a database. A column is served when an index, a unique constraint or the primary key of
its table begins with it; a partial index, one over an expression and one that keeps no order do not count. `Field(index=False)` says
that a column has been thought about.
"""

import re
from collections.abc import Iterator

import sqlalchemy as sa

from rowhouse.query.resource import Resource
from rowhouse.schemas.sqlmodel_internals import states_no_index

# As SQLAlchemy writes an index's first part, whether it was given as a column or as text; it is read in either direction.
COLUMN = re.compile(r'(?:\w+\.)?"?(\w+)"?(?: ASC| DESC)?(?: NULLS (?:FIRST|LAST))?', re.IGNORECASE)
MEND = "write Field(index=True) and a migration, or Field(index=False) where they may read the whole table"


def missing_indexes(resource: Resource, *, is_listed: bool) -> str | None:
    """A sentence that names the columns without an index, the owner's first, and the mend; None where there are none.

    `is_listed` says whether the entity has a list: without one nobody filters, sorts, or reads the rows of one owner.
    """
    served = set(leading_columns(resource.table))
    bare = [c for c in resource.columns.values() if c.column.name not in served and not states_no_index(c.info)]
    owners = [c.name for c in bare if is_listed and resource.owner_only and c.name == resource.owner]
    references = [c.name for c in bare if c.column.foreign_keys and c.name not in owners]
    listed = resource.parameters.sortable if is_listed else ()
    others = [c.name for c in bare if c.name in listed and c.name not in (*owners, *references)]
    groups = {
        "{}, by which every list of one owner's rows reads": owners,
        "{}, by which a delete of what they refer to reads": references,
        "{}, by which lists filter and sort": others,
    }
    named = "; ".join(text.format(", ".join(names)) for text, names in groups.items() if names)
    return f"{resource.name}: no index begins with {named}: {MEND}" if named else None


def leading_columns(table: sa.Table) -> Iterator[str]:
    """The names of the columns by which a table can be read in order: an index, or a constraint with one, begins with each."""
    for constraint in table.constraints:
        if isinstance(constraint, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            yield from [column.name for column in constraint.columns][:1]
    for index in table.indexes:
        first = COLUMN.fullmatch(str(index.expressions[0]))
        if first and _is_ordered_and_whole(index):
            yield first[1]


def _is_ordered_and_whole(index: sa.Index) -> bool:
    """Whether it holds every row, in the order of its columns, on both databases."""
    is_partial = any(index.dialect_options[name]["where"] is not None for name in ("postgresql", "sqlite"))
    return not is_partial and index.dialect_options["postgresql"]["using"] in (False, "btree")

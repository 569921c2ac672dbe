"""The decisions of a developer about a step, and the losses that its migration must state."""

from collections.abc import Iterable

from rowhouse.migrations.losses import Loss
from rowhouse.migrations.renames import AnyRename, Decisions, Rename, TableRename
from tests.migrations.chains.classes import Column, Schema, Table
from tests.migrations.chains.kinds import KINDS


def decisions_for(before: Schema, after: Schema, renamed: tuple[str, str] | None) -> Decisions:
    """Return the developer's decisions: which table and columns were renamed, and which columns and tables dropped.

    `before` has the renamed table under its new name.
    """
    pairs = [(old, after.table(old.name)) for old in before.tables if after.has(old.name)]
    tables: list[AnyRename] = [TableRename(*renamed)] if renamed else []
    columns = (
        Rename(new.name, column.name, new.name_of(column.uid))
        for old, new in pairs
        for column in old.columns
        if new.has(column.uid) and new.name_of(column.uid) != column.name
    )
    gone = {table.name for table in before.tables if not after.has(table.name)}
    return Decisions(
        (*tables, *columns),
        frozenset(gone) | frozenset(f"{old.name}.{name}" for old, new in pairs for name in dropped(old, new)),
    )


def dropped(old: Table, new: Table) -> list[str]:
    """Return the dropped columns."""
    return [column.name for column in old.columns if not new.has(column.uid)]


def lost(before: Schema, after: Schema) -> list[str]:
    """Return the tables and columns that lose rows or values, by their names."""
    found = [table.name for table in before.tables if not after.has(table.name)]
    for old in before.tables:
        if after.has(old.name):
            new = after.table(old.name)
            found += [f"{old.name}.{name}" for name in dropped(old, new)]
            found += [
                f"{old.name}.{new.name_of(c.uid)}"
                for c in old.columns
                if new.has(c.uid) and narrows(c.kind, new.column(c.uid).kind)
            ]
            found += [f"state_{c.uid}" for c in old.columns if new.has(c.uid) and loses_members(c, new.column(c.uid))]
    return found


def loses_members(old: Column, new: Column) -> bool:
    """Return True for a native enum that loses a member."""
    return old.kind == new.kind == "state" and bool(set(old.members) - set(new.members))


def narrows(old: str, new: str) -> bool:
    """Return True if the new kind holds less. The kinds of a family are in the order of their range."""
    return old in KINDS and list(KINDS).index(new) < list(KINDS).index(old)


def named(losses: Iterable[Loss]) -> list[str]:
    """Return the tables and columns that a migration names as losses."""
    return [loss.what.partition(":")[0] for loss in losses if "rule " not in loss.what]


def can_be_undone(before: Schema, after: Schema) -> bool:
    """Return True if the rows fit the former schema. An interval without values has no beginning, and overlaps."""
    return all(
        after.table(table.name).has(uid)
        for table in before.tables
        if table.overlap and after.has(table.name)
        for uid in (table.overlap.start, table.overlap.end)
    )

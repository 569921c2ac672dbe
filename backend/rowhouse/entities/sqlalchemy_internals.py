"""Parts of SQLAlchemy that are not documented. No other module below `crud` uses such parts of SQLAlchemy.

`tests/crud/test_sqlalchemy_internals.py` fails first when an upgrade changes one.
"""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import datetime
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Mapper

FLUSH_EVENTS = ("before_insert", "after_insert", "before_update", "after_update", "before_delete", "after_delete")


def variants_of(kind: sa.types.TypeEngine[Any]) -> Mapping[str, sa.types.TypeEngine[Any]]:
    """Return what `with_variant` has set: the type of each dialect that has one of its own."""
    variants: Mapping[str, sa.types.TypeEngine[Any]] = kind._variant_mapping  # noqa: SLF001  nothing public lists them
    return variants


def general_type(kind: sa.types.TypeEngine[Any]) -> type:
    """Return the general type of a type, such as `sa.String` for all text. Alembic compares types by it."""
    found: type = kind._type_affinity or sa.types.NullType  # noqa: SLF001  it has no other name
    return found


def copy_of(column: sa.Column[Any]) -> sa.Column[Any]:
    """Return a copy of a column that belongs to no table."""
    copied: sa.Column[Any] = column._copy()  # noqa: SLF001  there is no public copy
    return copied


def is_made_by_type(check: sa.CheckConstraint) -> bool:
    """Return whether the type of a column creates the check, as `sa.Enum(native_enum=False)` does."""
    return check._type_bound  # noqa: SLF001  nothing public says it


def prefixes_of(table: sa.Table) -> list[str]:
    """Return the `prefixes` of a table, such as `TEMPORARY`."""
    return [str(prefix) for prefix in table._prefixes]  # noqa: SLF001  nothing public lists them


def fill_with(clock: Callable[[], datetime], column: sa.Column[Any]) -> None:
    """Let `clock` fill a column instead of the database's: SQLite's writes a text that sorts before others.

    `server_default=func.now()` stays in the table, for other programs.
    """
    if _is_clock(column.default or column.server_default):
        sa.ColumnDefault(clock)._set_parent(column)  # noqa: SLF001  a column of a table takes none otherwise
    if _is_clock(column.onupdate):
        sa.ColumnDefault(clock, for_update=True)._set_parent(column)  # noqa: SLF001  as above


def _is_clock(default: Any) -> bool:
    """Return whether a default is SQL for the present instant."""
    given = getattr(default, "arg", None)
    return isinstance(given, sa.ClauseElement) and str(given).lower().strip("()") in ("now", "current_timestamp")


class TableConstraint(sa.Constraint):
    """A constraint of a table, which `to_metadata` and Alembic copy with the table."""

    __visit_name__ = "table_constraint"
    _column_flag = False  # `to_metadata` reads it of every constraint, and leaves out those of single columns

    @abstractmethod
    def copied(self) -> Self:
        """Return the same constraint for a copy of its table."""

    def _copy(self, **_options: Any) -> Self:
        """SQLAlchemy's name of `copied`."""
        return self.copied()


def without_schema(dialect: sa.Dialect, table: sa.Table) -> sa.Dialect:
    """Return a copy of the dialect that writes `table` without its schema.

    A common table expression of the table's name then takes the table's place. An `sa.table` of that name keeps its
    schema.
    """
    changed = copy(dialect)
    preparer: Any = copy(dialect.identifier_preparer)
    preparer.schema_for_object = lambda item: None if _is_same(item, table) else item.schema
    changed.identifier_preparer = preparer
    return changed


def _is_same(item: Any, table: sa.Table) -> bool:
    return isinstance(item, sa.Table) and item.fullname == table.fullname


def flush_events(mapper: Mapper[Any]) -> Iterator[str]:
    """Yield each event of a flush that has a listener, such as `before_insert`."""
    for event in FLUSH_EVENTS:
        if getattr(mapper.dispatch, event):
            yield event


def heard_events(mapper: Mapper[Any]) -> Iterator[tuple[str, str]]:
    """Yield each event that has a listener, after the name of its attribute, which is empty for events of the class.

    Listeners of SQLAlchemy's own extensions, such as `MutableDict`, do not count.
    """
    for event in ("load", "init", "refresh"):
        if any(map(_is_of_others, getattr(mapper.class_manager.dispatch, event))):
            yield "", event
    names = mapper.columns.keys()
    for name in names:
        if any(map(_is_of_others, getattr(mapper.class_, name).impl.dispatch.set)):
            yield name, "set"


def maker_of(model: type[Any]) -> Callable[[], Any]:
    """Return a function that makes an object of a mapped class without calling its `__init__`."""
    make: Callable[[], Any] = sa.inspect(model).class_manager.new_instance
    return make


def own_init(mapper: Mapper[Any]) -> Any:
    """Return the `__init__` of a class, below SQLAlchemy's."""
    return mapper.class_manager.original_init


def _is_of_others(listener: Any) -> bool:
    """Return whether a listener is not SQLAlchemy's own. SQLAlchemy wraps every listener."""
    closure = inspect.getclosurevars(listener).nonlocals if inspect.isfunction(listener) else {}
    return not str(getattr(closure.get("fn", listener), "__module__", "")).startswith("sqlalchemy.")

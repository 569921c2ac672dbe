"""The base class of the engine's own operations of migrations."""

from typing import Any

from alembic.operations import MigrateOperation


class EngineOperation(MigrateOperation):
    """An operation that `alembic check` can show as a difference, by its name and its arguments."""

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return (type(self).__name__, *vars(self).values())

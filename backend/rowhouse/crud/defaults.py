"""What a row's columns get that no client sends: from the class, when a row is made or comes back."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rowhouse.db.compiled import Row
from rowhouse.query.resource import Resource

TIMESTAMPS = frozenset({"created_at", "updated_at"})


def server_defaults(resource: Resource) -> dict[str, Callable[[], Any]]:
    """What makes the value of each column that the client may not set; of the key only where the server makes it.

    The timestamps are not among them: every new row gets them from one reading of the clock.
    """
    found: dict[str, Callable[[], Any]] = {}
    for column in resource.columns.values():
        if (
            column.name in TIMESTAMPS
            or column.name in resource.schemas.create.model_fields
            or column.info.is_required()
        ):
            continue
        default = column.info.get_default(call_default_factory=True)
        if default is None and column.column.primary_key:
            continue
        factory: Any = column.info.default_factory
        found[column.name] = factory or partial(_same, default)
    return found


def later_columns(resource: Resource) -> Row:
    """What a row that was written down long ago gets in columns that came since."""
    columns = resource.columns.values()
    return {c.name: c.info.get_default(call_default_factory=True) for c in columns if not c.info.is_required()}


def _same(value: Any) -> Any:
    return value

"""Every reference to a registered entity of the product has an index."""

from sqlmodel import SQLModel

from app.api import registry
from rowhouse.query.resource import leading_columns


def test_every_reference_has_an_index() -> None:
    """The tables that are not registered too, such as order lines."""
    tables = {registration.resource.table for registration in registry.registrations.values()}
    referring = [t for t in SQLModel.metadata.tables.values() if any(k.column.table in tables for k in t.foreign_keys)]
    assert {"order_lines", "refresh_tokens"} <= {table.name for table in referring}
    for table in referring:
        assert {key.parent.name for key in table.foreign_keys} <= set(leading_columns(table)), table.name

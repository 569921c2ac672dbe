"""Which tables an application needs of its database: those of its models and of what is registered."""

import sqlalchemy as sa

from backend.core.tables import Need
from backend.crud.registry import Registry

READING = frozenset({"list", "get"})


def needs_of(registry: Registry, metadata: sa.MetaData) -> list[Need]:
    """Each table with the name of its class. An entity that is only read may have columns that its class does not know."""
    lines = {line.resource.table: line for line in registry.registrations.values()}
    needs = []
    for table in sorted({*metadata.tables.values(), *lines}, key=lambda table: table.fullname):
        line = lines.get(table)
        entity = line.resource.name if line else str(table.info.get("entity", table.name))
        needs.append(Need(table, entity, inserts=line is None or not READING.issuperset(line.operations)))
    return needs

"""The tables that an application needs in its database: those of its models and of registered entities."""

from collections.abc import Iterable

import sqlalchemy as sa

from rowhouse.health.table_check import RequiredTable
from rowhouse.registration.registry import Registry

READING = frozenset({"list", "get"})


def required_tables(registries: Iterable[Registry], metadata: sa.MetaData) -> list[RequiredTable]:
    """Return each table with the name of its class.

    A read-only entity may have columns that its class does not declare.
    """
    lines = [line for registry in registries for line in registry.registrations.values()]
    names = {line.resource.table: line.resource.name for line in lines}
    written = {line.resource.table for line in lines if not READING.issuperset(line.operations)}
    required = []
    for table in sorted({*metadata.tables.values(), *names}, key=lambda table: table.fullname):
        entity = names.get(table) or str(table.info.get("entity", table.name))
        inserts = table in written or table not in names
        required.append(RequiredTable(table, entity, inserts=inserts, writes=table in written))
    return required

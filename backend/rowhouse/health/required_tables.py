"""The tables that an application needs in its database: those of its models and of registered entities."""

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from rowhouse.health.table_check import RequiredTable
from rowhouse.registration.registry import Registry

OWN_TABLES = frozenset({"refresh_tokens", "idempotency_keys", "deleted_rows", "history_entries"})
INSERT = frozenset({"INSERT"})
RIGHTS = {"create": INSERT, "put": INSERT | {"UPDATE"}, "update": {"UPDATE"}, "delete": {"DELETE"}}


def required_tables(registries: Iterable[Registry], metadata: sa.MetaData) -> list[RequiredTable]:
    """Return each table with the name of its class.

    A read-only entity may have columns that its class does not declare.
    """
    lines = [line for registry in registries for line in registry.registrations.values()]
    names = {line.resource.table: line.resource.name for line in lines}
    rights: defaultdict[sa.Table, frozenset[str]] = defaultdict(frozenset)
    for line in lines:
        rights[line.resource.table] |= frozenset().union(*(RIGHTS.get(name, frozenset()) for name in line.operations))
    # The engine's own tables: writes of entities add rows to them.
    own = INSERT if any(rights.values()) else frozenset()
    rights.update({table: own for name, table in metadata.tables.items() if name in OWN_TABLES and table not in names})
    required = []
    for table in sorted({*metadata.tables.values(), *names}, key=lambda table: table.fullname):
        entity = names.get(table) or str(table.info.get("entity", table.name))
        inserts = bool(rights[table]) or table not in names
        required.append(RequiredTable(table, entity, inserts=inserts, rights=rights[table]))
    return required

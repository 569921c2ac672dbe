"""A probe for another account's row: the request, the row, and the queries that would select it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rowhouse.query.resource import Relation
from rowhouse.registration.registry import Registry
from rowhouse.registration.relations import relations_of
from tests.contract.entity_client import EntityClient, Row, RunningApp
from tests.contract.list_model import EQUALITY, MATCHES, ORDER, written

OPERATORS = EQUALITY | ORDER | MATCHES
NO_FILTERS = frozenset({"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand", "any"})
MAX_BRANCHES = 10


@dataclass(frozen=True)
class Probe:
    """One request, below the entity's path unless `entity` names another."""

    method: str
    tail: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    entity: EntityClient | None = None


@dataclass(frozen=True)
class Reference:
    """A member of an entity that can refer to the row, as a foreign key or in a list of links, and a row to change."""

    entity: EntityClient
    member: str
    is_list: bool
    row: Row

    def value(self, *keys: Any) -> Any:
        """What the member refers to the last of the keys by, behind others where it takes several."""
        return list(keys) if self.is_list else keys[-1]


@dataclass(frozen=True)
class Secret:
    """A row that the stranger does not see, with what its owner has learnt: its tag and cursors to and past it.

    `entries` are its history, and `entry_cursors` lead into that and into the history of the stranger's `own` row.
    `near` are rows of the stranger's that could refer to it by a member.
    """

    entity: EntityClient
    row: Row
    tag: str
    cursors: tuple[str, ...]
    own: Row
    own_cursors: tuple[str, ...]
    entries: tuple[Row, ...] = ()
    entry_cursors: tuple[str, ...] = ()
    near: tuple["Reference", ...] = ()

    @property
    def path(self) -> str:
        """Its tail below the entity's path."""
        return f"/{self.row['id']}"

    def change(self) -> Row:
        """A change that its owner could make."""
        return change_of(self.entity, self.row)


def change_of(entity: EntityClient, row: Row) -> Row:
    """A change of one member that refers to nothing."""
    return entity.change(row, next(name for name in entity.update if name not in entity.references))


def selections(secret: Secret) -> Iterator[dict[str, Any]]:
    """Each filter by the row's own value and by what it refers to, alone and as a branch of `any`; each sort and search."""
    aliases = secret.entity.registration.crud.filter_aliases
    branches = []
    for name, schema in secret.entity.parameters.items():
        if name not in NO_FILTERS and schema.get("type") != "object":  # an object has the filters of a relation
            branches.append({name: filter_value(secret.row, aliases.get(name, name))})
    yield from (*branches, *joined(branches))
    for relation in relations(secret.entity.running_app)[secret.entity.resource.path].values():
        related = list(relation_filters(relation, secret.row))
        yield from (*related, *joined(related))
    for name in secret.entity.resource.parameters.sortable:
        yield from ({"sort": name}, {"sort": f"-{name}"})
    for column in secret.entity.resource.parameters.search.columns:
        yield {"search": secret.row[column]}


def joined(branches: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """The same filters, joined by OR."""
    for start in range(0, len(branches), MAX_BRANCHES):
        yield {"any": json.dumps(branches[start : start + MAX_BRANCHES])}


def relation_filters(relation: Relation, row: Row) -> Iterator[dict[str, Any]]:
    """Filters by the related rows: that there is any, and by the value that links it."""
    name, value = f"{relation.name}__{relation.remote}", row[relation.local]
    yield {f"{name}__isnull": "false"}
    if relation.link is None and value is not None:
        yield {name: written(value)}
        yield {f"{name}__in": written([value])}


def relations(running_app: RunningApp) -> dict[str, dict[str, Relation]]:
    """The relations of each entity by its path, as `expand` takes their names."""
    return relations_of_registry(running_app.registry)


def relations_of_registry(registry: Registry) -> dict[str, dict[str, Relation]]:
    """The same of a registry."""
    registrations = registry.registrations
    readable = {path for path, registration in registrations.items() if "list" in registration.operations}
    return relations_of([registration.resource for registration in registrations.values()], readable=readable)


def leading_to(entity: EntityClient) -> list[tuple[EntityClient, Relation]]:
    """Each relation of any entity that embeds rows of this one."""
    return [found for found in related_pairs(entity.running_app) if found[1].target is entity.resource]


def leading_over(entity: EntityClient) -> list[tuple[EntityClient, Relation]]:
    """Each relation of any entity that has this one between its two ends."""
    pairs = related_pairs(entity.running_app)
    return [found for found in pairs if found[1].link and found[1].link.table is entity.resource.table]


def related_pairs(running_app: RunningApp) -> list[tuple[EntityClient, Relation]]:
    """Each entity with each of its relations."""
    found = relations(running_app)
    return [(running_app.entity(path), relation) for path, own in found.items() for relation in own.values()]


def filter_value(row: Row, name: str) -> str:
    """What a filter asks for, so that it selects the row, or selects by where the row stands."""
    column, _, operator = name.partition("__")
    value = row[column]
    match operator:
        case "isnull":
            return written(value is None)
        case "contains" | "startswith":
            return str(value)[:5]
        case "endswith":
            return str(value)[-5:]
    if operator == "between":
        return written([value, value])
    return written([value] if operator in ("in", "not_in") else value)


def bodies_that_name(secret: Secret) -> Iterator[tuple[EntityClient | None, Row]]:
    """New rows in the owner's name, with the row's id, and with references to it from every entity that has some."""
    for member in sorted({"id", str(secret.entity.owner)} & set(secret.row)):
        yield None, secret.entity.body(**{member: secret.row[member]})
    for entity, member in referring(secret.entity):
        yield entity, entity.body(**{member: secret.row["id"]})
    for entity, member in linking(secret.entity):
        for keys in ([secret.row["id"]], [secret.own["id"], secret.row["id"]]):
            yield entity, entity.body(**{member: keys})


def referring(entity: EntityClient) -> list[tuple[EntityClient, str]]:
    """Each entity with a member that refers to this one."""
    return [
        (other, name)
        for other in creatable(entity.running_app)
        for name, column in other.references.items()
        if column.table is entity.resource.table
    ]


def linking(entity: EntityClient) -> list[tuple[EntityClient, str]]:
    """Each entity with a member that links rows of this one."""
    return [
        (other, name)
        for other in creatable(entity.running_app)
        for name, path in other.links.items()
        if path == entity.resource.path
    ]


def creatable(running_app: RunningApp) -> list[EntityClient]:
    """The entities whose rows clients create."""
    registrations = running_app.registry.registrations
    return [running_app.entity(path) for path, line in registrations.items() if "create" in line.operations]

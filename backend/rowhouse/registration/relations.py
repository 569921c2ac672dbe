"""Derives the relations between registered entities, and their names in `expand`, from the foreign keys.

A column `category_id` makes the relation `category`. In the other direction, a category has `books`, the plural of
the class that refers to it. Only public columns make relations, so that `expand` shows nothing that the row does not.
"""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from rowhouse.entities.model import Mark, plural
from rowhouse.query.resource import Relation, Resource
from rowhouse.schemas.columns import Column

REFERENCE = "_id"


@dataclass(frozen=True, slots=True)
class _Reference:
    """A column of `source` that refers to the column `remote` of `target`."""

    source: Resource
    local: Column
    target: Resource
    remote: Column


def relations_of(resources: Iterable[Resource], *, readable: Container[str]) -> dict[str, dict[str, Relation]]:
    """Return, by the path of each resource, its relations by their names. Targets are the resources in `readable`.

    A relation with the name of a column is left out.
    """
    resources = tuple(resources)
    references = [found for resource in resources for found in _references(resource, resources)]
    pairs = Counter((reference.source.path, reference.target.path) for reference in references)
    related: dict[str, dict[str, Relation]] = {resource.path: {} for resource in resources}
    for reference in references:
        source, target = reference.source, reference.target
        if reference.local.name.endswith(REFERENCE) and target.path in readable:
            name = reference.local.name.removesuffix(REFERENCE)
            one = Relation(name, reference.local.name, target, reference.remote.name, many=False)
            _add(related[source.path], source, one)
        if source.path in readable:
            name = _name_of_many(reference, alone=pairs[source.path, target.path] == 1)
            many = Relation(name, reference.remote.name, source, reference.local.name, many=True)
            _add(related[target.path], target, many)
    return related


def _name_of_many(reference: _Reference, *, alone: bool) -> str:
    """Return `books`, or `books_by_editor` if books refer to the same entity in several ways."""
    name = plural(reference.source.name).replace("-", "_")
    return name if alone else f"{name}_by_{reference.local.name.removesuffix(REFERENCE)}"


def _add(relations: dict[str, Relation], resource: Resource, relation: Relation) -> None:
    if relation.name not in resource.columns:
        relations.setdefault(relation.name, relation)


def _references(resource: Resource, resources: Iterable[Resource]) -> list[_Reference]:
    by_table: dict[sa.Table, Resource] = {other.table: other for other in resources}
    found = []
    for column in resource.columns.values():
        for key in column.column.foreign_keys:
            target = by_table.get(key.column.table)
            remote = target.columns.get(key.column.name) if target else None
            if target and remote and Mark.SECRET not in column.marks | remote.marks:
                found.append(_Reference(resource, column, target, remote))
    return found

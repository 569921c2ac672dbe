"""Which registered entities are related, by the foreign keys of their tables, and under what name `expand` embeds them.

A column `category_id` leads to `category`; the other way, a category has `books`, the plural of what refers to it. Only columns
that every reader sees make a relation, so embedding tells nothing that the row does not.
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
    """A column of `source` whose value is that of `remote` in a row of `target`."""

    source: Resource
    local: Column
    target: Resource
    remote: Column


def relations_of(resources: Iterable[Resource], *, readable: Container[str]) -> dict[str, dict[str, Relation]]:
    """The relations of each resource, given by its path, by their names, to those whose paths are `readable`.

    A name that a column has already is left out.
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
    """`books`, or `books_by_editor` where books refer to the same entity in several ways."""
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

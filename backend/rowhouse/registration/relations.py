"""Derives the relations between registered entities, and their names in `expand`.

A `Relationship` of a class makes a relation with its name. Where there is none, a foreign key does: a column
`category_id` makes the relation `category`, and so does `category_slug` if it refers to `slug`. In the other direction,
a category has `books`, the plural of the class that refers to it. Only public columns make relations, so that `expand`
shows nothing that the row does not.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.sql.operators import asc_op, desc_op

from rowhouse.crud.base import CRUDBase
from rowhouse.crud.related import RelatedRows
from rowhouse.entities.model import plural, singular_snake
from rowhouse.query.resource import Link, Order, Relation, Resource
from rowhouse.schemas.columns import Column, RegistrationError

REFERENCE = "_id"
# How a word of `sort` begins, by what `order_by` of SQLAlchemy says.
SIGNS: Mapping[Any, str] = {None: "", asc_op: "", desc_op: "-"}
# The path of the source, its column, the path of the target, its column, and whether the source refers to the target.
Way = tuple[str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class _Reference:
    """A column of `source` that refers to the column `remote` of `target`."""

    source: Resource
    local: Column
    target: Resource
    remote: Column


def relations_of(resources: Iterable[Resource], *, readable: Container[str]) -> dict[str, dict[str, Relation]]:
    """Return, by the path of each resource, its relations by their names. Targets are the resources in `readable`.

    A relation with the name of a member is left out.
    """
    resources = tuple(resources)
    references = [found for resource in resources for found in _references(resource, resources)]
    pairs = Counter((reference.source.path, reference.target.path) for reference in references)
    related: dict[str, dict[str, Relation]] = {resource.path: {} for resource in resources}
    declared: set[Way] = set()
    for resource in resources:
        for relation, refers in _declared(resource, resources):
            if relation.target.path in readable:
                _add(related[resource.path], resource, relation)
                if relation.link is None:
                    declared.add((resource.path, relation.local, relation.target.path, relation.remote, refers))
    for reference in references:
        source, target = reference.source, reference.target
        way = source.path, reference.local.name, target.path, reference.remote.name
        back = target.path, reference.remote.name, source.path, reference.local.name
        name = _name_of_one(reference)
        if name and target.path in readable and (*way, True) not in declared:
            one = Relation(name, reference.local.name, target, reference.remote.name, many=False)
            _add(related[source.path], source, one)
        if source.path in readable and (*back, False) not in declared:
            name = _name_of_many(reference, alone=pairs[source.path, target.path] == 1)
            many = Relation(name, reference.remote.name, source, reference.local.name, many=True)
            _add(related[target.path], target, many)
    return related


def owning(
    related: Mapping[str, Mapping[str, Relation]], *, writable: Container[str]
) -> dict[str, dict[str, Relation]]:
    """Return the relations of each resource.

    A relation owns only rows that their own operations can create, change and delete.
    A relation of a cycle owns none, because a row would own itself.
    """
    targets = {path: {one.target.path for one in relations.values() if one.owns} for path, relations in related.items()}
    return {
        path: {
            name: replace(one, owns=one.owns and one.target.path in writable and not _leads(targets, one, path))
            for name, one in relations.items()
        }
        for path, relations in related.items()
    }


def _leads(targets: Mapping[str, Iterable[str]], relation: Relation, path: str) -> bool:
    """Return whether owned rows of a relation own rows of the resource at `path`, directly or through others."""
    seen, waiting = set[str](), [relation.target.path]
    while waiting:
        one = waiting.pop()
        seen.add(one)
        waiting += [other for other in targets[one] if other not in seen]
    return path in seen


def connect(cruds: Mapping[str, CRUDBase[Any]]) -> None:
    """Give each entity the rows that its relations lead to."""
    by_table = {crud.table.fullname: crud for crud in cruds.values()}
    for crud in cruds.values():
        found = {}
        for name, relation in crud.resource.relations.items():
            target = cruds[relation.target.path]
            link = by_table.get(relation.link.table.fullname) if relation.link else None
            found[name] = RelatedRows(relation, crud.resource, target, statements=target.statements, link=link)
        crud.connect(found)


def _declared(resource: Resource, resources: Iterable[Resource]) -> Iterator[tuple[Relation, bool]]:
    """Yield the relations of a class's `Relationship`s, and whether the row refers to the related one.

    A `Relationship` with a condition of its own, or by several columns, is for sessions only.
    """
    by_class = {other.model: other for other in resources}
    for found in sa.inspect(resource.model).relationships:
        target = by_class.get(found.mapper.class_)
        if target is None:
            continue
        relation = _linked(resource, target, found) if found.secondary is not None else _direct(resource, target, found)
        if relation is not None:
            yield relation, found.direction is RelationshipDirection.MANYTOONE


def _direct(resource: Resource, target: Resource, found: RelationshipProperty[Any]) -> Relation | None:
    if len(found.local_remote_pairs) != 1:
        return None
    local, remote = _columns(found.local_remote_pairs)
    near, far = _shown(resource, local), _shown(target, remote)
    if not _is_equality(found.primaryjoin, local, remote) or near is None or far is None:
        return None
    many = bool(found.uselist)
    owns = many and found.cascade.delete_orphan and _is_key(local) and _has_keys(target, far)
    return Relation(found.key, near, target, far, many=many, owns=owns, order=_order(resource, target, found))


def _has_keys(target: Resource, reference: str) -> bool:
    """Return whether elements of a request can name the rows of an owner.

    If the owner of a row is an account, the server sets it.
    """
    keys = [name for name in target.key.names if name != reference]
    settable = target.schemas.create.model_fields
    return reference != target.owner and (len(keys) == 1 or (bool(keys) and settable.keys() >= set(keys)))


def _linked(resource: Resource, target: Resource, found: RelationshipProperty[Any]) -> Relation | None:
    """Return a many-to-many relation."""
    table, near, far = found.secondary, found.synchronize_pairs, found.secondary_synchronize_pairs
    if not isinstance(table, sa.Table) or len(near) != 1 or not far or len(far) != 1:
        return None
    (local, to_row), (remote, to_target) = _columns(near), _columns(far)
    joined = _is_equality(found.primaryjoin, local, to_row) and _is_equality(found.secondaryjoin, remote, to_target)
    own, other = _shown(resource, local), _shown(target, remote)
    if not joined or own is None or other is None:
        return None
    link = Link(table, to_row.name, to_target.name)
    is_set = not found.viewonly and found.uselist and _is_key(local) and _is_key(remote)
    member = _member(resource, found.key, target) if is_set and not _further_values(link) else None
    order = _order(resource, target, found)
    return Relation(found.key, own, target, other, many=bool(found.uselist), link=link, member=member, order=order)


def _order(resource: Resource, target: Resource, found: RelationshipProperty[Any]) -> Order:
    """Return the `order_by` of a `Relationship` as words of `sort`, such as `-name`.

    Raises:
        RegistrationError: there is one related row at most, or a word that no list of the related entity has.
    """
    words = [_sort_word(target, part) for part in found.order_by or ()]
    if None in words or (words and not found.uselist):
        raise RegistrationError(
            f"{resource.name}.{found.key}: order_by takes columns of {target.name} that its lists can be sorted by, or "
            "desc() of them, and needs a list of rows; take it out, and let clients sort the list of "
            f"/{target.path}"
        )
    return tuple(filter(None, words))


def _sort_word(target: Resource, part: Any) -> str | None:
    """Return the word of `sort` for one part of an `order_by`. None if there is no such word."""
    column = part.element if isinstance(part, sa.UnaryExpression) else part
    sign = SIGNS.get(getattr(part, "modifier", None))
    is_own = {getattr(column, "table", None)} == {target.table}  # SQLAlchemy gives a copy of the table, which is equal
    stored = target.table.columns.get(str(column.key)) if is_own else None
    name = None if stored is None else _shown(target, stored)
    return f"{sign}{name}" if sign is not None and name in target.parameters.sortable else None


def _member(resource: Resource, relation: str, target: Resource) -> str:
    """Return `tag_ids` for the relation `tags`.

    Raises:
        RegistrationError: the class has a member of that name.
    """
    one = singular_snake(target.name)
    is_plural = relation in (f"{one}s", f"{one}es", plural(target.name).replace("-", "_"))
    name = f"{one if is_plural else relation.removesuffix('s')}_ids"
    if name in resource.columns or name in resource.schemas.public.model_fields:
        raise RegistrationError(
            f"{resource.name}.{relation}: its links are written by {name!r}, which is a member already; "
            "rename that member or the Relationship"
        )
    return name


def _is_key(column: sa.Column[Any]) -> bool:
    """Return whether the column is the whole primary key of its table."""
    return list(column.table.primary_key.columns) == [column]


def _further_values(link: Link) -> bool:
    """Return whether a row of the link needs more than its two keys."""
    further = [column for column in link.table.columns if column.name not in (link.near, link.far)]
    return any(not column.nullable and column.server_default is None for column in further)


def _columns(pairs: Any) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the only pair of columns."""
    ((one, other),) = pairs
    return one, other


def _is_equality(condition: Any, one: sa.Column[Any], other: sa.Column[Any]) -> bool:
    """Return whether the condition says that two columns are equal, and nothing else."""
    if not isinstance(condition, sa.BinaryExpression) or condition.operator is not sa.sql.operators.eq:
        return False
    plain = {condition.left.key, condition.right.key}
    tables = {getattr(condition.left, "table", None), getattr(condition.right, "table", None)}
    return plain == {one.key, other.key} and tables == {one.table, other.table}


def _shown(resource: Resource, column: sa.Column[Any]) -> str | None:
    """Return the name of the member that shows a column, or None if no member does."""
    shown = resource.column_of(column)
    return shown.name if shown is not None and shown.is_public else None


def _name_of_many(reference: _Reference, *, alone: bool) -> str:
    """Return `books`, or `books_by_editor` if books refer to the same entity in several ways."""
    name = plural(reference.source.name).replace("-", "_")
    return name if alone else f"{name}_by_{reference.local.name.removesuffix(REFERENCE)}"


def _name_of_one(reference: _Reference) -> str:
    """Return the name of the relation of a foreign key: `zone` for `zone_id`, or for `zone_code` that refers to `code`.

    Empty for a column that is not called so.
    """
    column = reference.local.name
    suffixes = (REFERENCE, f"_{reference.remote.name}")
    return next((column.removesuffix(suffix) for suffix in suffixes if column.endswith(suffix)), "")


def _add(relations: dict[str, Relation], resource: Resource, relation: Relation) -> None:
    if relation.name not in resource.columns and relation.name not in resource.schemas.public.model_fields:
        relations.setdefault(relation.name, relation)


def _references(resource: Resource, resources: Iterable[Resource]) -> list[_Reference]:
    by_table: dict[sa.Table, Resource] = {other.table: other for other in resources}
    found = []
    for column in resource.columns.values():
        for key in column.column.foreign_keys:
            if key.constraint is not None and len(key.constraint.elements) > 1:
                continue  # a part of a longer reference says nothing by itself
            target = by_table.get(key.column.table)
            remote = target.column_of(key.column) if target else None
            if target and remote and column.is_public and remote.is_public:
                found.append(_Reference(resource, column, target, remote))
    return found

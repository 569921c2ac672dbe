"""What the pages know about one registered entity: its fields, its paths, its relations and what a caller may do.

Derived from the registration once. The API decides what a caller may do; the pages only leave out what it would refuse.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from rowhouse.admin.fields import Field, Kind, fields_of, label_of
from rowhouse.core.security import Caller
from rowhouse.entities.no_overlap import rules_of
from rowhouse.entities.transition import Transition, shown
from rowhouse.query.keys import KEY_SEPARATOR, PART_SEPARATOR, quoted
from rowhouse.query.resource import Relation, Resource
from rowhouse.registration.registry import Registry
from rowhouse.registration.router import possible_operations
from rowhouse.schemas.columns import Column

Row = Mapping[str, Any]
# A row is called by the first of these columns that it has.
TITLES = ("name", "title", "label", "code", "full_name", "email")
MOST_COLUMNS = 8
WORD = re.compile(r"\w+")
# Paths of the pages themselves, below /admin and below an entity.
PAGES = frozenset({"login", "logout", "static"})
ROW_WORDS = frozenset({"new", "delete", "lookup", "export", "import", "deleted"})


@dataclass(frozen=True)
class Entity:
    """One registered entity. `slug` is its path below `/admin`, `api_path` that of its API."""

    slug: str
    api_path: str
    resource: Resource
    operations: frozenset[str]
    has_deleted_list: bool
    # The entity that a column refers to, and the column that it names there; set when all entities are known.
    references: dict[str, tuple["Entity", str]] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """The name of one row, such as `Charge point`."""
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in self.resource.name)
        return label_of(words)

    @cached_property
    def plural(self) -> str:
        """The name of all rows, such as `Charge points`."""
        return label_of(self.resource.path.replace("-", "_"))

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The members of a row."""
        return fields_of(self.resource.schemas.public.model_json_schema(), self.resource)

    @cached_property
    def create_fields(self) -> dict[str, Field]:
        """The members that a new row may have."""
        return fields_of(self.resource.schemas.create.model_json_schema(), self.resource)

    @cached_property
    def update_fields(self) -> dict[str, Field]:
        """The members that may change, with the limits of a new row's.

        Owned rows are not among them. They have pages of their own, and a list of them would replace the stored ones.
        """
        names = self.resource.schemas.update.model_fields.keys() - self.resource.owned_members
        return {name: one for name, one in self.create_fields.items() if name in names}

    @cached_property
    def columns(self) -> list[Field]:
        """The members in a list: the key and the name first, the timestamps and long texts only if there is room."""
        found = [one for one in self.fields.values() if one.kind is not Kind.DOCUMENT]
        found.sort(key=self._place)
        return found[:MOST_COLUMNS]

    def _place(self, one: Field) -> tuple[bool, bool, bool, bool]:
        is_timestamp = one.name in (self.resource.created, self.resource.updated)
        is_last = one.is_long or is_timestamp
        return one.name not in self.resource.key.names, one.name != self.title_column, is_timestamp, is_last

    @cached_property
    def title_column(self) -> str | None:
        """The column that a row is called by: a usual name, a searched column, or the first text of its own."""
        columns = self.resource.columns
        own = [name for name in self.fields if name in columns and not columns[name].column.foreign_keys]
        texts = [name for name in own if self.fields[name].kind is Kind.TEXT]
        preferred = [*TITLES, *self.resource.parameters.search.columns]
        return next((name for name in (*preferred, *texts) if name in texts), None)

    def key_of(self, row: Row) -> str:
        """Return the key of a row as text."""
        key = self.resource.key
        return key.text(key.of(row))

    def title_of(self, row: Row) -> str:
        """Return what a row is called."""
        title = row.get(self.title_column) if self.title_column else None
        return str(title) if title else f"{self.name} {self.key_of(row)}"

    def row_path(self, key: str) -> str:
        """Return the path of a row in the API."""
        return f"{self.api_path}/{quote(key, safe='')}"

    def ids_of(self, keys: Iterable[str]) -> str:
        """Return keys as one parameter of the API, such as `ids`."""
        if self.resource.key.is_composite:
            return KEY_SEPARATOR.join(keys)
        return PART_SEPARATOR.join(map(quoted, keys))

    def equals(self, name: str) -> str:
        """Return the filter that compares a column with a value."""
        return name if name in self.resource.parameters.filters else f"{name}__eq"

    @property
    def is_searched(self) -> bool:
        """Whether its list has a search."""
        return bool(self.resource.parameters.search.columns)

    def allows(self, caller: Caller, operation: str) -> bool:
        """Return True if the operation exists and its policy allows the caller."""
        policy = self.resource.read if operation in ("list", "get") else self.resource.write
        return self.has(operation) and policy.allows(caller)

    def has(self, operation: str) -> bool:
        """Return True if the operation exists. Of `update` and `put`, which do the same, one is enough."""
        return operation in self.operations or (operation == "update" and "put" in self.operations)

    @property
    def change_method(self) -> str:
        """The method that changes a row."""
        return "PATCH" if "update" in self.operations else "PUT"

    def may_change(self, caller: Caller) -> bool:
        """Return True if the caller may write the entity."""
        return self.resource.write.allows(caller)

    def expanded(self, caller: Caller) -> list[Relation]:
        """Return the relations to the row that a column refers to, if the caller may read it."""
        return [one for one in self.readable(caller) if self._is_reference(one)]

    def related(self, caller: Caller) -> list[Relation]:
        """Return the relations to rows that refer to a row, or that are paired with it, if the caller may read them."""
        return [one for one in self.readable(caller) if not self._is_reference(one)]

    def links(self, caller: Caller) -> list[Relation]:
        """Return the many-to-many relations that a form writes, if the caller may read them."""
        return [one for one in self.readable(caller) if one.member in self.update_fields]

    def readable(self, caller: Caller) -> list[Relation]:
        """Return the relations whose rows the caller may read."""
        return [one for one in self.resource.relations.values() if one.target.read.allows(caller)]

    def _is_reference(self, relation: Relation) -> bool:
        return not relation.many and relation.link is None and relation.local in self.references

    def steps(self, row: Row, caller: Caller) -> list[Transition[Any]]:
        """Return the steps that lead on from the state of a row and that the caller may take."""
        return [step for step in self.resource.steps if self._leads_on(step, row, caller)]

    def _leads_on(self, step: Transition[Any], row: Row, caller: Caller) -> bool:
        policy = step.policy or self.resource.write
        return policy.allows(caller) and str(row.get(step.field)) in map(shown, step.sources)

    def faulty_field(self, problem: Mapping[str, Any]) -> str | None:
        """Return the member that a conflict is about: of an interval its start, else the one that `detail` names."""
        detail, code = str(problem.get("detail", "")), problem.get("code")
        starts = [rule.start for rule in rules_of(self.resource.table) if rule.error.code == code]
        words = WORD.findall(detail)
        return next((name for name in (*starts, *words) if name in self.create_fields), None)


def entities_of(
    registries: Iterable[Registry], built: Mapping[str, Mapping[Any, Any]], routes: Iterable[str]
) -> list[Entity]:
    """Return the entities of all registries. `built` has their `CRUDBase` objects by prefix, `routes` every path."""
    paths = frozenset(routes)
    found: list[Entity] = []
    for registry in registries:
        part = []
        for path, line in registry.registrations.items():
            resource = built[registry.prefix][line.resource.model].resource
            api_path = f"{registry.prefix}/{path}"
            slug = _free_slug(path, {one.slug for one in found} | PAGES, registry.prefix)
            has_deleted = f"{api_path}/deleted" in paths
            part.append(Entity(slug, api_path, resource, possible_operations(line.operations, resource), has_deleted))
        _refer(part)
        found += part
    return found


def _free_slug(path: str, taken: Iterable[str], prefix: str) -> str:
    """Return the path, with the registry's prefix if another entity or a page has it."""
    return path if path not in taken else f"{path}-{prefix.strip('/').replace('/', '-') or 'rows'}"


def _refer(entities: Sequence[Entity]) -> None:
    """Set the references between the entities of one registry."""
    listed = {entity.resource.table: entity for entity in entities if "list" in entity.operations}
    for entity in entities:
        for column in entity.resource.columns.values():
            target = _target(column, listed)
            if target is not None:
                entity.references[column.name] = target


def _target(column: Column, listed: Mapping[Any, Entity]) -> tuple[Entity, str] | None:
    for key in column.column.foreign_keys:
        entity = listed.get(key.column.table)
        if entity is not None and key.column.name in entity.fields:
            return entity, str(key.column.name)
    return None

"""Builds the routes of one or several registries for one database, and checks what the registries say together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from fastapi.routing import APIRoute, APIWebSocketRoute
from sqlmodel import SQLModel

from rowhouse.crud.base import CRUDBase
from rowhouse.crud.links import with_links
from rowhouse.crud.owned import with_owned
from rowhouse.entities.model import is_adopted
from rowhouse.history.session_events import Tracked, tracked
from rowhouse.http.route_tree import RouteTree
from rowhouse.operations.expand import EmbeddedSchemas, expansions_of
from rowhouse.query.resource import Relation, Resource
from rowhouse.registration.class_checks import check_database
from rowhouse.registration.hand_written import bind, one_method_each
from rowhouse.registration.name_checks import check_references
from rowhouse.registration.one_database import check_words
from rowhouse.registration.registry import BUILT_IN_ROLES, Registry
from rowhouse.registration.relations import connect, owning, relations_of
from rowhouse.registration.router import routes_of
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.links import LinkMember, with_link_members
from rowhouse.schemas.owned import OwnedMember, with_owned_members

Cruds = dict[type[SQLModel], CRUDBase[Any]]


class BuiltRegistries(NamedTuple):
    """The routes of registries for one database, and the `CRUDBase` objects of each registry by its prefix.

    `tracked` has the entities whose changes sessions record, by the name of the table with its schema.
    """

    route_tree: RouteTree
    cruds: dict[str, Cruds]
    tracked: dict[str, Tracked]


class Recording(NamedTuple):
    """Whether deleted rows and changes of one table are recorded, and with which owner, by any registry."""

    soft_delete: bool = False
    history: bool = False
    recorded_owner: str | None = None


def build(registries: Sequence[Registry], dialect: sa.Dialect) -> BuiltRegistries:
    """Build the routes of registries for one database.

    Raises:
        RegistrationError, ValueError: at start-up, for registries that contradict each other.
    """
    prefixes = [registry.prefix for registry in registries]
    if len(set(prefixes)) < len(prefixes):
        raise RegistrationError(
            f"two registries have the same prefix, of {prefixes}: give each its own, or register all in one"
        )
    _check_roles(registries)
    resources = list(_resources_of(registries))
    metadata = {id(resource.table.metadata): resource.table.metadata for resource in resources}
    check_references(table for one in metadata.values() for table in one.tables.values())
    _reject_one_name_in_two_schemas(resources)
    recording = _recording(resources)
    route_tree = RouteTree()
    cruds = {registry.prefix: _add_routes(registry, route_tree, dialect, recording) for registry in registries}
    route_tree.complete()
    found = [crud for part in reversed(cruds.values()) for crud in part.values()]
    entities = {crud.table.fullname: tracked(crud.resource) for crud in found if crud.resource.records_changes}
    return BuiltRegistries(route_tree, cruds, entities)


def _resources_of(registries: Iterable[Registry]) -> Iterator[Resource]:
    """Yield what each registration declares."""
    for registry in registries:
        yield from (registration.resource for registration in registry.registrations.values())


def _check_roles(registries: Sequence[Registry]) -> None:
    """Reject a policy with a role that no account can have."""
    known = {*BUILT_IN_ROLES, *(name for registry in registries for name in registry.roles)}
    for registry in registries:
        for place, policy in registry.policies():
            unknown = (policy.roles or frozenset()) - known
            if unknown:
                raise RegistrationError(
                    f"{place}: no account can have the role {', '.join(sorted(unknown))}; "
                    f"the roles are {', '.join(sorted(known))}. "
                    "Declare another with include_accounts(registry, roles=(...))"
                )


def _reject_one_name_in_two_schemas(resources: Iterable[Resource]) -> None:
    """Reject two tables of one name: the archive, the history and the indexes of SQLite ignore the schema."""
    found: dict[str, Resource] = {}
    for resource in resources:
        other = found.setdefault(resource.table.name, resource)
        if other.table.fullname != resource.table.fullname:
            fix = f'give {resource.name} another __tablename__, such as "{resource.table.name}_too"'
            if is_adopted(resource.table):
                fix = f"register one of them; rowhouse adopt --schema {resource.table.schema} reads one schema"
            raise RegistrationError(
                f"{other.name} and {resource.name} have the tables {other.table.fullname} and "
                f"{resource.table.fullname}, which differ in their schema alone: {fix}"
            )


def _recording(resources: Iterable[Resource]) -> dict[str, Recording]:
    """Return the recording of each table. Registries share its rows, so one that records is enough."""
    found: dict[str, Recording] = {}
    for resource in resources:
        before = found.get(resource.table.name, Recording())
        found[resource.table.name] = Recording(
            soft_delete=before.soft_delete or resource.soft_delete,
            history=before.history or resource.history,
            recorded_owner=before.recorded_owner or resource.owner,
        )
    return found


def _add_routes(
    registry: Registry, route_tree: RouteTree, dialect: sa.Dialect, recording: Mapping[str, Recording]
) -> Cruds:
    """Add every route of a registry to the tree. Return the `CRUDBase` object of each entity."""
    registrations = registry.registrations
    for registration in registrations.values():
        check_database(registration.resource.model, dialect)
        check_words(registration.resource.model, dialect)
    resources = _related(registry, recording)
    cruds = {
        path: with_owned(with_links(registrations[path].crud, resource.link_members), resource.owned_members)(
            resource, dialect
        )
        for path, resource in resources.items()
    }
    scopes = {crud.table.fullname: crud.scope for crud in cruds.values()}
    connect(cruds)
    expansions = expansions_of(cruds)
    embedded = EmbeddedSchemas()
    for path, resource in resources.items():
        cruds[path].references.scopes = scopes
        declared, operations = registrations[path].resource, registrations[path].operations
        for route in routes_of(declared, resource, cruds[path], expansions[path], operations, embedded=embedded):
            route.slo_ms = resource.slo_ms
            route_tree.add(route, prefix=registry.prefix, generated=True)
    for hand_written in _hand_written(registry):
        for one in one_method_each(hand_written):
            route_tree.add(bind(one, resources), prefix=registry.prefix, generated=False)
    return {crud.resource.model: crud for crud in cruds.values()}


def _hand_written(registry: Registry) -> Iterator[APIRoute]:
    """Yield the routes of a registry's routers, which are of HTTP."""
    for route in (route for router in registry.routers for route in router.routes):
        if isinstance(route, APIWebSocketRoute):
            raise RegistrationError(f"{route.path} is a WebSocket: declare it with @app.websocket()")
        if not isinstance(route, APIRoute):
            raise RegistrationError("a router inside a router would be lost: give each to registry.include()")
        yield route


def _related(registry: Registry, recording: Mapping[str, Recording]) -> dict[str, Resource]:
    """Return the resources by their paths, with their relations and with what any registry records of them."""
    registrations = registry.registrations
    relations: dict[str, dict[str, Relation]] = {path: {} for path in registrations}
    declared = {
        path: replace(
            registration.resource,
            relations=relations[path],
            **recording[registration.resource.table.name]._asdict(),
        )
        for path, registration in registrations.items()
    }
    operations = {path: set(registration.operations) for path, registration in registrations.items()}
    readable = {path for path, named in operations.items() if "list" in named}
    writable = {path for path, named in operations.items() if named >= {"create", "update", "delete"}}
    # Relations lead to resources, which have relations themselves.
    tables = {registration.resource.table for registration in registrations.values()}
    for path, found in owning(relations_of(declared.values(), readable=readable), writable=writable).items():
        relations[path].update(_without_registered_links(found, tables))
    return {path: _with_parameters(resource) for path, resource in declared.items()}


def _without_registered_links(relations: Mapping[str, Relation], tables: set[sa.Table]) -> dict[str, Relation]:
    """Return relations without members that would write a registered link table without the rules of its entity."""
    return {
        name: replace(one, member=None) if one.link is not None and one.link.table in tables else one
        for name, one in relations.items()
    }


def _with_parameters(resource: Resource) -> Resource:
    """Return the resource with the query parameters and the members of writes that its relations add."""
    related = {name: relation.target.parameters for name, relation in resource.relations.items()}
    parents = [name for name, relation in resource.relations.items() if relation.is_parent]
    parameters = resource.parameters.with_relations(resource.names_of_expand, related, parents)
    members = {
        str(one.member): LinkMember(one.target.columns[one.remote], one.target.path)
        for one in resource.relations.values()
        if one.member is not None
    }
    schemas = with_owned_members(with_link_members(resource.schemas, members), _owned_members(resource))
    return replace(resource, parameters=parameters, schemas=schemas)


def _owned_members(resource: Resource) -> dict[str, OwnedMember]:
    """Return the members of writes whose elements are rows that a row owns."""
    found = {}
    for name in resource.owned_members:
        one = resource.relations[name]
        schema = resource.name + "".join(word.capitalize() for word in name.split("_"))
        target = one.target
        found[name] = OwnedMember(schema, target.model, target.columns, target.schemas, one.remote, target.path)
    return found

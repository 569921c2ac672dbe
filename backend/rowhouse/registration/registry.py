"""Registration: one line for each entity, checked at start-up. Errors say how to fix the line.

Example:
    registry = Registry("/api/v1")
    registry.register(Vehicle, owner="driver_id")
    registry.include(booking_routes)

A registry only declares. `build` makes the routes of one or several registries for one database.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel
from sqlmodel import SQLModel

from rowhouse.core.policy import Policy
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.links import with_links
from rowhouse.crud.owned import with_owned
from rowhouse.entities.model import plural
from rowhouse.entities.transition import Transition
from rowhouse.history.session_events import Tracked, track_session_changes, tracked
from rowhouse.http.route_tree import RouteTree
from rowhouse.operations.expand import EmbeddedSchemas, expansions_of
from rowhouse.query.resource import Relation, Resource
from rowhouse.registration.checks import columns_for
from rowhouse.registration.class_checks import check_database
from rowhouse.registration.hand_written import bind, one_method_each
from rowhouse.registration.index_advice import missing_indexes
from rowhouse.registration.line import Line
from rowhouse.registration.name_checks import check_class, check_names, check_references
from rowhouse.registration.relations import connect, owning, relations_of
from rowhouse.registration.router import OPERATIONS, routes_of
from rowhouse.schemas.columns import RegistrationError, columns_of
from rowhouse.schemas.derivation import NOTHING, derive
from rowhouse.schemas.links import LinkMember, with_link_members
from rowhouse.schemas.owned import OwnedMember, with_owned_members

# Every project has them; `include_accounts` adds the project's own.
BUILT_IN_ROLES = ("user", "admin")
PATH = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
PREFIX = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)*")
Cruds = dict[type[SQLModel], CRUDBase[Any]]


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered entity."""

    resource: Resource
    crud: type[CRUDBase[Any]]
    operations: tuple[str, ...]


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


class Registry:
    """The entities and the hand-written routes of an API below one prefix.

    Example:
        registry = Registry("/api/v1")
        registry.register(Publisher, read=ANYONE, write=ADMIN, search=("name",))
        registry.include(publisher_routes)

    Raises:
        RegistrationError: at start-up, for a prefix that is not a path.
    """

    def __init__(self, prefix: str = "/api/v1") -> None:
        if not PREFIX.fullmatch(prefix):
            raise RegistrationError(
                f"Registry({prefix!r}): write the prefix as '/api/v1', with a slash before each segment and none "
                "behind, or as '' for the root"
            )
        self.prefix = prefix
        self.registrations: dict[str, Registration] = {}
        self.routers: list[APIRouter] = []
        self.roles: set[str] = set()

    def declare_roles(self, names: Iterable[str]) -> None:
        """Add roles that accounts can have. `role(...)` must name one of them, or `user` or `admin`."""
        self.roles.update(names)

    def register(  # noqa: PLR0913  each is an option of the line, all but the class by keyword
        self,
        model: type[SQLModel],
        *,
        read: Policy | None = None,
        write: Policy | None = None,
        owner: str | None = None,
        search: tuple[str, ...] = (),
        crud: type[CRUDBase[Any]] = CRUDBase,
        path: str | None = None,
        operations: Iterable[str] = OPERATIONS,
        exact_count_limit: int | None = None,
        soft_delete: bool = False,
        history: bool = False,
        slo_ms: int | None = None,
        steps: Iterable[Transition[Any]] = (),
    ) -> None:
        """Generate the endpoints of a table class.

        - `read`, `write`: who may (`ANYONE`, `SIGNED_IN`, `role(...)`). Without `read`, a signed-in caller may read.
        - `owner`: the column of the account that a row belongs to. Only the owner and administrators change the row.
          Without `read`, only they see it.
        - `search`: the text columns behind `?search=`.
        - `crud`: a subclass of `CRUDBase` that overrides rules.
        - `path`: replaces the plural of the class name.
        - `operations`: those of list, create, get, update, put and delete that exist. Batches, export and import
          belong to theirs.
        - `soft_delete`: deleted rows are archived. `POST /{id}/restore` puts one back.
        - `history`: every change is recorded, and listed at `GET /{id}/history`.
        - `exact_count_limit`: the number of rows above which the total of a list is an estimate, for tables that are
          slow to count.
        - `slo_ms`: the time within which 95 of 100 responses must be complete, in milliseconds, instead of the setting
          `SLO_MS`. The document states it, and the load run checks it.
        - `steps`: the transitions of a row's state. Each becomes `POST /{id}/confirm`, by its name.

        Raises:
            RegistrationError: at start-up, for a wrong line. The message says how to fix it.
        """
        check_class(model)
        line = Line(
            model=model,
            path=path or plural(model.__name__),
            crud=crud,
            operations=(operations,) if isinstance(operations, str) else tuple(operations),
            read=read,
            write=write,
            owner=owner,
            search=search,
            exact_count_limit=exact_count_limit,
            soft_delete=soft_delete,
            history=history,
            slo_ms=slo_ms,
            steps=steps,
        )
        self._check_path(model, line.path)
        resource = line.resource()
        if resource.records_changes:
            track_session_changes(resource)
        self.registrations[line.path] = Registration(resource, crud, line.operations)

    def include(self, router: APIRouter) -> None:
        """Add hand-written routes. Their paths are below the registry's prefix, and win over generated ones."""
        self.routers.append(router)

    def tags(self) -> list[dict[str, str]]:
        """Return OpenAPI's tags. The first paragraph of a class's docstring describes its tag."""
        found = {path: inspect.getdoc(r.resource.model) or "" for path, r in self.registrations.items()}
        for router in self.routers:
            found |= {str(tag): getattr(router, "description", "") for tag in router.tags if tag not in found}
        return [
            {"name": name, "description": found[name].partition("\n\n")[0]} for name in sorted(found, key=tag_order)
        ]

    def policies(self) -> Iterator[tuple[str, Policy]]:
        """Yield each policy of a registration, a step or a hand-written route, with the name of what declares it."""
        for registration in self.registrations.values():
            resource = registration.resource
            for policy in (resource.read, resource.write):
                yield resource.name, policy
            for step in resource.steps:
                if step.policy is not None:
                    yield f"{resource.name}, step {step.name}", step.policy
        for router in self.routers:
            for route in router.routes:
                policy_of_route: Policy | None = getattr(route, "policy", None)
                if policy_of_route is not None:
                    yield getattr(route, "name", router.prefix), policy_of_route

    def missing_indexes(self) -> list[str]:
        """Return a sentence for the log about each entity with columns that no index serves."""
        lines = self.registrations.values()
        found = [missing_indexes(line.resource, is_listed="list" in line.operations) for line in lines]
        return [sentence for sentence in found if sentence is not None]

    def add_routes(self, route_tree: RouteTree, dialect: sa.Dialect, recording: Mapping[str, Recording]) -> Cruds:
        """Add every route to the tree, for one database. Return the `CRUDBase` object of each entity."""
        for registration in self.registrations.values():
            check_database(registration.resource.model, dialect)
        resources = self._related(recording)
        cruds = {
            path: with_owned(with_links(self.registrations[path].crud, resource.link_members), resource.owned_members)(
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
            declared, operations = self.registrations[path].resource, self.registrations[path].operations
            for route in routes_of(declared, resource, cruds[path], expansions[path], operations, embedded=embedded):
                route.slo_ms = resource.slo_ms
                route_tree.add(route, prefix=self.prefix, generated=True)
        for router in self.routers:
            for hand_written in router.routes:
                if not isinstance(hand_written, APIRoute):
                    raise RegistrationError("a router inside a router would be lost: give each to registry.include()")
                for one in one_method_each(hand_written):
                    route_tree.add(bind(one, resources), prefix=self.prefix, generated=False)
        return {crud.resource.model: crud for crud in cruds.values()}

    def _related(self, recording: Mapping[str, Recording]) -> dict[str, Resource]:
        """Return the resources by their paths, with their relations and with what any registry records of them."""
        relations: dict[str, dict[str, Relation]] = {path: {} for path in self.registrations}
        declared = {
            path: replace(
                registration.resource,
                relations=relations[path],
                **recording[registration.resource.table.name]._asdict(),
            )
            for path, registration in self.registrations.items()
        }
        operations = {path: set(registration.operations) for path, registration in self.registrations.items()}
        readable = {path for path, named in operations.items() if "list" in named}
        writable = {path for path, named in operations.items() if named >= {"create", "update", "delete"}}
        # Relations lead to resources, which have relations themselves.
        for path, found in owning(relations_of(declared.values(), readable=readable), writable=writable).items():
            relations[path].update(self._without_ruled_links(found))
        return {path: _with_parameters(resource) for path, resource in declared.items()}

    def _without_ruled_links(self, relations: Mapping[str, Relation]) -> dict[str, Relation]:
        """Return relations without the members that would write links past the rules of a registered entity."""
        ruled = {r.resource.table for r in self.registrations.values()}
        return {
            name: replace(one, member=None) if one.link is not None and one.link.table in ruled else one
            for name, one in relations.items()
        }

    def _check_path(self, model: type[SQLModel], path: str) -> None:
        if not PATH.match(path):
            raise RegistrationError(f"{model.__name__}: path={path!r} must be kebab-case, such as 'charge-points'")
        if path in self.registrations:
            taken = self.registrations[path].resource.name
            raise RegistrationError(f"{model.__name__}: /{path} is taken by {taken}; give one of them another path=…")
        if any(model.__name__ == registration.resource.name for registration in self.registrations.values()):
            raise RegistrationError(
                f"{model.__name__} is registered already, and operation ids such as list_{path} come from the class "
                "name; give one of the classes another name"
            )
        check_names(model, [registration.resource for registration in self.registrations.values()])


def _with_parameters(resource: Resource) -> Resource:
    """Return the resource with the query parameters and the members of writes that its relations add."""
    related = {name: relation.target.parameters for name, relation in resource.relations.items()}
    parameters = resource.parameters.with_relations(resource.names_of_expand, related)
    members = {
        str(one.member): LinkMember(one.target.columns[one.remote], one.target.path)
        for one in resource.relations.values()
        if one.member is not None
    }
    schemas = with_owned_members(with_link_members(resource.schemas, members), _owned(resource))
    return replace(resource, parameters=parameters, schemas=schemas)


def _owned(resource: Resource) -> dict[str, OwnedMember]:
    """Return the members of writes whose elements are rows that a row owns."""
    found = {}
    for name in resource.owned_members:
        one = resource.relations[name]
        schema = resource.name + "".join(word.capitalize() for word in name.split("_"))
        target = one.target
        found[name] = OwnedMember(schema, target.model, target.columns, target.schemas, one.remote, target.path)
    return found


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
    check_roles(registries)
    check_references(table for metadata in _metadata_of(registries) for table in metadata.tables.values())
    _reject_one_name_in_two_schemas(registries)
    recording = _recording(registries)
    route_tree = RouteTree()
    cruds = {registry.prefix: registry.add_routes(route_tree, dialect, recording) for registry in registries}
    route_tree.complete()
    found = [crud for part in reversed(cruds.values()) for crud in part.values()]
    entities = {crud.table.fullname: tracked(crud.resource) for crud in found if crud.resource.records_changes}
    return BuiltRegistries(route_tree, cruds, entities)


def _metadata_of(registries: Iterable[Registry]) -> list[sa.MetaData]:
    lines = [line for registry in registries for line in registry.registrations.values()]
    return list({id(line.resource.table.metadata): line.resource.table.metadata for line in lines}.values())


def check_roles(registries: Sequence[Registry]) -> None:
    """Reject a policy with a role that no account can have.

    Raises:
        RegistrationError: at start-up, with the name of the class or the route, and the known roles.
    """
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


def tags(registries: Iterable[Registry]) -> list[dict[str, str]]:
    """Return OpenAPI's tags of several registries. The first description of a tag counts."""
    found: dict[str, dict[str, str]] = {}
    for registry in registries:
        for tag in registry.tags():
            found.setdefault(tag["name"], tag)
    return [found[name] for name in sorted(found, key=tag_order)]


def tag_order(name: str) -> tuple[bool, str]:
    """Sort `auth` first, because a caller signs in first, and the others by their names."""
    return name != "auth", name


def _reject_one_name_in_two_schemas(registries: Iterable[Registry]) -> None:
    """Reject two tables of one name: the archive, the history and the indexes of SQLite ignore the schema."""
    found: dict[str, Resource] = {}
    for registry in registries:
        for registration in registry.registrations.values():
            resource = registration.resource
            other = found.setdefault(resource.table.name, resource)
            if other.table.fullname != resource.table.fullname:
                raise RegistrationError(
                    f"{other.name} and {resource.name} have the tables {other.table.fullname} and "
                    f"{resource.table.fullname}, which differ in their schema alone: "
                    f'give {resource.name} another __tablename__, such as "{resource.table.name}_too"'
                )


def _recording(registries: Iterable[Registry]) -> dict[str, Recording]:
    """Return the recording of each table. Registries share its rows, so one that records is enough."""
    found: dict[str, Recording] = {}
    for registry in registries:
        for registration in registry.registrations.values():
            resource = registration.resource
            before = found.get(resource.table.name, Recording())
            found[resource.table.name] = Recording(
                soft_delete=before.soft_delete or resource.soft_delete,
                history=before.history or resource.history,
                recorded_owner=before.recorded_owner or resource.owner,
            )
    return found


def public_schema(
    model: type[SQLModel], *, extra_fields: Mapping[str, Any] = NOTHING, crud: type[CRUDBase[Any]] = CRUDBase
) -> type[BaseModel]:
    """Return the response schema of a table class, for a hand-written route.

    Example:
        BookPublic = public_schema(Book)
    """
    return derive(model, columns_for(model, crud), owner=None, extra_fields=extra_fields).public


def create_schema(model: type[SQLModel], *, owner: str | None = None) -> type[BaseModel]:
    """Return the Create schema of a table class, for the body of a hand-written route.

    Example:
        BookCreate = create_schema(Book)
    """
    return derive(model, columns_of(model), owner=owner).create

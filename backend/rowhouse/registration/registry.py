"""Registration: one line for each entity, checked at start-up. Errors say how to fix the line.

Example:
    registry = Registry("/api/v1")
    registry.register(Vehicle, owner="driver_id")
    registry.include(booking_routes)

A registry only declares. `build` makes the routes of one or several registries for one database.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRouter
from pydantic import BaseModel
from sqlmodel import SQLModel

import rowhouse.registration.class_statements  # noqa: F401  explains the errors of every class after this line
from rowhouse.core.collector import paused_collector
from rowhouse.core.policy import Policy
from rowhouse.crud.base import CRUDBase
from rowhouse.entities.model import plural
from rowhouse.entities.transition import Transition
from rowhouse.history.session_events import track_session_changes
from rowhouse.query.resource import Resource
from rowhouse.registration.checks import columns_for, owner_advice
from rowhouse.registration.index_advice import missing_indexes
from rowhouse.registration.line import Line, with_known_options
from rowhouse.registration.name_checks import check_class_name, check_names
from rowhouse.registration.router import OPERATIONS
from rowhouse.schemas.columns import RegistrationError, columns_of
from rowhouse.schemas.derivation import NOTHING, derive

# Every project has them; `include_accounts` adds the project's own.
BUILT_IN_ROLES = ("user", "admin")
PATH = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
PREFIX = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)*")


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered entity."""

    resource: Resource
    crud: type[CRUDBase[Any]]
    operations: tuple[str, ...]


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

    @with_known_options
    @paused_collector()
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
        check_class_name(model)
        line = Line(
            model=model, path=path or plural(model.__name__), crud=crud, read=read, write=write, owner=owner,
            operations=(operations,) if isinstance(operations, str) else tuple(operations), search=search,
            exact_count_limit=exact_count_limit, soft_delete=soft_delete, history=history, slo_ms=slo_ms, steps=steps,
        )  # fmt: skip
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

    def owners_without_accounts(self) -> list[str]:
        """Return a sentence for the log about each entity whose owner refers to no accounts."""
        found = [owner_advice(line.resource) for line in self.registrations.values()]
        return [sentence for sentence in found if sentence is not None]

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

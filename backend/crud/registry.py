"""Registration: one line an entity, checked at start-up with the mend in the message.

    registry = Registry("/api/v1")
    registry.register(Vehicle, owner="driver_id")
    registry.include(booking_routes)

A registry only declares. `build` makes the routes for one database and enters them in a directory.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel
from sqlmodel import SQLModel

from backend.core.directory import Directory
from backend.core.document import SLO
from backend.crud.base import CRUDBase
from backend.crud.columns import TIMESTAMPS, Column, RegistrationError, columns_of
from backend.crud.expand import Expansion
from backend.crud.flushes import keep_flushes
from backend.crud.indexes import missing_indexes
from backend.crud.model import Mark, Record, plural
from backend.crud.policy import SIGNED_IN, Policy
from backend.crud.query import ListParameters, Search
from backend.crud.relations import relations_of
from backend.crud.resource import Resource
from backend.crud.router import OPERATIONS, routes_of
from backend.crud.schemas import NOTHING, derive
from backend.crud.search_index import search_index_of

PATH = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")


@dataclass(frozen=True, slots=True)
class Registration:
    """One line of the table of contents."""

    resource: Resource
    crud: type[CRUDBase[Any]]
    operations: tuple[str, ...]


class Built(NamedTuple):
    """A table of contents made for one database."""

    directory: Directory
    cruds: dict[type[SQLModel], CRUDBase[Any]]


class Registry:
    """The table of contents of an API below one prefix, in URL order."""

    def __init__(self, prefix: str = "/api/v1") -> None:
        self.prefix = prefix
        self.registrations: dict[str, Registration] = {}
        self.routers: list[APIRouter] = []

    def register(  # noqa: PLR0913  each is a word of the one line, all but the class by keyword
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
        estimate_past: int | None = None,
        soft_delete: bool = False,
        history: bool = False,
        slo_ms: int | None = None,
    ) -> None:
        """Turn a table class into endpoints.

        `read` and `write` say who may (`ANYONE`, `SIGNED_IN`, `role(...)`). `owner` names the column that holds the account a
        row belongs to: without `read`, only the owner and administrators see it; only they change it. `search` names the
        text columns behind `?search=`. `crud` is a `CRUDBase` with a wall moved. `path` replaces the plural of the class
        name. `operations` names those of list, create, get, update, put and delete that exist. `soft_delete` keeps what is
        deleted, so that `POST /{id}/restore` brings it back. `history` keeps every change, listed at `GET /{id}/history`.
        `estimate_past` is the number of rows past which a list's total is an estimate, for tables where counting is the cost.
        `slo_ms` is within how many milliseconds 95 of 100 answers are to be there, where that is not the setting SLO_MS; the
        document states it and the load run holds every generated operation to it.

        Raises:
            RegistrationError: at start-up, for a line that would not do what it says; the message names the mend.
        """
        _check_table(model)
        chosen = path or plural(model.__name__)
        self._check_path(model, chosen)
        columns = _with_shown(model, columns_of(model), crud.shown)
        _check_owner(model, columns, owner)
        _check_search(model, columns, search)
        operations = tuple(operations)
        _check_operations(model, operations)
        _check_kept(model, operations, soft_delete=soft_delete, history=history)
        _check_composed(model, crud, operations)
        resource = Resource(
            model=model,
            path=chosen,
            columns=columns,
            schemas=derive(model, columns, owner=owner, composed=crud.composed),
            parameters=_parameters(model, columns, search, crud),
            read=read or SIGNED_IN,
            write=_write_policy(model, write, owner),
            owner=owner,
            owner_only=owner is not None and read is None,
            estimate_past=_check_bound(model, estimate_past),
            soft_delete=soft_delete,
            history=history,
            slo_ms=_check_slo(model, slo_ms),
        )
        if resource.is_kept:
            keep_flushes(resource)
        self.registrations[chosen] = Registration(resource, crud, operations)

    def include(self, router: APIRouter) -> None:
        """Add hand-written routes, whose paths begin at the registry's prefix; they win over generated ones."""
        self.routers.append(router)

    def tags(self) -> list[dict[str, str]]:
        """OpenAPI's tags in URL order: what stands first in the class of an entity, or what a router says of itself."""
        found = {path: inspect.getdoc(r.resource.model) or "" for path, r in self.registrations.items()}
        for router in self.routers:
            found |= {str(tag): getattr(router, "description", "") for tag in router.tags if tag not in found}
        return [{"name": name, "description": found[name].partition("\n\n")[0]} for name in sorted(found)]

    def missing_indexes(self) -> list[str]:
        """A sentence for each entity with columns that no index serves, which is to be in the log at start-up."""
        lines = self.registrations.values()
        found = [missing_indexes(line.resource, is_listed="list" in line.operations) for line in lines]
        return [sentence for sentence in found if sentence is not None]

    def build(self, dialect: sa.Dialect) -> Built:
        """The directory of every route, and what the routes of each entity go through, for one database."""
        directory = Directory(self.prefix)
        resources = self._related()
        cruds = {path: self.registrations[path].crud(resource, dialect) for path, resource in resources.items()}
        scopes = {crud.table.name: crud.scope for crud in cruds.values()}
        for path, resource in resources.items():
            cruds[path].references.scopes = scopes
            expansions = {name: Expansion(r, cruds[r.target.path]) for name, r in resource.relations.items()}
            for route in routes_of(resource, cruds[path], expansions, self.registrations[path].operations):
                if resource.slo_ms is not None:
                    route.openapi_extra = {**(route.openapi_extra or {}), SLO: resource.slo_ms}
                directory.add(route, generated=True)
        for router in self.routers:
            for hand_written in router.routes:
                if not isinstance(hand_written, APIRoute):
                    raise RegistrationError("a router within a router would be lost: give each to registry.include()")
                directory.add(hand_written, generated=False)
        return Built(directory, {crud.resource.model: crud for crud in cruds.values()})

    def _related(self) -> dict[str, Resource]:
        """The resources by their paths, with their relations to each other, which only the whole table of contents tells."""
        declared = {path: registration.resource for path, registration in self.registrations.items()}
        readable = {path for path, registration in self.registrations.items() if "list" in registration.operations}
        found = {}
        for path, relations in relations_of(declared.values(), readable=readable).items():
            parameters = declared[path].parameters.with_relations(relations)
            found[path] = replace(declared[path], relations=relations, parameters=parameters)
        return found

    def _check_path(self, model: type[SQLModel], path: str) -> None:
        if not PATH.match(path):
            raise RegistrationError(f"{model.__name__}: path={path!r} must be kebab-case, such as 'charge-points'")
        if path in self.registrations:
            taken = self.registrations[path].resource.name
            raise RegistrationError(f"{model.__name__}: /{path} is taken by {taken}; give one of them another path=…")
        if any(model.__name__ == registration.resource.name for registration in self.registrations.values()):
            raise RegistrationError(
                f"{model.__name__} is registered already, and operation ids such as list_{path} come from the class name; "
                "give one of the classes another name"
            )


def public_schema(model: type[SQLModel], *, composed: Mapping[str, Any] = NOTHING) -> type[BaseModel]:
    """The Public schema of a table class, for the answer of a hand-written route."""
    return derive(model, columns_of(model), owner=None, composed=composed).public


def create_schema(model: type[SQLModel], *, owner: str | None = None) -> type[BaseModel]:
    """The Create schema of a table class, for the body of a hand-written route."""
    return derive(model, columns_of(model), owner=owner).create


def _check_table(model: type[SQLModel]) -> None:
    table = getattr(model, "__table__", None)
    if table is None:
        raise RegistrationError(
            f"{model.__name__} is no table: declare it `class {model.__name__}(Entity, table=True)`"
        )
    if not issubclass(model, Record) or any(name not in table.columns for name in TIMESTAMPS):
        raise RegistrationError(
            f"{model.__name__} lacks created_at and updated_at: derive it from backend.crud.model.Entity, or from a key "
            "(IntegerKey, BigIntegerKey, UUIDKey) and Record"
        )
    if list(table.primary_key.columns.keys()) != ["id"]:
        raise RegistrationError(
            f"{model.__name__}: the primary key must be one column named id; derive it from IntegerKey, BigIntegerKey or UUIDKey"
        )


def _with_shown(
    model: type[SQLModel], columns: dict[str, Column], shown: Mapping[str, sa.ColumnElement[Any]]
) -> dict[str, Column]:
    unknown = shown.keys() - columns.keys()
    if unknown:
        raise RegistrationError(f"{model.__name__}: shown names {', '.join(sorted(unknown))}, which is no column")
    return {name: replace(column, shown=shown.get(name)) for name, column in columns.items()}


def _check_owner(model: type[SQLModel], columns: dict[str, Column], owner: str | None) -> None:
    if owner is not None and owner not in columns:
        raise RegistrationError(
            f"{model.__name__} has no column {owner!r} for owner=…; its columns are {', '.join(columns)}"
        )


def _check_search(model: type[SQLModel], columns: dict[str, Column], search: tuple[str, ...]) -> None:
    given: object = search
    if isinstance(given, str):
        raise RegistrationError(f"{model.__name__}: search takes a tuple, search=({search!r},)")
    texts = [c.name for c in columns.values() if isinstance(c.column.type, sa.String) and Mark.SECRET not in c.marks]
    for name in search:
        if name not in texts:
            raise RegistrationError(
                f"{model.__name__}: search names {name!r}, which is no text column; those are: {', '.join(texts)}"
            )


def _check_operations(model: type[SQLModel], operations: tuple[str, ...]) -> None:
    unknown = set(operations) - set(OPERATIONS)
    if unknown or not operations:
        raise RegistrationError(
            f"{model.__name__}: operations names {', '.join(sorted(unknown)) or 'nothing'}; there are {', '.join(OPERATIONS)}"
        )


def _check_composed(model: type[SQLModel], crud: type[CRUDBase[Any]], operations: tuple[str, ...]) -> None:
    writing = [name for name in operations if name not in ("list", "get", "delete")]
    if crud.composed and writing:
        raise RegistrationError(
            f"{model.__name__}: the answer to {writing[0]} would lack {', '.join(crud.composed)}, which only list and get compose; "
            "leave it out of operations and write the route by hand"
        )


def _check_bound(model: type[SQLModel], bound: int | None) -> int | None:
    if bound is not None and bound < 1:
        raise RegistrationError(
            f"{model.__name__}: estimate_past={bound} must be a number of rows from 1, such as 10_000"
        )
    return bound


def _check_slo(model: type[SQLModel], slo_ms: int | None) -> int | None:
    if slo_ms is not None and slo_ms < 1:
        raise RegistrationError(
            f"{model.__name__}: slo_ms={slo_ms} must be a number of milliseconds from 1, such as 500"
        )
    return slo_ms


def _check_kept(model: type[SQLModel], operations: tuple[str, ...], *, soft_delete: bool, history: bool) -> None:
    if soft_delete and "delete" not in operations:
        raise RegistrationError(
            f"{model.__name__}: soft_delete=True keeps what the operation delete removes, and operations leaves it out; "
            "add 'delete' to operations, or leave out soft_delete"
        )
    if history and not {"get", "list"} & set(operations):
        raise RegistrationError(
            f"{model.__name__}: history=True shows rows, and operations lets nobody read any; "
            "add 'get' or 'list' to operations, or leave out history"
        )


def _write_policy(model: type[SQLModel], write: Policy | None, owner: str | None) -> Policy:
    if write is not None:
        return write
    if owner is None:
        raise RegistrationError(
            f"{model.__name__}: nothing says who may write; add owner='…_id', write=role('admin') or write=SIGNED_IN"
        )
    return SIGNED_IN


def _parameters(
    model: type[SQLModel], columns: dict[str, Column], search: tuple[str, ...], crud: type[CRUDBase[Any]]
) -> ListParameters:
    public = {name: column for name, column in columns.items() if Mark.SECRET not in column.marks}
    return ListParameters(
        public,
        name=model.__name__,
        search=Search(search, _search_index(model, public, search)),
        aliases=crud.filter_aliases,
        composed=tuple(crud.composed),
    )


def _search_index(model: type[SQLModel], columns: Mapping[str, Column], search: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the table's search index, which must be able to serve."""
    rule = search_index_of(model.__table__)  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    if rule is None:
        return ()
    missing = [name for name in search if name not in rule.columns]
    if missing:
        raise RegistrationError(
            f"{model.__name__}: search names {', '.join(missing)}, which its SearchIndex lacks, so it would not serve; name every "
            "searched column there"
        )
    unseen = [name for name in rule.columns if name not in columns or columns[name].shown is not None]
    if unseen:
        raise RegistrationError(
            f"{model.__name__}: SearchIndex names {', '.join(unseen)}, which no list shows as it is stored; leave it out"
        )
    return rule.columns

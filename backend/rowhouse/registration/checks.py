"""Checks of a registration line at start-up. Each error says how to fix the line."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.policy import SIGNED_IN, Policy, role
from rowhouse.crud.base import CRUDBase
from rowhouse.entities.model import Mark, PaddedText, make_portable
from rowhouse.entities.no_overlap import rules_of
from rowhouse.entities.search_index import search_index_of
from rowhouse.entities.sqlalchemy_internals import variants_of
from rowhouse.query.list_parameters import ListParameters
from rowhouse.query.list_query import Search
from rowhouse.query.resource import Resource
from rowhouse.registration.router import OPERATIONS
from rowhouse.schemas.columns import INSTANTS, Column, RegistrationError, columns_of, server_makes_key
from rowhouse.schemas.computed import computed_members
from rowhouse.schemas.field_types import Filtering

# The table of the accounts.
ACCOUNTS = "users"


def check_table(model: type[SQLModel]) -> None:
    """Require a table, and give it columns that both databases store and compare alike."""
    table = getattr(model, "__table__", None)
    if table is None:
        raise RegistrationError(
            f"{model.__name__} is not a table: declare it `class {model.__name__}(Entity, table=True)`"
        )
    make_portable(table, model)


def check_key(model: type[SQLModel], columns: Mapping[str, Column], owner: str | None) -> None:
    """Require a key that somebody sets and that clients can write."""
    for column in columns.values():
        if not column.column.primary_key:
            continue
        place = f"{model.__name__}.{column.name}"
        if Mark.SECRET in column.marks:
            raise RegistrationError(f"{place} is the key, which every path shows: take SECRET away")
        if column.type.filtering < Filtering.EQUALITY:
            raise RegistrationError(
                f"{place} is the key, and a path cannot hold {column.column.type}: use a text, a number, a UUID "
                "or a date, or another column with Field(primary_key=True)"
            )
        if column.name != owner and Mark.READ_ONLY in column.marks and not server_makes_key(column):
            raise RegistrationError(
                f"{place} is a key that nobody sets: give it a default_factory, or take READ_ONLY away, so that "
                "clients set it when they create a row"
            )


def check_timestamps(model: type[SQLModel], columns: Mapping[str, Column]) -> None:
    """Require instants behind the marks `CREATED_AT` and `UPDATED_AT`, one of each."""
    for mark in (Mark.CREATED_AT, Mark.UPDATED_AT):
        marked = [column for column in columns.values() if mark in column.marks]
        for column in marked:
            if not isinstance(column.column.type, INSTANTS):
                raise RegistrationError(f"{model.__name__}.{column.name} is marked {mark.name} and must be a datetime")
        if len(marked) > 1:
            names = ", ".join(column.name for column in marked)
            raise RegistrationError(f"{model.__name__}: {names} are all {mark.name}; mark one of them")


def check_texts(model: type[SQLModel]) -> None:
    """Reject padded text: PostgreSQL returns it with blanks, and SQLite as it was stored."""
    for column in model.__table__.columns:  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        kind = variants_of(column.type).get("postgresql", column.type)
        if isinstance(kind, sa.CHAR | sa.NCHAR):
            raise RegistrationError(
                f"{model.__name__}.{column.name} is {kind!r}, which PostgreSQL fills up with blanks; "
                "use Field(max_length=...) or sa.String(...), and Field(min_length=...) if the length is fixed"
            )


def columns_for(model: type[SQLModel], crud: type[CRUDBase[Any]]) -> dict[str, Column]:
    """Return the columns of a table class, with the types and the SQL expressions of its CRUD class."""
    columns = columns_of(model)
    for option, given in (("computed_columns", crud.computed_columns), ("column_types", crud.column_types)):
        unknown = given.keys() - columns.keys()
        if unknown:
            raise RegistrationError(
                f"{model.__name__}: {option} names {', '.join(sorted(unknown))}, which is not a column"
            )
    typed = {name: columns[name].with_type(annotation) for name, annotation in crud.column_types.items()}
    return {
        name: replace(column, computed=crud.computed_columns.get(name)) for name, column in (columns | typed).items()
    }


def owner_advice(resource: Resource) -> str | None:
    """Return a sentence if the owner is a number that refers to no accounts, which may be a mistake."""
    if resource.owner is None or resource.columns[resource.owner].column.foreign_keys:
        return None
    return (
        f"{resource.name}: the server writes the account's id into owner={resource.owner!r}, which refers to no "
        f'accounts; write {resource.owner}: int = Field(foreign_key="{ACCOUNTS}.id", index=True) and a migration'
    )


def check_owner(model: type[SQLModel], columns: dict[str, Column], owner: str | None) -> None:
    """Require that the owner is a column for the id of an account."""
    if owner is not None and owner not in columns:
        raise RegistrationError(
            f"{model.__name__} has no column {owner!r} for owner=…; its columns are {', '.join(columns)}"
        )
    if owner is None:
        return
    column = columns[owner].column
    targets = {key.target_fullname.split(".")[-2] for key in column.foreign_keys} - {ACCOUNTS}
    if targets or not isinstance(column.type, sa.Integer):
        said = f"refers to {', '.join(targets)}" if targets else f"is {column.type!r}"
        raise RegistrationError(
            f"{model.__name__}: the server writes the account's id into owner={owner!r}, which {said}; name a column "
            f'such as owner_id: int = Field(foreign_key="{ACCOUNTS}.id", index=True)'
        )


def check_policy(model: type[SQLModel], **policies: object) -> None:
    """Require policies for `read` and `write`: a role's name or a function would allow nobody, or everybody."""
    for option, given in policies.items():
        if given is not None and not isinstance(given, Policy):
            raise RegistrationError(
                f"{model.__name__}: {option}={given!r} is not a policy; write ANYONE, SIGNED_IN or role(...)"
            )


def check_search(model: type[SQLModel], columns: dict[str, Column], search: tuple[str, ...]) -> None:
    """Require that `search` names text columns that clients see."""
    given: object = search
    if isinstance(given, str):
        raise RegistrationError(f"{model.__name__}: search takes a tuple, search=({search!r},)")
    texts = [c.name for c in columns.values() if isinstance(c.column.type, sa.String | PaddedText) and c.is_public]
    for name in search:
        if name not in texts:
            raise RegistrationError(
                f"{model.__name__}: search names {name!r}, which is not a text column; those are: {', '.join(texts)}"
            )


def check_no_overlap(model: type[SQLModel], columns: Mapping[str, Column]) -> None:
    """Require that no column of a `NoOverlap` is secret, because its errors show the interval."""
    for rule in rules_of(model.__table__):  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        if sum(column.column.primary_key for column in columns.values()) > 1:
            raise RegistrationError(
                f"{model.__name__}: NoOverlap needs a key of one column: add an id, and make the present key unique"
            )
        for name in (rule.resource, rule.start, rule.end):
            if name not in columns:
                raise RegistrationError(
                    f"{model.__name__}: NoOverlap names the column {name}, whose attribute has another name; "
                    "give both one name"
                )
            if not columns[name].is_public:
                raise RegistrationError(f"{model.__name__}: NoOverlap names {name}, which is SECRET; mark it READ_ONLY")


def check_operations(model: type[SQLModel], operations: tuple[str, ...]) -> None:
    """Require at least one operation, and only known ones."""
    unknown = set(operations) - set(OPERATIONS)
    if unknown or not operations:
        raise RegistrationError(
            f"{model.__name__}: operations names {', '.join(sorted(unknown)) or 'nothing'}; "
            f"there are {', '.join(OPERATIONS)}"
        )


def check_extra_fields(model: type[SQLModel], crud: type[CRUDBase[Any]], operations: tuple[str, ...]) -> None:
    """Reject operations whose response would lack the extra fields."""
    writing = [name for name in operations if name not in ("list", "get", "delete")]
    if crud.extra_fields and writing:
        raise RegistrationError(
            f"{model.__name__}: the response of {writing[0]} would lack {', '.join(crud.extra_fields)}, "
            "which only list and get load; leave it out of operations and write the route by hand"
        )


def check_verbs(model: type[SQLModel], crud: type[CRUDBase[Any]], operations: tuple[str, ...]) -> None:
    """Require that batches follow the rule of an overridden verb.

    Batches call `create_many`, `update_many` and `delete_many`, which do not call the verb for one row. So a class that
    overrides a verb overrides its version for many rows too, or sets `one_by_one`.
    """
    if crud.one_by_one:
        return
    order = {name: position for position, part in reversed([*enumerate(crud.__mro__)]) for name in vars(part)}
    for verb in ("create", "update", "delete"):
        if order[verb] < order[f"{verb}_many"] and verb in operations:
            raise RegistrationError(
                f"{model.__name__}: {crud.__name__} overrides {verb}, which batches do not call; "
                f"override {verb}_many too, or set one_by_one = True"
            )


def check_exact_count_limit(model: type[SQLModel], limit: int | None) -> None:
    """Require a positive number of rows."""
    if limit is not None and limit < 1:
        raise RegistrationError(
            f"{model.__name__}: exact_count_limit={limit} must be a number of rows from 1, such as 10_000"
        )


def check_slo(model: type[SQLModel], slo_ms: int | None) -> None:
    """Require a positive number of milliseconds."""
    if slo_ms is not None and slo_ms < 1:
        raise RegistrationError(
            f"{model.__name__}: slo_ms={slo_ms} must be a number of milliseconds from 1, such as 500"
        )


def check_history(model: type[SQLModel], operations: tuple[str, ...], *, soft_delete: bool, history: bool) -> None:
    """Require the operations: `soft_delete` needs delete; `history` needs get or list."""
    if soft_delete and "delete" not in operations:
        raise RegistrationError(
            f"{model.__name__}: soft_delete=True needs the operation delete, which operations leaves out; "
            "add 'delete' to operations, or leave out soft_delete"
        )
    if history and not {"get", "list"} & set(operations):
        raise RegistrationError(
            f"{model.__name__}: history=True shows rows, and no operation reads them; "
            "add 'get' or 'list' to operations, or leave out history"
        )


def write_policy(model: type[SQLModel], write: Policy | None, owner: str | None, *, is_written: bool) -> Policy:
    """Return the policy of writes. A line without `write` needs an owner, unless no operation writes.

    If no operation writes, only administrators may use hand-written routes that write.
    """
    if write is not None:
        return write
    if owner is None and not is_written:
        return role("admin")
    if owner is None:
        raise RegistrationError(
            f"{model.__name__}: nothing says who may write; add owner='…_id', write=role('admin') or write=SIGNED_IN"
        )
    return SIGNED_IN


def parameters(
    model: type[SQLModel], columns: dict[str, Column], search: tuple[str, ...], crud: type[CRUDBase[Any]]
) -> ListParameters:
    """Return the query parameters of lists."""
    public = {name: column for name, column in columns.items() if column.is_public}
    return ListParameters(
        public,
        name=model.__name__,
        search=Search(search, search_index(model, public, search)),
        aliases=crud.filter_aliases,
        extra_fields=(*crud.extra_fields, *computed_members(model)),
    )


def search_index(model: type[SQLModel], columns: Mapping[str, Column], search: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of the table's search index, which must have every searched column."""
    rule = search_index_of(model.__table__)  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    if rule is None:
        return ()
    missing = [name for name in search if name not in rule.columns]
    if missing:
        raise RegistrationError(
            f"{model.__name__}: search names {', '.join(missing)}, which its SearchIndex lacks, so it would not be "
            "used; name every searched column there"
        )
    unseen = [name for name in rule.columns if name not in columns or columns[name].computed is not None]
    if unseen:
        raise RegistrationError(
            f"{model.__name__}: SearchIndex names {', '.join(unseen)}, which no list shows as it is stored; "
            "leave it out"
        )
    return rule.columns

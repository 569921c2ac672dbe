"""Checks of names that must be unique or must lead somewhere: operations, schemas, filters, and foreign keys."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.entities.model import plural, singular_snake
from rowhouse.query.filters import filters_of
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column, RegistrationError

SCHEMAS = ("Create", "Update", "BatchUpdate", "Put", "Public", "Partial", "Embedded", "HistoryEntry", "Deleted")


def check_class_name(model: object) -> None:
    """Require a class, and a name of Latin letters, of which paths are made."""
    if not isinstance(model, type) or not issubclass(model, SQLModel):
        raise RegistrationError(f"register({model!r}): give the table class itself, as in register(Book, write=ADMIN)")
    if not model.__name__.isascii():
        raise RegistrationError(
            f"{model.__name__}: paths, operations and schemas are named after the class, so its name must be of the "
            'letters a to z; keep the table\'s name with __tablename__ = "…"'
        )


def check_names(model: type[SQLModel], others: Iterable[Resource]) -> None:
    """Reject a class whose operations or schemas would have the names of another's."""
    name, operations, schemas = model.__name__, _operations(model.__name__), _schemas(model.__name__)
    for other in others:
        same = sorted(operations & _operations(other.name))
        if same:
            raise RegistrationError(
                f"{name} and {other.name} would both have operations such as create_{same[0]}, which name functions "
                "of generated clients; give one of the classes another name"
            )
        both = sorted(schemas & _schemas(other.name))
        if both:
            raise RegistrationError(
                f"{name} and {other.name} would both have the schema {both[0]}, which names a type of generated "
                "clients; give one of the classes another name"
            )


# Each class is compared with all others.
@cache
def _operations(name: str) -> frozenset[str]:
    """Return the names of rows in the operations of a class."""
    return frozenset((singular_snake(name), plural(name).replace("-", "_")))


@cache
def _schemas(name: str) -> frozenset[str]:
    """Return the names of the schemas of a class."""
    return frozenset(name + one for one in SCHEMAS)


def check_filters(model: type[SQLModel], columns: Mapping[str, Column]) -> None:
    """Reject a column whose name is that of another column's filter, such as `price__gte` of `price`."""
    found: dict[str, str] = {}
    for column in columns.values():
        for one in filters_of(column):
            other = found.setdefault(one.name, column.name)
            if other != column.name:
                raise RegistrationError(
                    f"{model.__name__}: the filter {one.name} would mean both {other} and {column.name}; "
                    "give one of the attributes another name"
                )


def check_references(tables: Iterable[sa.Table]) -> None:
    """Require that every foreign key leads to a column.

    Raises:
        RegistrationError: at start-up, with the class, the column and the table that is meant.
    """
    for table in tables:
        for column in table.columns:
            for key in column.foreign_keys:
                try:
                    _ = key.column
                except (sa.exc.NoReferencedTableError, sa.exc.NoReferencedColumnError):
                    place = f"{table.info.get('entity', table.name)}.{column.name}"
                    raise RegistrationError(_missing(place, key.target_fullname, table.metadata)) from None


def _missing(place: str, target: str, metadata: sa.MetaData) -> str:
    name, _, remote = target.rpartition(".")
    if not name:
        return f'{place} refers to {target!r}; name the table and its column: foreign_key="{target or "the_table"}.id"'
    if name in metadata.tables:
        columns = ", ".join(metadata.tables[name].columns.keys())
        return f"{place} refers to {target}, which is no column; {name} has {columns}"
    by_class = {str(one.info.get("entity")).lower(): key for key, one in metadata.tables.items()}
    near = get_close_matches(name, metadata.tables, n=1)
    meant = by_class.get(name.replace("_", "").lower()) or (near[0] if near else None)
    if meant is None:
        return f"{place} refers to the table {name}, which no class has; import the module of its class, or correct it"
    return f'{place} refers to the table {name}, which no class has; write foreign_key="{meant}.{remote}"'

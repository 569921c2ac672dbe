"""Configures every mapper at start-up, so that a wrong `Relationship` stops the start and not the first login.

SQLAlchemy configures them at the first query, and a single wrong one then fails every session of the process.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapper
from sqlalchemy.orm import registry as MapperRegistry  # noqa: N812  a class in lower case

from rowhouse.registration.class_checks import check_events
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.sqlmodel_internals import mapper_registry

ENGINE = "rowhouse."
RELATIONSHIP = re.compile(r"relationship '?(\w+\.\w+)|(\w+\.\w+) and back-reference")
# Text in a Relationship is evaluated, so it can raise errors of Python.
REFUSALS = (sa.exc.SQLAlchemyError, AttributeError, NameError, SyntaxError, TypeError)
MISSING_CLASS = re.compile(r"Mapper\[(\w+)[^\]]*\].*expression '([^']+)' failed to locate a name", re.DOTALL)
MISSING_PROPERTY = re.compile(r"Mapper\[(\w+)[^\]]*\]'? has no property '([^']+)'")


def configure_mappers(registries: Iterable[Registry]) -> None:
    """Configure the mappers of the registered classes, of the accounts and of all that these refer to.

    Raises:
        RegistrationError: at start-up, naming the class, the relationship and the fix.
    """
    models = [line.resource.model for registry in registries for line in registry.registrations.values()]
    mapped: dict[MapperRegistry, None] = {sa.inspect(model).registry: None for model in models}
    for found in (*mapped, mapper_registry()):
        try:
            found.configure(cascade=True)
        except REFUSALS as error:
            raise RegistrationError(_sentence(error, found.mappers)) from None
    for model in models:
        check_events(model)


def unregistered_classes(registries: Iterable[Registry]) -> Iterator[str]:
    """Yield a sentence for each class with a table of its own that no line registers and no registered class refers to.

    Whoever writes a class and forgets its line finds no operations, and no error.
    """
    lines = [line for registry in registries for line in registry.registrations.values()]
    mappers = {sa.inspect(line.resource.model): None for line in lines}
    related = [relation for mapper in mappers for relation in mapper.relationships]
    known = {
        *(line.resource.table for line in lines),
        *(relation.mapper.local_table for relation in related),
        *(relation.secondary for relation in related),
    }
    beside = {one for mapper in mappers for one in mapper.registry.mappers if one.local_table not in known}
    for name, module in sorted((one.class_.__name__, one.class_.__module__) for one in beside):
        if not module.startswith(ENGINE):
            yield (
                f"{name} ({module}) has a table and no registration line: it has no operations of its own; "
                f"write register({name}, ...) if clients need them"
            )


def _sentence(error: Exception, mappers: Iterable[Mapper[Any]]) -> str:
    """Return what is wrong, where, and how to fix it."""
    said = " ".join(str(error).split()).partition(" (Background on")[0]
    place = RELATIONSHIP.search(said)
    name = (place[1] or place[2]) if place else "a Relationship"
    entity, _, relationship = name.partition(".")
    if found := MISSING_CLASS.search(said):
        return (
            f"{found[1]}: a Relationship names {found[2]!r}, which is no table class; correct it or import its module"
        )
    if found := MISSING_PROPERTY.search(said):
        fix = f"add {found[2]} to {found[1]} as a Relationship, or take back_populates out"
        return f"{found[1]}: a back_populates names {found[1]}.{found[2]}, which does not exist; {fix}"
    if "multiple foreign key paths" in said:
        column = _first_of_several(entity, mappers)
        fix = f'Relationship(sa_relationship_kwargs={{"foreign_keys": "[{column}]"}})'
        return f"{name}: several foreign keys lead to that table; name the one that is meant: {fix}"
    if "no foreign keys linking" in said:
        fix = f'{relationship}_id: int = Field(foreign_key="the_table.id")'
        return f"{name}: no foreign key connects the two tables; add one, such as {fix}, or take the Relationship out"
    if "same direction" in said:
        fix = f'Relationship(sa_relationship_kwargs={{"remote_side": "{entity}.id"}})'
        return f"{name}: both sides lead the same way; say on the side of the foreign key: {fix}"
    return f"{name}: SQLAlchemy refuses it: {said}"


def _first_of_several(entity: str, mappers: Iterable[Mapper[Any]]) -> str:
    """Return a column of the class that shares the table of its foreign key with another column."""
    keys = [key for mapper in mappers if mapper.class_.__name__ == entity for key in _keys(mapper)]
    tables = [key.column.table for key in keys]
    several = [key.parent.name for key in keys if tables.count(key.column.table) > 1]
    return f"{entity}.{several[0]}" if several else "TheClass.the_column_id"


def _keys(mapper: Mapper[Any]) -> list[sa.ForeignKey]:
    return [key for column in mapper.local_table.columns for key in column.foreign_keys]

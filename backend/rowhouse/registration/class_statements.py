"""Sentences for a class statement that SQLModel or SQLAlchemy refuses: with the class, the field and the fix.

`explain_statements` lets them replace the errors of all classes that are declared after `import rowhouse`, however the
project is started. Must not change which classes are accepted.
"""

import re
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, ForwardRef, Literal, NewType, Union, get_args, get_origin

import sqlalchemy as sa
from pydantic import BaseModel, FutureDate, FutureDatetime, PastDate, PastDatetime, SecretBytes, SecretStr
from sqlmodel import SQLModel
from typing_extensions import is_typeddict

from rowhouse.schemas.columns import RegistrationError, without_none
from rowhouse.schemas.field_types import names_of_types
from rowhouse.schemas.sqlmodel_internals import explain_statements

NO_TYPE = re.compile(r"no matching SQLAlchemy type|issubclass\(\) arg 1 must be a class|\(non-optional\) union")
NO_SCHEMA = re.compile(r"Unable to generate pydantic-core schema for <class '([^']+)'>")
SET_NULL = 'ondelete="SET NULL" requires nullable=True'
TABLE_TWICE = re.compile(r"Table '([^']+)' is already defined for this MetaData")
NO_KEY = "could not assemble any primary key columns"
INSTEAD: dict[Any, str] = {
    PastDate: "date, and compare it in a @field_validator",
    FutureDate: "date, and compare it in a @field_validator",
    PastDatetime: "datetime, and compare it in a @field_validator",
    FutureDatetime: "datetime, and compare it in a @field_validator",
    SecretStr: "Annotated[str, SECRET]",
    SecretBytes: "Annotated[bytes, SECRET]",
}
DOCUMENTS = (list, dict, set, frozenset, tuple, BaseModel)
AS_JSON = "store it as JSON with Field(sa_type=sa.JSON)"
RELATED = "write = Relationship() for the rows of another class"
OTHER_NAME = "Give one of them another name or __tablename__."


def refused_fields(name: str, error: Exception) -> RegistrationError:
    """Return the error for a class whose fields pydantic refuses."""
    said = " ".join(str(error).split()).partition(" For further information")[0]
    if found := NO_SCHEMA.match(said):
        fix = f"annotate the field with {names_of_types()}, or with a BaseModel, and {AS_JSON}"
        return RegistrationError(f"{name}: pydantic does not know how to validate a {found[1]}; {fix}")
    return RegistrationError(f"{name}: pydantic refuses it: {said}")


def refused_column(model: type[SQLModel], name: str, error: Exception) -> RegistrationError:
    """Return the error for a field that SQLModel makes no column of."""
    said, place = str(error), f"{model.__name__}.{name}"
    annotation = _plain(model.model_fields[name].annotation)
    if said == SET_NULL:
        return RegistrationError(f"{place}: {said}; annotate it with {_shown(annotation)} | None")
    if NO_TYPE.search(said):
        return RegistrationError(f"{place}: SQLModel has no column for {_shown(annotation)}; {_fix(annotation)}")
    return RegistrationError(f"{place}: SQLModel makes no column of it: {said}")


def _plain(annotation: Any) -> Any:
    """Return an annotation without `| None` and `Annotated`."""
    inner = without_none(annotation)
    return get_args(inner)[0] if get_origin(inner) is Annotated else inner


def _shown(annotation: Any) -> str:
    """Return an annotation as a class states it."""
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    name: str | None = getattr(annotation, "__name__", None)
    return name if name and not get_args(annotation) else str(annotation).replace("typing.", "")


def _fix(annotation: Any) -> str:
    """Return what to write instead of an annotation without a column."""
    instead = _other_annotation(annotation)
    if instead is not None:
        return f"annotate it with {instead}"
    if get_origin(annotation) is Literal:
        is_text = all(isinstance(word, str) for word in get_args(annotation))
        return f"write an Enum{', or Field(sa_type=sa.String)' if is_text else ''}"
    parts = (annotation, *get_args(annotation))
    if any(sa.inspect(part, raiseerr=False) is not None for part in parts):
        return RELATED
    if any(isinstance(part, ForwardRef | str) for part in parts):  # the name of a class that is declared later
        return f"{RELATED}, or {AS_JSON}"
    if get_origin(annotation) is Union:
        return f"give it one type, or {AS_JSON}"
    return AS_JSON if _is_document(annotation) else f"use {names_of_types()}, or {AS_JSON}"


def _other_annotation(annotation: Any) -> str | None:
    """Return the annotation that has a column and means the same."""
    if isinstance(annotation, NewType):
        return f"{_shown(annotation.__supertype__)}, or give the column a type with Field(sa_type=...)"
    if getattr(annotation, "__module__", "") == "pydantic.networks":
        return "str, and check it in a @field_validator"
    # Not by a key: an annotation may hold what has no hash.
    return next((instead for kind, instead in INSTEAD.items() if kind is annotation), None)


def _is_document(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    is_class = isinstance(kind, type) and (issubclass(kind, DOCUMENTS) or is_dataclass(kind))
    return is_class or is_typeddict(kind) or kind is Any


def refused_table(model: type[SQLModel], error: Exception) -> RegistrationError:
    """Return the error for a class that SQLAlchemy does not map."""
    said, name = " ".join(str(error).split()).partition(" (Background on")[0], model.__name__
    if found := TABLE_TWICE.search(said):
        return RegistrationError(_twice(model, found[1]))
    if NO_KEY in said:
        return RegistrationError(
            f"{name} has no primary key: derive it from Entity, which has an id, or give it one, such as "
            "id: int | None = Field(default=None, primary_key=True)"
        )
    return RegistrationError(f"{name}: SQLAlchemy refuses it: {said}")


def _twice(model: type[SQLModel], table: str) -> str:
    """Return the sentence about two classes of one table, with the file of each."""
    info = model.metadata.tables[table].info
    first, module, here = info.get("entity"), info.get("module"), _file(model.__module__)
    there = _file(module)
    if module is None:
        return f"{model.__name__} of {here} has the name of the table {table}, which exists already. {OTHER_NAME}"
    if here == there and module != model.__module__:
        return (
            f"Two classes have the table {table}: {here} is imported as {module} and as {model.__module__}. "
            "Import it under one name."
        )
    both = f"{first} of {there} and {model.__name__} of {here}"
    return f"Two classes have the table {table}: {both}. {OTHER_NAME}"


def _file(module: str | None) -> str:
    """Return the file of a module, relative to the working directory if it is there; the module if it has no file."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if file is None:  # a module whose import failed is in `sys.modules` no more
        return str(module)
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


explain_statements(refused_fields, refused_column, refused_table)

"""Create, Update and Public, derived from one table class at registration; a table class is never on the wire.

Table classes do not validate (decision 0023), so the wire schemas are models of their own: strict, closed to unknown members,
bounded by what the column can hold. Constraints, field validators and the difference between null and absent survive.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NotRequired, Union

from pydantic import (
    MISSING,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
)
from sqlmodel import SQLModel
from typing_extensions import TypedDict

from rowhouse.entities.model import Mark
from rowhouse.schemas.columns import Column, RegistrationError, server_owned
from rowhouse.schemas.pydantic_internals import field_validators, model_validators

SECRET_NAME = re.compile(r"password|secret|token|private_key|api_key|hash(ed)?$|_hash", re.IGNORECASE)
NOTHING: Mapping[str, Any] = MappingProxyType({})
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
CHANGING_ONE = ConfigDict(**STRICT, json_schema_extra={"minProperties": 2})
CHANGING = ConfigDict(**STRICT, json_schema_extra={"minProperties": 1})


@dataclass(frozen=True, slots=True)
class Schemas:
    """The derived wire schemas of one entity; `row` is the TypedDict of a public row, for it serialises fastest."""

    create: type[BaseModel]
    update: type[BaseModel]
    batch_update: type[BaseModel]
    public: type[BaseModel]
    complete: type[BaseModel] | None
    public_names: tuple[str, ...]
    row: Any


def derive(
    model: type[SQLModel], columns: dict[str, Column], *, owner: str | None, extra_fields: Mapping[str, Any] = NOTHING
) -> Schemas:
    """The wire schemas of `model`; `extra_fields` are members of an answer beside its columns, with their types.

    Raises:
        RegistrationError: a column that looks like a secret is not marked as one.
    """
    _refuse_exposed_secrets(model, columns)
    settable = [c for c in columns.values() if not server_owned(c, owner)]
    updatable = [c for c in settable if Mark.CREATE_ONLY not in c.marks]
    public = [c for c in columns.values() if Mark.SECRET not in c.marks]
    name = model.__name__
    create = build_model(
        f"{name}Create",
        {c.name: (c.nullable_annotation, _create_field(c)) for c in settable},
        __config__=STRICT,
        __validators__=field_validators(model, {c.name for c in settable}),
    )
    members = {c.name: (Union[c.nullable_annotation, MISSING], described(c, MISSING)) for c in updatable}  # noqa: UP007  runtime
    validators = field_validators(model, {c.name for c in updatable})
    update = build_model(f"{name}Update", members, __config__=CHANGING, __validators__=validators)
    key = next(column for column in columns.values() if column.column.primary_key)
    members = {key.name: (key.annotation, described(key, ...)), **members}
    batch_update = build_model(f"{name}BatchUpdate", members, __config__=CHANGING_ONE, __validators__=validators)
    beside = {member: (kind, ...) for member, kind in extra_fields.items()}
    answer = build_model(f"{name}Public", {c.name: (c.answer_annotation, described(c, ...)) for c in public} | beside)
    shown = {c.name: c.answer_annotation for c in public} | {
        member: NotRequired[kind] for member, kind in extra_fields.items()
    }
    row: Any = TypedDict(f"{name}Row", shown)  # type: ignore[misc]  # built at run time
    names = tuple(c.name for c in public)
    return Schemas(create, update, batch_update, answer, _complete(model, columns), names, row)


def build_model(name: str, members: Mapping[str, Any], **options: Any) -> type[BaseModel]:
    """Pydantic's `create_model` for members whose names are data."""
    create: Any = create_model
    built: type[BaseModel] = create(name, **options, **members)
    return built


def described(column: Column, default: Any) -> Any:
    """A member with what the class says of the column."""
    info = column.info
    return Field(default, title=info.title, description=info.description, examples=info.examples)


def _create_field(column: Column) -> Any:
    info = column.info
    if info.default_factory is not None:
        factory: Any = info.default_factory
        return Field(default_factory=factory, title=info.title, description=info.description, examples=info.examples)
    return described(column, ... if info.is_required() else info.default)


def _complete(model: type[SQLModel], columns: dict[str, Column]) -> type[BaseModel] | None:
    """A model of the whole row that runs the class's model validators; None where there are none."""
    validators = model_validators(model)
    if not validators:
        return None
    members = {c.name: (c.info.annotation, None) for c in columns.values()}
    return build_model(f"{model.__name__}Complete", members, __validators__=validators)


def _refuse_exposed_secrets(model: type[SQLModel], columns: dict[str, Column]) -> None:
    for column in columns.values():
        if SECRET_NAME.search(column.name) and not column.marks:
            raise RegistrationError(
                f"{model.__name__}.{column.name} looks like a secret and would be in every answer: declare it "
                f"Annotated[..., SECRET], or Annotated[..., READ_ONLY] / CREATE_ONLY if it is none"
            )

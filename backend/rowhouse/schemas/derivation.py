"""Derive the schemas of requests and responses from a table class: `BookCreate`, `BookUpdate`, `BookPublic`.

Table classes do not validate (decision 0023), so no request or response uses one. The schemas are strict, reject
unknown members and apply the limits of the columns. They keep constraints, field validators, and the difference between
null and a missing member. `Field(exclude=True)` leaves a member out of responses.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, NotRequired, Union

from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, SchemaSerializer, core_schema
from sqlmodel import SQLModel
from typing_extensions import TypedDict

from rowhouse.entities.model import Mark
from rowhouse.schemas.class_config import honoured_options
from rowhouse.schemas.columns import Column, RegistrationError, constant_of, server_owned
from rowhouse.schemas.computed import ComputedMember, computed_members
from rowhouse.schemas.pydantic_internals import comparing_validators, field_validators, model_validators

# `secret_name` of SQLModel's tutorial is none.
SECRET_NAME = re.compile(r"password|secret(?!_name)|token|private_key|api_key|hash(ed)?$|_hash", re.IGNORECASE)
# Of a constraint that does not fit its type.
BUILD_ERRORS = (PydanticUserError, RuntimeError)
NOTHING: Mapping[str, Any] = MappingProxyType({})
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
# Clients remove dots from a path, and the words are the last segments of other operations.
UNADDRESSABLE_KEYS = ("", ".", "..", "aggregate", "batch", "deleted", "export", "import")
UNADDRESSABLE = Field(json_schema_extra={"not": {"enum": list(UNADDRESSABLE_KEYS)}})
# Rows are written by `row_type`. Hand-written routes and the document use the model.
DESCRIBED = ConfigDict(defer_build=True)
CHANGING_ONE = ConfigDict(**STRICT, json_schema_extra={"minProperties": 2})
CHANGING = ConfigDict(**STRICT, json_schema_extra={"minProperties": 1})


@dataclass(frozen=True)
class Schemas:
    """The schemas of one entity.

    `row_type` is a TypedDict of a public row, which pydantic serialises faster than a model. `whole_row` runs the
    validators of the class that compare members: model validators, and field validators that take `info`. It is None if
    the class has none.
    """

    create: type[BaseModel]
    update: type[BaseModel]
    batch_update: type[BaseModel]
    # None unless clients name the keys of new rows.
    put: type[BaseModel] | None
    public: type[BaseModel]
    whole_row: type[BaseModel] | None
    public_names: tuple[str, ...]
    row_type: Any
    # The members that the class computes.
    computed: Mapping[str, ComputedMember] = field(default_factory=dict)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The members of a row of a response that statements return: public columns and computed members."""
        return (*self.public_names, *self.computed)

    @cached_property
    def row_serializer(self) -> SchemaSerializer:
        """Serializes one row."""
        return SchemaSerializer(self._row_schema)

    @cached_property
    def rows_serializer(self) -> SchemaSerializer:
        """Serializes a list of rows."""
        return SchemaSerializer(core_schema.list_schema(self._row_schema))

    @cached_property
    def _row_schema(self) -> CoreSchema:
        return TypeAdapter(self.row_type).core_schema


def derive(
    model: type[SQLModel], columns: dict[str, Column], *, owner: str | None, extra_fields: Mapping[str, Any] = NOTHING
) -> Schemas:
    """Return the schemas of `model`. `extra_fields` are members of a response that are not columns, with their types.

    Raises:
        RegistrationError: a column looks like a secret and has no mark, or pydantic builds no schema of its type.
    """
    _refuse_exposed_secrets(model, columns)
    settable = [c for c in columns.values() if not server_owned(c, owner)]
    keys = [c for c in columns.values() if c.column.primary_key]
    updatable = [c for c in settable if Mark.CREATE_ONLY not in c.marks and c not in keys]
    public = [c for c in columns.values() if c.is_public]
    name = model.__name__
    options = honoured_options(model)
    try:
        create = creation_of(f"{name}Create", model, settable, keys=keys)
    except BUILD_ERRORS as error:
        raise _unbuildable(model, settable, error) from error
    members = {
        c.name: (Union[c.nullable_annotation, MISSING], described(c, MISSING))  # noqa: UP007  runtime values
        for c in updatable
    }
    validators = field_validators(model, {c.name for c in updatable})
    update = build_model(
        f"{name}Update", members, __config__=ConfigDict(**CHANGING, **options), __validators__=validators
    )
    members = {**{key.name: (key.annotation, described(key, ...)) for key in keys}, **members}
    batch_update = build_model(
        f"{name}BatchUpdate", members, __config__=ConfigDict(**CHANGING_ONE, **options), __validators__=validators
    )
    computed = computed_members(model)
    extra = {member: (kind, ...) for member, kind in extra_fields.items()}
    extra |= {member: (one.annotation, one.field) for member, one in computed.items()}
    shown = {c.name: (c.answer_annotation, described(c, ...)) for c in public} | extra
    answer = build_model(f"{name}Public", shown, __config__=DESCRIBED)
    row_members = {c.name: c.answer_annotation for c in public} | {
        member: NotRequired[kind] for member, (kind, _) in extra.items()
    }
    row_type: Any = TypedDict(f"{name}Row", row_members)  # type: ignore[misc]  # built at run time
    names = tuple(c.name for c in public)
    put = _put(model, settable) if any(key in settable for key in keys) else None
    whole = _whole_row(model, columns)
    return Schemas(create, update, batch_update, put, answer, whole, names, row_type, computed)


def creation_of(
    name: str, model: type[SQLModel], columns: Sequence[Column], *, keys: Sequence[Column]
) -> type[BaseModel]:
    """Return the schema of a new row with these columns. `keys` are those of the class."""
    left_out = {"rowhouse_left_out": LEAVE_OUT} if any(c.is_filled for c in columns) else {}
    options = ConfigDict(**STRICT, **honoured_options(model))
    options["validate_default"] = bool(model.model_config.get("validate_default"))
    return build_model(
        name,
        {c.name: _create_member(c, keys) for c in columns},
        __config__=options,
        __validators__=field_validators(model, {c.name for c in columns}) | left_out,
    )


def build_model(name: str, members: Mapping[str, Any], **options: Any) -> type[BaseModel]:
    """Call pydantic's `create_model` with a mapping of members."""
    create: Any = create_model
    built: type[BaseModel] = create(name, **options, **members)
    return built


def described(column: Column, default: Any) -> Any:
    """Return a member with the title, the description, the examples and so on that the class states for OpenAPI."""
    return Field(default, **_described(column))


def _create_member(column: Column, keys: Sequence[Column]) -> tuple[Any, Any]:
    """Return the annotation and the field of a member of Create."""
    if column not in keys:
        return _create_value(column)
    annotation: Any = column.annotation
    if len(keys) == 1 and _may_be_unaddressable(column):
        annotation = Annotated[annotation, AfterValidator(reject_unaddressable), UNADDRESSABLE]
    if column.info.default_factory is not None:
        return annotation, _create_value(column)[1]
    constant = constant_of(column)
    return annotation, described(column, ... if constant is None else constant)


def _put(model: type[SQLModel], settable: list[Column]) -> type[BaseModel]:
    """Return the body of a PUT that creates a row or changes it."""
    members = {
        c.name: (Union[c.annotation if c.column.primary_key else c.nullable_annotation, MISSING], described(c, MISSING))  # noqa: UP007  runtime values
        for c in settable
    }
    validators = field_validators(model, {c.name for c in settable})
    options = ConfigDict(**STRICT, **honoured_options(model))
    return build_model(f"{model.__name__}Put", members, __config__=options, __validators__=validators)


def _may_be_unaddressable(column: Column) -> bool:
    """Return whether the column can hold a key that no path can name."""
    if isinstance(column.base, type) and issubclass(column.base, Enum):
        return any(member.value in UNADDRESSABLE_KEYS for member in column.base)
    return column.type.is_text


def reject_unaddressable(key: Any) -> Any:
    """Reject a key that no path can name: a text, or a member of an enum."""
    if (key.value if isinstance(key, Enum) else key) in UNADDRESSABLE_KEYS:
        raise ValueError("a key must not be empty, `.` or `..`, or a word of the paths such as `batch`")
    return key


def _described(column: Column) -> dict[str, Any]:
    info = column.info
    stated = {"title": info.title, "description": info.description, "examples": info.examples}
    extra = {"deprecated": info.deprecated, "json_schema_extra": info.json_schema_extra}
    return stated | {word: given for word, given in extra.items() if given is not None}


def _create_value(column: Column) -> tuple[Any, Any]:
    """Return the annotation and the field of a member that is no part of the key."""
    info, annotation = column.info, column.nullable_annotation
    judged: dict[str, Any] = {} if info.validate_default is None else {"validate_default": info.validate_default}
    if info.default_factory is not None:
        factory: Any = info.default_factory
        return annotation, Field(default_factory=factory, **judged, **_described(column))
    if column.is_filled:
        return Union[annotation, MISSING], described(column, MISSING)  # noqa: UP007  runtime values
    is_required = info.is_required() or (info.default is None and not column.nullable)
    return annotation, Field(... if is_required else info.default, **judged, **_described(column))


def _leave_out(body: BaseModel) -> BaseModel:
    """Remove the members that the client left out and the database fills."""
    for name in [name for name, value in body.__dict__.items() if value is MISSING]:
        del body.__dict__[name]
    return body


LEAVE_OUT: Any = model_validator(mode="after")(_leave_out)


def _whole_row(model: type[SQLModel], columns: dict[str, Column]) -> type[BaseModel] | None:
    """Return a model of the complete row, or None if no validator of the class compares several members."""
    validators = model_validators(model) | comparing_validators(model, columns.keys())
    if not validators:
        return None
    members = {c.name: (c.row_annotation, None) for c in columns.values()}
    return build_model(f"{model.__name__}Complete", members, __validators__=validators)


def _unbuildable(model: type[SQLModel], columns: Sequence[Column], error: Exception) -> RegistrationError:
    """Return the error for a constraint that pydantic cannot apply to a value, such as an encoding of its own."""
    places = " or ".join(f"{model.__name__}.{column.name}" for column in columns if not _builds(column.annotation))
    reason = str(error).partition("\n")[0].rstrip(".")
    return RegistrationError(
        f"{places}: pydantic cannot apply a word of the annotation ({reason}); take it out, or write a @field_validator"
    )


def _builds(annotation: Any) -> bool:
    try:
        TypeAdapter(annotation)
    except BUILD_ERRORS:
        return False
    return True


def _refuse_exposed_secrets(model: type[SQLModel], columns: dict[str, Column]) -> None:
    for column in columns.values():
        if SECRET_NAME.search(column.name) and not column.marks and column.is_public:
            raise RegistrationError(
                f"{model.__name__}.{column.name} looks like a secret and would be in every response: declare it "
                f"Annotated[..., SECRET], or Annotated[..., READ_ONLY] / CREATE_ONLY if it is not one"
            )

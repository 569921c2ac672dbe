"""The members of requests that write the rows which a row owns, such as the `lines` of an invoice.

An element of a create is a new row without the reference to its owner. An element of an update may name a stored row by
its key. Elements have no such members themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union

from annotated_types import MaxLen
from pydantic import MISSING, BaseModel, ConfigDict, Field
from sqlmodel import SQLModel

from rowhouse.schemas.class_config import honoured_options
from rowhouse.schemas.columns import Column
from rowhouse.schemas.derivation import STRICT, Schemas, build_model, creation_of, described
from rowhouse.schemas.links import LINKS
from rowhouse.schemas.pydantic_internals import field_validators

MAX_OWNED = 1000


@dataclass(frozen=True, slots=True)
class OwnedMember:
    """A member that writes owned rows: their class, their path, and the column that refers to their owner."""

    # Begins the names of the schemas of elements: `InvoiceLines`. No class has `InvoiceLinesNew` and `…Change`.
    name: str
    model: type[SQLModel]
    columns: Mapping[str, Column]
    schemas: Schemas
    reference: str
    path: str

    @property
    def settable(self) -> list[Column]:
        """The columns that a client sets in a new row."""
        return [self.columns[name] for name in self.schemas.create.model_fields if name != self.reference]

    @property
    def keys(self) -> list[Column]:
        """The key, without the reference to the owner."""
        return [column for column in self.columns.values() if column.column.primary_key]


def with_owned_members(schemas: Schemas, members: Mapping[str, OwnedMember]) -> Schemas:
    """Return the schemas with these members in Create, Update, Put and the element of a batch update."""
    if not members:
        return schemas
    created: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for name, one in members.items():
        text = f"Its rows of /{one.path}"
        created[name] = _list_of(_new(one)), Field(default_factory=list, **_described(one, f"{text}, new ones."))
        given = f"{text}, which replace the stored ones. {_how_to_name(one)} Stored rows that are left out are deleted."
        elements: Any = Union[_list_of(_change(one)), MISSING]  # noqa: UP007  a runtime value
        changed[name] = elements, Field(MISSING, **_described(one, given))
    bodies = {word: _extended(getattr(schemas, word), changed) for word in ("update", "batch_update", "put")}
    return replace(schemas, create=_extended(schemas.create, created), **bodies)


def _extended(schema: type[BaseModel] | None, members: Mapping[str, Any]) -> Any:
    return None if schema is None else build_model(schema.__name__, members, __base__=schema)


def _new(member: OwnedMember) -> type[BaseModel]:
    return creation_of(f"{member.name}New", member.model, member.settable, keys=member.keys)


def _change(member: OwnedMember) -> type[BaseModel]:
    """Return the schema of an element of an update: the changed members of a stored row, or a new row."""
    names = {column.name for column in member.settable}
    required = _required(member)
    # Clients name every element by a key that they set. A key of the server names stored rows only.
    keys = {
        column.name: (column.annotation, described(column, ...))
        if column.name in required
        else (Union[column.annotation, MISSING], described(column, MISSING))  # noqa: UP007  a runtime value
        for column in member.keys
        if column.name != member.reference
    }
    others = {
        column.name: (Union[column.nullable_annotation, MISSING], described(column, MISSING))  # noqa: UP007  as above
        for column in member.settable
        if column.name not in keys
    }
    by_key = None if names.issuperset(keys) else _by_key([*keys], required, _fixed(member))
    return build_model(
        f"{member.name}Change",
        keys | others,
        __config__=ConfigDict(**STRICT, **honoured_options(member.model), json_schema_extra=by_key),
        __validators__=field_validators(member.model, names),
    )


def _by_key(keys: list[str], required: list[str], fixed: list[str]) -> dict[str, Any]:
    """Return the condition for OpenAPI: an element with a key changes a row, and one without it is a new row."""
    return {
        "if": {"required": keys},
        "then": {"properties": dict.fromkeys(fixed, False)},
        "else": {"required": required},
    }


def _fixed(member: OwnedMember) -> list[str]:
    """Return the members that a stored row keeps."""
    changeable = member.schemas.update.model_fields
    return [column.name for column in member.settable if column.name not in changeable]


def _how_to_name(member: OwnedMember) -> str:
    names = " and ".join(column.name for column in member.keys if column.name != member.reference)
    required = ", ".join(_required(member))
    needed = f" A new one needs {required}." if required else ""
    return f"An element with the {names} of a stored row changes that row, and any other is a new one.{needed}"


def _required(member: OwnedMember) -> list[str]:
    """Return the members that a new row must have."""
    created = member.schemas.create.model_fields
    return [column.name for column in member.settable if created[column.name].is_required()]


def _list_of(element: Any) -> Any:
    elements: Any = list[element]
    return Annotated[elements, MaxLen(MAX_OWNED)]


def _described(member: OwnedMember, text: str) -> dict[str, Any]:
    return {"description": text, "json_schema_extra": {LINKS: member.path}}

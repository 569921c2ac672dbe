"""Members of a response that a class computes in Python: `@computed_field` of pydantic.

They are computed from a whole row, with its hidden columns, when a statement has read it. So every response has them:
lists, writes, exports and rows within rows. A class without such members is not affected.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field
from sqlalchemy.orm import make_transient_to_detached
from sqlmodel import SQLModel

from rowhouse.entities.sqlalchemy_internals import maker_of
from rowhouse.schemas.json_types import Base64, ExactDecimal
from rowhouse.schemas.pydantic_internals import computed_properties
from rowhouse.schemas.sqlmodel_internals import relationship_names

Getter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ComputedMember:
    """A computed member: its type in a response, the field that describes it, and the function of its property."""

    annotation: Any
    field: Any
    get: Getter


def computed_members(model: type[SQLModel]) -> dict[str, ComputedMember]:
    """Return the computed members of a class by name."""
    found = {}
    for name, (info, function) in computed_properties(model).items():
        described = {
            "title": info.title,
            "description": info.description,
            "examples": info.examples,
            "deprecated": info.deprecated,
            "json_schema_extra": {"readOnly": True, **(info.json_schema_extra or {})},
        }
        member: Any = Field(..., **{word: given for word, given in described.items() if given is not None})
        found[name] = ComputedMember(_answer(get_type_hints(function, include_extras=True)["return"]), member, function)
    return found


def computed_faults(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield the name of each computed member that responses cannot show, and the reason."""
    relationships = relationship_names(model)
    for name, (info, function) in computed_properties(model).items():
        used = relationships.intersection(function.__code__.co_names)
        if used:
            yield name, f"it reads {', '.join(sorted(used))}, and a row comes without related rows; use extra_fields"
        elif "return" not in function.__annotations__:
            yield name, "its type in a response is unknown; annotate what the function returns"
        elif info.alias not in (None, name):
            yield name, f"alias={info.alias!r} would have no effect; give the function the name of the member"
        elif isinstance(info.json_schema_extra, types.FunctionType):
            yield name, "json_schema_extra is a function, which would not be called; give it a dict"


def _answer(annotation: Any) -> Any:
    """Return the type in a response: a decimal is a number and bytes are base64, as in columns."""
    if annotation in (Decimal, bytes):
        return ExactDecimal if annotation is Decimal else Base64
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(_answer(one) for one in get_args(annotation))]  # noqa: UP007  built from a tuple
    if bytes in get_args(annotation):
        parts = tuple(Base64 if one is bytes else one for one in get_args(annotation))
        return get_origin(annotation)[parts]
    return annotation


class RowComputer:
    """Adds the computed members of a class to rows, and removes the columns that responses hide."""

    def __init__(self, model: type[SQLModel], members: Mapping[str, ComputedMember], hidden: Sequence[str]) -> None:
        self._model = model
        self._getters = [(name, member.get) for name, member in members.items()]
        self._hidden = tuple(hidden)

    @cached_property
    def _make(self) -> Callable[[], Any]:
        return maker_of(self._model)

    def add(self, rows: Sequence[dict[str, Any]], *, keeps_hidden: bool) -> None:
        """Add the members to whole rows, in place."""
        for row in rows:
            instance = self._instance(row)
            for name, get in self._getters:
                row[name] = get(instance)
            if not keeps_hidden:
                for name in self._hidden:
                    del row[name]

    def _instance(self, row: Mapping[str, Any]) -> BaseModel:
        """Return an object of the class that belongs to no session. Reading related rows from it is an error."""
        made: BaseModel = self._make()
        made.__dict__.update(row)
        make_transient_to_detached(made)
        return made

"""Validate the parameters of a query string, and describe them for OpenAPI.

An entity has a hundred filters and a request uses a few. Each parameter is prepared when it is used first, so that
neither the start nor the first request waits for the others.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from rowhouse.core.errors import InvalidInputError
from rowhouse.core.openapi import exact

# Entities share the types of their columns. No project has more distinct types of parameters than this.
PREPARED = 4096
CONFIG = ConfigDict(allow_inf_nan=False)
Fault = Mapping[str, Any]


class Parameter(NamedTuple):
    """One query parameter: the type of its value, its description, and the value that applies if it is left out."""

    annotation: Any
    description: str
    default: Any = None


class QueryParameters:
    """The parameters of one operation. `describe` returns one of `names`, in the order of the documentation.

    Those of `further` exist too, and are documented elsewhere. An error calls one `noun`.
    """

    def __init__(
        self,
        names: Iterable[str],
        describe: Callable[[str], Parameter],
        *,
        further: Container[str] = (),
        noun: str = "parameter",
    ) -> None:
        self._names = dict.fromkeys(names)
        self._further = further
        self._unknown = {"msg": f"There is no such {noun}", "type": "extra_forbidden"}
        self._describe = describe
        self._validators: dict[str, SchemaValidator] = {}

    def validate(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the parameters that are given.

        Raises:
            InvalidInputError: 422, a parameter is unknown or malformed. Lists each.
        """
        values, faults = self.read(parts)
        if faults:
            raise InvalidInputError(faults)
        return values

    def read(self, parts: Mapping[str, Any], *place: str | int) -> tuple[dict[str, Any], list[Fault]]:
        """Return the values of the valid parameters, and a fault for each unknown or malformed one.

        `place` is the `loc` of what holds the parameters; without it, the query.
        """
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        place = place or ("query",)
        for name, part in parts.items():
            if name not in self._names and name not in self._further:
                faults.append({"loc": [*place, name], **self._unknown})
                continue
            try:
                values[name] = self._validator(name).validate_python(part)
            except ValidationError as error:
                faults += InvalidInputError.from_pydantic(error, *place, name).errors
        return values, faults

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self._further

    def _validator(self, name: str) -> SchemaValidator:
        found = self._validators.get(name)
        if found is None:
            found = self._validators[name] = _adapter(self._describe(name).annotation).validator
        return found

    def openapi(self) -> list[dict[str, Any]]:
        """Return the parameters for OpenAPI 3.1, without references."""
        return [_openapi(name, self._describe(name)) for name in self._names]


@lru_cache(maxsize=PREPARED)
def _adapter(annotation: Any) -> Any:
    return TypeAdapter(annotation, config=CONFIG)


def schema_of(annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of a type, without references and titles."""
    return dict(_schema(annotation))


@lru_cache(maxsize=PREPARED)
def _schema(annotation: Any) -> dict[str, Any]:
    schema = _adapter(annotation).json_schema()
    inlined: dict[str, Any] = exact(_inlined(schema, schema.pop("$defs", {})))
    return inlined


def _openapi(name: str, parameter: Parameter) -> dict[str, Any]:
    schema, text = schema_of(parameter.annotation), parameter.description
    # A default in the schema would be sent by generated clients, and `page=1` with `skip` or a cursor is rejected.
    if parameter.default is not None:
        text += f" {parameter.default} if left out."
    described = {"name": name, "in": "query", "required": False, "description": text}
    if schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return described | {"schema": schema}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "title"}

"""Parse query strings strictly, and describe the parameters of a pydantic model for OpenAPI."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import (
    BaseModel,
)
from pydantic.json_schema import GenerateJsonSchema

from rowhouse.core.errors import InvalidInputError

MAX_FIELDS = 200


def describe_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the members of `model` as OpenAPI query parameters, without references."""
    schema = model.model_json_schema(schema_generator=GenerateJsonSchema)
    definitions = schema.get("$defs", {})
    return [_describe_parameter(name, _inlined(member, definitions)) for name, member in schema["properties"].items()]


def _describe_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": False}
    parameter["description"] = schema.pop("description", "")
    # A default in the schema would be sent by generated clients, and `page=1` with `skip` or a cursor is rejected.
    default = schema.pop("default", None)
    if default is not None:
        parameter["description"] += f" {default} if left out."
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter | {"schema": schema}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "title"}


def parse_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters of a query string.

    Raises:
        InvalidInputError: 422, a parameter is repeated, or the bytes are not UTF-8.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise InvalidInputError.at("query", message="the query string is not valid UTF-8 or too long") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError.at("query", repeated, message="give this parameter once", kind="repeated")
    return found

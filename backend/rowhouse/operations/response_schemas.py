"""Writes the schemas of responses for OpenAPI from those of an entity's models, without further models.

Requests need none of them, and making a model takes longer than describing it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from rowhouse.query.pagination import EstimatedPage
from rowhouse.query.resource import Resource

REFERENCE = "#/components/schemas/{model}"
# The keywords of a member that are not part of its type.
ABOUT = frozenset({"title", "description", "examples", "default", "deprecated"})
NULL = {"type": "null"}
ESTIMATE = "total_is_estimate"
Schema = dict[str, Any]
Definitions = Mapping[str, Schema]


class ResponseSchema(NamedTuple):
    """A response: its schema, the models that it refers to, and a function that makes further schemas."""

    schema: Schema
    models: Iterable[Any]
    further: Callable[[Definitions], Definitions]


class DocumentSchema(GenerateJsonSchema):
    """Writes JSON schemas as the document has them: members have no title that only repeats their name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  for all
        """Return False: generators make the title from the name."""
        return False


def reference(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": REFERENCE.format(model=name)}


def name_of(model: type[BaseModel]) -> str:
    """Return the name of a model in the document."""
    return model.__name__


def rows_of(resource: Resource) -> ResponseSchema:
    """Return the response with a list of whole rows."""
    public = resource.schemas.public
    return ResponseSchema(array_of(reference(name_of(public))), [public], lambda _found: {})


def array_of(items: Schema, **limits: Any) -> Schema:
    """Return the schema of a list."""
    return {"items": items, **limits, "type": "array"}


def nullable(schema: Schema) -> Schema:
    """Return the schema of a value or null."""
    options = schema.get("anyOf", [schema])
    return {"anyOf": options if NULL in options else [*options, NULL]}


def bare(schema: Schema) -> Schema:
    """Return the type of a member, without its title, description and examples."""
    return {word: part for word, part in schema.items() if word not in ABOUT}


def object_of(name: str, members: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """Return the schema of an object."""
    needed = list(required)
    return {"properties": dict(members), **({"required": needed} if needed else {}), "title": name, "type": "object"}


def page_name(row: str) -> str:
    """Return the name of a page of rows."""
    return f"Page_{row}_"


def page_of(row: str, resource: Resource | None = None) -> Definitions:
    """Return the schema of a page by its name. The total may be an estimate if the resource says so."""
    members = dict(_window())
    if resource is None or resource.exact_count_limit is None:
        del members[ESTIMATE]
    page = object_of(f"Page[{row}]", {"items": array_of(reference(row)), **members}, required=())
    page["required"] = ["items", *(name for name in members if name != ESTIMATE)]
    return {page_name(row): page}


@cache
def _window() -> Mapping[str, Schema]:
    """Return the members of a page other than its rows."""
    schema = EstimatedPage[int].model_json_schema(mode="serialization", schema_generator=DocumentSchema)
    return {name: member for name, member in schema["properties"].items() if name != "items"}

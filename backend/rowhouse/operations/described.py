"""Describe generated operations for OpenAPI, and the schemas that they use.

FastAPI describes hand-written routes. For generated ones it would take 50 ms for each entity, because it reads every
schema and every parameter again for each operation.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from fastapi.utils import deep_dict_update
from pydantic import TypeAdapter
from pydantic_core import CoreSchema

from rowhouse.core.openapi import exact
from rowhouse.http.dependencies import oauth2_scheme
from rowhouse.operations.response_schemas import REFERENCE, DocumentSchema, ResponseSchema, name_of
from rowhouse.operations.route import GeneratedRoute
from rowhouse.schemas.pydantic_internals import core_schema_of

JSON, MODEL = "application/json", "model"
Mode = Literal["validation", "serialization"]


Schemas = Mapping[tuple[str, Mode], dict[str, Any]]


def describe(routes: Iterable[GeneratedRoute]) -> dict[str, Any]:
    """Return `paths` and `components` of a document, for generated operations."""
    documented = [route for route in routes if route.include_in_schema]
    described = [(route, route.described()) for route in documented]
    schemas, definitions = _schemas(described)
    paths: dict[str, dict[str, Any]] = {}
    for route, options in described:
        for method in route.methods or ():
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, options, schemas)
    return {"paths": paths, "components": {"schemas": definitions}}


def _schemas(
    routes: Iterable[tuple[GeneratedRoute, Mapping[str, Any]]],
) -> tuple[Schemas, dict[str, Any]]:
    """Return the JSON schemas of all bodies and responses, and those that they refer to, by name."""
    inputs: dict[tuple[str, Mode], CoreSchema] = {}
    written: dict[tuple[str, Mode], ResponseSchema] = {}

    def add(name: str, mode: Mode, model: Any) -> None:
        if isinstance(model, ResponseSchema):
            written[name, mode] = model
            inputs.update({(name_of(one), mode): core_schema_of(one) for one in model.models})
        else:
            inputs[name, mode] = TypeAdapter(model).core_schema

    for route, options in routes:
        if route.body is not None:
            add(route.unique_id, "validation", route.body)
        if options.get("response_model") is not None:
            add(route.unique_id, "serialization", options["response_model"])
        for status, model in _further_models(options).items():
            add(f"{route.unique_id} {status}", "serialization", model)
    given = [(name, mode, schema) for (name, mode), schema in inputs.items()]
    found, generated = DocumentSchema(ref_template=REFERENCE).generate_definitions(given)
    definitions = {str(name): exact(schema) for name, schema in generated.items()}
    for one in written.values():
        definitions.update(one.further(definitions))
    return {**found, **{key: one.schema for key, one in written.items()}}, definitions


def _operation(route: GeneratedRoute, described: Mapping[str, Any], schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [*described["tags"]],
        "summary": described["summary"],
        "description": described["description"],
        "operationId": route.unique_id,
    }
    if not route.policy.anyone:
        operation["security"] = [{oauth2_scheme.scheme_name: []}]
    if route.path_parameter is not None:
        operation["parameters"] = [route.path_parameter()]
    body = schemas.get((route.unique_id, "validation"))
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    success: dict[str, Any] = {"description": "Successful Response"}
    response = schemas.get((route.unique_id, "serialization"))
    if response is not None:
        success["content"] = {JSON: {"schema": response}}
    operation["responses"] = {str(described.get("status_code", 200)): success}
    documented = {
        str(status): {name: part for name, part in response.items() if name != MODEL}
        for status, response in described["responses"].items()
    }
    for status in _further_models(described):
        documented[status]["content"] = {JSON: {"schema": schemas[f"{route.unique_id} {status}", "serialization"]}}
    deep_dict_update(operation["responses"], documented)
    deep_dict_update(operation, described.get("openapi_extra", {}))
    return operation


def _further_models(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models of responses with another status than that of `response_model`."""
    return {str(status): response[MODEL] for status, response in described["responses"].items() if MODEL in response}

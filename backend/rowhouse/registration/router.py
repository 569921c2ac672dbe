"""The router factory: the generated routes of a registered entity, with their names, inputs and responses."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import Body
from pydantic_core import to_jsonable_python

from rowhouse.core.openapi import TRANSITION, header, shared_problem_responses
from rowhouse.core.policy import admitting
from rowhouse.crud.base import CRUDBase
from rowhouse.entities.transition import Transition, shown
from rowhouse.http.authorization import RouteAuthorization
from rowhouse.operations.aggregate import aggregate_route
from rowhouse.operations.endpoints import MAX_BATCH, Endpoints
from rowhouse.operations.expand import EmbeddedSchemas, Expansion, page_of_rows, row_or_partial
from rowhouse.operations.history_endpoints import HistoryEndpoints, history_routes
from rowhouse.operations.page_request import JSON, TOTAL
from rowhouse.operations.preference import APPLIED, PREFER
from rowhouse.operations.put_endpoint import PutEndpoint
from rowhouse.operations.response_schemas import ResponseSchema, array_of, name_of, object_of, reference, rows_of
from rowhouse.operations.route import (
    LOCATED,
    MINIMAL,
    TAGGED,
    Deferred,
    GeneratedRoute,
    generated_route,
    on_parameter,
    one_row,
    path_key,
    plural_name,
    singular_name,
    unread,
)
from rowhouse.query.parameters import schema_of
from rowhouse.query.resource import Resource
from rowhouse.requests.idempotency import IDEMPOTENCY_KEY, REPLAYED
from rowhouse.transfer.exporter import export_route
from rowhouse.transfer.importer import import_route

IF_MATCH = header(
    "If-Match", "The `ETag` of the version to change. If the row has another, the response is 412 and nothing changes."
)
IF_NONE_MATCH = header("If-None-Match", "`*` creates the row only: if it exists, the response is 412.")
OPERATIONS = ("list", "create", "get", "update", "put", "delete")
OUTCOME = {"enum": ["created", "updated"], "type": "string"}
BATCH_LIMITS = {"minItems": 1, "maxItems": MAX_BATCH}


def routes_of(
    declared: Resource,
    resource: Resource,
    crud: CRUDBase[Any],
    expansions: Mapping[str, Expansion],
    operations: Iterable[str],
    *,
    embedded: EmbeddedSchemas | None = None,
) -> list[GeneratedRoute]:
    """Return the generated routes of a resource: these operations, the batches, export and import of each, and steps.

    `declared` is the resource as its line declares it. Another registry of the application may record more of its rows.
    """
    endpoints = (HistoryEndpoints if resource.records_changes else Endpoints)(resource, crud, expansions, embedded)
    endpoints.creates = "create" in operations
    named = [name for name in OPERATIONS if name in possible_operations(operations, resource)]
    routes = [build(resource, endpoints) for name in named for build in _BUILDERS[name]]
    routes += [_step(resource, endpoints, transition) for transition in resource.steps]
    return routes + history_routes(declared, endpoints) if isinstance(endpoints, HistoryEndpoints) else routes


def possible_operations(operations: Iterable[str], resource: Resource) -> frozenset[str]:
    """Return these operations without those that could never succeed: a change where every member is fixed.

    A PUT stays where it creates the row.
    """
    found = frozenset(operations)
    if resource.schemas.update.model_fields:
        return found
    return found - ({"update"} if resource.schemas.put is not None and "create" in found else {"update", "put"})


def _list(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = plural_name(resource)
    return generated_route(
        resource, "", policy=resource.read, work=endpoints.list_rows, head=endpoints.head_of_list, writes=False,
        methods=["GET"],
        operation_id=f"list_{name}", summary=f"List {name.replace('_', ' ')}",
        response_model=Deferred(lambda: page_of_rows(resource, endpoints.embedded)),
        description="A page of the rows that match every filter.",
        openapi_extra=Deferred(lambda: {"parameters": [*resource.parameters.openapi]}),
        responses={200: {"headers": TOTAL}, **shared_problem_responses(401, 403, 422, 503)},
    )  # fmt: skip


def _get(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_name(resource)
    known = header("If-None-Match", "The `ETag` of the version that the client has.")
    return generated_route(
        resource, "/{id}", policy=resource.read, work=endpoints.get_row, writes=False, methods=["GET"],
        operation_id=f"get_{name}", summary=f"Get {one_row(resource)}",
        response_model=Deferred(lambda: row_or_partial(resource, endpoints.embedded)),
        description="The row, if it exists and the caller may read it.",
        openapi_extra=Deferred(lambda: {"parameters": [*endpoints.projection_parameters.openapi(), known]}),
        responses={200: {"headers": TAGGED}, 304: {"description": "The client has this version.", "headers": TAGGED},
                   **shared_problem_responses(401, 403, 404, 422, 503)},
    )  # fmt: skip


def _create(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_name(resource)
    return generated_route(
        resource, "", policy=resource.write, body=resource.schemas.create, work=endpoints.create_row, writes=True,
        methods=["POST"], status_code=201, operation_id=f"create_{name}", summary=f"Create {one_row(resource)}",
        response_model=resource.schemas.public, description="Insert a row and return it as stored.",
        openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"headers": {**LOCATED, **TAGGED, **REPLAYED, **APPLIED}},
                   **shared_problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip


def _create_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, body, keys = plural_name(resource), _batch(resource.schemas.create), endpoints.unique_keys
    return generated_route(
        resource, "/batch", policy=resource.write, body=body, work=endpoints.create_rows, writes=True,
        methods=["POST"], status_code=201, operation_id=f"create_{name}",
        summary=f"Create many {name.replace('_', ' ')}", response_model=Deferred(lambda: rows_of(resource)),
        description=f"Insert 1 to {MAX_BATCH:,} rows, all or none. An error names the element."
        + (" With `on`, the rows that exist are changed." if keys else ""),
        openapi_extra={"parameters": [*on_parameter(keys), IDEMPOTENCY_KEY]},
        responses=Deferred(lambda: {201: {"headers": {**REPLAYED, **APPLIED}}, **_upserted(resource, keys),
                                    **shared_problem_responses(400, 401, 403, 409, 413, 415, 422, 503)}),
    )  # fmt: skip


def _upserted(resource: Resource, keys: Collection[str]) -> dict[int, Any]:
    """Return the response with `on`; none for an entity without unique keys."""
    if not keys:
        return {}
    name, public = f"{resource.name}Upserted", resource.schemas.public
    rows = array_of(reference(name_of(public)))
    members = {
        "created": {"type": "integer", "description": "The number of new rows."},
        "updated": {"type": "integer", "description": "The number of changed rows."},
        "outcomes": {**array_of(OUTCOME), "description": "The outcome of each element."},
        "items": {**rows, "description": "The rows as stored, in the order of the elements."},
    }
    model = ResponseSchema(reference(name), [public], lambda _found: {name: object_of(name, members, required=members)})
    return {
        200: {"description": "The outcome with `on`.", "model": model, "headers": REPLAYED},
        204: {**MINIMAL, "headers": {**REPLAYED, **APPLIED}},
    }


def _batch(schema: Any) -> Any:
    batch: Any = Annotated[list[schema], Body(min_length=1, max_length=MAX_BATCH)]
    return batch


def _change(resource: Resource, endpoints: Endpoints, *, method: str, verb: str) -> GeneratedRoute:
    name = singular_name(resource)
    described = "Change the members that are sent. The others stay as they are."
    is_put = method == "PUT"
    return generated_route(
        resource, "/{id}", policy=resource.write, body=resource.schemas.update, work=endpoints.update_row, writes=True,
        methods=[method], operation_id=f"{verb}_{name}",
        summary=f"Change {one_row(resource)}{', as PATCH does' if is_put else ''}",
        response_model=resource.schemas.public,
        description=f"For clients without PATCH. {described}" if is_put else described,
        openapi_extra={"parameters": [IF_MATCH, PREFER]},
        responses={200: {"headers": TAGGED}, 204: {**MINIMAL, "headers": {**TAGGED, **APPLIED}},
                   **shared_problem_responses(400, 401, 403, 404, 409, 412, 413, 415, 422, 503)},
    )  # fmt: skip


def _put(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, body = singular_name(resource), resource.schemas.put
    if body is None or not endpoints.creates:
        return _change(resource, endpoints, method="PUT", verb="put")
    created = {
        "description": "The row was created.",
        "headers": {**LOCATED, **TAGGED, **APPLIED},
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{resource.schemas.public.__name__}"}}},
    }
    return generated_route(
        resource, "/{id}", policy=resource.write, body=body, work=PutEndpoint(endpoints, body).put_row, writes=True,
        methods=["PUT"], operation_id=f"put_{name}", summary=f"Create or change {one_row(resource)}",
        response_model=resource.schemas.public,
        description="Create the row with the key of the path. If it exists, change the members that are sent.",
        openapi_extra={"parameters": [IF_MATCH, IF_NONE_MATCH, PREFER]},
        responses={200: {"headers": TAGGED}, 201: created, 204: {**MINIMAL, "headers": {**TAGGED, **APPLIED}},
                   **shared_problem_responses(400, 401, 403, 404, 409, 412, 413, 415, 422, 503)},
    )  # fmt: skip


def _change_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, body = plural_name(resource), _batch(resource.schemas.batch_update)
    return generated_route(
        resource, "/batch", policy=resource.write, body=body, work=endpoints.update_rows, writes=True,
        methods=["PATCH"], operation_id=f"update_{name}", summary=f"Change many {name.replace('_', ' ')}",
        response_model=Deferred(lambda: rows_of(resource)),
        description=f"Change 1 to {MAX_BATCH:,} rows, each named by its id, all or none.",
        openapi_extra={"parameters": [PREFER]},
        responses={204: {**MINIMAL, "headers": APPLIED},
                   **shared_problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 503)},
    )  # fmt: skip


def _delete(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_name(resource)
    return generated_route(
        resource, "/{id}", policy=resource.write, work=endpoints.delete_row, writes=True, methods=["DELETE"],
        status_code=204, operation_id=f"delete_{name}", summary=f"Delete {one_row(resource)}",
        response_model=None, description=f"Delete the row. It stays if other rows refer to it.{_with_owned(resource)}",
        openapi_extra={"parameters": [IF_MATCH]},
        responses=shared_problem_responses(401, 403, 404, 409, 412, 422, 503),
    )  # fmt: skip


def _delete_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = plural_name(resource)
    return generated_route(
        resource, "/batch", policy=resource.write, work=endpoints.delete_rows, writes=True, methods=["DELETE"],
        status_code=204, operation_id=f"delete_{name}", summary=f"Delete many {name.replace('_', ' ')}",
        response_model=None, description=f"Delete 1 to {MAX_BATCH:,} rows, all or none.{_with_owned(resource)}",
        openapi_extra=Deferred(lambda: {"parameters": [_ids(resource)]}),
        responses=shared_problem_responses(401, 403, 404, 409, 422, 503),
    )  # fmt: skip


def _with_owned(resource: Resource) -> str:
    """Return the sentence about the rows that are deleted with a row."""
    names = " and ".join(resource.owned_members)
    return f" Its {names} are deleted with it." if names else ""


def _ids(resource: Resource) -> dict[str, Any]:
    """Return the parameter `ids` for OpenAPI."""
    parameter = {"name": "ids", "in": "query", "required": True}
    if resource.key.is_composite:
        text = f"The keys, each as {resource.key.label}, separated by semicolons."
        return {**parameter, "description": text, "schema": {"type": "string", "minLength": 1}}
    array = {"type": "array", "items": schema_of(path_key(resource)), "uniqueItems": True, **BATCH_LIMITS}
    text = "The ids, separated by commas."
    return {**parameter, "description": text, "style": "form", "explode": False, "schema": array}


def _step(resource: Resource, endpoints: Endpoints, transition: Transition[Any]) -> GeneratedRoute:
    name, verb = singular_name(resource), transition.name.replace("-", "_")
    policy, title = transition.policy or resource.write, name.replace("_", " ")
    admits = admitting(policy, resource.write)
    states = {"field": transition.field, "from": [*transition.sources], "to": transition.target}
    field = resource.columns[transition.field].info
    if not field.is_required():
        states["initial"] = field.get_default(call_default_factory=True)
    route = generated_route(
        resource, f"/{{id}}/{transition.name}", policy=policy,
        work=partial(endpoints.take_step, transition=transition, admits=admits), writes=True, methods=["POST"],
        operation_id=f"{verb}_{name}", response_model=resource.schemas.public,
        summary=transition.summary or f"{verb.replace('_', ' ').capitalize()} {title}",
        description=transition.description
        or f"The {title} must be {transition.origin}, and becomes {shown(transition.target)}.",
        openapi_extra={"parameters": [IF_MATCH, IDEMPOTENCY_KEY], TRANSITION: to_jsonable_python(states)},
        responses={200: {"headers": {**TAGGED, **REPLAYED}}, **unread(resource, policy),
                   **shared_problem_responses(400, 401, 403, 404, 409, 412, 413, 422, 503)},
    )  # fmt: skip
    route.authorization = RouteAuthorization(read=(admits,), write=(admits,))
    return route


Build = Callable[[Resource, Endpoints], GeneratedRoute]
_BUILDERS: dict[str, tuple[Build, ...]] = {
    "list": (_list, export_route, aggregate_route),
    "create": (_create, _create_batch, import_route),
    "get": (_get,),
    "update": (partial(_change, method="PATCH", verb="update"), _change_batch),
    "put": (_put,),
    "delete": (_delete, _delete_batch),
}

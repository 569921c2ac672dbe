"""Parts of the OpenAPI document that routes use: headers and error responses."""

import http
from collections.abc import Mapping
from functools import cache
from typing import Any

from rowhouse.core.problems import PROBLEM_MEDIA_TYPE, example_of

# The extension that states an operation's service level objective, in milliseconds.
SLO = "x-slo-ms"
# The members of a row that are its key, in the parameter `id` of a path, where they are not `id`.
KEY_MEMBERS = "x-key"
# The extension that states the column of a step, the states from which it starts, the one to which it leads, and the
# initial state of a new row.
TRANSITION = "x-transition"
BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
# What `resolved` puts in the place of a reference.
SHARED = frozenset({"parameters", "responses", "headers", "requestBodies"})
PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
WORDS = {
    400: "The request makes no sense in the present state.",
    401: "No credentials, or invalid ones.",
    403: "The caller may not do this.",
    404: "Missing, or someone else's.",
    409: "A conflict with what is stored.",
    412: "The row has changed since the client read it.",
    413: "The body is too large.",
    415: "This operation does not accept the media type of the body.",
    422: "Some values are not valid; `errors` lists them.",
    429: "Too many attempts; see `Retry-After`.",
    503: "Out of capacity; see `Retry-After`.",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these error statuses, with the schema and an example of a problem.

    Example:
        @router.post("/{id}/publish", responses=problem_responses(409))
        def publish_post(post_id: PostId, posts: PostsDep, unit: UnitDep) -> Row: ...
    """
    return {status: _problem_response(status) for status in statuses}


def shared_problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the same for generated routes. A status has one object in all of them, which nothing may change."""
    return {status: _shared_problem_response(status) for status in statuses}


def _problem_response(status: int) -> dict[str, Any]:
    return {
        "description": WORDS.get(status, http.HTTPStatus(status).phrase),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_REFERENCE, "example": example_of(status)}},
    }


_shared_problem_response = cache(_problem_response)


def exact(part: Any) -> Any:
    """Return a part of a document with integer bounds, which FastAPI writes as floats, and without `default: null`."""
    if isinstance(part, list):
        return [exact(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    found = {key: exact(value) if isinstance(value, (dict, list)) else value for key, value in part.items()}
    for word in BOUNDS & found.keys():
        bound = found[word]
        if isinstance(bound, float) and bound.is_integer():
            found[word] = min(int(bound), 2**63 - 1)
    if found.get("default", True) is None:
        del found["default"]  # as FastAPI does
    return found


def resolved(document: Mapping[str, Any]) -> dict[str, Any]:
    """Replace references to parameters, responses, headers and bodies by their content. Those to schemas stay."""
    components = document.get("components", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(entry) for entry in part]
        if not isinstance(part, dict):
            return part
        kind, _, name = str(part.get("$ref", "")).removeprefix("#/components/").partition("/")
        if kind in SHARED:
            return inlined(components[kind][name])
        return {key: inlined(value) for key, value in part.items()}

    return {**document, "paths": inlined(document["paths"])}


def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """Return OpenAPI's description of an optional request header."""
    described = {"name": name, "in": "header", "required": False, "description": description}
    return {**described, "schema": {"type": "string", **schema}}


def response_header(name: str, description: str, *, required: bool = True) -> dict[str, Any]:
    """Return OpenAPI's description of a response header."""
    return {name: {"description": description, "required": required, "schema": {"type": "string"}}}

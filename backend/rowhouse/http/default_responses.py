"""Adds the error responses that any route of a kind can return, so that hand-written routes need not declare them.

Adds to the OpenAPI document, never removes from it: the problems of a kind of route, and the headers of a status.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from rowhouse.core.openapi import problem_responses
from rowhouse.http.dependencies import oauth2_scheme
from rowhouse.http.fastapi_internals import Dependant, body_of, tree_of

REQUEST_ID = "X-Request-ID"
HEADERS: Mapping[str, Mapping[str, Any]] = {
    REQUEST_ID: {
        "description": "The name of this request in the server's log: the client's own, if it sends one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "The required scheme (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "The seconds to wait before the next attempt.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit": {
        "description": "The requests that are left in this window, and the seconds to its end. Not in a 503.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "The limit and its window, in seconds.", "schema": {"type": "string"}},
}
RATE_HEADERS = ("RateLimit", "RateLimit-Policy")
# For an operation that reads no token. By default the document says that a token is optional.
NO_CREDENTIALS: Mapping[str, Any] = {"security": []}
OF_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}


def general_problems(route: APIRoute, *, may_sign_in: bool) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for the errors of any hand-written route of this kind.

    `may_sign_in`: the route reads a token if one is sent.
    """
    tree, statuses = tree_of(route), [422, 503]
    if tree.path_params:
        statuses.append(404)
    if body_of(route) is not None:
        statuses += [413, 415]
    if may_sign_in or needs_caller(tree):
        statuses += [401, 403]
    return problem_responses(*sorted(statuses))


def needs_caller(dependant: Dependant) -> bool:
    """Return True if a route needs credentials, as with `CallerDep`."""
    call: Any = dependant.call
    return isinstance(call, SecurityBase) or any(needs_caller(part) for part in dependant.dependencies)


def require_account(dependant: Dependant) -> Mapping[str, Any]:
    """Return OpenAPI's `security` of an operation that needs an account; empty where FastAPI writes it itself."""
    return {} if needs_caller(dependant) else {"security": [{oauth2_scheme.scheme_name: []}]}


def add_refusals(document: dict[str, Any], *, rate_limited: bool) -> None:
    """Add 429 to all operations with a rate limit, or else to those that take an `Idempotency-Key`."""
    problem = problem_responses(429)[429]
    for item in document["paths"].values():
        for operation in item.values():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            if keyed or rate_limited:
                operation["responses"].setdefault("429", dict(problem))


def add_headers(document: dict[str, Any], *, rate_limited: bool) -> None:
    """Add to each response in the document references to those of the headers above that it has."""
    used, common = set(), [REQUEST_ID, *(RATE_HEADERS if rate_limited else ())]
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                names = [*common, *([OF_STATUS[status]] if status in OF_STATUS else [])]
                named = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
                response["headers"] = {**response.get("headers", {}), **named}
                used.update(names)
    if used:
        document["components"]["headers"] = {name: described for name, described in HEADERS.items() if name in used}

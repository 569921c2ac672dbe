"""What else a route may answer than it says itself: found from the route, so that whoever writes one by hand need not list it.

Adds to the OpenAPI document, never takes from it: the problems that any route of its kind may answer, and the headers that belong
to a status.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from rowhouse.core.openapi import problem_responses
from rowhouse.http.dependencies import oauth2_scheme

REQUEST_ID = "X-Request-ID"
HEADERS: Mapping[str, Mapping[str, Any]] = {
    REQUEST_ID: {
        "description": "The name of this request in the server's log; one that the client sends is taken over.",
        "required": True,
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "The scheme that is asked for (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "The seconds to wait before the next attempt.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
# Of an operation that reads no token; the document's own word on security is for those that read one if it is sent.
NO_CREDENTIALS: Mapping[str, Any] = {"security": []}
OF_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}


def general_problems(route: APIRoute, *, may_sign_in: bool) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for what any hand-written route of this kind may answer; `may_sign_in`: it reads a token if one is sent."""
    statuses = [422, 503]
    if route.dependant.path_params:
        statuses.append(404)
    if route.body_field is not None:
        statuses += [413, 415]
    if may_sign_in or needs_caller(route.dependant):
        statuses += [401, 403]
    return problem_responses(*sorted(statuses))


def needs_caller(dependant: Dependant) -> bool:
    """Whether a route asks for credentials, as `CallerDep` does."""
    call: Any = dependant.call
    return isinstance(call, SecurityBase) or any(needs_caller(part) for part in dependant.dependencies)


def require_account(dependant: Dependant) -> Mapping[str, Any]:
    """What OpenAPI says of an operation that nobody calls without an account; FastAPI says it where the tree asks for a token."""
    return {} if needs_caller(dependant) else {"security": [{oauth2_scheme.scheme_name: []}]}


def add_refusals(document: dict[str, Any], *, rate_limited: bool) -> None:
    """Say which operations may answer 429: all where the rate is limited, else those that take an `Idempotency-Key`."""
    problem = problem_responses(429)[429]
    for item in document["paths"].values():
        for operation in item.values():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            if keyed or rate_limited:
                operation["responses"].setdefault("429", dict(problem))


def add_headers(document: dict[str, Any]) -> None:
    """Say of each answer in the document which of the headers above it has, by reference."""
    used = set()
    for item in document["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                names = [REQUEST_ID, *([OF_STATUS[status]] if status in OF_STATUS else [])]
                named = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
                answer["headers"] = {**answer.get("headers", {}), **named}
                used.update(names)
    if used:
        document["components"]["headers"] = {name: described for name, described in HEADERS.items() if name in used}

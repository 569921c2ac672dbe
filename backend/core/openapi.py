"""The OpenAPI document: FastAPI's own, with the directory's routes and the problem schema of every error."""

import http
from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend.core.errors import PROBLEM_MEDIA_TYPE, Problem
from backend.core.routing import Directory

PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
WORDS = {
    400: "The request makes no sense in the present state.",
    401: "No credentials, or credentials that do not hold.",
    403: "The caller may not do this.",
    404: "Missing, or someone else's.",
    409: "A conflict with what is stored.",
    412: "The row has changed since the client read it.",
    413: "The body is too large.",
    415: "The body is of a type that is not read here.",
    422: "Some values are not valid; `errors` lists them.",
    429: "Too many attempts; see `Retry-After`.",
    503: "Out of capacity; see `Retry-After`.",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for these error statuses."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_REFERENCE}}
    return {s: {"description": WORDS.get(s, http.HTTPStatus(s).phrase), "content": content} for s in statuses}


def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """An optional request header, as OpenAPI has it."""
    described = {"name": name, "in": "header", "required": False, "description": description}
    return {**described, "schema": {"type": "string", **schema}}


def response_header(name: str, description: str) -> dict[str, Any]:
    """A header of an answer, as OpenAPI has it."""
    return {name: {"description": description, "schema": {"type": "string"}}}


def cached_openapi(app: FastAPI, directory: Directory) -> Callable[[], dict[str, Any]]:
    """FastAPI's `app.openapi` for an application with a directory; the document is built at its first use."""
    return cache(lambda: build_openapi(app, directory))


def build_openapi(app: FastAPI, directory: Directory) -> dict[str, Any]:
    """The whole document: the root's routes, the directory's, and the schema of every error."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    part = get_openapi(title=app.title, version=app.version, routes=directory.routes)
    for path, item in part["paths"].items():
        document["paths"][directory.prefix + path] = item
    components = document.setdefault("components", {})
    for kind, entries in part.get("components", {}).items():
        components.setdefault(kind, {}).update(entries)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = components.setdefault("schemas", {})
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    return document

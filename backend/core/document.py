"""The OpenAPI document: FastAPI's own, with the directory's routes and the problem schema of every error."""

import json
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from backend.core.answers import add_headers, add_refusals
from backend.core.dependencies import oauth2_scheme
from backend.core.directory import Directory
from backend.core.errors import Problem

# 95 of 100 answers of an operation are to be there within so many milliseconds; the load run's gate reads it here.
SLO = "x-slo-ms"
BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
PATH = "/openapi.json"


def add_document(app: FastAPI, directory: Directory, *, slo_ms: int, rate_limited: bool = False) -> None:
    """Serve the document, and give it as FastAPI's `app.openapi`; it is built at its first use.

    That takes half a second of work for each hundred operations, and writing it down tens of milliseconds: it is done once and in
    a thread, so that only who asks for the document waits for it.
    """
    written = cache(lambda: json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode())
    one_at_a_time = Lock()

    def content() -> bytes:
        with one_at_a_time:
            return written()

    async def show(_request: Request) -> Response:
        return Response(await run_in_threadpool(content), media_type="application/json")

    build = cache(lambda: build_openapi(app, directory, slo_ms=slo_ms, rate_limited=rate_limited))
    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way, also for who wants another document yet
    app.add_route(PATH, show, methods=["GET"], include_in_schema=False)


def build_openapi(app: FastAPI, directory: Directory, *, slo_ms: int, rate_limited: bool = False) -> dict[str, Any]:
    """The whole document: the root's routes, the directory's, and the schema of every error.

    `slo_ms` is the bound of the operations that say none; a hand-written route says it by `openapi_extra={"x-slo-ms": 500}`.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        routes=app.routes,
    )
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
    exact: dict[str, Any] = _with_whole_bounds(document)
    _name_enums(exact)
    scheme = jsonable_encoder(oauth2_scheme.model, by_alias=True, exclude_none=True)
    exact["components"]["securitySchemes"] = {oauth2_scheme.scheme_name: scheme}
    # For operations that say nothing of their own: a token is read if it is sent, none is needed.
    exact["security"] = [{}, {oauth2_scheme.scheme_name: []}]
    add_refusals(exact, rate_limited=rate_limited)
    add_headers(exact)
    for operation in _operations(exact):
        operation.setdefault(SLO, slo_ms)
    return exact


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _name_enums(document: dict[str, Any]) -> None:
    """Have a parameter refer to the enum that it takes: a client then has one type for the parameter and for the member."""
    named: dict[str, list[str]] = {}
    for name, schema in document["components"]["schemas"].items():
        if "enum" in schema:
            named.setdefault(repr(schema["enum"]), []).append(name)

    def reference(schema: dict[str, Any]) -> dict[str, Any]:
        if "items" in schema:
            return {**schema, "items": reference(schema["items"])}
        names = named.get(repr(schema["enum"]), []) if "enum" in schema else []
        return {"$ref": f"#/components/schemas/{names[0]}"} if len(names) == 1 else schema

    for operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = reference(parameter["schema"])


def _with_whole_bounds(part: Any) -> Any:
    """FastAPI writes every bound as a float, which makes of the greatest 64-bit integer the number after it."""
    if isinstance(part, list):
        return [_with_whole_bounds(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    found = {key: _with_whole_bounds(value) for key, value in part.items()}
    for word in BOUNDS & found.keys():
        bound = found[word]
        if isinstance(bound, float) and bound.is_integer():
            found[word] = min(int(bound), 2**63 - 1)
    return found

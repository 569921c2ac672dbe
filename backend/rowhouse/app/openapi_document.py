"""The OpenAPI document: FastAPI's own, with unique names across registries and the problem schema of every error."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from rowhouse.app.examples import add_examples
from rowhouse.app.shared_components import share_components
from rowhouse.core.collector import paused_collector
from rowhouse.core.openapi import SLO, exact
from rowhouse.core.problems import Problem
from rowhouse.http.default_responses import add_headers, add_refusals
from rowhouse.http.dependencies import oauth2_scheme
from rowhouse.http.route_tree import RouteTree
from rowhouse.http.schema_names import add_part, suffix_of
from rowhouse.operations.described import describe
from rowhouse.operations.route import GeneratedRoute
from rowhouse.requests.paths import prefix_of

PATH = "/openapi.json"
# What the name of a schema cannot contain.
UNNAMED = re.compile(r"\W")
# Not `gzip;q=0`, which refuses it.
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
# A process has one or two prefixes. Middleware that trusts a header must not fill the memory.
CACHED_PREFIXES = 8
# A schema of a hand-written route whose name another schema has already.
BY_HAND = "other"
URLS = frozenset({"tokenUrl", "authorizationUrl", "refreshUrl"})


def add_document(app: FastAPI, route_tree: RouteTree, *, slo_ms: int, rate_limited: bool = False) -> None:
    """Serve the document, also as FastAPI's `app.openapi`. It is built at its first use.

    Building takes a second for a thousand operations, and encoding tens of milliseconds. Both happen once for each
    prefix, in a thread, so that no other request waits. Clients that accept gzip, as browsers do, receive a thirtieth
    of the bytes.
    """

    @lru_cache(maxsize=CACHED_PREFIXES)
    def written(prefix: str) -> tuple[bytes, bytes]:
        document = under_prefix(app.openapi(), prefix) if prefix else app.openapi()
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return text, gzip.compress(text, compresslevel=6, mtime=0)

    one_at_a_time = Lock()

    def content(prefix: str) -> tuple[bytes, bytes]:
        with one_at_a_time:
            return written(prefix)

    async def show(request: Request) -> Response:
        text, compressed = await run_in_threadpool(content, prefix_of(request.scope))
        headers = {"Vary": "Accept-Encoding"}
        if not GZIP.search(request.headers.get("Accept-Encoding", "")):
            return Response(text, headers=headers, media_type="application/json")
        return Response(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json")

    build = cache(lambda: build_openapi(app, route_tree, slo_ms=slo_ms, rate_limited=rate_limited))
    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_route(PATH, show, methods=["GET"], include_in_schema=False)


def under_prefix(document: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the document for a prefix: with `servers` as in FastAPI, and with full paths of logins."""
    servers = document.get("servers", [])
    if all(server.get("url") != prefix for server in servers):
        servers = [{"url": prefix}, *servers]
    found = {**document, "servers": servers}
    components = found.get("components", {})
    if "securitySchemes" in components:
        schemes = {name: _prefixed(scheme, prefix) for name, scheme in components["securitySchemes"].items()}
        found["components"] = {**components, "securitySchemes": schemes}
    return found


def _prefixed(scheme: dict[str, Any], prefix: str) -> dict[str, Any]:
    flows = {
        name: {key: prefix + value if key in URLS and value.startswith("/") else value for key, value in flow.items()}
        for name, flow in scheme.get("flows", {}).items()
    }
    return {**scheme, "flows": flows} if flows else scheme


@paused_collector()
def build_openapi(app: FastAPI, route_tree: RouteTree, *, slo_ms: int, rate_limited: bool = False) -> dict[str, Any]:
    """Return the whole document: every documented route of the application, and the schema of every error.

    `slo_ms` applies to operations without one of their own. A hand-written route sets it with
    `openapi_extra={"x-slo-ms": 500}`.
    """
    document = _parts(app, route_tree)
    components = document.setdefault("components", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = components.setdefault("schemas", {})
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    _name_enums(document)
    add_examples(document)
    scheme = jsonable_encoder(oauth2_scheme.model, by_alias=True, exclude_none=True)
    flow = scheme["flows"]["password"]
    flow["tokenUrl"] = _login_path(route_tree, flow["tokenUrl"])
    own = document["components"].get("securitySchemes", {})  # from hand-written routes, such as an API key
    document["components"]["securitySchemes"] = {**own, oauth2_scheme.scheme_name: scheme}
    # The default of an operation: a token is read if it is sent, and none is needed.
    document["security"] = [{}, {oauth2_scheme.scheme_name: []}]
    add_refusals(document, rate_limited=rate_limited)
    add_headers(document, rate_limited=rate_limited)
    for operation in _operations(document):
        operation.setdefault(SLO, slo_ms)
    _drop_equal_titles(document["components"]["schemas"])
    share_components(document)
    return document


def _parts(app: FastAPI, route_tree: RouteTree) -> dict[str, Any]:
    """Return the document of each registry in one. With several registries, FastAPI would lengthen equal names."""
    parts = list(route_tree.parts.items())
    registered = {id(route) for _, part in parts for route in part}
    own = [route for route in app.routes if id(route) not in registered]
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        servers=app.servers,
        routes=[],
    )
    document |= _part(app, [*own, *(parts[0][1] if parts else ())])
    for prefix, part in parts[1:]:
        add_part(document, _part(app, part), suffix=suffix_of(prefix, route_tree.parts.keys() - {prefix}))
    order = dict.fromkeys(getattr(route, "path_format", "") for route in app.routes)
    document["paths"] = {path: document["paths"][path] for path in order if path in document["paths"]}
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(schemas)}
    return document


def _part(app: FastAPI, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return `paths` and `components` of some routes. FastAPI describes those that are written by hand."""
    part = describe(route for route in routes if isinstance(route, GeneratedRoute))
    by_hand = [route for route in routes if not isinstance(route, GeneratedRoute)]
    written = exact(get_openapi(title=app.title, version=app.version, routes=by_hand))
    _drop_titles(written.get("components", {}).get("schemas", {}))
    add_part(part, written, suffix=BY_HAND)
    return part


def _drop_titles(schemas: Mapping[str, Any]) -> None:
    """Remove the titles of members that repeat the name, as generated schemas have none."""
    for schema in schemas.values():
        for name, member in schema.get("properties", {}).items():
            if member.get("title") == name.replace("_", " ").title():
                del member["title"]


def _drop_equal_titles(schemas: Mapping[str, Any]) -> None:
    """Remove the titles that repeat the name of the schema: `Page[BookPublic]` of `Page_BookPublic_` too."""
    for name, schema in schemas.items():
        if UNNAMED.sub("_", schema.get("title", "")) == name:
            del schema["title"]


def _login_path(route_tree: RouteTree, path: str) -> str:
    """Return the path of the login in the first registry that has one."""
    found = [f"{prefix}/{path}" for prefix in route_tree.parts if route_tree.methods(f"{prefix}/{path}")]
    return found[0] if found else f"/{path}"


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _name_enums(document: dict[str, Any]) -> None:
    """Make a parameter refer to its enum, so that a client has one type for the parameter and the field.

    A parameter of several operations stays one object.
    """
    named: dict[str, list[str]] = {}
    for name, schema in document["components"]["schemas"].items():
        if "enum" in schema:
            named.setdefault(repr(schema["enum"]), []).append(name)
    made: dict[int, tuple[Any, Any]] = {}

    def once(parameter: dict[str, Any]) -> dict[str, Any]:
        if id(parameter) not in made:
            made[id(parameter)] = parameter, {**parameter, "schema": _named(parameter["schema"], named)}
        found: dict[str, Any] = made[id(parameter)][1]
        return found

    for operation in _operations(document):
        if "parameters" in operation:
            operation["parameters"] = [once(parameter) for parameter in operation["parameters"]]


def _named(schema: dict[str, Any], enums: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the schema, or a reference to its enum if that has one name."""
    if "items" in schema:
        return {**schema, "items": _named(schema["items"], enums)}
    names = enums.get(repr(schema["enum"]), []) if "enum" in schema else []
    return {"$ref": f"#/components/schemas/{names[0]}"} if len(names) == 1 else schema

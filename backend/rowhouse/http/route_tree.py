"""Finds the route of a request by the segments of its path. The time does not depend on the number of entities.

The routes are FastAPI's, with their full paths, and are in the application's list as well. FastAPI would try one after
the other (docs/decisions/0002). Only finds routes: `rowhouse.app.fast_path` calls them.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any, NamedTuple

from fastapi.params import Body, Form
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope

from rowhouse.core.settings import Settings
from rowhouse.http.fastapi_internals import body_of
from rowhouse.http.schema_names import make_operation_ids_unique
from rowhouse.requests.accepted_body import AcceptedBody
from rowhouse.requests.paths import encoded_segments, route_path
from rowhouse.requests.request_limits import (
    Headers,
    check_headers,
    limit_body,
    require_form,
    require_json,
    require_media_type,
)

# Keys of the scope: the entry that was found, and the error of the fast path.
ENTRY, FAILURE = "rowhouse_entry", "rowhouse_failure"


class Entry(NamedTuple):
    """The route of one method at one path.

    `prefix` is that of the route's registry. `parameters` are the positions of the path's parameters and their names.
    `check_media_type` rejects a body of another type by its headers. `limit` names the setting that limits the body's
    size. `fast_handler`, of a generated route, returns the whole response before any of it is sent.
    """

    route: APIRoute
    prefix: str
    parameters: tuple[tuple[int, str], ...]
    check_media_type: Callable[[Headers], Any] | None
    limit: str
    generated: bool
    # True if more segments follow the key: a row's own path looks so if its key contains a slash.
    is_deep: bool
    fast_handler: Callable[[Scope, Receive], Awaitable[Response]] | None


class _Node:
    """A node of the tree of path segments."""

    __slots__ = ("children", "methods", "parameter")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, Entry] = {}


class RouteTree:
    """The routes of all registries, found by their segments. A literal segment takes precedence over a parameter.

    A path with a trailing slash is the same path. `add` rejects a second hand-written route for one method and path. A
    hand-written route replaces a generated one, in either order. Call `complete` once, after the last `add`.
    """

    def __init__(self) -> None:
        # The routes by the prefix of their registry, in the order of the documentation.
        self.parts: dict[str, list[APIRoute]] = {}
        self._root = _Node()

    @property
    def routes(self) -> list[APIRoute]:
        """Every route, including those for HEAD."""
        return [route for part in self.parts.values() for route in part]

    @cached_property
    def route_ids(self) -> frozenset[int]:
        """The `id()` of every route, to find others in the application's list. Available after `complete`."""
        return frozenset(id(route) for route in self.routes)

    def add(self, route: APIRoute, *, prefix: str = "", generated: bool) -> None:
        """Add a copy of a route. Its path is relative to the prefix.

        Raises:
            ValueError: at start-up, for a second route of the same kind at the same method and path.
        """
        placed = copy(route)
        placed.path = placed.path_format = prefix + route.path
        segments = placed.path.rstrip("/").split("/")
        node, parameters = self._root, []
        for position, segment in enumerate(segments):
            if "{" in segment:
                parameters.append((position, _name_in(segment, route.path)))
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        accepted_body: AcceptedBody | None = getattr(route, "accepted_body", None)
        limit = "max_body_bytes" if accepted_body is None else accepted_body.limit
        fast_handler = getattr(route, "fast_handler", None)
        is_deep = bool(parameters) and parameters[0][0] < len(segments) - 1
        check = _media_type_check(route)
        entry = Entry(placed, prefix, tuple(parameters), check, limit, generated, is_deep, fast_handler)
        positions = [self._set_entry(node, method, entry) for method in sorted(route.methods or ())]
        found = [position for position in positions if position is not None]
        if found:
            self.parts[prefix].insert(found[0], placed)

    def _set_entry(self, node: _Node, method: str, entry: Entry) -> int | None:
        """Set the entry of a method at a node. Return its position in the list, or None if another takes precedence."""
        part = self.parts.setdefault(entry.prefix, [])
        present, position = node.methods.get(method), len(part)
        if present is not None:
            if present.generated == entry.generated:
                raise ValueError(f"{method} {entry.route.path} is registered twice: give one of them another path")
            if entry.generated:
                return None
            others = self.parts[present.prefix]
            position = others.index(present.route) if others is part else position
            others.remove(present.route)
        node.methods[method] = entry
        return position

    def complete(self) -> None:
        """Add HEAD to every GET, let every route match exactly the paths that find it, and make operation ids unique.

        Raises:
            ValueError: at start-up, for two operations with one name.
        """
        make_operation_ids_unique(self.parts)
        heads: dict[int, APIRoute] = {}
        for node, pattern in _nodes(self._root, ()):
            for entry in node.methods.values():
                if entry.generated:
                    # Requests do not use the pattern. It is compiled when something reads it.
                    entry.route.make_path_regex = partial(_regex, pattern, entry)  # type: ignore[attr-defined]  # of generated ones
                else:
                    entry.route.path_regex = _regex(pattern, entry)
            get = node.methods.get("GET")
            if get is not None and "HEAD" not in node.methods:
                head = copy(get.route)
                # A route of its own: with HEAD among the methods of the other, FastAPI would document both under one
                # name.
                head.methods, head.include_in_schema = {"HEAD"}, False
                heads[id(get.route)] = head
                handler = getattr(get.route, "head_handler", get.fast_handler)
                node.methods["HEAD"] = get._replace(route=head, fast_handler=handler)
        for part in self.parts.values():
            part[:] = [one for route in part for one in (route, heads.get(id(route))) if one is not None]

    def select(self, scope: Scope) -> Entry | None:
        """Return the entry for a request and put its route into the scope, as Starlette's router does.

        None without one.
        """
        segments = _segments(scope)
        node = self._find(segments)
        entry = None if node is None else node.methods.get(scope["method"])
        if entry is None or entry.is_deep:
            written = encoded_segments(scope)
            if written is not None:
                segments, node = written, self._find(written)
                entry = None if node is None else node.methods.get(scope["method"])
        if entry is not None:
            own = {name: segments[position] for position, name in entry.parameters}
            outer = scope.get("path_params")  # of a mount
            scope["path_params"] = {**outer, **own} if outer else own
            scope["route"], scope["endpoint"], scope[ENTRY] = entry.route, entry.route.endpoint, entry
        return entry

    def methods(self, path: str) -> list[str]:
        """Return the methods that have a route at a path, without the root path."""
        node = self._find(_split(path))
        return [] if node is None else sorted(node.methods)

    def _find(self, segments: Sequence[str]) -> _Node | None:
        node: _Node | None = self._root
        for segment in segments:
            if node is None:
                return None
            node = node.children.get(segment) or (node.parameter if segment else None)
        return node


def limit_request(entry: Entry, scope: Scope, receive: Receive) -> Receive:
    """Check the headers of a request, and return a `receive` that limits its body.

    Raises:
        NotAuthenticatedError, UnsupportedMediaTypeError, HTTPException: 401, 413 or 415; see `check_headers`.
    """
    settings: Settings = scope["app"].state.settings
    limit: int = getattr(settings, entry.limit)
    headers = scope["headers"]
    check_headers(headers, max_bytes=limit)
    if entry.check_media_type is not None:
        entry.check_media_type(headers)
    return limit_body(receive, limit, seconds=settings.body_seconds)


def _media_type_check(route: APIRoute) -> Callable[[Headers], Any] | None:
    accepted_body: AcceptedBody | None = getattr(route, "accepted_body", None)
    if accepted_body is not None:
        return accepted_body.media_type
    if hasattr(route, "fast_handler"):  # a generated route, whose body is JSON
        return None if getattr(route, "body", None) is None else require_json
    body = body_of(route)
    if isinstance(body, Form):
        return require_form
    if not isinstance(body, Body):
        return None
    kind = body.media_type.lower()
    return require_json if kind.endswith(("/json", "+json")) else partial(require_media_type, media_type=kind)


def _segments(scope: Scope) -> list[str]:
    segments = route_path(scope).split("/")
    if not segments[-1]:
        segments = encoded_segments(scope) or segments[:-1]
    return segments


def _split(path: str) -> list[str]:
    segments = path.split("/")
    if not segments[-1]:
        segments.pop()
    return segments


def _name_in(segment: str, path: str) -> str:
    """Return the name of a parameter, which must be a whole segment."""
    name = segment.removeprefix("{").removesuffix("}")
    if segment == f"{{{name}}}" and name.isidentifier():
        return name
    if ":" in segment:
        raise ValueError(f"{path}: write {{name}}; the type belongs in the endpoint's signature")
    raise ValueError(f"{path}: {segment} is part of a segment; a parameter must be a whole one, such as /{{name}}/")


def _nodes(node: _Node, before: tuple[str, ...]) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    """Yield every node with the patterns of the segments that lead to it.

    A parameter does not match a literal sibling.
    """
    yield node, before
    for segment, child in node.children.items():
        yield from _nodes(child, (*before, re.escape(segment)))
    if node.parameter is not None:
        literals = "|".join(re.escape(segment) for segment in node.children)
        guard = rf"(?!(?:{literals})(?:/|\Z))" if literals else ""
        yield from _nodes(node.parameter, (*before, f"{guard}[^/]+"))


def _regex(pattern: tuple[str, ...], entry: Entry) -> re.Pattern[str]:
    named = list(pattern)
    for position, name in entry.parameters:
        named[position] = f"(?P<{name}>{named[position]})"
    return re.compile("/".join(named) + r"/?\Z")

"""Finds the route of a request by the segments of its path: it costs the same with a hundred entities as with two.

The routes are FastAPI's, with their full paths, and stand in the application's list as well; FastAPI would ask one after the other
(decision 0002). Only looks up: what is done with a route is `application`'s.
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
from rowhouse.http.schema_names import name_apart
from rowhouse.requests.accepted_body import AcceptedBody
from rowhouse.requests.paths import route_path
from rowhouse.requests.request_limits import (
    Headers,
    check_headers,
    limit_body,
    require_form,
    require_json,
    require_media_type,
)

# In the scope: the entry that was found, and the error that the fast path ended in.
ENTRY, FAILURE = "rowhouse_entry", "rowhouse_failure"


class Entry(NamedTuple):
    """What answers a method at a path.

    `parameters` are the positions of segments and their names, `check_media_type` refuses a body of another kind by its headers,
    and `limit` names the setting of the most bytes. `fast_handler`, of a generated route, makes the answer before any of it is sent.
    `prefix` is that of the registry which the route belongs to.
    """

    route: APIRoute
    prefix: str
    parameters: tuple[tuple[int, str], ...]
    check_media_type: Callable[[Headers], Any] | None
    limit: str
    generated: bool
    fast_handler: Callable[[Scope, Receive], Awaitable[Response]] | None


class _Node:
    """A place in the tree of path segments."""

    __slots__ = ("children", "methods", "parameter")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, Entry] = {}


class RouteTree:
    """The routes of all registries, found by their segments: a literal segment before a parameter.

    A path with a trailing slash is the same path. `add` refuses a second hand-written route for one method and path; a
    hand-written one wins over a generated one in whatever order they come. `complete` must be called once, after the last `add`.
    """

    def __init__(self) -> None:
        # By the prefix of their registry, in the order in which they are documented.
        self.parts: dict[str, list[APIRoute]] = {}
        self._root = _Node()

    @property
    def routes(self) -> list[APIRoute]:
        """Every route, those for HEAD included."""
        return [route for part in self.parts.values() for route in part]

    @cached_property
    def route_ids(self) -> frozenset[int]:
        """The identities of the routes, which tell them from others in the application's list. Only after `complete`."""
        return frozenset(id(route) for route in self.routes)

    def add(self, route: APIRoute, *, prefix: str = "", generated: bool) -> None:
        """Enter a copy of a route, whose own path begins where the prefix ends.

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
        entry = Entry(placed, prefix, tuple(parameters), _media_type_check(route), limit, generated, fast_handler)
        positions = [self._take(node, method, entry) for method in sorted(route.methods or ())]
        found = [position for position in positions if position is not None]
        if found:
            self.parts[prefix].insert(found[0], placed)

    def _take(self, node: _Node, method: str, entry: Entry) -> int | None:
        """Have the entry answer a method at a place. Return its position in the list, or None if another goes before it."""
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
        """Answer HEAD wherever GET is, have every route match exactly the paths that it is found by, and tell names apart.

        Raises:
            ValueError: at start-up, for two operations of one name.
        """
        name_apart(self.parts)
        heads: dict[int, APIRoute] = {}
        for node, pattern in _places(self._root, ()):
            for entry in node.methods.values():
                entry.route.path_regex = _regex(pattern, entry)
            get = node.methods.get("GET")
            if get is not None and "HEAD" not in node.methods:
                head = copy(get.route)
                # A route of its own: with HEAD among the methods of the other, FastAPI would document both under one name.
                head.methods, head.include_in_schema = {"HEAD"}, False
                heads[id(get.route)] = head
                node.methods["HEAD"] = get._replace(route=head)
        for part in self.parts.values():
            part[:] = [one for route in part for one in (route, heads.get(id(route))) if one is not None]

    def select(self, scope: Scope) -> Entry | None:
        """Find what answers a request and put it into the scope, as Starlette's router does; None if nothing does."""
        segments = _segments(scope)
        node = self._find(segments)
        entry = None if node is None else node.methods.get(scope["method"])
        if entry is not None:
            own = {name: segments[position] for position, name in entry.parameters}
            outer = scope.get("path_params")  # of a mount
            scope["path_params"] = {**outer, **own} if outer else own
            scope["route"], scope["endpoint"], scope[ENTRY] = entry.route, entry.route.endpoint, entry
        return entry

    def methods(self, path: str) -> list[str]:
        """The methods that are answered at a path of the application's own."""
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
    """Let a request pass whose headers the route allows; its body, no longer than it allows."""
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
    body = route.body_field.field_info if route.body_field else None
    if isinstance(body, Form):
        return require_form
    if not isinstance(body, Body):
        return None
    kind = body.media_type.lower()
    return require_json if kind.endswith(("/json", "+json")) else partial(require_media_type, kind=kind)


def _segments(scope: Scope) -> list[str]:
    return _split(route_path(scope))


def _split(path: str) -> list[str]:
    segments = path.split("/")
    if not segments[-1]:
        segments.pop()
    return segments


def _name_in(segment: str, path: str) -> str:
    """The name of a segment that is a parameter, which it must be as a whole."""
    name = segment.removeprefix("{").removesuffix("}")
    if segment == f"{{{name}}}" and name.isidentifier():
        return name
    if ":" in segment:
        raise ValueError(f"{path}: write {{name}}; the type stands in the endpoint's signature")
    raise ValueError(f"{path}: {segment} is no segment; a parameter is a whole one, such as /{{name}}/")


def _places(node: _Node, before: tuple[str, ...]) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    """Every place of the tree with the patterns of the segments that lead there. A parameter takes no literal beside it."""
    yield node, before
    for segment, child in node.children.items():
        yield from _places(child, (*before, re.escape(segment)))
    if node.parameter is not None:
        literals = "|".join(re.escape(segment) for segment in node.children)
        guard = rf"(?!(?:{literals})(?:/|\Z))" if literals else ""
        yield from _places(node.parameter, (*before, f"{guard}[^/]+"))


def _regex(pattern: tuple[str, ...], entry: Entry) -> re.Pattern[str]:
    named = list(pattern)
    for position, name in entry.parameters:
        named[position] = f"(?P<{name}>{named[position]})"
    return re.compile("/".join(named) + r"/?\Z")

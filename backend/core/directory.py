"""The way from a path to its route, in steps of the path's segments: it costs the same with a hundred entities as with two.

FastAPI asks one route after the other (KNOWLEDGE §6).
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fastapi.params import Body, Form
from fastapi.routing import APIRoute
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from backend.core.admission import judged_first
from backend.core.config import Settings
from backend.core.errors import RowhouseError
from backend.core.gate import Headers, limited, refuse_headers, refuse_other_than_form, require_json
from backend.core.intake import Intake

# In the scope: what the short way to a route ended in.
FAILURE = "rowhouse_failure"


class _Entry(NamedTuple):
    """What answers a method at a path.

    `parameters` are the positions of segments and their names, `require_media_type` refuses a body of another kind by its headers,
    and `limit` names the setting of the most bytes. `respond`, of a generated route, makes the answer before any of it is sent.
    """

    route: APIRoute
    parameters: tuple[tuple[int, str], ...]
    require_media_type: Callable[[Headers], Any] | None
    limit: str
    generated: bool
    respond: Callable[[Scope, Receive], Awaitable[Response]] | None


class _Node:
    """A place in the tree of path segments."""

    __slots__ = ("children", "methods", "parameter")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, _Entry] = {}


class Directory(BaseRoute):
    """Every route below one prefix, found by its segments: a literal segment before a parameter.

    A path with a trailing slash is the same path. `add` refuses a second hand-written route for one method and path; a
    hand-written one wins over a generated one in whatever order they come.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.routes: list[APIRoute] = []
        self._root = _Node()

    def add(self, route: APIRoute, *, generated: bool) -> None:
        """Enter a route, whose path is given from the prefix on.

        Raises:
            ValueError: at start-up, for a second route of the same kind at the same method and path.
        """
        segments = route.path.strip("/").split("/")
        node, parameters = self._root, []
        for position, segment in enumerate(segments):
            if segment.startswith("{"):
                if ":" in segment:
                    raise ValueError(f"{route.path}: write {{name}}; the type stands in the endpoint's signature")
                parameters.append((position, segment.strip("{}")))
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        intake: Intake | None = getattr(route, "intake", None)
        limit = "max_body_bytes" if intake is None else intake.limit
        respond = getattr(route, "respond", None)
        entry = _Entry(route, tuple(parameters), _media_type(route), limit, generated, respond)
        for method in sorted(route.methods or ()):
            self._enter(node, method, entry)

    def _enter(self, node: _Node, method: str, entry: _Entry) -> None:
        present, position = node.methods.get(method), len(self.routes)
        if present is not None:
            if present.generated == entry.generated:
                raise ValueError(f"{method} {entry.route.path} is registered twice: give one of them another path")
            if entry.generated:
                return
            position = self.routes.index(present.route)
            self.routes.remove(present.route)
        node.methods[method] = entry
        if entry.route not in self.routes:
            self.routes.insert(position, entry.route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything below the prefix is answered here."""
        inside = scope["type"] == "http" and (scope["path"] + "/").startswith(self.prefix + "/")
        return (Match.FULL, {}) if inside else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the route and let it answer, or raise 401, 404, 405, 413 or 415; or what the short way to it ended in."""
        if FAILURE in scope:
            raise scope[FAILURE]
        segments = self._segments(scope)
        node = self._find(segments)
        if node is None or not node.methods:
            raise HTTPException(404)
        entry = node.methods.get(scope["method"])
        if entry is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(node.methods))})
        try:
            receive = _admitted(entry, segments, scope, receive)
        except (HTTPException, RowhouseError) as error:
            raise await judged_first(error, entry.route, scope) from None
        await entry.route.app(scope, receive, send)

    async def has_answered(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether a route that can `respond` was there and has answered. If not, `handle` is to be asked: it knows what was wrong."""
        if self.matches(scope)[0] is Match.NONE:
            return False
        segments = self._segments(scope)
        node = self._find(segments)
        entry = node.methods.get(scope["method"]) if node is not None else None
        if entry is None or entry.respond is None:
            return False
        try:
            response = await entry.respond(scope, _admitted(entry, segments, scope, receive))
        except Exception as error:  # noqa: BLE001  `handle` raises it where FastAPI's handlers, and those that were added to it, are
            scope[FAILURE] = await judged_first(error, entry.route, scope)
            return False
        await response(scope, receive, send)
        return True

    def _segments(self, scope: Scope) -> list[str]:
        path: str = scope["path"][len(self.prefix) + 1 :]
        return path.removesuffix("/").split("/")

    def _find(self, segments: Iterable[str]) -> _Node | None:
        node: _Node | None = self._root
        for segment in segments:
            if node is None:
                return None
            node = node.children.get(segment) or (node.parameter if segment else None)
        return node

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of a route by its name."""
        for route in self.routes:
            if route.name == name:
                return URLPath(self.prefix + route.url_path_for(name, **path_params), "http")
        raise NoMatchFound(name, path_params)


def _admitted(entry: _Entry, segments: Sequence[str], scope: Scope, receive: Receive) -> Receive:
    """Let a request pass whose headers the route allows; its body, no longer than it allows."""
    settings: Settings = scope["app"].state.settings
    limit: int = getattr(settings, entry.limit)
    refuse_headers(scope["headers"], most_bytes=limit)
    if entry.require_media_type is not None:
        entry.require_media_type(scope["headers"])
    scope["path_params"] = {name: segments[position] for position, name in entry.parameters}
    scope["route"] = entry.route
    return limited(receive, limit, seconds=settings.body_seconds)


def _media_type(route: APIRoute) -> Callable[[Headers], Any] | None:
    intake: Intake | None = getattr(route, "intake", None)
    if intake is not None:
        return intake.media_type
    body = route.body_field.field_info if route.body_field else None
    if isinstance(body, Form):
        return refuse_other_than_form
    return require_json if isinstance(body, Body) else None

"""Paths with and without the prefix that a server, a mount or a proxy puts before the application's own.

`route_path` is what routes are matched by. `client_path` is what a client sends: use it in every answer that names a path.
Must not read headers: only the server's configuration and a mount say what the prefix is (ASGI's `root_path`).
"""

import re
from typing import Any
from urllib.parse import quote

from starlette._utils import get_route_path as route_path  # FastAPI's own import; Starlette exports it nowhere else
from starlette.requests import Request
from starlette.types import Scope

__all__ = ["client_path", "location_of", "prefix_of", "route_path"]

# Without quotes, ampersands and angle brackets, so that the result can stand in HTML and JavaScript as it is.
SAFE = "/%:@!$*+,;=~"
# What no quoting changes, as nearly all paths and keys are.
PLAIN = re.compile(r"[/A-Za-z0-9_.-]*")


def prefix_of(scope: Scope) -> str:
    """The prefix of every path of this application as the client sees it: empty, or `/shop`, without a trailing slash."""
    root_path: str = scope.get("root_path", "")
    name = root_path.strip("/")
    return f"/{quote(name, safe=SAFE)}" if name else ""


def client_path(scope: Scope, path: str) -> str:
    """The path of one of the application's own paths as the client sees it."""
    return prefix_of(scope) + (path if PLAIN.fullmatch(path) else quote(path, safe=SAFE))


def location_of(request: Request, key: Any) -> str:
    """Return the path of a new row for the header `Location`: one segment below the path of the request.

    Example:
        response.headers["Location"] = location_of(request, order.id)
    """
    return location(request.scope, key)


def location(scope: Scope, key: Any) -> str:
    """As `location_of`, for a route that has only the scope."""
    segment = str(key)
    if not segment.isalnum() or not segment.isascii():
        segment = quote(segment, safe="")
    return f"{client_path(scope, route_path(scope).rstrip('/'))}/{segment}"

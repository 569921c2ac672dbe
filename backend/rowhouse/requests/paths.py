"""Paths with and without the prefix that a server, a mount or a proxy puts before the application's own.

Routes match `route_path`. A client sends `client_path`: use it in every response that contains a path. Must not read
headers: only the server's configuration and a mount set the prefix (ASGI's `root_path`).
"""

import re
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.types import Scope

# Without quotes, ampersands and angle brackets, so that HTML and JavaScript can contain the result as it is.
SAFE = "/%:@!$*+,;=~"
# Text that needs no quoting, as nearly all paths and keys do.
PLAIN = re.compile(r"[/A-Za-z0-9_.-]*")


def route_path(scope: Scope) -> str:
    """Return the path without the root path, which routes match: `/books` of `/shop/books` under `/shop`.

    The same as Starlette's, which is private there.
    """
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if not root_path or not path.startswith(root_path):
        return path
    rest = path[len(root_path) :]
    return rest if not rest or rest[0] == "/" else path


def prefix_of(scope: Scope) -> str:
    """Return the prefix of this application's paths as clients see it: empty, or `/shop`, without a final slash."""
    root_path: str = scope.get("root_path", "")
    name = root_path.strip("/")
    return f"/{quote(name, safe=SAFE)}" if name else ""


def client_path(scope: Scope, path: str) -> str:
    """Return one of the application's own paths as the client sees it."""
    return prefix_of(scope) + (path if PLAIN.fullmatch(path) else quote(path, safe=SAFE))


def location_of(request: Request, key: Any) -> str:
    """Return the path of a new row for the header `Location`: one segment below the path of the request.

    Example:
        response.headers["Location"] = location_of(request, order.id)
    """
    return location(request.scope, key)


def location(scope: Scope, key: Any) -> str:
    """As `location_of`, for a caller that has only the scope."""
    return client_path(scope, route_path(scope).rstrip("/")) + segment(str(key))


def segment(key: str) -> str:
    """Return the last segment of a row's path, with its slash."""
    return f"/{key}" if key.isalnum() and key.isascii() else f"/{quote(key, safe=',')}"


def encoded_segments(scope: Scope) -> list[str] | None:
    """Return the segments of a path that has an encoded slash within one of them; None for any other path.

    The first is empty, and those of the root path are left out, as if `route_path` were split.

    The server has decoded `path`. Its segments are lost if one had a slash.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return None
    found = [unquote(one) for one in raw.decode("latin-1").split("/")]
    if "/".join(found) != scope["path"]:  # a proxy or a mount has changed one of the two
        return None
    before = scope["path"].removesuffix(route_path(scope)).count("/")
    segments = ["", *found[before + 1 :]]
    return segments if segments[-1] else segments[:-1]

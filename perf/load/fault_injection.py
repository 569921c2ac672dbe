"""Add one fault to an application, to show that a load run finds it.

A fault is `slow GET /books/1` or `fail GET /books`: a kind, a method and a path below the prefix of the API. A path
that ends with a slash means every path that begins with it: `/categories` is the list, `/categories/` is every
category.
"""

import asyncio
import itertools

from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.load.operations import DEFAULT_PREFIX

SLOW_SECONDS = 0.25
# Not every one: an operation without a single valid response ends a load run before it begins.
FAILS_EVERY = 5


class FaultInjector:
    """An ASGI application with one fault: `slow` delays its requests by 250 ms, `fail` answers every fifth with 500."""

    def __init__(self, app: ASGIApp, fault: str) -> None:
        self._app = app
        self._kind, self._method, self._path = fault.split()
        self._hits = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, with the fault if it is for this one."""
        if self._matches(scope):
            if self._kind == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            elif next(self._hits) % FAILS_EVERY == 0:
                await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)

    def _matches(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != self._method:
            return False
        path, wanted = scope["path"].removeprefix(DEFAULT_PREFIX), self._path
        return bool(path.startswith(wanted) if wanted.endswith("/") else path == wanted)

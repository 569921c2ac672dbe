"""Rowhouse with one fault, for proofs that the gate fails: `FAULT='slow GET /books/1' uvicorn perf.faulty:create_app --factory`.

`slow` has every request with this method, and a path that begins so, wait for 250 ms; `fail` answers every fifth with 500, for one that never gets a right answer ends a load run before it begins. No path stands
for a longer one: `/categories` is the list, `/categories/` every category. The document is Rowhouse's own.
"""

import asyncio
import itertools
import os
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.main import create_app as create_rowhouse
from perf.operations import PREFIX

SLOWED_SECONDS = 0.25
FAILS_EVERY = 5


class Faulty:
    """The application behind one fault."""

    def __init__(self, app: ASGIApp, fault: str) -> None:
        self._app = app
        self._kind, self._method, self._path = fault.split()
        self._hits = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or do what the server tells."""
        if self._is_meant(scope):
            if self._kind == "slow":
                await asyncio.sleep(SLOWED_SECONDS)
            elif next(self._hits) % FAILS_EVERY == 0:
                await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)

    def _is_meant(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != self._method:
            return False
        path, wanted = scope["path"].removeprefix(PREFIX), self._path
        return bool(path.startswith(wanted) if wanted.endswith("/") else path == wanted)


def create_app() -> Any:
    """The application; reads FAULT beside the settings."""
    return Faulty(create_rowhouse(), os.environ["FAULT"])
